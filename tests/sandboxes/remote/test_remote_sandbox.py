"""The remote sandbox, from the side of those who use it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sandboxes import Limits, Program, SandboxError
from sandboxes.cancellation import Cancellation, RunCancelledError, run_async
from sandboxes.guest import wire
from sandboxes.remote import TOKEN_VARIABLE, RemoteSandbox
from sandboxes.remote.background import remote_back_end
from sandboxes.remote.request import ClientLimits

PLUS_ONE = Program("def f(x): return x + 1", "f")
NAP = Program("import time\ndef f(x):\n    time.sleep(0.05)\n    return x", "f")
SLEEP = Program("import time\ndef f(x): time.sleep(60)", "f")
QUICK = Limits(seconds=0.3, memory_mb=64, output_bytes=10_000)
LONG = Limits(seconds=30)
TOKEN = "alice-has-this-token"


class TestRunning:
    @pytest.fixture(params=["unix", "tls"])
    def tls(self, request) -> bool:
        return request.param == "tls"

    def test_programs_run_as_if_they_were_here(self, start, tls):
        with start(tls=tls).sandbox() as sandbox:
            assert [run.value for run in sandbox.run(PLUS_ONE, [1, 2, 3], QUICK)] == [2, 3, 4]
            source = "import numpy as np\ndef f(x): return np.arange(x)"
            [run] = sandbox.run(Program(source, "f"), [3], QUICK)
            assert np.array_equal(run.value, [0, 1, 2])
            assert sandbox.concurrency == 2

    def test_much_travels_both_ways(self, start, tls):
        limits = Limits(seconds=2, output_bytes=5_000_000)
        texts = ["a" * 4_000_000, "b" * 4_000_000]
        with start(tls=tls).sandbox() as sandbox:
            runs = sandbox.run(Program("def f(x): return x[::-1]", "f"), texts, limits)
        assert [run.value for run in runs] == texts

    def test_200_callers_at_a_time(self, start, tls):
        with start(tls=tls).sandbox(concurrency=100) as sandbox, ThreadPoolExecutor(200) as callers:
            program = Program("def f(x): return (x, x * x)", "f")
            results = list(callers.map(lambda n: sandbox.run(program, [n, -n], QUICK), range(600)))
        values = [[run.value for run in runs] for runs in results]
        assert values == [[(n, n * n), (-n, n * n)] for n in range(600)]

    def test_what_a_program_does_wrong_is_data(self, start, tls):
        with start(tls=tls).sandbox() as sandbox:
            sources = ["def f(x): return 1 / x", "def f(x):\n    while True: pass", "import os\nos._exit(3)"]
            runs = [sandbox.run(Program(source, "f"), [0], QUICK)[0] for source in sources]
        assert [run.status for run in runs] == ["raised", "timed_out", "killed"]

    def test_says_what_programs_run_in(self, start, tls):
        service = start(tls=tls)
        with service.sandbox() as sandbox:
            environment = sandbox.environment
            assert environment.back_end == "remote (embedded)"
            assert environment.python == service.lender.environment.python
            assert environment.packages == service.lender.environment.packages

    def test_there_is_one_to_try_it_out(self):
        with remote_back_end() as sandbox:
            assert sandbox.run(PLUS_ONE, [1], QUICK)[0].value == 2


class TestWhoIsLetIn:
    def test_a_token_that_is_not_known(self, start):
        service = start()
        with pytest.raises(SandboxError, match=r"refuses: the token is not known here"):
            RemoteSandbox(service.address, "somebody-elses-token")

    def test_no_token(self, start):
        with pytest.raises(SandboxError, match=f"without a token.*{TOKEN_VARIABLE}"):
            RemoteSandbox(start().address)

    def test_the_environment_can_hold_the_token(self, start, monkeypatch):
        monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
        with RemoteSandbox(start().address) as sandbox:
            assert sandbox.run(PLUS_ONE, [1], QUICK)[0].value == 2

    def test_a_service_of_an_unknown_authority(self, start, certificates):
        service = start(tls=True)
        for ca in (certificates.other_ca, None):
            with pytest.raises(SandboxError, match=r"certificate .* is not trusted"):
                RemoteSandbox(service.address, TOKEN, ca)

    def test_a_service_with_the_certificate_of_another_host(self, start, certificates):
        service = start(tls=True, chain=certificates.wrong_host)
        with pytest.raises(SandboxError, match=r"is not trusted .*mismatch"):
            service.sandbox()

    def test_old_versions_of_tls(self, start, certificates):
        service = start(tls=True)
        context = ssl.create_default_context(cafile=certificates.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        host, port = service.service.address.host, service.service.address.port
        with (
            socket.create_connection((host, port)) as plain,
            context.wrap_socket(plain, server_hostname=host) as connected,
        ):
            assert connected.version() == "TLSv1.2"
        assert service.service._tls.minimum_version == ssl.TLSVersion.TLSv1_2

    def test_a_ca_that_is_none(self, tmp_path):
        for text in (None, "nonsense"):
            path = tmp_path / "ca.pem"
            if text:
                path.write_text(text)
            with pytest.raises(SandboxError, match="cannot be read as certificates"):
                RemoteSandbox("tls://localhost:1", TOKEN, path)


@contextlib.contextmanager
def answering(folder, *answers: bytes) -> Iterator[str]:
    """Something that answers each connection with some bytes and hangs up once the client has."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{folder}/other")
    listener.listen()

    def serve() -> None:
        for answer in answers:
            connected, _ = listener.accept()
            with connected, contextlib.suppress(OSError):
                connected.recv(4096)
                connected.sendall(answer)
                while answer and connected.recv(4096):
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"unix://{folder}/other"
    finally:
        thread.join()
        listener.close()


