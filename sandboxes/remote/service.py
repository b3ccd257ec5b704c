"""The service: lets clients in over TLS or a UNIX socket, and lends them the servers of one back end.

It reads frames, never programs or values: those pass through as they are. What it makes sure of:

- nobody gets anything without a token; a few strangers at a time may show theirs, and have seconds to do so;
- a request is checked and its program there in full before a server is lent, so that slow clients hold none;
- clients take turns; each has its share of memory, of places in line and, where it is told which, of servers
  (``in_flight``): a run keeps its server until its last input is done, however long its limits let that take;
- a client that hangs up ends its run at once, and a client that does not read is hung up on;
- a server that fails is never a result: the client hears of it, and its host runs the program again.

What it does not: hide from clients what they could measure, such as how busy it is, or keep a client from
wearing out servers with programs that are none. It needs a place where only its operator can read its memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import signal
import socket
import ssl
import stat
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from sandboxes.cancellation import Cancellation
from sandboxes.connection import Hello
from sandboxes.errors import SandboxError
from sandboxes.guest import wire
from sandboxes.guest.modules import LIBRARY
from sandboxes.remote.address import TlsAddress, UnixAddress
from sandboxes.remote.budget import MemoryBudget
from sandboxes.remote.request import ClientLimits, RefusedError
from sandboxes.remote.session import HungUpError, Session
from sandboxes.remote.transport import keep_alive
from sandboxes.remote.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandboxes.environment import Environment
    from sandboxes.remote.address import Address
    from sandboxes.remote.tokens import Tokens
    from sandboxes.server_pool import ServerPool

_log = logging.getLogger("sandboxes.remote")

GRACE_SECONDS = 30.0
"""How long runs may go on once the service was told to end."""

_BACKLOG = 512
_SPARE_CONNECTIONS = 16  # of a client, beyond those that its requests can take
_STRANGERS_LEAVING = 2  # times as many may be there, counting those that were told to go
_CLOSE_SECONDS = 1.0
_OUT_OF_FILES = 0.5  # seconds until the next try to accept a connection


@runtime_checkable
class Lender(Protocol):
    """A back end with servers to lend."""

    @property
    def servers(self) -> ServerPool:
        """Its servers."""
        ...

    @property
    def environment(self) -> Environment:
        """What programs run in."""
        ...


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """What a service bears in all, and how long it waits.

    ``waiting``           requests that wait for a server, of all clients
    ``memory_bytes``      bytes of programs that wait or run
    ``strangers``         connections that have not shown a token yet; beyond that, the oldest is dropped
    ``greeting_seconds``  until a connection must have shown its token
    ``read_seconds``      until a request that was begun must be there in full
    ``write_seconds``     until a client must have read what it was sent
    ``waiting_interval``  seconds between two signs of life to a client that waits
    """

    waiting: int = 1024
    memory_bytes: int = 512 * 1024 * 1024
    strangers: int = 256
    greeting_seconds: float = 5.0
    read_seconds: float = 60.0
    write_seconds: float = 30.0
    waiting_interval: float = 1.0


class SandboxService:
    """Lends the servers of ``lender``, which stays the caller's to close, to the clients in ``tokens``.

    ``tls`` is the context with the service's certificate, for an address that needs it; ``server_context``
    makes one. Use it in one event loop: ``await start()``, then ``await drain()``.
    """

    def __init__(
        self,
        lender: Lender,
        address: Address,
        tokens: Tokens,
        tls: ssl.SSLContext | None = None,
        limits: ClientLimits | None = None,
        options: ServiceOptions | None = None,
    ) -> None:
        if isinstance(address, TlsAddress) and tls is None:
            raise SandboxError(f"a service at {address} needs a certificate; pass --cert and --key")
        self._lender = lender
        self.servers = lender.servers
        self.address = address
        self.tokens = tokens
        self.limits = limits or ClientLimits()
        self.options = options or ServiceOptions()
        self.draining = False
        size = self.servers.size
        in_flight = min(self.limits.in_flight or size, size)
        self.turns = Turns(size, in_flight, self.limits.waiting, self.options.waiting)
        self.memory = MemoryBudget(self.options.memory_bytes)
        self.executor = ThreadPoolExecutor(size, thread_name_prefix="sandbox-service")
        self._tls = tls if isinstance(address, TlsAddress) else None
        self._in_flight = in_flight
        self._most_connections = in_flight + self.limits.waiting + _SPARE_CONNECTIONS
        self._connections: Counter[str] = Counter()
        self._tasks: dict[asyncio.Task[None], Session | None] = {}
        self._strangers: dict[asyncio.Task[None], None] = {}  # the first is the oldest
        self._unadmitted: set[asyncio.Task[None]] = set()  # those that are being dropped included
        self._unopened: dict[asyncio.Task[None], socket.socket] = {}
        self._listeners: list[socket.socket] = []
        self._acceptors: list[asyncio.Task[None]] = []
        self._bound: tuple[int, int] | None = None

    async def start(self) -> None:
        """Start a server and listen; ``address`` then has the port that is listened on.

        Raises ``SandboxError`` where either is impossible.
        """
        loop = asyncio.get_running_loop()
        hello, self._greeting = await loop.run_in_executor(self.executor, self._ask)
        self.packages = {*hello.packages, LIBRARY}
        self._listeners, self.address, self._bound = _listen(self.address)
        self._acceptors = [asyncio.create_task(self._accept(listener)) for listener in self._listeners]
        _log.info(
            "listening on %s with %d servers for %d clients",
            self.address,
            self.servers.size,
            len(self.tokens),
        )

    async def drain(self, grace: float = GRACE_SECONDS) -> None:
        """Stop listening, let the runs under way come to their end within ``grace`` seconds, and hang up."""
        self.draining = True
        self.stop_listening()
        await _cancel(self._acceptors)
        idle = [task for task, session in self._tasks.items() if session is None or not session.running]
        await _cancel(idle)
        if self._tasks:
            _log.info("draining: %d runs under way", len(self._tasks))
            await asyncio.wait(list(self._tasks), timeout=grace)
        if self._tasks:
            _log.warning("drained: ended %d runs that took too long", len(self._tasks))
            await _cancel(list(self._tasks))
        await asyncio.get_running_loop().run_in_executor(None, self.executor.shutdown)

    def stop_listening(self) -> None:
        """Let no more clients in, and remove the socket."""
        for listener in self._listeners:
            listener.close()
        self._listeners = []
        if isinstance(self.address, UnixAddress) and self._bound is not None:
            with contextlib.suppress(OSError):
                found = os.stat(self.address.path)
                if (found.st_dev, found.st_ino) == self._bound:  # not that of a service started since
                    os.unlink(self.address.path)
        self._bound = None

    def _ask(self) -> tuple[Hello, bytes]:
        """Start a server, and write the greeting that clients get."""
        environment = self._lender.environment
        with self.servers.lend(Cancellation()) as server:
            hello = server.hello
        fields = dataclasses.asdict(hello)
        fields["packages"] = dict(hello.packages)
        fields["more"] = {
            "back_end": environment.back_end,
            "environment": dict(environment.more),
            "servers": self.servers.size,
            "in_flight": self._in_flight,
            "waiting": self.limits.waiting,
            "seconds": self.limits.seconds,
            "memory_mb": self.limits.memory_mb,
            "output_bytes": self.limits.output_bytes,
        }
        return hello, wire.frame(wire.HELLO, json.dumps(fields).encode())

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connected, where = await loop.sock_accept(listener)
            except OSError as error:
                if self.draining:
                    return
                _log.warning("no connection can be accepted: %s", error.strerror)
                await asyncio.sleep(_OUT_OF_FILES)
                continue
            peer = f"{where[0]}:{where[1]}" if isinstance(where, tuple) else "this machine"
            if len(self._strangers) >= self.options.strangers:
                oldest = next(iter(self._strangers))
                del self._strangers[oldest]
                oldest.cancel()
                _log.info("dropped a connection: too many have not shown a token")
            task = asyncio.create_task(self._serve(connected, peer))
            self._tasks[task] = None
            self._strangers[task] = None
            self._unadmitted.add(task)
            self._unopened[task] = connected
            task.add_done_callback(self._forget)
            await asyncio.sleep(0)  # an accept that need not wait does not let the others have their turn
            while len(self._unadmitted) > _STRANGERS_LEAVING * self.options.strangers:  # noqa: ASYNC110 - any of many tasks may end
                await asyncio.sleep(_OUT_OF_FILES / 10)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self._strangers.pop(task, None)
        self._unadmitted.discard(task)
        if (connected := self._unopened.pop(task, None)) is not None:
            connected.close()  # the task was cancelled before its first step
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a connection failed: %r", error)

    async def _serve(self, connected: socket.socket, peer: str) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        del self._unopened[task]
        writer: asyncio.StreamWriter | None = None
        session: Session | None = None
        try:
            async with asyncio.timeout(self.options.greeting_seconds):
                reader, writer = await self._open(connected)
                session = Session(self, reader, writer)
                if not await self._admit(session, peer):
                    return
            self._strangers.pop(task, None)
            self._unadmitted.discard(task)
            self._tasks[task] = session
            await self._talk(session, writer, peer)
        except (OSError, HungUpError, TimeoutError, ssl.SSLError) as error:
            if session is None or not session.client:
                _log.info("lost a connection from %s: %s", peer, str(error) or "too slow to show a token")
        finally:
            if writer is None:
                connected.close()
            else:
                await _close(writer)

    async def _open(self, connected: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Put streams over a socket, and TLS between where it is due."""
        loop = asyncio.get_running_loop()
        connected.setblocking(False)
        if self._tls is not None:
            keep_alive(connected)
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        timeout = None if self._tls is None else self.options.greeting_seconds
        opening = asyncio.ensure_future(
            loop.connect_accepted_socket(
                lambda: protocol, connected, ssl=self._tls, ssl_handshake_timeout=timeout
            )
        )
        try:
            transport, _ = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # Cancelled in its first step, asyncio would go on with a socket that nobody has any more.
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
            await asyncio.wait({opening})
            if opening.exception() is None:
                opening.result()[0].abort()
            raise
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _admit(self, session: Session, peer: str) -> bool:
        try:
            await session.admit()
        except RefusedError as error:
            _log.warning("refused a connection from %s: %s", peer, error)
            await session.refuse(str(error))
            return False
        if self._connections[session.client] >= self._most_connections:
            _log.warning("refused a connection of %s from %s: it has too many", session.client, peer)
            await session.turn_away()
            return False
        return True

    async def _talk(self, session: Session, writer: asyncio.StreamWriter, peer: str) -> None:
        client = session.client
        self._connections[client] += 1
        _log.info("%s connected from %s", client, peer)
        reason = "it hung up"
        try:
            writer.write(self._greeting)
            await session.talk()
        except RefusedError as error:
            reason = f"refused: {error}"
            await session.refuse(str(error))
        except HungUpError as error:
            reason = str(error)
        except OSError as error:
            reason = error.strerror or str(error)
        except asyncio.CancelledError:
            reason = "the service ends"
            raise
        finally:
            self._connections[client] -= 1
            if not self._connections[client]:
                del self._connections[client]
            _log.info("%s disconnected from %s: %s", client, peer, reason)


