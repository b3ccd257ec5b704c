"""Frames on their way from a child to the host, in memory of their own."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING

from . import wire

if TYPE_CHECKING:
    from collections.abc import Container

_ROOM = 1 << 16


class Mailbox:
    """Holds what one child wrote until it goes on to the host.

    The memory is mapped for one child and given back with it. What a program wrote thus never lies in the
    memory that the next child inherits, not even as the remains of a freed buffer::

        0 ≤ sent ≤ complete ≤ filled
             │        │         └ the beginning of a frame
             │        └ frames to relay
             └ frames that were relayed
    """

    def __init__(self, source: int, destination: int, longest: int) -> None:
        self._source = source
        self._destination = destination
        self._longest = longest
        size = wire.HEADER.size + longest + _ROOM
        self._memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._sent = self._complete = self._filled = 0

    @property
    def waiting(self) -> bool:
        """Whether there are frames to relay."""
        return self._complete > self._sent

    def receive(self) -> int:
        """Read once from the source; return how many bytes came, 0 at its end."""
        if self._filled == len(self._memory):
            self.relay()
            self._memory.move(0, self._sent, self._filled - self._sent)
            self._filled -= self._sent
            self._sent = self._complete = 0
        with memoryview(self._memory) as view, view[self._filled :] as free:
            count = os.readv(self._source, [free])
        self._filled += count
        return count

    def next(self, expected: Container[bytes]) -> bytes | None:
        """Put the next frame with those to relay and return its kind; ``None`` while it is incomplete.

        Raises ``ProtocolError`` for a kind that is not ``expected`` and for a payload that is too long.
        """
        start = self._complete
        if self._filled - start < wire.HEADER.size:
            return None
        kind: bytes
        kind, length = wire.HEADER.unpack_from(self._memory, start)
        if kind not in expected or length > self._longest:
            raise wire.ProtocolError(f"a frame of kind {kind!r} and {length} bytes")
        if self._filled - start < wire.HEADER.size + length:
            return None
        self._complete = start + wire.HEADER.size + length
        return kind

    def add(self, frame: bytes) -> None:
        """Put a frame of the server's own with those to relay; what the child wrote after them is lost."""
        if self._complete + len(frame) > len(self._memory):
            self.relay()
            self._sent = self._complete = 0
        self._filled = self._complete + len(frame)
        self._memory[self._complete : self._filled] = frame
        self._complete = self._filled

    def withhold(self) -> None:
        """Do not relay the frames that wait."""
        self._sent = self._complete

    def relay(self) -> None:
        """Write the frames that wait to the destination."""
        with memoryview(self._memory) as view, view[self._sent : self._complete] as frames:
            wire.write(self._destination, frames)
        self._sent = self._complete

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()
