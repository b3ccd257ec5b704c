"""What the back ends with fork servers have in common: all but where their servers come from."""

from __future__ import annotations

import warnings
import weakref
from typing import TYPE_CHECKING, Any, Self

from sandboxes.arguments import encode_inputs, refuse_processes
from sandboxes.errors import SandboxError
from sandboxes.fork_runner import run_program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandboxes.cancellation import Cancellation
    from sandboxes.connection import Connection
    from sandboxes.execution import Execution
    from sandboxes.limits import Limits
    from sandboxes.program import Program
    from sandboxes.server_pool import ServerPool


class PooledSandbox:
    """Runs programs on the servers of ``pool``; ``close`` ends it all, at the latest with this object."""

    def __init__(self, pool: ServerPool, close: Callable[[], object]) -> None:
        self._pool = pool
        self._close = weakref.finalize(self, close)

    @property
    def concurrency(self) -> int:
        """How many programs run at the same time; further callers of ``run`` wait."""
        return self._pool.size

    def run(
        self,
        program: Program,
        inputs: Sequence[Any],
        limits: Limits,
        cancellation: Cancellation | None = None,
    ) -> list[Execution]:
        """Run ``program`` on each of ``inputs``; see ``Sandbox.run``.

        The module runs once for all inputs, and once more after each death, with a budget of its own; its
        seconds are counted with the input that follows. What a program printed is lost where it dies.
        Raises ``SandboxError`` also where ``limits`` ask for more than one process, or for more than a
        service gives this client.
        """
        refuse_processes(limits)
        return run_program(self._pool, program, encode_inputs(program.call, inputs), limits, cancellation)

    def close(self) -> None:
        """End every server of the sandbox; a ``run`` under way raises ``SandboxError``."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class ConfinementJudge:
    """Refuses servers that cannot confine programs; where ``relaxed``, warns of the first such instead."""

    def __init__(self, relaxed: bool, place: str) -> None:
        self._relaxed = relaxed
        self._place = place
        self._warned = False

    def __call__(self, server: Connection) -> Connection:
        """Give the server, or dispose of it and raise ``SandboxError``."""
        missing = server.hello.missing
        if missing is None:
            return server
        if not self._relaxed:
            server.dispose()
            raise SandboxError(
                f"programs cannot be confined {self._place}: {missing}; use a kernel and a container profile "
                "that allow seccomp filters, or trust the programs and pass relaxed=True"
            )
        if not self._warned:
            self._warned = True
            message = f"programs run without full confinement ({missing}); run only those you trust"
            try:
                warnings.warn(message, RuntimeWarning, stacklevel=2)
            except RuntimeWarning:  # which it is where warnings are errors
                server.dispose()
                raise
        return server
