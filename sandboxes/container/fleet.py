"""Starts the containers of one sandbox, and leaves none behind."""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import os
import re
import threading
import time
import uuid
import weakref
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandboxes.connection import START_SECONDS, Connection, UnreachableError
from sandboxes.container import labels
from sandboxes.container.engine import RefusedError
from sandboxes.container.sweep import Remover, abandoned, containers_of, remove
from sandboxes.container.transport import AttachTransport
from sandboxes.errors import SandboxError
from sandboxes.pooled_sandbox import ConfinementJudge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxes.container.engine import Engine
    from sandboxes.container.image import Image

USER = "65534:65534"
"""The user and group in a container: ``nobody`` nearly everywhere."""

TMP_MB = 16
PIDS = 64
"""Processes a container may have: the server, its copies that have loaded packages, one program."""

FILES = 1024
"""Descriptors that a process in a container may have."""

USERS_PROCESSES = 16_384
"""Processes that all containers may have together. Podman's own default can be more than it has."""

ENVIRONMENT = {
    "PYTHONHASHSEED": "0",  # so that runs are repeatable
    "PYTHONNOUSERSITE": "1",
    "PYTHONSAFEPATH": "1",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "LD_BIND_NOW": "1",  # or each fork would look up each C function that it calls
}

LOADER = """\
import os, sys
def read(count):
    data = b""
    while len(data) < count:
        data += os.read(0, count - len(data)) or sys.exit("the host is gone")
    return data
exec(read(int.from_bytes(read(4), "big")))
"""
"""The command line's part of ``bootstrap``, for any version of Python."""

_INIT = re.compile(r"docker-init|tini|catatonit|container-init|init binary")
PUZZLE_SECONDS = 5.0
"""For so long an engine that answers, and yet starts nothing, may be one that is only just coming up."""

_ATTEMPTS = 3
_CLOSE_SECONDS = 30.0
_NOT_THERE, _CONFLICT = 404, 409


@dataclass(frozen=True, slots=True)
class ContainerOptions:
    """What the containers of a sandbox have in common."""

    image: Image
    memory_mb: int
    relaxed: bool
    packages: Sequence[str]

    def config(self, client: Any, own_labels: dict[str, str], init: bool) -> dict[str, Any]:
        """Give the engine's description of a container that can compute, and nothing else.

        ``init`` puts the engine's own process 1 before the server, which buries the orphans.
        """
        memory = self.memory_mb * 1024 * 1024
        host = client.create_host_config(
            auto_remove=True,
            cap_drop=["ALL"],
            init=init,
            ipc_mode="none",  # not even a /dev/shm
            log_config={"Type": "none", "Config": {}},  # the protocol would be written to disk
            mem_limit=memory,
            memswap_limit=memory,  # of memory and swap together: no swap
            nano_cpus=1_000_000_000,
            network_mode="none",
            pids_limit=PIDS,
            read_only=True,
            security_opt=["no-new-privileges"],
            tmpfs={self.image.scratch: f"rw,noexec,nosuid,nodev,mode=1777,size={TMP_MB}m"},
            ulimits=[
                {"Name": "core", "Soft": 0, "Hard": 0},
                {"Name": "nofile", "Soft": FILES, "Hard": FILES},
                {"Name": "nproc", "Soft": USERS_PROCESSES, "Hard": USERS_PROCESSES},
            ],
        )
        config: dict[str, Any] = client.create_container_config(
            self.image.id,
            command=[self.image.interpreter, "-c", LOADER],
            entrypoint=[],
            environment=ENVIRONMENT,
            host_config=host,
            hostname="sandbox",
            labels=own_labels,
            network_disabled=True,
            stdin_open=True,
            stop_signal="SIGKILL",
            user=USER,
            working_dir="/",
        )
        # Standard input ends with the connection that is attached to it, and with it the server.
        config |= {"StdinOnce": True, "AttachStdin": True, "AttachStdout": True, "AttachStderr": True}
        return config


