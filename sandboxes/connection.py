"""The host's end of one fork server: frames over whatever carries bytes, one request at a time."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Protocol

from sandboxes.errors import SandboxError
from sandboxes.guest import wire

START_SECONDS = 60.0
"""How long a server may take to start, on a machine that is busy or has slow disks."""

SEND_SECONDS = 30.0
"""How long a server may leave a request unread."""

PING_SECONDS = 5.0
"""How long a server that has nothing to do may take to answer."""


class ServerDiedError(Exception):
    """The server ended, fell silent or broke the protocol; the message calls it "it"."""


class UnreachableError(SandboxError):
    """No server can be started or reached just now; later one may be."""


class Transport(Protocol):
    """Bytes to and from one server, wherever it runs. ``OSError`` tells that it is gone."""

    def send(self, data: memoryview, seconds: float) -> int:
        """Wait until some of ``data`` can be sent, and say how many bytes were: 0 where none in time."""
        ...

    def receive(self, seconds: float) -> bytes | None:
        """Wait for bytes: ``None`` where none came in time, empty where none will come any more."""
        ...

    def kill(self) -> None:
        """End the server at once, without waiting; safe from any thread and more than once."""
        ...

    def dispose(self) -> None:
        """End the server and leave nothing of it behind. Never raises."""
        ...

    def abandon(self) -> None:
        """Let go of the server without ending it, in a process that was forked from its owner."""
        ...

    def last_words(self) -> str:
        """What the server wrote to its standard error; empty where that is not known."""
        ...


@dataclass(frozen=True, slots=True)
class Hello:
    """What a server says of itself: versions, and which layers of confinement it has.

    ``packages`` maps the packages beyond the standard library that programs can import to their versions.
    ``missing`` says why programs cannot be confined, ``None`` where they can.
    """

    protocol: int
    python: str
    packages: Mapping[str, str]
    missing: str | None
    landlock_abi: int
    drops_privileges: bool
    more: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Raise ``TypeError`` where a field is not what it should be: the server may be somebody else's."""
        if not isinstance(self.packages, dict):
            raise TypeError("not a greeting")
        shape: list[tuple[object, type | UnionType]] = [
            (self.protocol, int),
            (self.python, str),
            (self.packages, dict),
            *((version, str) for version in self.packages.values()),
            (self.missing, str | None),
            (self.landlock_abi, int),
            (self.drops_privileges, bool),
            (self.more, dict),
        ]
        if not all(isinstance(value, kind) for value, kind in shape):
            raise TypeError("not a greeting")


class Connection:
    """A greeted fork server. Not for several threads at once, but for ``kill``.

    Raises ``SandboxError`` where the server does not start or speaks another version of the protocol; the
    transport is then disposed of.
    """

    def __init__(self, transport: Transport, start_seconds: float = START_SECONDS) -> None:
        self._transport = transport
        self._received = bytearray()
        self.requests = 0
        self.idle_since = time.monotonic()
        try:
            self.hello = self._greet(start_seconds)
        except ServerDiedError as error:
            last_words = _last_line(transport.last_words())
            transport.dispose()
            raise SandboxError(f"the sandbox's server does not start: {error}{last_words}") from None
        except BaseException:
            transport.dispose()
            raise

    def send(self, data: bytes) -> None:
        """Send frames. Raises ``ServerDiedError``."""
        view = memoryview(data)
        try:
            while view:
                count = self._transport.send(view, SEND_SECONDS)
                if not count:
                    raise ServerDiedError("it has stopped reading")
                view = view[count:]
        except OSError as error:
            raise ServerDiedError("it ended") from error

    def receive(self, seconds: float) -> tuple[bytes, bytes]:
        """Wait for the next frame and return its kind and payload. Raises ``ServerDiedError``."""
        deadline = time.monotonic() + seconds
        try:
            while (complete := wire.take(self._received)) is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise ServerDiedError(f"it has been silent for {seconds:.0f} s")
                data = self._transport.receive(left)
                if data is not None:
                    if not data:
                        raise ServerDiedError("it ended")
                    self._received += data
        except OSError as error:
            raise ServerDiedError("it ended") from error
        except wire.ProtocolError as error:
            raise ServerDiedError(f"it broke the protocol: {error}") from error
        return complete

    def ping(self) -> None:
        """Make sure that the server is there and has nothing else to say. Raises ``ServerDiedError``."""
        self.send(wire.frame(wire.PING))
        kind, _ = self.receive(PING_SECONDS)
        if kind != wire.PONG or self._received:
            raise ServerDiedError("it answers what nobody asked")

    def kill(self) -> None:
        """End the server at once; safe from any thread. ``dispose`` is still due."""
        self._transport.kill()

    def dispose(self) -> None:
        """End the server and leave nothing of it behind."""
        self._transport.dispose()

    def abandon(self) -> None:
        """Let go of the server without ending it, in a process that was forked from its owner."""
        self._transport.abandon()

    def _greet(self, seconds: float) -> Hello:
        kind, payload = self.receive(seconds)
        if kind != wire.HELLO:
            raise ServerDiedError("it does not speak the protocol")
        try:
            fields = json.loads(payload)
            theirs = fields["protocol"]
            if type(theirs) is int and theirs != wire.PROTOCOL:
                raise ServerDiedError(
                    f"it speaks version {theirs} of the protocol and this host version {wire.PROTOCOL}; "
                    "install the same version of induce on both sides"
                )
            hello = Hello(**fields)
            hello.check()
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ServerDiedError("it does not speak the protocol") from error
        return hello


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return f" ({lines[-1].strip()})" if lines else ""
