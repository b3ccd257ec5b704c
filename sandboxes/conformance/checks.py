"""What takes more than one program to see, or an input that must be refused."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sandboxes.conformance.case import QUICK, Check
from sandboxes.execution import Execution
from sandboxes.limits import Limits
from sandboxes.program import CallStyle, Program
from sandboxes.sandbox import Sandbox

_PATIENT = Limits(seconds=10, memory_mb=512)
_MISFITS: tuple[tuple[CallStyle, Any], ...] = (
    ("single", object()),
    ("single", [1, {2: object}]),
    ("positional", 3),
    ("positional", "ab"),
    ("keyword", [1]),
    ("keyword", {1: 2}),
    ("grid_list", [[1], [2, 3]]),
    ("grid_list", [[1.5]]),
    ("grid_list", [[True]]),
    ("grid_ndarray", [[1 << 63]]),
    ("grid_ndarray", None),
    ("grid_ndarray", [None]),
)


def _refused(call: CallStyle, value: Any) -> Check:
    def run(sandbox: Sandbox) -> str | None:
        first: Any = {"positional": [], "keyword": {}}.get(call, [])
        try:
            executions = _run(sandbox, "def f(*x, **y): return 1", first, value, call=call)
        except ValueError as error:
            return (
                None if "input 1: " in str(error) else f"ValueError: {error}, which does not say which input"
            )
        return f"no ValueError: {executions}"

    return Check(f"an input that does not fit is refused: {call}, {_name(value)}", "calls", run)


def _inputs_are_copies(sandbox: Sandbox) -> str | None:
    shared = [1]
    executions = _run(sandbox, "def f(x):\n    x[0].append(2)\n    return x", [shared, shared], [shared])
    values = [execution.value for execution in executions]
    if values != [[[1, 2], [1]], [[1, 2]]]:
        return f"inputs that share a list came to the program as one: {values}"
    return None if shared == [1] else f"the host's own list became {shared}"


def _a_timeout_says_how_long(sandbox: Sandbox) -> str | None:
    [execution] = _run(sandbox, "def f(x):\n    while True: pass", 1)
    return None if execution.seconds >= QUICK.seconds else f"{execution.seconds} s of {QUICK.seconds} s"


_RANDOM = "import random\ndef f(x): return [random.random(), hash('a'), list({'a', 'b', 'c'})]"
_NUMPY_RANDOM = "import numpy as np\ndef f(x): return [np.random.rand(), np.random.default_rng().random()]"


def _repeatable(source: str) -> Any:
    def run(sandbox: Sandbox) -> str | None:
        values = [execution.value for execution in (*_run(sandbox, source, 1, 2), *_run(sandbox, source, 1))]
        if values[0] is None:
            return f"no value: {_run(sandbox, source, 1)}"
        return None if values[0] == values[1] == values[2] else f"three runs gave {values}"

    return run


def _threads(sandbox: Sandbox) -> str | None:
    def one(number: int) -> list[Any]:
        source = f"def f(x):\n    if x == 3: raise ValueError\n    return x * {number}"
        return [execution.value for execution in _run(sandbox, source, 1, 2, 3)]

    numbers = range(40)
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(one, numbers))
    wrong = [number for number in numbers if results[number] != [number, 2 * number, None]]
    return f"the programs {wrong} of 8 threads got results that are not theirs" if wrong else None


def _is_a_sandbox(sandbox: Sandbox) -> str | None:
    given: object = sandbox
    if not isinstance(given, Sandbox):
        return f"{type(given).__name__} lacks a method of sandboxes.Sandbox"
    return None if sandbox.concurrency >= 1 else f"concurrency is {sandbox.concurrency}"


def _errors_are_printable(sandbox: Sandbox) -> str | None:
    source = "def f(x): raise ValueError('\\x1b[2J\\x00\\u202e\\ud800' + 'red\\n\\x85' * 9999)"
    [execution] = _run(sandbox, source, 0)
    error = execution.error or ""
    if execution.status != "raised" or not error.startswith("ValueError"):
        return f"{execution.status}: {error!r}"
    if not error.isprintable():
        return f"the error can command a terminal: {error!r}"
    return None if len(error) < 1000 else f"the error has {len(error)} characters"


def _errors_are_cut(sandbox: Sandbox) -> str | None:
    source = "def f(x): raise type('\\U0001f600' * 10 ** 5, (Exception,), {})"
    [execution] = _run(sandbox, source, 0)
    error = execution.error or ""
    if execution.status != "raised" or not error.startswith("\U0001f600"):
        return f"{execution.status}: {error[:100]!r}"
    return None if len(error) <= 1000 else f"the error has {len(error)} characters"


_SEARCH = """
import ctypes, gc, os, sys
libc = ctypes.CDLL(None, use_errno=True)
EFAULT, PAGE, BLOCK = 14, 4096, 1 << 21
nowhere = [ctypes.c_long(-1)] * 6
SIGPROCMASK = 14 if libc.syscall(ctypes.c_long(39), *nowhere) == os.getpid() else 135  # x86_64, aarch64

