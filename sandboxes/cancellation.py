"""Telling a run under way that nobody waits for it any more."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from sandboxes.errors import SandboxError

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor

    from sandboxes.execution import Execution
    from sandboxes.limits import Limits
    from sandboxes.program import Program
    from sandboxes.sandbox import Sandbox


class RunCancelledError(SandboxError):
    """A run was cancelled before it was done."""


class Cancellation:
    """Cancels the runs that it was given to; safe from any thread.

    >>> cancellation = Cancellation()
    >>> cancellation.cancel()
    >>> cancellation.cancelled
    True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether ``cancel`` was called."""
        return self._cancelled

    def cancel(self) -> None:
        """End the runs at once, also those that wait for a server; they raise ``RunCancelledError``."""
        with self._lock:  # held meanwhile: what a run that ends now gives back is not to be killed later
            self._cancelled = True
            callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback()

    def check(self) -> None:
        """Raise ``RunCancelledError`` where ``cancel`` was called."""
        if self._cancelled:
            raise RunCancelledError("the run was cancelled")

    @contextlib.contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call ``callback`` when ``cancel`` is called in the course of the block, or was before."""
        with self._lock:
            registered = not self._cancelled
            if registered:
                self._callbacks.append(callback)
        if not registered:
            callback()
        try:
            yield
        finally:
            with self._lock, contextlib.suppress(ValueError):
                self._callbacks.remove(callback)


async def run_async(
    sandbox: Sandbox,
    program: Program,
    inputs: Sequence[Any],
    limits: Limits,
    executor: Executor | None = None,
) -> list[Execution]:
    """Run a program in a thread of ``executor``; cancelling the task ends the program, too."""
    import asyncio  # noqa: PLC0415 - slow to import, and not needed by programs that do without

    cancellation = Cancellation()
    begun = threading.Event()

    def run() -> list[Execution]:
        begun.set()
        cancellation.check()
        return sandbox.run(program, inputs, limits, cancellation)

    future = asyncio.get_running_loop().run_in_executor(executor, run)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        cancellation.cancel()
        if begun.is_set():
            with contextlib.suppress(Exception):
                await future  # a moment: its server is dead
        else:
            future.add_done_callback(_look_at)
        raise


def _look_at(future: Future[list[Execution]]) -> None:
    """Retrieve the outcome, so that asyncio does not complain that nobody did."""
    if not future.cancelled():
        future.exception()
