"""To the cluster, and what is found there."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ray_jobs.wording import first_line
from sandboxes import ClusterError

NAMESPACE = "induce"

REACH_SECONDS = 5.0
"""How long an address may take to answer at all, before Ray is asked to connect, which is slow to give up."""

_PORTS = {"ray": 10001, "": 6379}


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster that is alive: its id, how messages call it, and its CPUs."""

    id: str
    name: str
    cpus: float
    here: bool


@dataclass(frozen=True, slots=True)
class Cluster:
    """A connection to a cluster. ``client``: by Ray Client, from a machine that is no part of it."""

    address: str
    client: bool

    def nodes(self) -> list[Node]:
        """Give the nodes that are alive, the driver's first.

        Raises ``ClusterError`` where the cluster does not answer any more.
        """
        import ray  # noqa: PLC0415 - an extra

        try:
            here = "" if self.client else ray.get_runtime_context().get_node_id()
            found = [
                Node(one["NodeID"], _name(one), one["Resources"].get("CPU", 0.0), one["NodeID"] == here)
                for one in ray.nodes()  # type: ignore[no-untyped-call]
                if one["Alive"]
            ]
        except Exception as error:
            raise ClusterError(
                f"the cluster at {self.address} does not answer: {first_line(error)}"
            ) from error
        return sorted(found, key=lambda node: (not node.here, node.name, node.id))


@contextlib.contextmanager
def connect(address: str | None, *, cpus: float | None = None) -> Iterator[Cluster]:
    """Connect to the cluster at an address, and leave it at the end.

    ``None`` is the cluster that ``RAY_ADDRESS`` names (as it does within a Ray job), else as ``local``: a
    cluster on this machine alone, of ``cpus`` CPUs, which ends with the connection. ``auto`` is the cluster
    that this machine is part of; ``HOST:PORT`` and ``ray://HOST:PORT`` are others. Where Ray is connected
    already, that connection is used, and stays.

    Raises ``ClusterError`` where Ray is not installed, or the address cannot be reached, is no cluster, is
    one of another version of Ray or Python, or refuses the token.
    """
    ray = _import_ray()
    if ray.is_initialized():
        yield Cluster(address or "the connection there is", ray.util.client.ray.is_connected())
        return
    if address is None:
        address = os.environ.get("RAY_ADDRESS") or "local"
    if address not in ("auto", "local"):
        _reach(address)
    options: dict[str, Any] = {"num_cpus": cpus, "include_dashboard": False} if address == "local" else {}
    if not address.startswith("ray://"):
        options |= {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    try:
        with _quiet():
            ray.init(address=address, namespace=NAMESPACE, **options)
    except Exception as error:
        raise _explained(address, error) from error
    # Ray would print among our output that a node is lost; its logs say so, and ours what that means.
    printing, ray._private.worker.print_to_stdstream = ray._private.worker.print_to_stdstream, _nothing
    try:
        yield Cluster(address, address.startswith("ray://"))
    finally:
        ray.shutdown()
        ray._private.worker.print_to_stdstream = printing


def versions() -> tuple[str, str]:
    """Give the versions of Python and Ray on this machine."""
    return platform.python_version(), str(_import_ray().__version__)


def _import_ray() -> Any:
    # Ray would otherwise tell on every start that it sends statistics home, and send them.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ClusterError(
            "batches on a cluster need Ray: pip install 'induce[ray]', "
            "or say --no-ray to solve in this process"
        ) from error
    return ray


def _reach(address: str) -> None:
    """See whether anybody listens at an address. Raises ``ClusterError``."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        host = port = None
    if not host or port is None:
        raise ClusterError(
            f"{address!r} is no address of a cluster; those are auto, local, HOST:PORT and ray://HOST:PORT"
        )
    try:
        socket.create_connection((host, port), REACH_SECONDS).close()
    except OSError as error:
        raise ClusterError(
            f"nobody answers at {address} ({error.strerror or error}): is the cluster up, and is this its "
            "address? `ray status` on its head tells"
        ) from error
    if not address.startswith("ray://"):
        _greet(address, f"{host}:{port}")


def _greet(address: str, place: str) -> None:
    """See whether who listens is the head of a cluster, and takes our token. Raises ``ClusterError``.

    Ray itself would try for a long time, and write every failure to the terminal.
    """
    try:  # Ray's own way to use its token, which is no part of its interface
        import grpc  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with Ray
        from ray._private.grpc_utils import init_grpc_channel  # noqa: PLC0415
        from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc  # noqa: PLC0415
    except ImportError:
        return  # another Ray than those we know: it will say so itself, later

    messages: Any = gcs_service_pb2
    services: Any = gcs_service_pb2_grpc
    with init_grpc_channel(place) as channel:
        try:
            head = services.NodeInfoGcsServiceStub(channel)
            head.CheckAlive(messages.CheckAliveRequest(), timeout=REACH_SECONDS)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                raise _refused(address) from error
            raise ClusterError(
                f"who answers at {address} is not the head of a Ray cluster ({error.code().name}): "
                "`ray status` on the head tells its address"
            ) from error


def _refused(address: str) -> ClusterError:
    return ClusterError(
        f"the cluster at {address} refuses this machine's token: set RAY_AUTH_MODE=token and "
        f"RAY_AUTH_TOKEN_PATH to the file with the cluster's own (it is ~/.ray/auth_token on its head)"
    )


def _explained(address: str, error: Exception) -> ClusterError:
    """Say why a cluster that was asked cannot be used, and what to do."""
    lower = " ".join(str(one) for one in (error, error.__cause__) if one).lower()
    if "version" in lower and ("mismatch" in lower or "different" in lower):
        here = "Python {} and Ray {}".format(*versions())
        return ClusterError(
            f"the cluster at {address} runs another version than this machine's {here}: use the same ones "
            f"({first_line(error)})"
        )
    if "unauthenticated" in lower or "authentication" in lower or "token" in lower:
        return _refused(address)
    if isinstance(error, ConnectionError) and address == "auto":
        return ClusterError(
            "this machine is not part of a running cluster: start one with `ray start --head`, "
            "name one with --address HOST:PORT, or leave --address out to work on this machine alone"
        )
    return ClusterError(f"cannot connect to the cluster at {address}: {first_line(error)}")


def _name(node: dict[str, Any]) -> str:
    return str(node.get("NodeName") or node.get("NodeManagerHostname") or node["NodeID"][:8])


def _nothing(*_: object, **__: object) -> None:
    pass


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep from the terminal what Ray has to say about tokens as it starts: it is in its own logs."""
    logger = logging.getLogger("ray")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