async def serve(
    service: SandboxService, ready: Callable[[Address], None], grace: float = GRACE_SECONDS
) -> None:
    """Run a service until the process is told to end by SIGTERM or SIGINT; a second signal ends it at once.

    ``ready`` is called with the address once clients can connect. Raises ``SandboxError`` where the service
    cannot start.
    """
    loop = asyncio.get_running_loop()
    told = asyncio.Event()

    def tell(number: int) -> None:
        if told.is_set():
            service.stop_listening()
            os._exit(128 + number)  # the servers end with their pipes
        _log.info("%s: no more clients are let in", signal.Signals(number).name)
        told.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell, number)
    try:
        await service.start()
        ready(service.address)
        await told.wait()
    finally:
        await service.drain(grace)


def server_context(certificate: str | Path, key: str | Path | None = None) -> ssl.SSLContext:
    """Make the context of a service from its certificate chain and private key, maybe in the same file.

    Raises ``SandboxError`` where they cannot be read or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise SandboxError(
            f"the certificate {certificate} and its key {key or certificate} cannot be used: {error}"
        ) from error
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted; decrypt it, the service has nobody to ask")


async def _close(writer: asyncio.StreamWriter) -> None:
    """Hang up once what was written has left, but soon."""
    try:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await writer.wait_closed()
    finally:
        writer.transport.abort()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _listen(address: Address) -> tuple[list[socket.socket], Address, tuple[int, int] | None]:
    """Listen, and give the sockets, the address with the port that it has, and which file the socket is."""
    try:
        if isinstance(address, UnixAddress):
            return _listen_unix(address)
        return _listen_tls(address)
    except OSError as error:
        raise SandboxError(
            f"cannot listen on {address}: {error.strerror or error}; choose another address"
        ) from error


def _listen_unix(address: UnixAddress) -> tuple[list[socket.socket], Address, tuple[int, int] | None]:
    _remove_stale(address.path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listener.fileno(), 0o600)  # the file has that mode from its first moment on
        listener.bind(address.path)
        os.chmod(address.path, 0o600)
        found = os.stat(address.path)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return [listener], address, (found.st_dev, found.st_ino)


def _remove_stale(path: str) -> None:
    """Remove a socket on which nobody answers. Raises ``SandboxError`` for anything else that is there."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SandboxError(f"{path} is there and no socket; remove it, or listen elsewhere")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(5)
        try:
            asking.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:
            raise SandboxError(f"something may be listening on {path} ({error}); remove it if not") from error
    raise SandboxError(f"another service listens on {path}; stop it, or listen elsewhere")


def _listen_tls(address: TlsAddress) -> tuple[list[socket.socket], Address, None]:
    family, kind, _, _, where = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return [listener], TlsAddress(address.host, listener.getsockname()[1]), None
