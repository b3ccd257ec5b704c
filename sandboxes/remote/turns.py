"""Whose request is next: clients take turns, however many requests each has waiting."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque


class TooManyError(Exception):
    """Too many requests wait already."""


class Turn:
    """One request's place in line. ``granted`` is done once it may have a server."""

    __slots__ = ("client", "granted", "holds_client", "holds_server")

    def __init__(self, client: str, granted: asyncio.Future[None]) -> None:
        self.client = client
        self.granted = granted
        self.holds_server = self.holds_client = False


class Turns:
    """Grants ``servers`` turns at a time, ``in_flight`` of them at most to one client; clients alternate.

    ``waiting`` and ``waiting_in_all`` bound the requests in line. For one event loop, like all in it.
    """

    def __init__(self, servers: int, in_flight: int, waiting: int, waiting_in_all: int) -> None:
        self._free = servers
        self._in_flight = in_flight
        self._waiting = waiting
        self._waiting_in_all = waiting_in_all
        self._lines: OrderedDict[str, deque[Turn]] = OrderedDict()  # the first is the next to be served
        self._running: dict[str, int] = {}

    @property
    def waiting(self) -> int:
        """How many requests are in line."""
        return sum(map(len, self._lines.values()))

    def ask(self, client: str) -> Turn:
        """Get in line. Raises ``TooManyError`` where that is too long."""
        turn = Turn(client, asyncio.get_running_loop().create_future())
        self._lines.setdefault(client, deque()).append(turn)
        self._grant()
        line = self._lines.get(client, ())
        if not turn.granted.done() and (len(line) > self._waiting or self.waiting > self._waiting_in_all):
            self.leave(turn)
            raise TooManyError
        return turn

    def free_server(self, turn: Turn) -> None:
        """Let others have the server, while the client is still being sent its results."""
        if turn.holds_server:
            turn.holds_server = False
            self._free += 1
            self._grant()

    def leave(self, turn: Turn) -> None:
        """End a turn, or get out of line."""
        if turn.holds_client:
            turn.holds_client = False
            self._running[turn.client] -= 1
            if not self._running[turn.client]:
                del self._running[turn.client]
        elif not turn.granted.done():
            turn.granted.cancel()
            line = self._lines[turn.client]
            line.remove(turn)
            if not line:
                del self._lines[turn.client]
        self.free_server(turn)
        self._grant()

    def _grant(self) -> None:
        while self._free and (client := self._next_client()) is not None:
            line = self._lines[client]
            turn = line.popleft()
            self._lines.move_to_end(client)
            if not line:
                del self._lines[client]
            self._free -= 1
            self._running[client] = self._running.get(client, 0) + 1
            turn.holds_server = turn.holds_client = True
            turn.granted.set_result(None)

    def _next_client(self) -> str | None:
        for client in self._lines:
            if self._running.get(client, 0) < self._in_flight:
                return client
        return None
