"""The one thing every back end can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxes.cancellation import Cancellation
    from sandboxes.environment import Environment
    from sandboxes.execution import Execution
    from sandboxes.limits import Limits
    from sandboxes.program import Program


@runtime_checkable
class Sandbox(Protocol):
    """Runs untrusted programs. Safe to call from several threads at once."""

    @property
    def concurrency(self) -> int:
        """How many programs run at the same time; further callers of ``run`` wait."""
        ...

    @property
    def environment(self) -> Environment:
        """What programs run in: back end, and versions of Python and its packages.

        Raises ``SandboxError`` where no server can be started.
        """
        ...

    def run(
        self,
        program: Program,
        inputs: Sequence[Any],
        limits: Limits,
        cancellation: Cancellation | None = None,
    ) -> list[Execution]:
        """Run ``program`` on each of ``inputs`` and say how each went, in order.

        Every input is a fresh copy, so a program that changes its argument harms only itself. A program
        that dies on one input is started anew for those that follow. What the program does wrong is in
        the result; ``SandboxError`` means that the sandbox itself broke, and ``ValueError`` that an
        input is not data (see ``sandboxes.values``) or does not fit ``program.call``. ``cancellation`` ends
        the run at once, which then raises ``RunCancelledError``.
        """
        ...

    def close(self) -> None:
        """Stop every process that belongs to the sandbox. Closing twice does no harm."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...
