"""Programs in forked processes of this machine, confined by the Linux kernel.

The fastest safe way to run very many small programs: one fork server a core has an interpreter
ready, and forks it for each program. A program on four examples takes a few milliseconds, all told.

What holds a program, each layer where the one before it should fail:

- a seccomp filter that allows computing, memory and clocks and refuses every other system call: no file,
  no socket, no process, no thread, no signal to others, no executable memory;
- a Landlock domain without any file, port or foreign signal, as far as the kernel knows Landlock;
- an unprivileged user without capabilities where the host is root, the host's own user otherwise;
- limits on address space, stack, file size, descriptors and processes; a CPU budget per input that the
  *server* judges by the kernel's clock, and a wall-clock limit of ten times that and two seconds;
- an empty environment, no descriptor but the pipe for its results, no data of any other program;
- death with its server, which dies with the host.

What is **not** covered:

- flaws of the kernel in what the filter leaves open (memory, futexes, clocks, its own pipe) and of the
  processor. Against adversaries who have those, put a virtual machine around the host;
- side channels: a program shares cores, caches and clocks with the host and can measure them;
- namespaces: a program sees the ids of its user, itself and its server, though it can do nothing to them;
- memory that the kernel keeps for a process, such as page tables, beyond the limit on its address space. On
  a machine that runs out, programs are the first that the kernel kills;
- honesty about itself: a program can forge the value, output and CPU seconds of its *own* run, not its death
  or timeout, nor any other program's result;
- the host's patience: a value within the limits can be slow to read, such as a set whose hashes differ and
  are yet looked up in the same places. One with very many equal hashes is refused;
- a host that has raised its recursion limit a hundredfold: forged, deeply nested JSON can then crash it.

Programs have one process and one thread. Runs are repeatable: the seeds of hashes, ``random`` and
``numpy.random`` are fixed; only ``secrets`` and a ``random.Random()`` without a seed are not.
``sandboxes.guest.modules`` lists the modules that programs can import; numpy and scipy are among them where
the interpreter has them.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sandboxes.connection import Connection
from sandboxes.environment import PACKAGES, Environment
from sandboxes.errors import SandboxError
from sandboxes.fork_runner import ask_hello
from sandboxes.pooled_sandbox import ConfinementJudge, PooledSandbox
from sandboxes.process_transport import ProcessTransport
from sandboxes.server_pool import RECYCLE_AFTER, ServerPool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


GUEST = Path(__file__).parent / "guest"
"""The folder with all that runs on the inside."""

_NOT_LINUX = "the embedded sandbox needs Linux; on this system, run induce inside a Linux container (Docker)"


class EmbeddedSandbox(PooledSandbox):
    """Runs programs in forks of ``servers`` processes, one a core unless said otherwise.

    The servers start when they are first needed, in a fraction of a second. Close the sandbox, or use it in a
    ``with`` statement. Where this machine cannot confine programs none runs: ``run`` raises ``SandboxError``.
    ``relaxed`` runs them nonetheless, within the layers that there are, and warns with a ``RuntimeWarning``.
    ``python`` is the interpreter that runs the programs, the present one by default: one of another
    environment gives them another version of Python, numpy or scipy. ``packages`` are those beyond the
    standard library that programs may import, where that interpreter has them.

    Raises ``SandboxError`` on systems other than Linux, and ``ValueError`` for fewer than one server.
    """

    def __init__(
        self,
        servers: int | None = None,
        relaxed: bool = False,
        python: str | Path | None = None,
        packages: Sequence[str] = tuple(PACKAGES),
        recycle_after: int = RECYCLE_AFTER,
    ) -> None:
        if not sys.platform.startswith("linux"):
            raise SandboxError(_NOT_LINUX)
        if servers is not None and servers < 1:
            raise ValueError(f"a sandbox needs at least one server, not {servers}")
        starter = _Starter(relaxed, None if python is None else str(python), packages)
        pool = ServerPool(servers or len(os.sched_getaffinity(0)), starter, recycle_after=recycle_after)
        super().__init__(pool, pool.close)

    @property
    def servers(self) -> ServerPool:
        """Its servers, for a service that lends them to other hosts."""
        return self._pool

    @property
    def environment(self) -> Environment:
        """What programs run in; starts a server where there is none yet."""
        return Environment.of("embedded", ask_hello(self._pool))


def capabilities() -> Capabilities:
    """Start a server, confine a process for trial, and say what there is. Never raises ``SandboxError``."""
    if not sys.platform.startswith("linux"):
        return Capabilities(_NOT_LINUX)
    try:
        server = _start(True, None, tuple(PACKAGES))
    except SandboxError as error:
        return Capabilities(str(error))
    hello = server.hello
    server.dispose()
    return Capabilities(
        hello.missing, hello.landlock_abi, hello.drops_privileges, hello.python, dict(hello.packages)
    )


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the embedded sandbox finds on this machine.

    ``problem`` is one sentence on why it cannot confine programs, ``None`` where it can. ``landlock_abi`` is
    0 where the kernel has no Landlock; ``drops_privileges`` is true where the host is root.
    """

    problem: str | None
    landlock_abi: int = 0
    drops_privileges: bool = False
    python: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict)


class _Starter:
    """Starts servers, and refuses those that cannot confine programs unless ``relaxed``."""

    def __init__(self, relaxed: bool, python: str | None, packages: Sequence[str]) -> None:
        self._relaxed = relaxed
        self._python = python
        self._packages = tuple(packages)
        self._judge = ConfinementJudge(relaxed, "on this machine")

    def __call__(self) -> Connection:
        return self._judge(_start(self._relaxed, self._python, self._packages))


def _start(relaxed: bool, python: str | None, packages: Sequence[str]) -> Connection:
    command = [python or sys.executable, "-S", "-P", "-s", str(GUEST), "--remove-folder"]
    for site in _sites(python, packages):
        command += ["--site", site]
    for package in packages:
        command += ["--package", package]
    if relaxed:
        command.append("--relaxed")
    return Connection(ProcessTransport(command, _environment()))


def _sites(python: str | None, packages: Sequence[str]) -> list[str]:
    """Give the folders in which an interpreter finds the packages."""
    if python is not None:
        return list(_sites_of(python))
    specs = [importlib.util.find_spec(package) for package in packages]
    return sorted({str(Path(spec.origin).parents[1]) for spec in specs if spec is not None and spec.origin})


@functools.lru_cache(maxsize=16)
def _sites_of(python: str) -> tuple[str, ...]:
    question = "import json, sys; print(json.dumps([entry for entry in sys.path if entry]))"
    try:
        done = subprocess.run(
            [python, "-P", "-s", "-c", question], capture_output=True, text=True, timeout=60, check=True
        )
        return tuple(json.loads(done.stdout))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise SandboxError(f"{python} is no Python of version 3.11 or newer: {error}") from error


def _environment() -> dict[str, str]:
    """Give the server's whole environment: nothing of the host's that could be a secret."""
    environment = {
        "PYTHONHASHSEED": "0",  # so that runs are repeatable; hence no -I, which ignores it
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "LD_BIND_NOW": "1",  # or each fork would look up each C function that it calls
    }
    if "LD_LIBRARY_PATH" in os.environ:  # without it, some interpreters do not start
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    return environment
