"""A fixed number of fork servers, each lent to one caller at a time, started when they are first needed."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import weakref
from typing import TYPE_CHECKING

from sandboxes.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandboxes.server_process import ServerProcess


class ServerPool:
    """Lends servers to threads. A server whose loan ends in an exception is replaced by the next."""

    def __init__(self, size: int, start: Callable[[], ServerProcess]) -> None:
        self._size = size
        self._start = start
        self._closed = False
        self._vacate()
        _pools.add(self)

    @property
    def size(self) -> int:
        """How many loans there can be at a time."""
        return self._size

    @contextlib.contextmanager
    def lend(self) -> Iterator[ServerProcess]:
        """Wait for a free server, start it where need be, and take it back at the end.

        Raises ``SandboxError`` where the pool is closed, be it in the course of the loan, or where the server
        does not start.
        """
        server = self._free.get()  # the last one used is the first one lent: its memory is warm
        try:
            self._refuse_if_closed()
            if server is None:
                server = self._start()
                with self._lock:
                    self._running.add(server)
            self._refuse_if_closed()
            yield server
        except BaseException:
            self._discard(server)
            server = None
            self._refuse_if_closed()  # which is then why the loan failed
            raise
        finally:
            if self._closed:
                self._discard(server)
                server = None
            self._free.put(server)

    def close(self) -> None:
        """End every server, those on loan included: their borrowers get a ``SandboxError``."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for server in running:
            server.kill()
        taken = 0
        with contextlib.suppress(queue.Empty):  # the rest is on loan, and discarded as it comes back
            while True:
                self._discard(self._free.get_nowait())
                taken += 1
        for _ in range(taken):
            self._free.put(None)  # whoever waits for a server learns that there is none

    def forget(self) -> None:
        """Leave the servers to the process that this one was forked from, and start with none."""
        for server in self._running:
            server.abandon()
        self._vacate()

    def _vacate(self) -> None:
        self._lock = threading.Lock()
        self._running: set[ServerProcess] = set()
        self._free: queue.LifoQueue[ServerProcess | None] = queue.LifoQueue()
        for _ in range(self._size):
            self._free.put(None)

    def _discard(self, server: ServerProcess | None) -> None:
        if server is not None:
            with self._lock:
                self._running.discard(server)
            server.dispose()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise SandboxError("the sandbox is closed; make a new one")


_pools: weakref.WeakSet[ServerPool] = weakref.WeakSet()


def _forget_all() -> None:
    for pool in list(_pools):
        pool.forget()


if hasattr(os, "register_at_fork"):
    # A forked child would talk over its parent's pipes, and keep its servers alive beyond the parent's end.
    os.register_at_fork(after_in_child=_forget_all)
