"""Bytes to and from a container: its attached standard streams, over one connection to the engine."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_WAIT = 3600.0  # poll(2) counts milliseconds in an int
_CHUNK = 1 << 18
_LAST_WORDS = 1 << 14
_HEADER = struct.Struct("!BxxxI")
_STDOUT, _STDERR = 1, 2


class Demultiplexer:
    """Takes an engine's stream apart: a header (which stream, how many bytes) before each piece.

    >>> streams = Demultiplexer()
    >>> streams.feed(bytes([1, 0, 0, 0, 0, 0, 0, 5]) + b"hel")
    b'hel'
    >>> streams.feed(b"lo" + bytes([2, 0, 0, 0, 0, 0, 0, 1]) + b"!"), streams.stderr
    (b'lo', bytearray(b'!'))
    """

    def __init__(self) -> None:
        self._header = b""
        self._stream = self._left = 0
        self.stderr = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Give what of ``data`` is standard output; keep the end of what is standard error in ``stderr``.

        Raises ``OSError`` where the stream is none of an engine's.
        """
        found = []
        view = memoryview(data)
        while view:
            if not self._left:
                missing = _HEADER.size - len(self._header)
                self._header += bytes(view[:missing])
                view = view[missing:]
                if len(self._header) == _HEADER.size:
                    self._stream, self._left = _HEADER.unpack(self._header)
                    self._header = b""
                    if self._stream not in (_STDOUT, _STDERR):
                        raise OSError(f"the engine sends a stream {self._stream}")
                continue
            piece, view = view[: self._left], view[self._left :]
            self._left -= len(piece)
            if self._stream == _STDOUT:
                found.append(bytes(piece))
            else:
                self.stderr += piece
                del self.stderr[:-_LAST_WORDS]
        return b"".join(found)


class AttachTransport:
    """The streams of one container, see ``Transport``; ``stream`` is what the engine's client calls a socket.

    The client gives a raw reader around a socket, or a socket with TLS. Waiting is done by the socket's own
    time limit: with TLS, what a poll sees is not what can be read. ``remove`` removes the container.
    """

    def __init__(self, stream: Any, remove: Callable[[], None]) -> None:
        self._stream = stream
        self._socket: socket.socket = getattr(stream, "_sock", stream)
        self._remove = remove
        self._lock = threading.Lock()  # so that nobody hangs up on a number that another file has by now
        self._streams = Demultiplexer()

    def send(self, data: memoryview, seconds: float) -> int:
        """Wait until some of ``data`` can be sent, and say how many bytes were: 0 where none in time."""
        self._socket.settimeout(min(seconds, _LONGEST_WAIT))
        try:
            return self._socket.send(data)
        except TimeoutError:
            return 0

    def receive(self, seconds: float) -> bytes | None:
        """Wait for bytes: ``None`` where none came in time, empty where none will come any more."""
        self._socket.settimeout(min(seconds, _LONGEST_WAIT))
        try:
            data = self._socket.recv(_CHUNK)
        except TimeoutError:
            return None
        return (self._streams.feed(data) or None) if data else b""

    def kill(self) -> None:
        """Hang up, on which the server ends; safe from any thread."""
        with self._lock, contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # with TLS, another thread may be reading

    def dispose(self) -> None:
        """Hang up, and have the container removed whatever state it is in."""
        self.kill()
        with self._lock:
            self._close()
        self._remove()

    def abandon(self) -> None:
        """Let go of the container without ending it, in a process that was forked from its owner."""
        self._close()  # without the lock, which a thread that is not here may hold

    def last_words(self) -> str:
        """What the container wrote to its standard error."""
        return self._streams.stderr.decode("utf-8", "replace")

    def _close(self) -> None:
        response = getattr(self._stream, "_response", None)
        for part in (self._stream, response, self._socket):
            if part is not None:
                with contextlib.suppress(OSError, ValueError):
                    part.close()
