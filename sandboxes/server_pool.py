"""A fixed number of fork servers, each lent to one caller at a time, started when they are first needed."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING

from sandboxes.connection import Connection, ServerDiedError
from sandboxes.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandboxes.cancellation import Cancellation
    from sandboxes.connection import Hello

IDLE_SECONDS = 10.0
"""A server that had nothing to do for so long is asked whether it is still there before it is lent."""

RECYCLE_AFTER = 20_000
"""Requests after which a server is replaced by a fresh one."""


class ServerPool:
    """Lends servers to threads. A server whose loan ends in an exception is replaced by the next.

    ``patience`` is how long a caller waits, in seconds, for a server that cannot be reached just now.
    ``hello`` is what the server started last said of itself. A start cannot be cancelled, but is bounded.
    """

    def __init__(
        self,
        size: int,
        start: Callable[[], Connection],
        *,
        recycle_after: int = RECYCLE_AFTER,
        patience: float = 0.0,
    ) -> None:
        self._size = size
        self._start = start
        self._recycle_after = recycle_after
        if not 0 <= patience < float("inf"):
            raise ValueError(f"patience is a number of seconds from 0 on, not {patience}")
        self.patience = patience
        self.hello: Hello | None = None
        self._closed = False
        self._last_death = float("-inf")
        self._changed = threading.Condition()
        self._running: set[Connection] = set()
        self._free = _unstarted(size)
        _pools.add(self)

    @property
    def size(self) -> int:
        """How many loans there can be at a time."""
        return self._size

    @contextlib.contextmanager
    def lend(self, cancellation: Cancellation) -> Iterator[Connection]:
        """Wait for a free server, start it where need be, and take it back at the end.

        Raises ``SandboxError`` where the pool is closed, be it in the course of the loan, or where the server
        does not start; ``RunCancelledError`` where the run is cancelled, be it in the course of the loan.
        """
        server = self._take(cancellation)  # the last one used is the first one lent: its memory is warm
        try:
            server = self._checked(server, cancellation)
            with cancellation.calling(server.kill):
                self._refuse_if_closed()
                cancellation.check()
                yield server
            cancellation.check()  # it may have been killed after its last word
            server.requests += 1
            server.idle_since = time.monotonic()
        except BaseException as error:
            if isinstance(error, ServerDiedError):
                self._last_death = time.monotonic()  # what killed it may have killed the others as well
            self._discard(server)
            server = None
            if isinstance(error, Exception):  # and no KeyboardInterrupt
                self._refuse_if_closed()  # which is then why the loan failed
                cancellation.check()
            raise
        finally:
            self._give_back(server)

    def _give_back(self, server: Connection | None) -> None:
        with self._changed:
            keep = server is not None and not self._closed and server.requests < self._recycle_after
            self._free.append(server if keep else None)
            self._changed.notify()
        if not keep:
            self._discard(server)

    def wait(self, seconds: float, cancellation: Cancellation) -> None:
        """Let time pass, but no longer than until the pool is closed or the run cancelled, which raises."""
        deadline = time.monotonic() + seconds
        with cancellation.calling(self._wake), self._changed:
            while (left := deadline - time.monotonic()) > 0 and not (self._closed or cancellation.cancelled):
                self._changed.wait(left)
        self._refuse_if_closed()
        cancellation.check()

    def close(self) -> None:
        """End every server, those on loan included: their borrowers get a ``SandboxError``."""
        with self._changed:
            self._closed = True
            running = list(self._running)
            idle = [server for server in self._free if server is not None]
            self._free[:] = _unstarted(len(self._free))
            self._changed.notify_all()  # whoever waits for a server learns that there is none
        for server in running:
            server.kill()
        for server in idle:
            self._discard(server)  # those on loan are discarded as they come back

    def forget(self) -> None:
        """Leave the servers to the process that this one was forked from, and start with none."""
        for server in self._running:
            server.abandon()
        self._changed = threading.Condition()  # a thread that is not here may hold the old one
        self._running = set()
        self._free = _unstarted(self._size)

    def _take(self, cancellation: Cancellation) -> Connection | None:
        with cancellation.calling(self._wake), self._changed:
            while not (self._free or self._closed or cancellation.cancelled):
                self._changed.wait()
            self._refuse_if_closed()
            cancellation.check()
            return self._free.pop()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _checked(self, server: Connection | None, cancellation: Cancellation) -> Connection:
        """Give the server, or a new one where there is none or it has died in its idle time."""
        trusted_since = max(time.monotonic() - IDLE_SECONDS, self._last_death)
        if server is not None and server.idle_since < trusted_since:
            try:
                with cancellation.calling(server.kill):
                    server.ping()
            except ServerDiedError:
                self._discard(server)
                server = None
        if server is None:
            self._refuse_if_closed()
            cancellation.check()
            server = self._start()
            self.hello = server.hello
            with self._changed:
                self._running.add(server)
        return server

    def _discard(self, server: Connection | None) -> None:
        if server is not None:
            with self._changed:
                self._running.discard(server)
            server.dispose()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise SandboxError("the sandbox is closed; make a new one")


def _unstarted(count: int) -> list[Connection | None]:
    return [None] * count


_pools: weakref.WeakSet[ServerPool] = weakref.WeakSet()


def _forget_all() -> None:
    for pool in list(_pools):
        pool.forget()


if hasattr(os, "register_at_fork"):
    # A forked child would talk over its parent's pipes, and keep its servers alive beyond the parent's end.
    os.register_at_fork(after_in_child=_forget_all)