def readable(address):
    # The kernel copies the mask in before it looks at anything else: EFAULT tells that nothing is mapped.
    ctypes.set_errno(0)
    libc.syscall(*map(ctypes.c_long, (SIGPROCMASK, 99, address, 0, 8)))
    return ctypes.get_errno() != EFAULT

def region(address):
    "The mapped pages around an address, as far as they go without a gap."
    start = end = address & -PAGE
    while readable(start - PAGE): start -= PAGE
    while readable(end): end += PAGE
    return start, end

def count(memory, head, reversed_tail):
    "How often the head stands before the tail, which never lie side by side in this program's own memory."
    found, at = 0, memory.find(head)
    while at >= 0:
        tail = memory[at + len(head):at + len(head) + len(reversed_tail)]
        found += tail[::-1] == reversed_tail
        at = memory.find(head, at + 1)
    return found

def f(given):
    if isinstance(given, str): return len(given)
    head, reversed_tail = given
    places = [id(thing) for thing in gc.get_objects()] + [id(module) for module in sys.modules.values()]
    frame = sys._getframe()
    while frame is not None:
        places += [id(frame)] + [id(thing) for thing in frame.f_locals.values()]
        frame = frame.f_back
    regions, found, searched = [], 0, 0
    for place in sorted(places):
        if regions and place < regions[-1][1]: continue
        start, end = region(place)
        regions.append((start, end))
        for block in range(start, end, BLOCK):
            length = min(BLOCK + 64, end - block)  # a marker may lie across two blocks
            found += count(ctypes.string_at(block, length), head, reversed_tail)
        searched += end - start
    return found, searched
"""


def _secrets(sandbox: Sandbox) -> str | None:
    """Search a program's memory for what another one was given, and for what it was given itself.

    The two halves of the marker come to the searcher apart, and the second reversed. That it finds what *is*
    in its memory shows that the search works.
    """
    marker = secrets.token_hex(16)
    halves = (marker[:16].encode(), marker[16:][::-1].encode())
    kept = f"secret = {marker!r}\nimport sys\nsys.kept = [secret] * 9\n"
    for _ in range(5):
        _run(sandbox, f"{kept}def f(x):\n    print(x)\n    raise ValueError(secret, x)", *[marker] * 20)
        _run(sandbox, f"{kept}def f(x):\n    print(x)\n    return [x, secret]", *[marker] * 20)
    [execution] = _run(sandbox, _SEARCH, halves, limits=_PATIENT)
    if not execution.ok:
        return f"the search failed: {execution.status} ({execution.error})"
    found, searched = execution.value
    if found:
        return f"{found} traces of an earlier program in {searched} bytes of memory"
    [_, execution] = _run(sandbox, _SEARCH, marker, halves, limits=_PATIENT)
    if not execution.ok:
        return f"the search failed: {execution.status} ({execution.error})"
    return (
        None if execution.value[0] else f"the search finds nothing, not even what is there: {execution.value}"
    )


def _name(value: Any) -> str:
    return "an object" if type(value) is object else repr(value)


def _run(
    sandbox: Sandbox, source: str, *inputs: Any, call: CallStyle = "single", limits: Limits = QUICK
) -> list[Execution]:
    return sandbox.run(Program(source, "f", call), inputs, limits)


CHECKS: tuple[Check, ...] = (
    Check("it is a sandbox", "sandbox", _is_a_sandbox),
    Check("threads run programs at once", "sandbox", _threads),
    *(_refused(call, value) for call, value in _MISFITS),
    Check("each input is a fresh copy", "inputs", _inputs_are_copies),
    Check("runs are repeatable", "inputs", _repeatable(_RANDOM)),
    Check("runs with numpy are repeatable", "inputs", _repeatable(_NUMPY_RANDOM), needs=("numpy",)),
    Check("a timeout says how long", "statuses", _a_timeout_says_how_long),
    Check("an error cannot command a terminal", "results", _errors_are_printable),
    Check("an error of any length is cut", "results", _errors_are_cut),
    Check("nothing of another program is left in memory", "secrets", _secrets),
)
"""The checks of the suite."""
