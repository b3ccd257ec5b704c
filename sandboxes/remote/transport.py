"""The client's end of a connection to a sandbox service."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import ssl
import struct
import time
from typing import TYPE_CHECKING, Any

from sandboxes.connection import UnreachableError
from sandboxes.errors import SandboxError
from sandboxes.guest import wire
from sandboxes.remote.address import TlsAddress, UnixAddress

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxes.remote.address import Address

CONNECT_SECONDS = 10.0
"""How long a service may take for each step of the way to a greeted connection."""

KEEPALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds and tries after which a silent connection whose other side has vanished ends."""

_LONGEST_WAIT = 3600.0  # poll(2) counts milliseconds in an int
_CHUNK = 1 << 18
_LONGEST_GREETING = 1 << 20
_CREDENTIALS = struct.Struct("iII")  # struct ucred
_AGAIN = (BlockingIOError, InterruptedError)


class SocketTransport:
    """Bytes over a socket that is connected and, where it speaks TLS, through with the handshake.

    ``received`` are bytes that came before. See ``Transport``.
    """

    def __init__(self, connected: socket.socket, received: bytes = b"") -> None:
        connected.setblocking(False)
        self._socket = connected
        self._received = received
        self._poll_write, self._poll_read = select.poll(), select.poll()
        self._poll_write.register(connected, select.POLLOUT)
        self._poll_read.register(connected, select.POLLIN)

    @property
    def ended(self) -> bool:
        """Whether the other side has hung up, or said something that nobody asked for."""
        if not self._received:
            try:
                data = self._try_receive()
            except OSError:
                return True
            if data is None:
                return False
            self._received = data
        return True

    def send(self, data: memoryview, seconds: float) -> int:
        """Wait until some of ``data`` can be sent, and say how many bytes were: 0 where none in time."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self._socket.send(data[:_CHUNK])
            except ssl.SSLWantReadError:
                ready = self._wait(self._poll_read, deadline)
            except (ssl.SSLWantWriteError, *_AGAIN):
                ready = self._wait(self._poll_write, deadline)
            if not ready:
                return 0

    def receive(self, seconds: float) -> bytes | None:
        """Wait for bytes: ``None`` where none came in time, empty where none will come any more."""
        if self._received:
            data, self._received = self._received, b""
            return data
        deadline = time.monotonic() + seconds
        while (found := self._try_receive()) is None:
            if not self._wait(self._poll_read, deadline):
                return None
        return found

    def kill(self) -> None:
        """Hang up; the service then ends the run. Safe from any thread."""
        with contextlib.suppress(OSError):
            # Not SSLSocket's own, which would let go of the encryption that another thread is using.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def dispose(self) -> None:
        """Hang up and let go of the socket."""
        self.kill()
        self._socket.close()

    def abandon(self) -> None:
        """Let go of the socket, which another process goes on using."""
        self._socket.close()

    def last_words(self) -> str:
        """Nothing: a service sends what it has to say as frames."""
        return ""

    def _try_receive(self) -> bytes | None:
        try:
            return self._socket.recv(_CHUNK)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, *_AGAIN):
            return None  # TLS writes next to nothing on its own, which need not be waited for
        except ssl.SSLZeroReturnError:
            return b""

    def _wait(self, poll: select.poll, deadline: float) -> bool:
        left = min(deadline - time.monotonic(), _LONGEST_WAIT)
        return left > 0 and bool(poll.poll(left * 1000))


def client_context(ca: str | Path | None) -> ssl.SSLContext:
    """Make the context in which a service's certificate is verified, by ``ca`` or the system's authorities.

    Raises ``SandboxError`` where ``ca`` is no file of certificates.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as error:
        raise SandboxError(f"{ca} cannot be read as certificates of authorities: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def open_transport(
    address: Address, token: str, tls: ssl.SSLContext | None, seconds: float = CONNECT_SECONDS
) -> SocketTransport:
    """Connect and show the token; the service's HELLO is what the transport receives next.

    Raises ``UnreachableError`` where nobody answers or the service is busy, which can pass, and another
    ``SandboxError`` for what will not: an unknown host, a wrong certificate, a refusal, another protocol.
    """
    try:
        connected = _connect(address, tls, seconds)
    except OSError as error:
        raise _explain(error, address) from error
    transport = SocketTransport(connected)
    try:
        hello = _greet(transport, address, token, seconds)
    except OSError as error:
        transport.dispose()
        raise _explain(error, address) from error
    except BaseException:
        transport.dispose()
        raise
    return SocketTransport(connected, hello)


