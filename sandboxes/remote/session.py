"""One connection of a client, as the service sees it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any

from sandboxes.cancellation import RunCancelledError
from sandboxes.connection import ServerDiedError, UnreachableError
from sandboxes.errors import SandboxError
from sandboxes.guest import wire
from sandboxes.remote.relay import BrokenError, Relay
from sandboxes.remote.request import LONGEST_REQUEST, RefusedError, RunRequest, read_request
from sandboxes.remote.transport import printable
from sandboxes.remote.turns import TooManyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sandboxes.remote.service import SandboxService
    from sandboxes.remote.turns import Turn

_log = logging.getLogger("sandboxes.remote")

LONGEST_TOKEN_FRAME = 4096
"""Bytes of the first frame, which comes from who knows whom."""

UNSENT_BYTES = 1 << 20
"""How much of its results may be on the way to a client before its server waits."""

_CHUNK = 1 << 18
_BROKEN_LINE = 1000


class HungUpError(Exception):
    """The client has hung up, fell silent within a frame, or does not read."""


class Session:
    """Speaks to one client: like a fork server, once its token was found good."""

    def __init__(
        self, service: SandboxService, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._service = service
        self._reader = reader
        self._writer = writer
        self._pushed_back = b""
        self.client = ""
        self.running = False
        writer.transport.set_write_buffer_limits(high=UNSENT_BYTES)

    async def admit(self) -> None:
        """Read the token and greet the client. Raises ``RefusedError`` and ``HungUpError``."""
        header = await self._header(idle=False)
        if header is None:
            raise HungUpError("it said nothing")
        kind, length = header
        if kind != wire.TOKEN or length > LONGEST_TOKEN_FRAME:
            raise RefusedError("this is a sandbox service: the first frame is a token")
        try:
            fields = json.loads(await self._exactly(length))
            theirs, token = fields["protocol"], fields["token"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise RefusedError("the first frame is not a token") from None
        if type(theirs) is not int or theirs != wire.PROTOCOL:
            shown = theirs if type(theirs) is int and abs(theirs) < 1e9 else "?"
            raise RefusedError(
                f"this service speaks version {wire.PROTOCOL} of the protocol and the client version "
                f"{shown}; install the same version of induce on both sides"
            )
        client = self._service.tokens.client_of(token) if isinstance(token, str) else None
        if client is None:
            raise RefusedError("the token is not known here; ask the service's operator for one")
        self.client = client

    async def talk(self) -> None:
        """Serve requests until the client hangs up. Raises ``RefusedError`` and ``HungUpError``."""
        while not self._service.draining and (header := await self._header(idle=True)) is not None:
            kind, length = header
            if kind == wire.PING and not length:
                await self._send(wire.frame(wire.PONG))
            elif kind == wire.REQUEST and length <= LONGEST_REQUEST:
                await self._serve(length)
            else:
                raise RefusedError(f"a frame of kind {kind!r} and {length} bytes is not for a service")

    async def refuse(self, reason: str) -> None:
        """Say why, and see to it that the client can read that before the connection ends."""
        await self._last(wire.frame(wire.REFUSED, printable(reason.encode()).encode()))

    async def turn_away(self) -> None:
        """Say that there is too much to do already."""
        await self._last(wire.frame(wire.BUSY))

    async def _last(self, data: bytes) -> None:
        # To close with bytes unread would have the kernel take back what was sent.
        with contextlib.suppress(OSError, TimeoutError, HungUpError):
            async with asyncio.timeout(self._service.options.read_seconds):
                await self._send(data)
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                while await self._reader.read(_CHUNK):
                    pass

    async def _serve(self, length: int) -> None:
        """Serve one request: read it in full, wait for a server, relay the run."""
        service = self._service
        held = 0
        try:
            async with self._in_time():
                request = read_request(await self._exactly(length), service.limits, service.packages)
                parts, held = await self._program()
            if parts is None:
                await self._send(wire.frame(wire.BUSY))
                return
            try:
                turn = service.turns.ask(self.client)
            except TooManyError:
                _log.info("busy: turned away a request of %s", self.client)
                await self._send(wire.frame(wire.BUSY))
                return
            try:
                await self._run(turn, request, parts)
                await self._flushed()
            except asyncio.CancelledError:
                if not self.running:  # the service ends, and another one may take over
                    self._writer.write(wire.frame(wire.BUSY))
                raise
            finally:
                self.running = False
                service.turns.leave(turn)
        finally:
            service.memory.give(self.client, held)

    async def _program(self) -> tuple[list[bytes] | None, int]:
        """Read the program and say how much memory it holds; ``None`` where there is not enough."""
        header = await self._header(idle=False)
        longest = min(self._service.limits.program_bytes, wire.MAX_FRAME)
        if header is None or header[0] != wire.PROGRAM or header[1] > longest:
            raise RefusedError(f"a request must be followed by a program of no more than {longest} bytes")
        memory = self._service.memory
        parts: list[bytes] | None = []
        held, left = 0, header[1]
        try:
            while left:
                data = await self._exactly(min(left, _CHUNK))
                left -= len(data)
                if parts is None:
                    continue  # read it nonetheless, so that the connection stays of use
                if memory.take(self.client, len(data)):
                    held += len(data)
                    parts.append(data)
                else:
                    _log.info("busy: no memory for a program of %s", self.client)
                    parts = None
                    memory.give(self.client, held)
                    held = 0
        except BaseException:
            memory.give(self.client, held)
            raise
        return parts, held

    async def _run(self, turn: Turn, request: RunRequest, program: list[bytes]) -> None:
        """Wait for the turn and relay the run; a client that hangs up ends it."""
        service = self._service
        loop = asyncio.get_running_loop()
        patience = min(service.options.write_seconds, request.wall_seconds / 2)
        relay = Relay(request, program, self._writer.write, lambda: self._drained(patience))
        watch = asyncio.create_task(self._watch(relay))
        run: asyncio.Future[None] | None = None
        try:
            while not turn.granted.done():
                await self._wait_for(turn.granted, watch)
            self.running = True
            run = loop.run_in_executor(service.executor, relay.run, service.servers)
            while not run.done():
                await self._wait_for(run, watch, relay)
        finally:
            watch.cancel()
            if run is not None and not run.done():
                self._writer.transport.abort()
                relay.cancellation.cancel()
                await _until_done(run)  # a moment, unless its server is just starting
            service.turns.free_server(turn)
        await asyncio.wait({watch})
        if not watch.cancelled():
            self._pushed_back += watch.result()
        await self._conclude(run)

    async def _conclude(self, run: asyncio.Future[None]) -> None:
        """Tell the client where a run did not come to its end; never by a result."""
        try:
            run.result()
        except UnreachableError:
            await self._send(wire.frame(wire.BUSY))
        except RunCancelledError:
            raise HungUpError("its run was cancelled") from None
        except (ServerDiedError, BrokenError, SandboxError) as error:
            text = printable(str(error).encode())[:_BROKEN_LINE]
            _log.warning("a server failed under a run of %s: %s", self.client, text)
            await self._send(wire.frame(wire.BROKEN, text.encode()))
            raise HungUpError("its server failed") from None

    async def _wait_for(
        self, future: asyncio.Future[None], watch: asyncio.Task[bytes], relay: Relay | None = None
    ) -> None:
        """Wait for ``future``, telling the client that it waits as long as nothing runs for it."""
        quiet = relay is not None and relay.began
        interval = None if quiet else self._service.options.waiting_interval
        either: set[asyncio.Future[Any]] = {future, watch}
        done, _ = await asyncio.wait(either, timeout=interval, return_when=asyncio.FIRST_COMPLETED)
        if future in done:
            return
        if watch in done:
            if relay is not None and relay.ended:
                await asyncio.wait({future})
                return
            raise HungUpError("it hung up in the course of a run")
        if relay is None or not relay.began:
            await self._send(wire.frame(wire.WAITING))

    async def _watch(self, relay: Relay) -> bytes:
        """Give the first byte of the next request; before the end of the run, that is out of turn."""
        with contextlib.suppress(OSError):
            byte = await self._reader.read(1)
            return byte if relay.ended else b""
        return b""

    async def _header(self, idle: bool) -> tuple[bytes, int] | None:
        """Read the kind and the length of the next frame; ``None`` where the client has hung up before it.

        ``idle`` tells that the client need not say anything; once it has begun to, it must go on.
        """
        if not self._pushed_back:
            self._pushed_back = await (self._reader.read(1) if idle else self._exactly(1))
            if not self._pushed_back:
                return None
        async with self._in_time():
            data = self._pushed_back + await self._exactly(wire.HEADER.size - len(self._pushed_back))
        self._pushed_back = b""
        kind, length = wire.HEADER.unpack(data)
        return kind, length

    async def _exactly(self, length: int) -> bytes:
        try:
            return await self._reader.readexactly(length)
        except asyncio.IncompleteReadError:
            raise HungUpError("it hung up within a frame") from None

    @contextlib.asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._service.options.read_seconds):
                yield
        except TimeoutError:
            raise HungUpError("it took too long to send a request") from None

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._drained(self._service.options.write_seconds)

    async def _drained(self, seconds: float) -> None:
        """Wait until no more than ``UNSENT_BYTES`` are on their way. Raises ``HungUpError``."""
        try:
            async with asyncio.timeout(seconds):
                await self._writer.drain()
        except TimeoutError:
            raise HungUpError("it does not read what it is sent") from None

    async def _flushed(self) -> None:
        """Wait until nothing is on its way any more. Raises ``HungUpError``."""
        transport = self._writer.transport
        if not transport.get_write_buffer_size():
            return
        transport.set_write_buffer_limits(high=0)
        try:
            await self._drained(self._service.options.write_seconds)
        finally:
            transport.set_write_buffer_limits(high=UNSENT_BYTES)


async def _until_done(run: asyncio.Future[None]) -> None:
    """Wait for a thread, also where this task is itself cancelled meanwhile."""
    cancelled = False
    while not run.done():
        try:
            await asyncio.wait({run})
        except asyncio.CancelledError:
            cancelled = True
    run.exception()  # so that it counts as seen
    if cancelled:
        raise asyncio.CancelledError
