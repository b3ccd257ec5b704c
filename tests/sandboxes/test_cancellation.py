"""Runs that nobody waits for any more, and servers that died while nobody looked."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from sandboxes import (
    Cancellation,
    EmbeddedSandbox,
    Limits,
    Program,
    RunCancelledError,
    SandboxError,
    run_async,
    server_pool,
)
from sandboxes.embedded import GUEST

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the embedded sandbox needs Linux")

PLUS_ONE = Program("def f(x): return x + 1", "f")
SLEEP = Program("import time\ndef f(x): time.sleep(x)", "f")
LONG = Limits(seconds=60)


def servers() -> set[int]:
    found = set()
    for child in psutil.Process().children():
        if child.status() != psutil.STATUS_ZOMBIE and str(GUEST) in child.cmdline():
            found.add(child.pid)
    return found


def busy(before: set[int]) -> bool:
    """Whether a server that was not there before has a program in its hands."""
    return any(psutil.Process(pid).children() for pid in servers() - before)


def test_a_cancelled_run_ends_at_once_and_frees_its_server():
    cancellation = Cancellation()
    before = servers()
    with EmbeddedSandbox(servers=1) as sandbox, ThreadPoolExecutor() as threads:
        run = threads.submit(sandbox.run, SLEEP, [500], LONG, cancellation)
        while not busy(before):
            time.sleep(0)
        started = time.monotonic()
        cancellation.cancel()
        with pytest.raises(RunCancelledError):
            run.result()
        assert time.monotonic() - started < 5
        assert sandbox.run(PLUS_ONE, [1], LONG)[0].value == 2


def test_a_cancelled_run_does_not_wait_for_a_server():
    cancellation = Cancellation()
    before = servers()
    with EmbeddedSandbox(servers=1) as sandbox, ThreadPoolExecutor() as threads:
        first = threads.submit(sandbox.run, SLEEP, [500], LONG)
        while not busy(before):
            time.sleep(0)
        waiting = threads.submit(sandbox.run, PLUS_ONE, [1], LONG, cancellation)
        cancellation.cancel()
        with pytest.raises(RunCancelledError):
            waiting.result(timeout=10)
        assert not first.done()
        sandbox.close()
        with pytest.raises(SandboxError, match="closed"):
            first.result(timeout=10)


def test_a_cancelled_run_never_starts():
    cancellation = Cancellation()
    cancellation.cancel()
    with EmbeddedSandbox(servers=1) as sandbox, pytest.raises(RunCancelledError):
        sandbox.run(PLUS_ONE, [1], LONG, cancellation)


def test_a_cancelled_task_ends_its_program():
    before = servers()

    async def work() -> None:
        with EmbeddedSandbox(servers=1) as sandbox:
            task = asyncio.create_task(run_async(sandbox, SLEEP, [500], LONG))
            while not busy(before):  # noqa: ASYNC110 - nobody could set an event
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not busy(before)
            [execution] = await run_async(sandbox, PLUS_ONE, [1], LONG)
            assert execution.value == 2

    asyncio.run(work())


def test_two_hundred_callers_get_their_own_results():
    with EmbeddedSandbox(servers=2) as sandbox, ThreadPoolExecutor(200) as threads:
        cancellations = [Cancellation() for _ in range(200)]
        barrier = threading.Barrier(200)

        def one(number: int) -> object:
            barrier.wait()
            if number % 10 == 3:
                cancellations[number - 1].cancel()
            return sandbox.run(PLUS_ONE, [number], LONG, cancellations[number])[0].value

        runs = [threads.submit(one, number) for number in range(200)]
        for number, run in enumerate(runs):
            try:
                assert run.result(timeout=60) == number + 1
            except RunCancelledError:
                assert number % 10 == 2


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_server_that_died_in_its_sleep_is_no_failure(monkeypatch, signal_number):
    monkeypatch.setattr(server_pool, "IDLE_SECONDS", 0)
    monkeypatch.setattr("sandboxes.connection.PING_SECONDS", 0.2)
    before = servers()
    with EmbeddedSandbox(servers=1) as sandbox:
        sandbox.run(PLUS_ONE, [1], LONG)
        [server] = servers() - before
        os.kill(server, signal_number)
        assert sandbox.run(PLUS_ONE, [1], LONG)[0].value == 2
        assert servers() - before != {server}


def test_servers_are_recycled():
    before = servers()
    with EmbeddedSandbox(servers=1, recycle_after=3) as sandbox:
        seen = []
        for number in range(7):
            assert sandbox.run(PLUS_ONE, [number], LONG)[0].value == number + 1
            seen += servers() - before
    assert len(set(seen)) == 3  # the third run ends the first, the sixth the second


def test_a_late_cancellation_harms_nobody_else(monkeypatch):
    """One that comes as the server is given back must not kill it under the next run."""
    cancellation = Cancellation()
    with EmbeddedSandbox(servers=1) as sandbox:
        sandbox.run(PLUS_ONE, [1], LONG)
        [server] = [one for one in sandbox.servers._free if one is not None]
        give_back = sandbox.servers._give_back

        def cancel_first(*arguments: object) -> None:
            cancellation.cancel()
            give_back(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(sandbox.servers, "_give_back", cancel_first)
            assert sandbox.run(PLUS_ONE, [1], LONG, cancellation)[0].value == 2
        assert sandbox.run(PLUS_ONE, [1], LONG)[0].value == 2
        assert sandbox.servers._free == [server]


def test_a_server_that_comes_back_to_a_closed_sandbox_is_disposed_of(monkeypatch):
    before = servers()
    sandbox = EmbeddedSandbox(servers=1)
    give_back = sandbox.servers._give_back

    def close_first(*arguments: object) -> None:
        sandbox.close()
        give_back(*arguments)

    monkeypatch.setattr(sandbox.servers, "_give_back", close_first)
    assert sandbox.run(PLUS_ONE, [1], LONG)[0].value == 2
    assert servers() == before
    assert sandbox.servers._free == [None]


def test_a_task_that_waits_for_a_thread_is_cancelled_at_once():
    async def work() -> None:
        hold = threading.Event()
        with EmbeddedSandbox(servers=1) as sandbox, ThreadPoolExecutor(1) as threads:
            threads.submit(hold.wait)
            task = asyncio.create_task(run_async(sandbox, PLUS_ONE, [1], LONG, threads))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            hold.set()

    asyncio.run(work())