def _connect(address: Address, tls: ssl.SSLContext | None, seconds: float) -> socket.socket:
    if isinstance(address, UnixAddress):
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.settimeout(seconds)
            connected.connect(address.path)
            _check_owner(connected, address)
        except BaseException:
            connected.close()
            raise
        return connected
    plain = socket.create_connection((address.host, address.port), timeout=seconds)
    try:
        keep_alive(plain)
        assert tls is not None  # noqa: S101
        return tls.wrap_socket(plain, server_hostname=address.host)
    except BaseException:
        plain.close()
        raise


def _check_owner(connected: socket.socket, address: UnixAddress) -> None:
    """Make sure that the token goes to this user or root, and not to whoever has put a socket there."""
    if not hasattr(socket, "SO_PEERCRED"):
        return
    credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(credentials)
    if user not in (0, os.geteuid()):
        raise SandboxError(
            f"user {user} listens at {address}, neither this user nor root; mend the address, or run the "
            "service as this user"
        )


def keep_alive(connected: socket.socket) -> None:
    """Have the kernel notice when the other machine has vanished, and send small frames at once."""
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _greet(transport: SocketTransport, address: Address, token: str, seconds: float) -> bytes:
    """Send the token and give the HELLO that comes back, as a frame."""
    deadline = time.monotonic() + seconds
    fields = {"protocol": wire.PROTOCOL, "token": token}
    view = memoryview(wire.frame(wire.TOKEN, json.dumps(fields).encode()))
    while view:
        sent = transport.send(view, deadline - time.monotonic())
        if not sent:
            raise TimeoutError("it does not read")
        view = view[sent:]
    received = bytearray()
    try:
        while (complete := wire.take(received, _LONGEST_GREETING)) is None:
            data = transport.receive(deadline - time.monotonic())
            if data is None:
                raise TimeoutError("it does not answer")
            if not data:
                raise ConnectionResetError("it hung up")
            received += data
    except wire.ProtocolError:
        complete = b"", b""
    kind, payload = complete
    if kind == wire.REFUSED:
        raise SandboxError(f"the sandbox service at {address} refuses: {printable(payload)}")
    if kind == wire.BUSY:
        raise UnreachableError(f"the sandbox service at {address} has too many connections; try again later")
    theirs = _protocol(payload) if kind == wire.HELLO else None
    if theirs is None:
        raise SandboxError(f"what answers at {address} is no sandbox service; mend the address")
    if theirs != wire.PROTOCOL:
        raise SandboxError(
            f"the sandbox service at {address} speaks version {theirs} of the protocol and this host version "
            f"{wire.PROTOCOL}; install the same version of induce on both sides"
        )
    return wire.frame(kind, payload) + bytes(received)


def _protocol(hello: bytes) -> Any:
    try:
        fields = json.loads(hello)
        version = fields["protocol"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return version if type(version) is int else None


def printable(payload: bytes) -> str:
    """Give what a peer says as one line that cannot command a terminal."""
    text = payload[:1000].decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _explain(error: OSError, address: Address) -> SandboxError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return SandboxError(
            f"the certificate of the sandbox service at {address} is not trusted ({error.verify_message}); "
            "name the file with its authority's certificate (sandbox.ca, or ca=), and the host as that "
            "certificate does"
        )
    if isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return SandboxError(
            f"no TLS connection to {address}: {error.reason or error}; see whether a sandbox service is there"
        )
    if isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN:
        host = address.host if isinstance(address, TlsAddress) else address
        return SandboxError(f"there is no host {host} ({error.strerror}); mend the address {address}")
    if isinstance(error, PermissionError):
        return SandboxError(f"this user may not connect to {address}; only the service's own user may")
    cause = error.strerror or str(error) or type(error).__name__
    return UnreachableError(
        f"no sandbox service answers at {address}: {cause}; start one there with `induce sandbox serve`, or "
        "mend the address"
    )
