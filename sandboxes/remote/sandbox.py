"""Programs on a sandbox service: another machine's servers, as if they were one's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sandboxes.connection import Connection, UnreachableError
from sandboxes.environment import Environment
from sandboxes.errors import SandboxError
from sandboxes.fork_runner import ask_hello
from sandboxes.pooled_sandbox import PooledSandbox
from sandboxes.remote.address import TlsAddress, parse_address
from sandboxes.remote.tokens import TOKEN_VARIABLE, check_token
from sandboxes.remote.transport import SocketTransport, client_context, open_transport
from sandboxes.server_pool import ServerPool

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from pathlib import Path

    from sandboxes.connection import Hello
    from sandboxes.remote.address import Address

PATIENCE_SECONDS = 30.0
"""How long a run waits for a service that cannot be reached just now."""


class RemoteSandbox(PooledSandbox):
    """Runs programs on the sandbox service at ``address``: ``unix:///path`` or ``tls://host:port``.

    ``token`` lets this client in; by default it is that in the environment variable INDUCE_SANDBOX_TOKEN.
    ``ca`` is a file with the authorities that may have issued the service's certificate, the system's by
    default. ``concurrency`` is the number of connections, each for one run at a time; by default it is the
    number of runs that the service gives this client at a time. ``patience`` is how long, in seconds, a run
    waits for a service that is busy or that has gone away for a moment; only its first answer, which the
    constructor waits for, must come at once. What confines the programs is up to the service.

    Raises ``SandboxError`` where the service does not answer or refuses, and ``ValueError`` for a
    concurrency or patience that makes no sense.
    """

    def __init__(
        self,
        address: str,
        token: str | None = None,
        ca: str | Path | None = None,
        concurrency: int | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        if concurrency is not None and concurrency < 1:
            raise ValueError(f"a sandbox needs a concurrency of at least 1, not {concurrency}")
        if not patience >= 0:
            raise ValueError(f"patience is a number of seconds from 0 on, not {patience}")
        starter = _Starter(parse_address(address), token, ca)
        try:
            first = starter()
        except UnreachableError as error:
            raise SandboxError(str(error)) from error  # which nobody should take for a passing trouble
        hello = first.hello
        first.dispose()  # the pool opens its own: this one would be shared with a forked child
        size = concurrency or _offered(hello)
        # It is the service that replaces servers that have grown old.
        pool = ServerPool(size, starter, recycle_after=2**62, patience=patience)
        super().__init__(pool, pool.close)

    @property
    def environment(self) -> Environment:
        """What programs run in, as the service says. Raises ``SandboxError`` where it cannot be asked."""
        hello = ask_hello(self._pool)
        more = hello.more
        return Environment.of(f"remote ({more.get('back_end', 'unknown')})", hello, **_texts(more))


class _Starter:
    """Opens connections, each of which looks like a fork server."""

    def __init__(self, address: Address, token: str | None, ca: str | Path | None) -> None:
        token = token or os.environ.get(TOKEN_VARIABLE)
        if not token:
            raise SandboxError(
                f"a sandbox service lets nobody in without a token; set {TOKEN_VARIABLE} (or pass token=)"
            )
        check_token(token, "the token of the sandbox service")
        self._address = address
        self._token = token
        self._tls: ssl.SSLContext | None = client_context(ca) if isinstance(address, TlsAddress) else None

    def __call__(self) -> Connection:
        return _RemoteConnection(open_transport(self._address, self._token, self._tls))


class _RemoteConnection(Connection):
    """A connection that the pool pings before it lends it, where the service may have hung up.

    A service that was restarted has ended all the connections that lie idle. Those must not count as so
    many servers that died under the next run.
    """

    def __init__(self, transport: SocketTransport) -> None:
        self._socket = transport
        super().__init__(transport)

    @property
    def idle_since(self) -> float:
        return float("-inf") if self._socket.ended else self._idle_since

    @idle_since.setter
    def idle_since(self, value: float) -> None:
        self._idle_since = value


def _offered(hello: Hello) -> int:
    offered = hello.more.get("in_flight")
    if type(offered) is not int or offered < 1:
        raise SandboxError(
            "the sandbox service does not say how many programs it runs at a time; pass concurrency="
        )
    return offered


def _texts(more: Mapping[str, Any]) -> dict[str, str]:
    """Give what the service's back end says of itself."""
    found = more.get("environment")
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
