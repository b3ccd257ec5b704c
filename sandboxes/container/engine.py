"""Talking to a container engine over its API, by threads that come and go."""

from __future__ import annotations

import contextlib
import os
import socket
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from sandboxes.connection import UnreachableError
from sandboxes.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import APIClient

REQUEST_SECONDS = 60
"""How long the engine may take to answer, on a machine that is busy or has slow disks."""


class RefusedError(SandboxError):
    """The engine was there and did not do what it was asked; ``status`` is that of its HTTP answer."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Engine:
    """The engine at ``host``, by default where ``DOCKER_HOST`` or the present Docker context says.

    Raises ``SandboxError`` where the Python package ``docker`` is not installed or ``host`` makes no sense,
    and ``UnreachableError`` where no engine answers. Safe to use from several threads and after a fork.
    """

    def __init__(self, host: str | None = None) -> None:
        try:
            import docker.errors  # noqa: PLC0415 - optional, and slow to import
        except ImportError as error:
            raise SandboxError(
                f"the Docker sandbox needs the Python package docker ({error}); pip install 'induce[docker]'"
            ) from error
        try:
            self._options = _options(host)
        except (docker.errors.DockerException, OSError, ValueError) as error:
            raise SandboxError(
                f"no container engine can be meant by these settings: {error}; see DOCKER_HOST"
            ) from error
        self.host: str = self._options["base_url"] or "unix:///var/run/docker.sock"
        self._version: str | None = None
        self._idle: deque[APIClient] = deque()
        self._pid = os.getpid()
        self.close = weakref.finalize(self, _close_all, self._idle)
        """Close the connections that nobody uses just now, and keep none from now on."""
        with self.client() as client:
            self._version = client.version(api_version=False).get("ApiVersion")

    @contextlib.contextmanager
    def client(self) -> Iterator[APIClient]:
        """Lend a client for a few requests, and say in our words what goes wrong with them.

        Raises ``UnreachableError`` where the engine does not answer, ``RefusedError`` where it says no.
        """
        import docker.errors  # noqa: PLC0415
        import requests.exceptions  # noqa: PLC0415
        import urllib3.exceptions  # noqa: PLC0415

        if self._pid != os.getpid():  # the connections are those of the process that this one was forked from
            self._pid = os.getpid()
            _close_all(self._idle)
        client = None
        try:
            self._knock()
            client = self._take()
            yield client
        except docker.errors.APIError as error:
            response = error.response
            status = 500 if response is None else int(response.status_code)
            raise RefusedError(one_line(error.explanation or str(error)), status) from error
        except (
            docker.errors.DockerException,
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
        ) as error:
            if client is not None:
                client.close()
                client = None
            raise UnreachableError(
                f"no container engine answers at {self.host} ({_root_cause(error)}); start it "
                "(`systemctl start docker`, `podman system service`), or name another in DOCKER_HOST"
            ) from error
        finally:
            if client is not None:
                self._keep(client)

    def answers(self) -> bool:
        """Whether the engine is there."""
        try:
            with self.client() as client:
                return bool(client.ping())
        except SandboxError:
            return False

    def _knock(self) -> None:
        """Raise ``OSError`` where nobody listens, before the client does and leaves a socket open."""
        scheme, _, path = self.host.partition("://")
        if scheme == "unix" and hasattr(socket, "AF_UNIX"):
            with socket.socket(socket.AF_UNIX) as door:
                door.settimeout(REQUEST_SECONDS)
                door.connect(path)

    def _take(self) -> APIClient:
        from docker import APIClient  # noqa: PLC0415
        from docker.constants import DEFAULT_DOCKER_API_VERSION  # noqa: PLC0415

        try:
            return self._idle.pop()
        except IndexError:
            version = self._version or DEFAULT_DOCKER_API_VERSION
            client = APIClient(version=version, timeout=REQUEST_SECONDS, **self._options)
            if self._options.get("tls"):
                client.trust_env = False  # REQUESTS_CA_BUNDLE would displace the engine's own authority
            return client

    def _keep(self, client: APIClient) -> None:
        if self.close.alive and client.api_version == self._version:
            self._idle.append(client)
        else:
            client.close()


def _close_all(clients: deque[APIClient]) -> None:
    with contextlib.suppress(IndexError):
        while True:
            clients.pop().close()


def _options(host: str | None) -> dict[str, Any]:
    """Give the arguments of a client, as the command ``docker`` would find them."""
    from docker.context import ContextAPI  # noqa: PLC0415
    from docker.utils import kwargs_from_env  # noqa: PLC0415

    variables = dict(os.environ)
    if host is not None:
        variables["DOCKER_HOST"] = host
    if not variables.get("DOCKER_HOST"):
        context = ContextAPI.get_current_context()
        if context.name != "default":
            return {"base_url": context.Host, "tls": context.TLSConfig}
    return {"base_url": None, **kwargs_from_env(environment=variables)}


def one_line(text: str | bytes) -> str:
    """Give an engine's message in one line that a terminal can take."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text[:1000]).split())


def _root_cause(error: BaseException) -> str:
    """Find what the system said, under all that was wrapped around it."""
    seen: list[BaseException] = []
    found = error
    todo: list[Any] = [error]
    while todo and len(seen) < 100:
        present = todo.pop(0)
        if not isinstance(present, BaseException) or present in seen:
            continue
        seen.append(present)
        if isinstance(present, OSError) and present.strerror:
            found = present
        todo += [*present.args, present.__cause__, present.__context__, getattr(present, "reason", None)]
    return one_line(getattr(found, "strerror", None) or str(found))
