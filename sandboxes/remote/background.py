"""A service in a thread of this process: to try it out, and for tests."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import tempfile
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from sandboxes.embedded import EmbeddedSandbox
from sandboxes.remote.address import UnixAddress
from sandboxes.remote.sandbox import RemoteSandbox
from sandboxes.remote.service import GRACE_SECONDS, SandboxService
from sandboxes.remote.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxes.remote.address import Address


@contextlib.contextmanager
def running(service: SandboxService, grace: float = GRACE_SECONDS) -> Iterator[Address]:
    """Run a service in the course of the block, and give its address.

    Runs under way at the end of the block may go on for ``grace`` seconds. Raises ``SandboxError`` where the
    service cannot start.
    """
    started: Future[tuple[Address, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        ended = asyncio.Event()
        try:
            await service.start()
            started.set_result((service.address, asyncio.get_running_loop(), ended))
            await ended.wait()
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
        finally:
            await service.drain(grace)

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="sandbox-service", daemon=True)
    thread.start()
    try:
        address, loop, ended = started.result()
    except BaseException:
        thread.join()
        raise
    try:
        yield address
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()


@contextlib.contextmanager
def remote_back_end(servers: int = 2) -> Iterator[RemoteSandbox]:
    """Give a sandbox whose service, on a UNIX socket, lends the servers of an embedded one."""
    token = secrets.token_urlsafe()
    with tempfile.TemporaryDirectory(prefix="induce-service-") as folder, EmbeddedSandbox(servers) as lender:
        service = SandboxService(lender, UnixAddress(f"{folder}/socket"), Tokens({"loopback": token}))
        with running(service) as address, RemoteSandbox(str(address), token) as sandbox:
            yield sandbox