class TestFirstConnection:
    def test_nobody_is_there(self, folder):
        started = time.monotonic()
        with pytest.raises(
            SandboxError, match=r"no sandbox service answers at unix://.*induce sandbox serve"
        ):
            RemoteSandbox(f"unix://{folder}/nobody", TOKEN)
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            with pytest.raises(SandboxError, match=r"no sandbox service answers.*refused"):
                RemoteSandbox(f"tls://127.0.0.1:{unused.getsockname()[1]}", TOKEN)
        assert time.monotonic() - started < 10  # and not the 30 seconds of its patience

    def test_an_unknown_host(self, monkeypatch):
        def unknown(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(SandboxError, match=r"there is no host nowhere\.invalid"):
            RemoteSandbox("tls://nowhere.invalid:7443", TOKEN)

    def test_a_service_that_speaks_another_version(self, folder):
        hello = {"protocol": 99, "something": "else"}
        with (
            answering(folder, wire.frame(wire.HELLO, json.dumps(hello).encode())) as address,
            pytest.raises(
                SandboxError, match=rf"speaks version 99 .* and this host version {wire.PROTOCOL};"
            ),
        ):
            RemoteSandbox(address, TOKEN)

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            wire.frame(wire.HELLO, b"[]"),
            wire.frame(wire.HELLO, b"{}"),
            wire.frame(wire.PONG),
            wire.HEADER.pack(wire.HELLO, 2**32 - 1),
        ],
    )
    def test_something_else_answers(self, folder, answer):
        with answering(folder, answer) as address, pytest.raises(SandboxError, match="is no sandbox service"):
            RemoteSandbox(address, TOKEN)

    def test_it_hangs_up(self, folder):
        with answering(folder, b"") as address, pytest.raises(SandboxError, match="hung up"):
            RemoteSandbox(address, TOKEN)

    def test_a_refusal_cannot_command_the_terminal(self, folder):
        refusal = wire.frame(wire.REFUSED, b"no \x1b[31m\nway")
        with (
            answering(folder, refusal) as address,
            pytest.raises(SandboxError, match=r"refuses: no \[31m way"),
        ):
            RemoteSandbox(address, TOKEN)

    def test_arguments_that_make_no_sense(self):
        with pytest.raises(ValueError, match="concurrency"):
            RemoteSandbox("unix:///x", TOKEN, concurrency=0)
        with pytest.raises(ValueError, match="patience"):
            RemoteSandbox("unix:///x", TOKEN, patience=float("nan"))
        with pytest.raises(SandboxError, match="plain text"):
            RemoteSandbox("tcp://localhost:1", TOKEN)
        with pytest.raises(SandboxError, match="fewer than 16"):
            RemoteSandbox("unix:///x", "short")


class TestLimits:
    def test_beyond_the_caps_is_an_error_that_names_them(self, start):
        service = start(limits=ClientLimits(seconds=1, memory_mb=100, output_bytes=1000))
        with service.sandbox() as sandbox:
            for limits, problem in (
                (Limits(1.5, 64, 1000), "seconds=1.5 is more than the 1 "),
                (Limits(1, 101, 1000), "memory_mb=101 is more than the 100 "),
                (Limits(1, 64, 1001), "output_bytes=1001 is more than the 1000 "),
                (Limits(1, 64, 1000, 2), "set processes=1"),
            ):
                with pytest.raises(SandboxError, match=problem):
                    sandbox.run(PLUS_ONE, [1], limits)
            assert sandbox.run(PLUS_ONE, [1], Limits(1, 64, 1000))[0].value == 2

    def test_a_refusal_reaches_a_client_that_is_still_sending(self, start):
        with (
            start(limits=ClientLimits(seconds=1)).sandbox() as sandbox,
            pytest.raises(SandboxError, match="more than the 1 that"),
        ):
            sandbox.run(PLUS_ONE, ["x" * 30_000_000], Limits(seconds=2))

    def test_a_busy_service_is_waited_for(self, start):
        service = start(servers=1, limits=ClientLimits(waiting=1))
        with service.sandbox(concurrency=12) as sandbox, ThreadPoolExecutor(12) as callers:
            runs = list(callers.map(lambda n: sandbox.run(NAP, [n], LONG)[0].value, range(24)))
        assert runs == list(range(24))

    def test_patience_comes_to_an_end(self, start, until):
        service = start(servers=1, limits=ClientLimits(waiting=1))
        cancellation = Cancellation()

        def occupy(_: int) -> None:
            with contextlib.suppress(RunCancelledError):
                sandbox.run(SLEEP, [0], LONG, cancellation)

        with service.sandbox(concurrency=3, patience=0.2) as sandbox, ThreadPoolExecutor(2) as callers:
            occupied = [callers.submit(occupy, n) for n in range(2)]
            until(lambda: service.service.turns.waiting == 1)
            with pytest.raises(SandboxError, match="too many requests already"):
                sandbox.run(PLUS_ONE, [1], QUICK)
            cancellation.cancel()
            for future in occupied:
                future.result()
            until(lambda: service.service.turns.waiting == 0)
            assert sandbox.run(PLUS_ONE, [1], QUICK)[0].value == 2

    def test_one_client_does_not_starve_another(self, start, until):
        service = start(servers=1)
        done: list[str] = []

        def run(sandbox: RemoteSandbox, name: str) -> None:
            sandbox.run(NAP, [0], LONG)
            done.append(name)

        with (
            service.sandbox("alice", concurrency=60) as alice,
            service.sandbox("bob", concurrency=1) as bob,
            ThreadPoolExecutor(60) as callers,
        ):
            futures = [callers.submit(run, alice, "alice") for _ in range(60)]
            until(lambda: service.service.turns.waiting >= 50)
            before = len(done)
            run(bob, "bob")
            assert done.index("bob") <= before + 4  # what ran, what was next, and two for good measure
            for future in futures:
                future.result()


