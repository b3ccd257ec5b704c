"""One run on a lent server: a thread passes the frames on to the event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from sandboxes.cancellation import Cancellation
from sandboxes.connection import ServerDiedError
from sandboxes.fork_runner import SILENCE_SECONDS
from sandboxes.guest import wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sandboxes.connection import Connection
    from sandboxes.remote.request import RunRequest
    from sandboxes.server_pool import ServerPool

_RELAYED = frozenset((wire.LOADED, wire.FAILED, wire.RESULT, wire.LAST, wire.WANT, wire.END))
_SOME_BYTES = 1 << 18  # after so many, the thread asks whether the client keeps up


class BrokenError(Exception):
    """The server said that it is broken, and why."""


class Relay:
    """Runs one request, in a thread; what it gives goes to ``write``, in the event loop.

    ``keep_up`` is awaited now and then, and fails where the client does not read what it is sent.
    ``began`` is set once a server has the request, ``ended`` once its last frame was written.
    """

    def __init__(
        self,
        request: RunRequest,
        program: Sequence[bytes],
        write: Callable[[bytes], None],
        keep_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._request = request
        self._program = program
        self._write = write
        self._keep_up = keep_up
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._frames: list[bytes] = []
        self._relayed = False
        self.cancellation = Cancellation()
        self.began = self.ended = False

    def run(self, pool: ServerPool) -> None:
        """Borrow a server and have it run the program.

        Raises ``ServerDiedError``, ``BrokenError``, and what lending and ``keep_up`` raise. A server that
        ends without a word before anything of it was passed on is replaced, once.
        """
        try:
            self._run(pool)
        except ServerDiedError:
            if self._relayed:
                raise
            self._run(pool)

    def _run(self, pool: ServerPool) -> None:
        with pool.lend(self.cancellation) as server:
            self.began = True
            length = sum(map(len, self._program))
            server.send(
                wire.frame(wire.REQUEST, self._request.payload) + wire.HEADER.pack(wire.PROGRAM, length)
            )
            for part in self._program:
                server.send(part)
            self._pass_on(server)

    def _pass_on(self, server: Connection) -> None:
        # A little less patient than the client, which thus hears what happened.
        silence = self._request.wall_seconds + SILENCE_SECONDS / 2
        unasked = 0
        kind = b""
        while kind != wire.END:
            kind, payload = server.receive(silence)
            if kind == wire.BROKEN:
                raise BrokenError(payload.decode("utf-8", "replace"))
            if kind not in _RELAYED:
                raise ServerDiedError("it broke the protocol")
            self._post(wire.frame(kind, payload), last=kind == wire.END)
            unasked += wire.HEADER.size + len(payload)
            if unasked > _SOME_BYTES and kind != wire.END:
                unasked = 0
                asyncio.run_coroutine_threadsafe(self._wait_for_client(), self._loop).result()

    async def _wait_for_client(self) -> None:
        await self._keep_up()

    def _post(self, frame: bytes, last: bool) -> None:
        self._relayed = True
        with self._lock:
            self._frames.append(frame)
            first = len(self._frames) == 1
        if first or last:
            self._loop.call_soon_threadsafe(self._flush, last)

    def _flush(self, last: bool) -> None:
        with self._lock:
            frames, self._frames = self._frames, []
        self.ended |= last
        if frames:
            self._write(b"".join(frames))
