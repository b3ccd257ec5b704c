"""Attempts to reach beyond the process: bare system calls, other programs' data, other processes."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from sandboxes import EmbeddedSandbox, Limits, Program, Sandbox
from sandboxes.embedded import GUEST
from sandboxes.guest import seccomp

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the embedded sandbox needs Linux")

QUICK = Limits(seconds=0.5, memory_mb=64)
EPERM = 1


@pytest.fixture(scope="module")
def started() -> Iterator[tuple[Sandbox, psutil.Process]]:
    """A sandbox and its one server; other sandboxes of this process may have theirs."""
    before = set(servers())
    with EmbeddedSandbox(servers=1) as sandbox:
        sandbox.run(Program("def f(x): return x", "f"), [1], QUICK)
        [server] = set(servers()) - before
        yield sandbox, server


@pytest.fixture
def sandbox(started) -> Sandbox:
    return started[0]


@pytest.fixture
def server(started) -> psutil.Process:
    return started[1]


class TestSystemCalls:
    def test_only_those_on_the_list_are_possible(self, sandbox):
        source = (
            "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
            "def f(number):\n"
            "    ctypes.set_errno(0)\n"
            "    bad = ctypes.c_long(-1)\n"
            "    result = libc.syscall(ctypes.c_long(number), bad, bad, bad, bad, bad, bad)\n"
            "    return ctypes.get_errno() if result == -1 else 0\n"
        )
        allowed = seccomp.ALLOWED[platform.machine()]
        never_filtered = {335, 336} if platform.machine() == "x86_64" else set()  # uretprobe and uprobe
        refused = sorted(set(range(600)) - set(allowed.values()) - never_filtered)
        executions = sandbox.run(Program(source, "f"), refused, QUICK)
        assert {execution.value for execution in executions} == {EPERM}

    @pytest.mark.skipif(platform.machine() != "x86_64", reason="the x32 ABI is one of x86-64")
    def test_another_abi_is_deadly(self, sandbox):
        source = "import ctypes\ndef f(x): return ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 | x))"
        [execution] = sandbox.run(Program(source, "f"), [39], QUICK)
        assert execution.status == "killed"
        assert "Bad system call" in execution.error

    @pytest.mark.parametrize("call", ["mprotect(page, 4096, 5)", "mmap(None, 4096, 4, 34, -1, 0)"])
    def test_memory_cannot_be_made_executable(self, sandbox, call):
        source = (
            "import ctypes, mmap\nlibc = ctypes.CDLL(None, use_errno=True)\n"
            "libc.mmap.restype = ctypes.c_void_p\n"
            "def f(x):\n"
            "    page = ctypes.c_void_p(libc.mmap(None, 4096, 3, 34, -1, 0))\n"
            f"    libc.{call}\n"
            "    return ctypes.get_errno()\n"
        )
        [execution] = sandbox.run(Program(source, "f"), [0], QUICK)
        assert execution.value == EPERM

    def test_an_unknown_architecture_has_no_filter(self):
        assert seccomp.filter_for("vax") is None


class TestSecrets:
    def test_the_environment_is_empty(self, sandbox, monkeypatch):
        [execution] = sandbox.run(Program("import os\ndef f(x): return dict(os.environ)", "f"), [0], QUICK)
        assert execution.value == {}

    def test_the_only_descriptor_is_the_result_pipe(self, sandbox):
        source = (
            "import errno, os\n"
            "def f(x):\n"
            "    kinds = []\n"
            "    for d in range(x):\n"
            "        try: os.lseek(d, 0, os.SEEK_CUR)\n"
            "        except OSError as error:\n"
            "            if error.errno == errno.EBADF: continue\n"
            "            kinds.append(errno.errorcode[error.errno])\n"
            "        else: kinds.append('device')\n"
            "    return kinds\n"
        )
        [execution] = sandbox.run(Program(source, "f"), [1000], QUICK)
        assert execution.value == ["device"] * 3 + ["ESPIPE"]

    def test_nothing_of_an_earlier_program_is_left_in_memory(self, sandbox, server):
        """Search all writable memory that a child inherits for what passed through its server before."""
        earlier = "def f(x): return x + ' and ' + 'OUTPUT'[0:3] + 'PUT-0123456789'  # SOURCE-0123456789"
        for _ in range(20):
            sandbox.run(Program(earlier, "f"), ["INPUT-0123456789"] * 50, QUICK)
        while server.children() or server.status() != psutil.STATUS_SLEEPING:
            pass  # it is still burying the last child
        ranges = [
            [int(bound, 16) for bound in line.split()[0].split("-")]
            for line in Path(f"/proc/{server.pid}/maps").read_text().splitlines()
            if " rw-p " in line
        ]
        # The two halves of what it looks for never lie side by side in the searcher's own memory.
        searcher = (
            "import ctypes\n"
            "def count(memory, head, reversed_tail):\n"
            "    found, at = 0, memory.find(head)\n"
            "    while at >= 0:\n"
            "        tail = memory[at + len(head):at + len(head) + len(reversed_tail)]\n"
            "        found += tail[::-1] == reversed_tail\n"
            "        at = memory.find(head, at + 1)\n"
            "    return found\n"
            "def f(ranges):\n"
            "    earlier = preloaded = 0\n"
            "    for start, end in ranges:\n"
            "        memory = ctypes.string_at(start, end - start)\n"
            "        earlier += count(memory, b'PUT-', b'9876543210')\n"
            "        preloaded += count(memory, b'That is no line', b'ecnefed fo ')\n"
            "    return earlier, preloaded\n"
        )
        [execution] = sandbox.run(Program(searcher, "f"), [ranges], Limits(seconds=5))
        earlier_count, preloaded_count = execution.value
        assert earlier_count == 0
        assert preloaded_count > 0  # so the search does find what is there


class TestProcesses:
    def test_a_run_leaves_no_process(self, sandbox, server):
        sandbox.run(Program("import os\ndef f(x): os.fork()", "f"), [1], QUICK)
        sandbox.run(Program("def f(x):\n    while True: pass", "f"), [1], Limits(seconds=0.05))
        _, alive = psutil.wait_procs(server.children(recursive=True), timeout=10)
        assert alive == []

    def test_the_end_of_the_host_is_the_end_of_all(self):
        """Kill a host in the middle of a run, so that it cannot clean up."""
        code = (
            "from sandboxes import EmbeddedSandbox, Limits, Program\n"
            "spin = Program('import time\\ndef f(x):\\n    while True: time.sleep(0.01)', 'f')\n"
            "with EmbeddedSandbox(servers=1) as sandbox:\n"
            "    sandbox.run(Program('def f(x): return x', 'f'), [1], Limits())\n"
            "    print('started', flush=True)\n"
            "    sandbox.run(spin, [1], Limits(seconds=60))\n"
        )
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as host:
            assert host.stdout.readline() == "started\n"
            [server] = servers(host.pid)
            scratch = Path(server.cwd())
            while not (children := server.children()):
                pass
            host.kill()
        _, alive = psutil.wait_procs([server, *children], timeout=10)
        assert alive == []
        assert not scratch.exists()

    def test_the_end_of_a_server_is_the_end_of_its_child(self):
        code = "import time\ndef f(x):\n    while True: time.sleep(0.01)"
        before = {server.pid for server in servers()}
        with EmbeddedSandbox(servers=1) as sandbox, ThreadPoolExecutor() as threads:
            sandbox.run(Program("def f(x): return x", "f"), [1], QUICK)
            [server] = [server for server in servers() if server.pid not in before]
            run = threads.submit(sandbox.run, Program(code, "f"), [1], Limits(seconds=0.1))
            while not (children := confined(server)):
                pass
            server.kill()
            _, alive = psutil.wait_procs(children, timeout=10)
            [execution] = run.result()  # by another server
        assert alive == []
        assert execution.status == "timed_out"


def servers(host: int | None = None) -> list[psutil.Process]:
    """The fork servers of a host, this process unless said otherwise."""
    children = psutil.Process(host or os.getpid()).children()
    alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if str(GUEST) in child.cmdline()]


def confined(server: psutil.Process) -> list[psutil.Process]:
    """The children of a server that have put on every layer."""
    status = [(child, Path(f"/proc/{child.pid}/status").read_text()) for child in server.children()]
    return [child for child, text in status if "Seccomp:\t2" in text]