class TestEnding:
    def test_a_cancelled_run_gives_its_server_to_the_next(self, start, until):
        service = start(servers=1)
        with service.sandbox() as sandbox, ThreadPoolExecutor(1) as callers:
            cancellation = Cancellation()
            run = callers.submit(sandbox.run, SLEEP, [0], LONG, cancellation)
            until(lambda: lent(service) == 1)
            cancellation.cancel()
            with pytest.raises(RunCancelledError):
                run.result(5)
            assert sandbox.run(PLUS_ONE, [1], QUICK)[0].value == 2

    def test_a_cancelled_run_does_not_wait_for_a_server(self, start, until):
        service = start(servers=1)
        with service.sandbox(concurrency=2) as sandbox:

            async def scenario() -> None:
                first, second = (asyncio.create_task(run_async(sandbox, SLEEP, [0], LONG)) for _ in range(2))
                await asyncio.to_thread(until, lambda: service.service.turns.waiting == 1)
                for task in (second, first):
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task

            asyncio.run(scenario())
            until(lambda: lent(service) == 0 and service.service.turns.waiting == 0)
            assert sandbox.run(PLUS_ONE, [1], QUICK)[0].value == 2

    def test_closing_ends_what_runs(self, start, until):
        service = start(servers=1)
        with ThreadPoolExecutor(2) as callers:
            sandbox = service.sandbox(concurrency=2)
            runs = [callers.submit(sandbox.run, SLEEP, [0], LONG) for _ in range(2)]
            until(lambda: service.service.turns.waiting == 1)
            sandbox.close()
            sandbox.close()
            for run in runs:
                with pytest.raises(SandboxError, match="is closed"):
                    run.result(5)
        with pytest.raises(SandboxError, match="is closed"):
            sandbox.run(PLUS_ONE, [1], QUICK)
        until(lambda: not service.service._connections)
        with service.sandbox() as another:
            assert another.run(PLUS_ONE, [1], QUICK)[0].value == 2

    def test_a_forked_host_shares_nothing_with_its_child(self, start):
        service = start(tls=True)
        code = (
            "import os, sys\n"
            "from sandboxes import Limits, Program\n"
            "from sandboxes.remote import RemoteSandbox\n"
            "plus_one = Program('def f(x): return x + 1', 'f')\n"
            "sandbox = RemoteSandbox(sys.argv[1], sys.argv[2], sys.argv[3])\n"
            "sandbox.run(plus_one, [0], Limits())\n"
            "child = os.fork()\n"
            "values = [e.value for _ in range(20) for e in sandbox.run(plus_one, [os.getpid()], Limits())]\n"
            "assert values == [os.getpid() + 1] * 20\n"
            "if child: assert os.waitpid(child, 0)[1] == 0; print('both')\n"
        )
        command = [sys.executable, "-W", "error", "-c", code, service.address, TOKEN, service.ca]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.stdout, done.stderr) == ("both\n", "")

    def test_a_dead_server_is_no_verdict(self, start, until):
        service = start(servers=1)
        with service.sandbox() as sandbox, ThreadPoolExecutor(1) as callers:
            run = callers.submit(sandbox.run, Program(NAP.source.replace("0.05", "1"), "f"), [7], LONG)
            until(lambda: lent(service) == 1 and service.lender.servers._running)
            [server] = service.lender.servers._running
            server.kill()
            assert run.result(20)[0].value == 7


def lent(service) -> int:
    """How many servers of a service run something."""
    return service.service.servers.size - service.service.turns._free
