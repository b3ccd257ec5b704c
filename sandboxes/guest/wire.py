"""The protocol between host, server and child: frames on a pipe.

A frame is a kind (one byte), the length of its payload (four bytes, big-endian) and the payload, which is
UTF-8 encoded JSON or nothing. A result is three parts, a line break between them: status, error and seconds
as JSON; the value as JSON, both without line breaks; what was printed, as it is. Each can thus be measured
before it is read. In order of travel::

    HELLO    server → host    once: protocol version, versions of Python and packages, layers of confinement
    PING     host → server    whether it is there, while it has nothing to do
    PONG     server → host    it is
    REQUEST  host → server    the number of inputs, the limits and the packages; the server forks
    PROGRAM  host → child     the program and its inputs; the server never holds them
    READY    child → server   the program was read
    LOADED   child → server   the module ran; its inputs follow
    FAILED   child → host     the module did not run; the result holds for every input
    RESULT   child → host     the result for one input, in order
    LAST     child → host     as RESULT, and the child ends: it has no memory left
    WANT     child → host     the name of a package that the program imports and that was not loaded
    END      server → host    the fork is over, and how, where it died before its last result
    BROKEN   both → host      the sandbox itself failed; the server exits

Between a host and a service that lends servers to many hosts, there are four more::

    TOKEN    host → service   first of all: protocol version and the token that lets it in, as JSON
    WAITING  service → host   the request waits for a free server; repeated, so that nobody takes it for dead
    BUSY     service → host   too much waits already; the request was dropped, and can be sent again later
    REFUSED  service → host   why the token, the version or the request is not taken; the service hangs up
"""

from __future__ import annotations

import os
import struct

PROTOCOL = 2
"""Version of the protocol. A host refuses a server of another version."""

MAX_FRAME = 64 * 1024 * 1024
"""Bytes of the longest payload."""

MAX_HEAD = 1 << 16
"""Bytes of the longest first part of a result."""

HEADER = struct.Struct("!cI")

HELLO = b"H"
PING = b"I"
PONG = b"O"
REQUEST = b"Q"
PROGRAM = b"P"
READY = b"Y"
LOADED = b"L"
FAILED = b"F"
RESULT = b"R"
LAST = b"T"
WANT = b"W"
END = b"E"
BROKEN = b"B"
TOKEN = b"K"
WAITING = b"A"
BUSY = b"U"
REFUSED = b"X"


class ProtocolError(Exception):
    """The other side broke the protocol."""


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """Put a payload into a frame."""
    return HEADER.pack(kind, len(payload)) + payload


def write(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of ``data``."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def take(received: bytearray, longest: int = MAX_FRAME) -> tuple[bytes, bytes] | None:
    """Take the first frame out of ``received``, as its kind and payload; ``None`` while it is incomplete.

    Raises ``ProtocolError`` where its payload is longer than ``longest`` bytes.
    """
    if len(received) < HEADER.size:
        return None
    kind, length = HEADER.unpack_from(received)
    if length > longest:
        raise ProtocolError(f"a frame of {length} bytes")
    end = HEADER.size + length
    if len(received) < end:
        return None
    payload = bytes(received[HEADER.size : end])
    del received[:end]
    return kind, payload


def read(descriptor: int, *expected: bytes) -> tuple[bytes, bytes] | None:
    """Read one frame of an ``expected`` kind, as its kind and payload, or ``None`` at the end of the stream.

    Raises ``ProtocolError`` for another kind, a payload that is too long, or a frame that is cut off.
    """
    header = _read_exactly(descriptor, HEADER.size)
    if header is None:
        return None
    kind, length = HEADER.unpack(header)
    if kind not in expected or length > MAX_FRAME:
        raise ProtocolError(f"expected a frame of kind {expected!r}, got {kind!r} of {length} bytes")
    payload = _read_exactly(descriptor, length)
    if payload is None and length:
        raise ProtocolError("the stream ended inside a frame")
    return kind, payload or b""


def _read_exactly(descriptor: int, length: int) -> bytes | None:
    parts: list[bytes] = []
    missing = length
    while missing:
        part = os.read(descriptor, min(missing, 1 << 20))
        if not part:
            if parts:
                raise ProtocolError("the stream ended inside a frame")
            return None
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
