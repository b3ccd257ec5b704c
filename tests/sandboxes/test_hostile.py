"""Programs that mean harm, or do it: what becomes of each, and that the next program notices nothing."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator

import pytest

from sandboxes import EmbeddedSandbox, Limits, Program, Sandbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the embedded sandbox needs Linux")

QUICK = Limits(seconds=0.1, memory_mb=64, output_bytes=10_000)
PATIENT = Limits(seconds=5, memory_mb=64, output_bytes=10_000)

PRELUDE = """
import ctypes, gc, os, random, signal, struct, sys, time, types
libc = ctypes.CDLL(None)
def tell(kind, payload):
    "Write a frame to whatever descriptor there is."
    for d in range(3, 16):
        try: os.write(d, struct.pack('!cI', kind, len(payload)) + payload)
        except OSError: pass
def forge(value, output=b'', head=b'{"status":"ok","error":null,"seconds":0}'):
    tell(b'R', head + b'\\n' + value + b'\\n' + output)
"""

TIMED_OUT = {
    "endless loop": "while True: pass",
    "endless loop in C": "sum(iter(int, 1))",
    "huge power": "return len(str(3 ** (10 ** 8)))",
    "catastrophic regular expression": "import re; re.match('(a|a)*$', 'a' * 60 + 'b')",
    "sleep": "time.sleep(1e6)",
    "endless swallowing": """
        while True:
            try:
                while True: pass
            except BaseException: pass
    """,
    "all signals ignored": """
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        while True: pass
    """,
    "endless message": """
        class Endless(Exception):
            def __str__(self):
                while True: pass
        raise Endless
    """,
    "endless collection": """
        def again(*_):
            while True: pass
        gc.callbacks.append(again)
        gc.collect()
    """,
    "endless finalizer": """
        class Endless:
            def __del__(self):
                while True: pass
        Endless()
    """,
    "endless trace": """
        def trace(*_):
            while True: pass
        sys.settrace(trace)
        sorted([2, 1], key=lambda x: x)
    """,
    "half a result, then silence": """
        for d in range(3, 16):
            try: os.write(d, b'R' + struct.pack('!I', 100) + b'half')
            except OSError: pass
        while True: pass
    """,
}

OUT_OF_MEMORY = {
    "growing list": "x = []\nwhile True: x.append(bytes(10 ** 6))",
    "bytes": "return len(bytes(10 ** 10))",
    "array": "import numpy as np; return float(np.ones(10 ** 9).sum())",
    "doubling string": "x = 'ab'\nwhile True: x += x",
    "doubling list": "x = [0]\nwhile True: x += x",
    "everything kept": "global keep\nkeep = []\nwhile True: keep.append([0] * 10000)",
    "memory error from memory error": """
        try: bytes(10 ** 10)
        except MemoryError as error: raise MemoryError from error
    """,
}

RAISED = {
    "read a file": "open('/etc/passwd').read()",
    "read its environment": "open('/proc/self/environ', 'rb').read()",
    "read the host's environment": "open(f'/proc/{os.getppid()}/environ', 'rb').read()",
    "read memory through a file": "open('/proc/self/mem', 'rb')",
    "write a file": "open('/tmp/hostile', 'w').write('x')",
    "write where it is": "open('hostile', 'w').write('x')",
    "list a folder": "os.listdir('/')",
    "learn where it is": "os.getcwd()",
    "make a folder": "os.mkdir('/tmp/hostile')",
    "change a mode": "os.chmod('/tmp', 0)",
    "make a link": "os.symlink('/etc/passwd', 'hostile')",
    "remove a file": "os.unlink('/etc/hostname')",
    "change its root": "os.chroot('/')",
    "fork": "os.fork()",
    "fork bomb": "while True: os.fork()",
    "daemon": "if os.fork() == 0:\n    os.setsid()\n    while True: time.sleep(1)",
    "thread": "import threading; threading.Thread(target=time.sleep, args=(9,)).start()",
    "become a shell": "os.execv('/bin/sh', ['sh'])",
    "spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "kill all": "os.kill(-1, 9)",
    "kill the server": "os.kill(os.getppid(), 9)",
    "kill itself": "os.kill(os.getpid(), 9)",
    "set a timer": "signal.setitimer(signal.ITIMER_REAL, 0.1)",
    "become root": "os.setuid(0)",
    "be served first": "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
    "slow the server": "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "pin itself to a core": "os.sched_setaffinity(0, {0})",
    "raise its limits": "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "duplicate a descriptor": "os.dup(0)",
    "pipe": "os.pipe()",
    "memory file": "os.memfd_create('x')",
    "network": "import socket; socket.create_connection(('127.0.0.1', 80))",
    "executable memory": "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
    "host name": "os.uname()",
    "deep recursion": "def g(): return g()\ng()",
    "library": "ctypes.CDLL('libssl.so.3')",
    "module of the system": "import subprocess",
}

KILLED = {
    "exit": "os._exit(0)",
    "exit through C": "libc._exit(3)",
    "null pointer": "ctypes.string_at(0)",
    "abort": "os.abort()",
    "deep recursion in C": "x = ()\nfor _ in range(2 * 10 ** 5): x = (x,)\nhash(x)",
    "jump into data": """
        code = ctypes.create_string_buffer(b'\\xb8\\x27\\x00\\x00\\x00\\x0f\\x05\\xc3')
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(code))()
    """,
    "no descriptors": "for d in range(64):\n    try: os.close(d)\n    except OSError: pass",
    "noise": "tell(b'\\xff', b'noise')",
    "a result without end": """
        for d in range(3, 16):
            try: os.write(d, b'R' + b'\\xff' * 4)
            except OSError: pass
    """,
    "a result that is no JSON": "tell(b'R', b'{')",
    "a result without fields": "tell(b'R', b'{}')",
    "a result without a value": "forge(b'')",
    "a result that is no data": """forge(b'{"$set":[[]]}')""",
    "a result too deep to read": "forge(b'[' * 5000 + b']' * 5000)",
    "a result a little too deep": "forge(b'[' * 101 + b']' * 101)",
    "a result too long to read": "forge(b'[' + b'[],' * 5000 + b'0]')",
    "a result with a head too long to read": "forge(b'1', head=b'[' + b'[],' * 23000 + b'0]')",
    "a result slow to hash": """
        forge(b'{"$set":[' + b','.join(b'%d' % (i * (2 ** 61 - 1)) for i in range(300)) + b']}')
    """,
    "a result of many empty rows": """
        forge(b'{"$ndarray":{"dtype":"int8","shape":[10000000,0],"data":[]}}')
    """,
    "a status that is not its own": """
        forge(b'1', head=b'{"status":"timed_out","error":"","seconds":0}')
    """,
    "time that runs backwards": """
        forge(b'1', head=b'{"status":"ok","error":null,"seconds":-1}')
    """,
    "the server's last word": "tell(b'E', b'{}')",
    "a broken sandbox": "tell(b'B', b'I am broken')",
    "output beyond the limit": "forge(b'1', output=b'x' * 20000)",
    "output that is no text": "forge(b'1', output=b'\\xff')",
    "another greeting": "tell(b'H', b'{\"protocol\":99}')",
}

OK = {
    "huge output": "print('x' * 10 ** 6)",
    "noise on standard streams": "os.write(1, b'noise' * 1000); os.write(2, b'noise')",
    "another standard output": "sys.stdout = None; sys.stderr = 3",
    "a closed standard output": "sys.stdout.close(); sys.stderr.close()",
    "no modules": "sys.modules.clear()",
    "no recursion": "sys.setrecursionlimit(60)",
    "exit handlers": "import atexit; atexit.register(os.kill, -1, 9)",
    "a poisoned encoder": "import json; json.dumps = json.JSONEncoder.encode = lambda *_: '[]'",
    "time that stands still": "time.process_time = time.monotonic = lambda: 0.0",
    "all garbage disabled": "gc.disable(); gc.set_threshold(0)",
    "a lying list": """
        class Lying(list):
            def __iter__(self):
                while True: yield 0
        return list.__len__(Lying([1]))
    """,
}

EXPECTED = {
    "timed_out": TIMED_OUT,
    "out_of_memory": OUT_OF_MEMORY,
    "raised": RAISED,
    "killed": KILLED,
    "ok": OK,
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with EmbeddedSandbox(servers=1) as sandbox:
        yield sandbox


def indented(body: str) -> str:
    return textwrap.indent(textwrap.dedent(body), "    ")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(status, body, id=name)
        for status, bodies in EXPECTED.items()
        for name, body in bodies.items()
    ],
)
def test_harm_stays_with_the_program(sandbox, status, body):
    source = f"{PRELUDE}\ndef f(x):\n    if x == 0: return 0\n{indented(body)}"
    limits = QUICK if status == "timed_out" else PATIENT
    before, harmed, after = sandbox.run(Program(source, "f"), [0, 1, 0], limits)
    assert (before.status, before.value) == ("ok", 0)
    assert harmed.status == status, harmed
    if status not in ("raised", "ok"):  # it died, so what follows ran in a fork without it
        assert (after.status, after.value) == ("ok", 0)
    [next_program] = sandbox.run(Program("def f(x): return x + 1", "f"), [41], QUICK)
    assert next_program.value == 42


def test_an_error_cannot_command_a_terminal(sandbox):
    source = "def f(x): raise ValueError('\\x1b[2J\\x00\\u202e\\ud800' + 'red\\n\\x85' * 9999)"
    [execution] = sandbox.run(Program(source, "f"), [0], QUICK)
    assert execution.error.isprintable()
    assert len(execution.error) < 1000


def test_an_error_of_any_length_is_cut(sandbox):
    source = "def f(x): raise type('\\U0001f600' * 10 ** 5, (Exception,), {})"
    [execution] = sandbox.run(Program(source, "f"), [0], PATIENT)
    assert (execution.status, execution.error) == ("raised", "\U0001f600" * 1000)


def test_what_is_printed_may_look_like_a_result(sandbox):
    printed = '1\n{"status":"ok"}\n\n2\n'
    [execution] = sandbox.run(Program(f"def f(x): print({printed!r}, end='')", "f"), [0], QUICK)
    assert (execution.status, execution.value, execution.stdout) == ("ok", None, printed)


def test_a_program_that_forges_results_deceives_itself_alone(sandbox):
    """It may lie about its own values, which it could as well return, never about how many there are."""
    source = f"{PRELUDE}\ndef f(x):\n    forge(b'99')\n    return x"
    executions = sandbox.run(Program(source, "f"), [1, 2, 3], QUICK)
    assert [execution.value for execution in executions] == [99, 1, 99]
    assert sandbox.run(Program("def f(x): return x", "f"), [1], QUICK)[0].value == 1