class Fleet:
    """Starts a server, in a container of its own, whenever it is called; refuses those that cannot confine.

    Containers are labelled with the process that owns them. After a fork, the child's are its own.
    """

    def __init__(self, engine: Engine, options: ContainerOptions) -> None:
        self._engine = engine
        self._options = options
        self._greeting = _greeting(options.relaxed, options.packages)
        self._judged = ConfinementJudge(options.relaxed, "in containers of this engine")
        self._init = True
        self.begin()
        _fleets.add(self)

    def begin(self) -> None:
        """Start without any container, also in a process that was forked from the owner of others."""
        self._name = uuid.uuid4().hex
        self._labels = {labels.SANDBOX: self._name, labels.VERSION: labels.version()}
        self._labels |= labels.Owner.this_process().labels
        self._changed = threading.Condition()
        self._starting: set[AttachTransport] = set()
        self._under_way = 0
        self._used = self._closed = False
        self._puzzles = 0
        self._puzzled_since = 0.0
        self._remover = Remover(self._engine)

    def sweep(self) -> None:
        """Have the containers removed that dead processes left. Raises ``SandboxError``."""
        for container in abandoned(self._engine):
            self._remover.remove(container)

    def __call__(self) -> Connection:
        """Start a server and greet it.

        Raises ``UnreachableError`` where the engine is away, or was in the course of it, and ``SandboxError``
        where trying again would not help.
        """
        with self._changed:
            self._used = True
            self._under_way += 1
        try:
            server = self._start()
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()
        return self._judged(server)

    def close(self) -> None:
        """Remove every container, those included that are just being started. Never raises."""
        deadline = time.monotonic() + _CLOSE_SECONDS
        with self._changed:
            self._closed = True
            starting = list(self._starting)
        for transport in starting:
            transport.kill()
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way, deadline - time.monotonic())
        if self._used:
            self._remove_all(deadline)
        self._remover.join(max(deadline - time.monotonic(), 0.0))
        self._engine.close()

    def _remove_all(self, deadline: float) -> None:
        with contextlib.suppress(SandboxError):  # without an engine there is nothing to remove
            for container in containers_of(self._engine, self._name):
                with contextlib.suppress(SandboxError):
                    remove(self._engine, container)
                if time.monotonic() > deadline:
                    break  # the next sweep goes on

    def _start(self) -> Connection:
        try:
            transport = self._attach()
        except RefusedError as error:
            if not (self._init and _INIT.search(str(error))):
                raise self._judge(error) from error
            self._init = False  # the engine lacks that program; the server does without
            return self._start()
        try:
            with self._changed:
                self._starting.add(transport)
                if self._closed:
                    transport.kill()
            server = _greet(transport, self._greeting)
        except SandboxError as error:
            words = transport.last_words()
            if _INIT.search(words):  # process 1 could not start the interpreter
                raise SandboxError(f"{error}; {self._cure(words)}") from None
            if words:
                raise
            raise self._puzzle(str(error)) from error
        finally:
            with self._changed:
                self._starting.discard(transport)
        self._puzzles = 0
        return server

    def _attach(self) -> AttachTransport:
        """Create a container, attach to it, and only then start it, so that not a byte is missed."""
        remover = self._remover
        with self._engine.client() as client:
            config = self._options.config(client, self._labels, self._init)
            created = client.create_container_from_config(config)  # type: ignore[no-untyped-call]
        container: str = created["Id"]
        try:
            with self._engine.client() as client:
                parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
                stream = client.attach_socket(container, params=parameters)
                transport = AttachTransport(stream, lambda: remover.remove(container))
        except RefusedError as error:
            remover.remove(container)
            raise self._puzzle(str(error)) from error
        except BaseException:
            remover.remove(container)
            raise
        try:
            with self._engine.client() as client:
                client.start(container)
        except RefusedError as error:
            transport.dispose()
            if error.status in (_NOT_THERE, _CONFLICT):
                raise self._puzzle(str(error)) from error
            raise
        except BaseException:
            transport.dispose()
            raise
        return transport

    def _judge(self, error: RefusedError) -> SandboxError:
        """Say what it means that the engine does not make a container."""
        if error.status == _NOT_THERE:
            return SandboxError(
                f"the engine has no image {self._options.image.name} any more; build one "
                "(induce sandbox image build) and make a new sandbox"
            )
        if error.status >= 500:
            return self._puzzle(str(error))
        return SandboxError(f"the engine does not start a container: {error}; {self._cure(str(error))}")

    def _puzzle(self, what: str) -> SandboxError:
        """Take for an engine that is on its way down or up what has not happened several times in a row."""
        if not self._engine.answers():
            return UnreachableError(f"the container engine at {self._engine.host} went away: {what}")
        now = time.monotonic()
        self._puzzles += 1
        if self._puzzles == 1:
            self._puzzled_since = now
        if self._puzzles >= _ATTEMPTS and now - self._puzzled_since > PUZZLE_SECONDS:
            return SandboxError(f"the engine does not start a container: {what}; {self._cure(what)}")
        return UnreachableError(f"the engine did not start a container: {what}")

    def _cure(self, what: str) -> str:
        image = self._options.image
        if image.interpreter in what:
            return f"the image {image.name} must have Python 3.11 or newer"
        return "see its log"


def _greet(transport: AttachTransport, greeting: bytes) -> Connection:
    view = memoryview(greeting)
    try:
        while view:
            count = transport.send(view, START_SECONDS)
            if not count:
                raise TimeoutError("it does not read")
            view = view[count:]
    except OSError:
        pass  # it ended; what it said of that is still to be read
    return Connection(transport)


def _greeting(relaxed: bool, packages: Sequence[str]) -> bytes:
    """Give what ``bootstrap`` reads: the server's source, and its arguments."""
    arguments = [argument for package in packages for argument in ("--package", package)]
    if relaxed:
        arguments.append("--relaxed")
    sent = zlib.compress(json.dumps({"sources": _sources(), "arguments": arguments}).encode())
    start = importlib.resources.files("sandboxes.container").joinpath("bootstrap.py").read_bytes()
    return b"".join(len(part).to_bytes(4, "big") + part for part in (start, sent))


def _sources() -> dict[str, str]:
    """Read the modules of the fork server."""
    sources = {}
    for file in importlib.resources.files("sandboxes.guest").iterdir():
        module, dot, ending = file.name.rpartition(".")
        if dot and ending == "py":
            name = "guest" if module == "__init__" else f"guest.{module}"
            sources[name] = file.read_text(encoding="utf-8")
    return sources


_fleets: weakref.WeakSet[Fleet] = weakref.WeakSet()


def _begin_all() -> None:
    for fleet in list(_fleets):
        fleet.begin()


if hasattr(os, "register_at_fork"):
    # The containers are those of the process that was forked, which a child must not remove.
    os.register_at_fork(after_in_child=_begin_all)
