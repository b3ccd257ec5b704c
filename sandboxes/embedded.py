"""Programs in forked processes of this machine, confined by the Linux kernel.

The fastest safe way to run very many small programs: one fork server a core has an interpreter with numpy
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
``sandboxes.guest.preload`` lists the modules that programs can import.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sandboxes.arguments import encode_inputs
from sandboxes.errors import SandboxError
from sandboxes.fork_runner import run_program
from sandboxes.server_pool import ServerPool
from sandboxes.server_process import ServerProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxes.execution import Execution
    from sandboxes.limits import Limits
    from sandboxes.program import Program

GUEST = Path(__file__).parent / "guest"
"""The folder with all that runs on the inside."""

_NOT_LINUX = "the embedded sandbox needs Linux; on this system, run induce inside a Linux container (Docker)"


class EmbeddedSandbox:
    """Runs programs in forks of ``servers`` processes, one a core unless said otherwise.

    The servers start when they are first needed, in a fraction of a second. Close the sandbox, or use it in a
    ``with`` statement. Where this machine cannot confine programs none runs: ``run`` raises ``SandboxError``.
    ``relaxed`` runs them nonetheless, within the layers that there are, and warns with a ``RuntimeWarning``.

    Raises ``SandboxError`` on systems other than Linux, and ``ValueError`` for fewer than one server.
    """

    def __init__(self, servers: int | None = None, relaxed: bool = False) -> None:
        if not sys.platform.startswith("linux"):
            raise SandboxError(_NOT_LINUX)
        if servers is not None and servers < 1:
            raise ValueError(f"a sandbox needs at least one server, not {servers}")
        self._pool = ServerPool(servers or len(os.sched_getaffinity(0)), _Starter(relaxed))
        self._close = weakref.finalize(self, self._pool.close)

    @property
    def concurrency(self) -> int:
        """How many programs run at the same time; further callers of ``run`` wait."""
        return self._pool.size

    def run(self, program: Program, inputs: Sequence[Any], limits: Limits) -> list[Execution]:
        """Run ``program`` on each of ``inputs``; see ``Sandbox.run``.

        The module runs once for all inputs, and once more after each death, with a budget of its own; its
        seconds are counted with the input that follows. What a program printed is lost where it dies.
        Raises ``SandboxError`` also where ``limits`` ask for more than one process.
        """
        if limits.processes > 1:
            raise SandboxError(
                f"the embedded sandbox gives a program one process, not {limits.processes}; set processes=1"
            )
        return run_program(self._pool, program, encode_inputs(program.call, inputs), limits)

    def close(self) -> None:
        """Stop every process of the sandbox; a ``run`` under way raises ``SandboxError``."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


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
    numpy: str | None = None


def capabilities() -> Capabilities:
    """Start a server, confine a process for trial, and say what there is. Never raises ``SandboxError``."""
    if not sys.platform.startswith("linux"):
        return Capabilities(_NOT_LINUX)
    try:
        server = _start(relaxed=True)
    except SandboxError as error:
        return Capabilities(str(error))
    hello = server.hello
    server.dispose()
    return Capabilities(hello.missing, hello.landlock_abi, hello.drops_privileges, hello.python, hello.numpy)


class _Starter:
    """Starts servers, and refuses those that cannot confine programs unless ``relaxed``."""

    def __init__(self, relaxed: bool) -> None:
        self._relaxed = relaxed
        self._warned = False

    def __call__(self) -> ServerProcess:
        server = _start(relaxed=self._relaxed)
        missing = server.hello.missing
        if missing is not None and not self._relaxed:
            server.dispose()
            raise SandboxError(
                f"programs cannot be confined on this machine: {missing}; use a kernel and a container "
                "profile that allow seccomp filters, or trust the programs and pass relaxed=True"
            )
        if missing is not None and not self._warned:
            self._warned = True
            message = f"programs run without full confinement ({missing}); run only those you trust"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        return server


def _start(*, relaxed: bool) -> ServerProcess:
    command = [sys.executable, "-S", "-P", "-s", str(GUEST)]
    if (numpy := importlib.util.find_spec("numpy")) is not None and numpy.origin is not None:
        command += ["--numpy", str(Path(numpy.origin).parents[1])]
    if relaxed:
        command.append("--relaxed")
    return ServerProcess(command, _environment())


def _environment() -> dict[str, str]:
    """Give the server's whole environment: nothing of the host's that could be a secret."""
    environment = {
        "PYTHONHASHSEED": "0",  # so that runs are repeatable; hence no -I, which ignores it
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "OPENBLAS_NUM_THREADS": "1",  # a process with threads cannot fork safely
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    if "LD_LIBRARY_PATH" in os.environ:  # without it, some interpreters do not start
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    return environment
