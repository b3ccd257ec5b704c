"""Programs in containers of a Docker or Podman engine, on this machine or another.

A pool of warm containers, one fork server each: the same server as in the embedded sandbox, which confines
each program in a fork of its own, with the same layers. The host talks to it over the container's attached
standard streams, so that a program costs no request to the engine.

Around the server, the container adds: no network; a read-only file system that holds an interpreter and
nothing else (where the image was built by ``induce sandbox image build --from-host``); an unprivileged user
without capabilities or a way to get any; limits on memory, processes and CPU (one core a container);
namespaces of its own for processes, mounts and shared memory; none of the host's environment. Nothing is
logged.

What ``sandboxes.embedded`` says is not covered is not covered here either, but for namespaces: flaws of the
kernel and of the processor, side channels, and that a program can forge what its *own* run gives. Nor are:

- whoever can talk to the engine is root on its machine. Programs cannot; the host can;
- files and signals by Landlock, one layer of several, where an old engine's seccomp profile refuses it;
- the memory limit of a container holds for all of its processes. Give a program no more than that in
  ``Limits.memory_mb``: beyond, the kernel kills it, which is reported as ``out_of_memory``, too.

Containers end with their host: their standard input ends with the host's connection, and with it the server.
What is left nonetheless of a host that was killed, such as a paused container, the next ``DockerSandbox`` on
the same engine removes.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from sandboxes.container.engine import Engine
from sandboxes.container.fleet import ContainerOptions, Fleet
from sandboxes.container.image import find_image
from sandboxes.environment import PACKAGES, Environment
from sandboxes.fork_runner import ask_hello
from sandboxes.pooled_sandbox import PooledSandbox
from sandboxes.server_pool import RECYCLE_AFTER, ServerPool

if TYPE_CHECKING:
    from collections.abc import Sequence


MEMORY_MB = 2048
"""Mebibytes that a container may use unless told otherwise, all its processes taken together."""

_LEAST_MEMORY_MB = 64


class DockerSandbox(PooledSandbox):
    """Runs programs in ``servers`` containers, one for each CPU of the engine unless said otherwise.

    ``image`` is any on the engine that has Python 3.11 or newer, and numpy and scipy where programs shall
    have them; by default the one that ``induce sandbox image build`` built last. ``host`` is the engine,
    such as ``unix:///run/user/1000/podman/podman.sock`` or ``tcp://machine:2376``; by default where
    ``DOCKER_HOST`` or the present Docker context says. ``memory_mb`` limits each container. ``relaxed`` runs
    programs even where they cannot be confined, and warns with a ``RuntimeWarning``. ``recycle_after`` is the
    number of requests after which a container is replaced, ``patience`` how long a run waits for an engine
    that has gone, in seconds. ``packages`` are those beyond the standard library that programs may import,
    where the image has them.

    The containers start when they are first needed. Close the sandbox, or use it in a ``with`` statement.

    Raises ``SandboxError`` where no engine answers or it has no such image, and ``ValueError`` for fewer than
    one server or too little memory.
    """

    def __init__(
        self,
        image: str | None = None,
        servers: int | None = None,
        memory_mb: int = MEMORY_MB,
        host: str | None = None,
        relaxed: bool = False,
        recycle_after: int = RECYCLE_AFTER,
        patience: float = 30.0,
        packages: Sequence[str] = tuple(PACKAGES),
    ) -> None:
        if servers is not None and servers < 1:
            raise ValueError(f"a sandbox needs at least one server, not {servers}")
        if memory_mb < _LEAST_MEMORY_MB:
            raise ValueError(f"a container needs at least {_LEAST_MEMORY_MB} MiB, not {memory_mb}")
        engine = Engine(host)
        if servers is None:
            with engine.client() as client:
                servers = max(int(client.info()["NCPU"]), 1)
        self._image = find_image(engine, image)
        options = ContainerOptions(self._image, memory_mb, relaxed, tuple(packages))
        fleet = Fleet(engine, options)
        pool = ServerPool(servers, fleet, recycle_after=recycle_after, patience=patience)
        super().__init__(pool, functools.partial(_close, pool, fleet))
        fleet.sweep()

    @property
    def servers(self) -> ServerPool:
        """Its servers, for a service that lends them to others."""
        return self._pool

    @property
    def environment(self) -> Environment:
        """What programs run in; starts a container where there is none yet."""
        hello = ask_hello(self._pool)
        return Environment.of("docker", hello, image=self._image.name, image_id=self._image.id)


def _close(pool: ServerPool, fleet: Fleet) -> None:
    pool.close()
    fleet.close()
