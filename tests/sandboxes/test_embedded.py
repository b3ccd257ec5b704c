"""The embedded sandbox and its servers: starting, failing, being forked, ending."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from sandboxes import EmbeddedSandbox, Limits, Program, SandboxError, embedded, fork_runner
from sandboxes.embedded import GUEST, capabilities

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the embedded sandbox needs Linux")

PLUS_ONE = Program("def f(x): return x + 1", "f")
QUICK = Limits(seconds=0.1, memory_mb=64)


def servers() -> list[psutil.Process]:
    """The fork servers of this process; one that another test killed is no server any more."""
    alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if "-P" in child.cmdline()]


@pytest.fixture
def spoil_guest(tmp_path, monkeypatch) -> Callable[[str, str], None]:
    """Start servers from a copy of the guest, with a line added at the end of one of its files."""

    def spoil(name: str, line: str) -> None:
        copy = tmp_path / "guest"
        shutil.copytree(GUEST, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        with (copy / name).open("a") as file:
            file.write(line + "\n")
        monkeypatch.setattr(embedded, "GUEST", copy)

    return spoil


class TestStarting:
    def test_waits_for_the_first_program(self):
        before = len(servers())
        with EmbeddedSandbox(servers=3) as sandbox:
            assert len(servers()) == before
            sandbox.run(PLUS_ONE, [1], QUICK)
            assert len(servers()) == before + 1
            assert sandbox.concurrency == 3
        assert len(servers()) == before

    def test_has_a_server_for_each_core(self):
        with EmbeddedSandbox() as sandbox:
            assert sandbox.concurrency == len(os.sched_getaffinity(0))

    def test_needs_linux(self, monkeypatch):
        monkeypatch.setattr(sys, "platform", "darwin")
        with pytest.raises(SandboxError, match=r"needs Linux.*Docker"):
            EmbeddedSandbox()
        assert "needs Linux" in capabilities().problem

    def test_needs_a_server(self):
        with pytest.raises(ValueError, match="at least one server, not 0"):
            EmbeddedSandbox(servers=0)

    def test_gives_a_program_one_process(self):
        with EmbeddedSandbox() as sandbox, pytest.raises(SandboxError, match="set processes=1"):
            sandbox.run(PLUS_ONE, [1], Limits(processes=2))

    def test_says_what_this_machine_can(self):
        found = capabilities()
        assert found.problem is None
        assert found.drops_privileges == (os.geteuid() == 0)
        assert found.landlock_abi >= 0
        assert found.python == sys.version.split()[0]
        assert found.packages["numpy"]


class TestWithoutConfinement:
    """On an architecture without a filter, which stands for all that can be missing."""

    @pytest.fixture(autouse=True)
    def _no_filter(self, spoil_guest):
        spoil_guest("seccomp.py", "ALLOWED.clear()")

    def test_no_program_runs(self):
        with (
            EmbeddedSandbox(servers=1) as sandbox,
            pytest.raises(
                SandboxError, match=r"cannot be confined on this machine: no seccomp filter .*relaxed=True"
            ),
        ):
            sandbox.run(PLUS_ONE, [1], QUICK)
        assert "no seccomp filter" in capabilities().problem

    def test_a_relaxed_sandbox_runs_it_and_warns_once(self):
        before = set(servers())
        with EmbeddedSandbox(servers=1, relaxed=True) as sandbox:
            with pytest.warns(RuntimeWarning, match="without full confinement .no seccomp filter"):
                [execution] = sandbox.run(PLUS_ONE, [1], QUICK)
            assert execution.value == 2
            [server] = set(servers()) - before
            server.kill()
            assert sandbox.run(PLUS_ONE, [2], QUICK)[0].value == 3

    def test_the_other_layers_still_hold(self):
        with EmbeddedSandbox(servers=1, relaxed=True) as sandbox, warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            written, spun, forked = (
                sandbox.run(Program(source, "f"), [1], QUICK)[0]
                for source in (
                    "def f(x): open('x', 'w').write('x')",
                    "def f(x):\n    while True: pass",
                    "import os\ndef f(x): os.fork()",
                )
            )
        assert written.status == "raised"
        assert spun.status == "timed_out"
        assert forked.status == "raised"


class TestFailing:
    def test_another_version_of_the_protocol_is_refused(self, spoil_guest):
        spoil_guest("wire.py", "PROTOCOL = 99")
        with (
            EmbeddedSandbox(servers=1) as sandbox,
            pytest.raises(SandboxError, match="version 99 of the protocol"),
        ):
            sandbox.run(PLUS_ONE, [1], QUICK)

    def test_a_server_that_does_not_start_says_why(self, spoil_guest):
        spoil_guest("wire.py", "raise ImportError('broken installation')")
        with EmbeddedSandbox(servers=1) as sandbox, pytest.raises(SandboxError, match="broken installation"):
            sandbox.run(PLUS_ONE, [1], QUICK)

    def test_an_interpreter_that_is_not_there(self, monkeypatch):
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        with (
            EmbeddedSandbox(servers=1) as sandbox,
            pytest.raises(SandboxError, match=r"does not start.*nowhere"),
        ):
            sandbox.run(PLUS_ONE, [1], QUICK)

    def test_a_dead_server_is_replaced(self):
        with EmbeddedSandbox(servers=1) as sandbox:
            before = set(servers())
            sandbox.run(PLUS_ONE, [1], QUICK)
            [server] = set(servers()) - before
            server.kill()
            assert sandbox.run(PLUS_ONE, [1], QUICK)[0].value == 2

    def test_a_silent_server_is_replaced(self, monkeypatch):
        monkeypatch.setattr(fork_runner, "WALL_EXTRA", 1.0)
        monkeypatch.setattr(fork_runner, "SILENCE_SECONDS", 0.0)
        with EmbeddedSandbox(servers=1) as sandbox:
            before = set(servers())
            sandbox.run(PLUS_ONE, [1], QUICK)
            [server] = set(servers()) - before
            server.send_signal(signal.SIGSTOP)
            assert sandbox.run(PLUS_ONE, [1], QUICK)[0].value == 2
            assert not server.is_running()

    @pytest.mark.parametrize(
        ("name", "line"),
        [
            ("server.py", "_Fork.serve = lambda self: os._exit(1)"),
            ("child.py", "run = lambda *_: os._exit(1)"),
            ("confine.py", "_drop_privileges = None"),
        ],
    )
    def test_a_server_that_always_fails_is_an_error(self, spoil_guest, name, line):
        spoil_guest(name, line)
        with EmbeddedSandbox(servers=1, relaxed=True) as sandbox, warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            with pytest.raises(SandboxError, match="failed 3 times"):
                sandbox.run(PLUS_ONE, [1], QUICK)

    def test_an_interrupted_run_does_not_spoil_the_next(self, monkeypatch):
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        with EmbeddedSandbox(servers=1) as sandbox:
            with monkeypatch.context() as patch:
                patch.setattr(fork_runner, "_read_execution", interrupt)
                with pytest.raises(KeyboardInterrupt):
                    sandbox.run(PLUS_ONE, [1, 2, 3], QUICK)
            assert [e.value for e in sandbox.run(PLUS_ONE, [1, 2], QUICK)] == [2, 3]

    def test_what_cannot_travel_is_refused(self, monkeypatch):
        monkeypatch.setattr("sandboxes.guest.wire.MAX_FRAME", 1000)
        with EmbeddedSandbox(servers=1) as sandbox:
            with pytest.raises(ValueError, match="and 1000 can travel"):
                sandbox.run(PLUS_ONE, ["x" * 1000], QUICK)
            assert sandbox.run(PLUS_ONE, [1], QUICK)[0].value == 2


class TestInputs:
    def test_large_ones_travel(self):
        text = "x" * 5_000_000
        with EmbeddedSandbox(servers=1) as sandbox:
            [execution] = sandbox.run(Program("def f(x): return len(x)", "f"), [text], QUICK)
            assert execution.value == 5_000_000

    def test_large_outputs_travel(self):
        limits = Limits(seconds=2, output_bytes=5_000_000)
        with EmbeddedSandbox(servers=1) as sandbox:
            executions = sandbox.run(Program("def f(x): return x * 4_000_000", "f"), ["a", "b"], limits)
        assert [len(execution.value) for execution in executions] == [4_000_000] * 2


def host(code: str, *, python: str = sys.executable, **options) -> subprocess.CompletedProcess[str]:
    """Run a host of its own, for which every warning is an error."""
    prelude = "import os\nfrom sandboxes import EmbeddedSandbox, Limits, Program\n"
    prelude += "plus_one = Program('def f(x): return x + 1', 'f')\n"
    command = [python, "-W", "error", "-c", prelude + code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


class TestHosts:
    def test_one_that_forgets_to_close_leaves_nothing(self):
        code = "sandbox = EmbeddedSandbox(1)\nprint(sandbox.run(plus_one, [1], Limits())[0].value)"
        done = host(code)
        assert (done.stdout, done.stderr, done.returncode) == ("2\n", "", 0)

    def test_one_that_drops_its_sandbox_leaves_nothing(self):
        code = (
            "sandbox = EmbeddedSandbox(1)\nsandbox.run(plus_one, [1], Limits())\ndel sandbox\n"
            "try: os.waitpid(-1, os.WNOHANG)\nexcept ChildProcessError: print('no child')"
        )
        done = host(code)
        assert (done.stdout, done.stderr) == ("no child\n", "")

    def test_one_that_forks_shares_nothing_with_its_child(self):
        code = (
            "sandbox = EmbeddedSandbox(1)\n"
            "sandbox.run(plus_one, [0], Limits())\n"
            "child = os.fork()\n"
            "values = [e.value for _ in range(20) for e in sandbox.run(plus_one, [os.getpid()], Limits())]\n"
            "assert values == [os.getpid() + 1] * 20\n"
            "if child: assert os.waitpid(child, 0)[1] == 0; print('both')\n"
        )
        done = host(code)
        assert (done.stdout, done.stderr) == ("both\n", "")

    @pytest.fixture
    def open_copy(self) -> Iterator[Path]:
        """A copy of the package that every user can read."""
        folder = Path(tempfile.mkdtemp())
        try:
            shutil.copytree(GUEST.parent, folder / "sandboxes", ignore=shutil.ignore_patterns("__pycache__"))
            folder.chmod(0o755)
            yield folder
        finally:
            shutil.rmtree(folder)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
    def test_one_without_privileges_is_as_safe(self, open_copy):
        python = shutil.which("python3", path="/usr/bin")
        recent = "import sys; sys.exit(sys.version_info < (3, 11))"
        if python is None or subprocess.run([python, "-c", recent], check=False).returncode != 0:
            pytest.skip("no recent interpreter that other users can run")
        code = (
            "refused = Program('import os\\ndef f(x): os.kill(os.getppid(), 9)', 'f')\n"
            "with EmbeddedSandbox(1) as sandbox:\n"
            "    print(os.getuid(), sandbox.run(plus_one, [1], Limits())[0].value)\n"
            "    print(sandbox.run(refused, [1], Limits())[0].error)\n"
        )
        done = host(code, python=python, cwd=open_copy, user=65534, group=65534, extra_groups=[], env={})
        assert done.stderr == ""
        assert done.stdout.startswith("65534 2\nPermissionError")


def test_a_budget_of_weeks_is_possible():
    with EmbeddedSandbox(servers=1) as sandbox:
        [execution] = sandbox.run(Program("def f(x): return x", "f"), [1], Limits(seconds=1e7))
    assert execution.value == 1


@pytest.mark.parametrize("limit", ["memory_mb", "output_bytes", "processes"])
def test_limits_that_count_are_whole_numbers(limit):
    with pytest.raises(ValueError, match=rf"Limits\.{limit} must be a whole number"):
        Limits(**{limit: 100.5})
