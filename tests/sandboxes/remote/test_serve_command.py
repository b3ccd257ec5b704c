"""The service as a process of its own: starting, being killed, being told to end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from sandboxes import Limits, Program, fork_runner
from sandboxes.remote import TOKEN_VARIABLE, RemoteSandbox

TOKEN = "a-token-for-one-client"
PLUS_ONE = Program("def f(x): return x + 1", "f")
NAP = Program("import time\ndef f(x):\n    time.sleep(1)\n    return x", "f")
SLEEP = Program("import time\ndef f(x): time.sleep(100)", "f")
LONG = Limits(seconds=20)
COMMAND = [
    sys.executable,
    "-W",
    "error",
    "-c",
    "import typer; from induce.cli.sandbox_serve import serve; typer.run(serve)",
]


class Process:
    """A service, once it is ready."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        environment = {**os.environ, TOKEN_VARIABLE: TOKEN, **environment}
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline().rstrip("\n")
        self.log = ""

    def servers(self) -> list[psutil.Process]:
        found = psutil.Process(self.process.pid).children()
        return [child for child in found if child.status() != psutil.STATUS_ZOMBIE]

    def tell(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end and give the exit code."""
        _, self.log = self.process.communicate(timeout=30)
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def serve(folder) -> Iterator[Callable[..., Process]]:
    processes: list[Process] = []

    def serve(*arguments: str, **environment: str) -> Process:
        if "--listen" not in arguments:
            arguments = ("--listen", f"unix://{folder}/socket", *arguments)
        processes.append(Process("--servers", "2", *arguments, **environment))
        return processes[-1]

    yield serve
    for process in processes:
        process.kill()


def connect(process: Process, **options) -> RemoteSandbox:
    return RemoteSandbox(process.line, TOKEN, **options)


class TestStarting:
    def test_it_says_where_it_is(self, serve, folder):
        service = serve()
        assert service.line == f"unix://{folder}/socket"
        with connect(service) as sandbox:
            assert sandbox.run(PLUS_ONE, [1], LONG)[0].value == 2
            assert sandbox.concurrency == 2
        service.tell()
        assert service.wait() == 0
        assert "client connected from this machine" in service.log
        assert "Traceback" not in service.log
        assert TOKEN not in service.log
        assert not (folder / "socket").exists()

    def test_over_tls_in_json(self, serve, certificates, tmp_path):
        tokens = tmp_path / "tokens"
        tokens.write_text(f"alice {TOKEN}\nbob {TOKEN}-of-bob\n")
        tokens.chmod(0o600)
        arguments = ["--listen", "tls://localhost:0", "--cert", certificates.chain, "--tokens", str(tokens)]
        service = serve(*arguments, "--json", "--per-client", "1")
        record = json.loads(service.line)
        assert record["servers"] == 2
        assert record["clients"] == 2
        with RemoteSandbox(record["address"], TOKEN, certificates.ca) as sandbox:
            assert sandbox.run(PLUS_ONE, [1], LONG)[0].value == 2
            assert sandbox.concurrency == 1

    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (["--listen", "tcp://localhost:1"], "plain text"),
            (["--listen", "tls://localhost:0"], "needs a certificate"),
            (["--cert", "x"], "leave out --cert"),
            (["--tokens", "/nowhere"], "cannot be read"),
        ],
    )
    def test_what_makes_no_sense_is_an_error(self, serve, arguments, problem):
        service = serve(*arguments)
        assert service.wait() == 1
        assert service.line == ""
        assert problem in service.log


class TestBeingKilled:
    def test_a_run_goes_on_when_the_service_is_there_again(self, serve, until):
        first = serve()
        with connect(first, concurrency=6) as sandbox, ThreadPoolExecutor(6) as callers:
            list(callers.map(lambda n: sandbox.run(PLUS_ONE, [n], LONG), range(60)))  # connections lie idle
            runs = [callers.submit(sandbox.run, NAP, [n], LONG) for n in range(2)]
            until(lambda: busy(first) >= 2)
            first.kill()
            more = [callers.submit(sandbox.run, PLUS_ONE, [n], LONG) for n in range(20)]
            second = serve()
            assert [run.result(30)[0].value for run in runs] == [0, 1]
            assert [run.result(30)[0].value for run in more] == list(range(1, 21))
            assert second.line == first.line

    def test_connections_that_it_has_ended_are_no_deaths(self, serve, monkeypatch):
        monkeypatch.setattr(fork_runner, "DEATHS", 0)
        first = serve()
        with connect(first, concurrency=6) as sandbox, ThreadPoolExecutor(6) as callers:
            list(callers.map(lambda n: sandbox.run(NAP, [n], LONG), range(6)))  # each on one of its own
            first.kill()
            serve()
            assert sandbox.run(PLUS_ONE, [1], LONG)[0].value == 2

    def test_it_leaves_no_server_behind(self, serve, until):
        service = serve()
        with connect(service, patience=0) as sandbox, ThreadPoolExecutor(2) as callers:
            runs = [callers.submit(sandbox.run, SLEEP, [0], LONG) for _ in range(2)]
            until(lambda: busy(service) >= 2)
            servers = service.servers()
            service.kill()
            until(lambda: not any(server.is_running() and alive(server) for server in servers))
            for run in runs:
                with pytest.raises(Exception, match="no sandbox service answers"):
                    run.result(20)

    def test_a_client_that_is_killed_frees_its_servers(self, serve, until):
        service = serve()
        code = (
            "import sys\nfrom sandboxes import Limits, Program\nfrom sandboxes.remote import RemoteSandbox\n"
            "sandbox = RemoteSandbox(sys.argv[1], sys.argv[2])\n"
            "sandbox.run(Program('def f(x):\\n    while True: pass', 'f'), [0], Limits(seconds=50))\n"
        )
        client = subprocess.Popen([sys.executable, "-c", code, service.line, TOKEN])
        until(lambda: busy(service) >= 1)
        [spinning] = [child for server in service.servers() for child in server.children()]
        client.kill()
        client.wait()
        until(lambda: not spinning.is_running() or not alive(spinning))
        with connect(service) as sandbox:
            assert sandbox.run(PLUS_ONE, [1], LONG)[0].value == 2


class TestBeingToldToEnd:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_it_finishes_what_runs(self, serve, until, number):
        service = serve()
        with connect(service, patience=0) as sandbox, ThreadPoolExecutor(1) as callers:
            run = callers.submit(sandbox.run, NAP, [7], LONG)
            until(lambda: busy(service) == 1)
            service.tell(number)
            assert run.result(20)[0].value == 7
        assert service.wait() == 0
        assert "draining: 1 runs under way" in service.log

    def test_what_waits_moves_to_its_successor(self, serve, until):
        first = serve()
        with connect(first, concurrency=4) as sandbox, ThreadPoolExecutor(4) as callers:
            runs = [callers.submit(sandbox.run, NAP, [n], LONG) for n in range(4)]
            until(lambda: busy(first) >= 2)
            first.tell()
            until(lambda: not os.path.exists(first.line.removeprefix("unix://")))
            serve()
            assert [run.result(30)[0].value for run in runs] == [0, 1, 2, 3]
        assert first.wait() == 0

    def test_its_grace_has_an_end(self, serve, until):
        service = serve("--grace", "0.2")
        with connect(service, patience=0) as sandbox, ThreadPoolExecutor(1) as callers:
            run = callers.submit(sandbox.run, SLEEP, [7], LONG)
            until(lambda: busy(service) == 1)
            service.tell()
            assert service.wait() == 0
            with pytest.raises(Exception, match="no sandbox service answers"):
                run.result(20)
        assert "ended 1 runs" in service.log

    def test_a_second_signal_ends_it_at_once(self, serve, until, folder):
        service = serve("--grace", "100")
        with connect(service, patience=0) as sandbox, ThreadPoolExecutor(1) as callers:
            run = callers.submit(sandbox.run, SLEEP, [7], LONG)
            until(lambda: busy(service) == 1)
            service.tell()
            until(lambda: not (folder / "socket").exists())
            started = time.monotonic()
            service.tell()
            assert service.wait() == 128 + signal.SIGTERM
            assert time.monotonic() - started < 20
            with pytest.raises(Exception, match="no sandbox service answers"):
                run.result(20)


def busy(process: Process) -> int:
    """How many programs run in the servers of a service."""
    count = 0
    for server in process.servers():
        with contextlib.suppress(psutil.NoSuchProcess):
            count += sum(alive(child) for child in server.children())
    return count


def alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
