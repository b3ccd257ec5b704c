"""Where a sandbox service listens."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from sandboxes.errors import SandboxError

_FORMS = "unix:///path/to/socket or tls://host:port"
_LONGEST_PATH = 107  # bytes, see unix(7)


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket in the file system, for hosts on the same machine."""

    path: str

    def __str__(self) -> str:
        return f"unix://{self.path}"


@dataclass(frozen=True, slots=True)
class TlsAddress:
    """A TCP port that speaks TLS. ``host`` is a name or an address, without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tls://{host}:{self.port}"


Address = UnixAddress | TlsAddress


def parse_address(text: str) -> Address:
    """Read an address. Raises ``SandboxError`` for anything but the two kinds that there are."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise SandboxError(f"{text!r} is no address of a sandbox service ({error}); write {_FORMS}") from None
    if parts.scheme == "tcp":
        raise SandboxError(
            f"{text!r} would send programs and the token in plain text; listen on tls:// and connect to that"
        )
    if parts.scheme == "unix":
        path = text.removeprefix("unix://")  # as it is: a path may hold ?, # and %
        if parts.netloc or not path.startswith("/"):
            raise SandboxError(f"{text!r} has no absolute path; write unix:///path/to/socket")
        if len(path.encode()) > _LONGEST_PATH:
            raise SandboxError(
                f"{path!r} is longer than the {_LONGEST_PATH} bytes that a socket's path can have; "
                "listen in a folder with a shorter one"
            )
        return UnixAddress(path)
    if parts.scheme == "tls":
        if not parts.hostname or port is None:
            raise SandboxError(f"{text!r} lacks a host or a port; write tls://host:port")
        if parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise SandboxError(f"{text!r} holds more than a host and a port; write tls://host:port")
        return TlsAddress(parts.hostname, port)
    raise SandboxError(f"{text!r} is no address of a sandbox service; write {_FORMS}")
