from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from pathlib import Path

import pytest

from sandboxes import EmbeddedSandbox, Limits, Program, Sandbox, SandboxError
from sandboxes.cancellation import Cancellation, RunCancelledError
from sandboxes.values import canonical

pytest.importorskip("pydantic_monty")

from sandboxes.fast_path import FastSandbox, allow_list

LIMITS = Limits(seconds=0.5)


@pytest.fixture(scope="module")
def fast():
    with FastSandbox(EmbeddedSandbox(servers=1), servers=1) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def embedded():
    with EmbeddedSandbox(servers=1) as sandbox:
        yield sandbox


def run(sandbox, source, *inputs, call="single"):
    """Run a program, and say whether the fast path took it."""
    taken = sandbox.taken
    executions = sandbox.run(Program(source, "f", call), list(inputs), LIMITS)
    return executions, sandbox.taken > taken


def monty_processes() -> dict[int, int]:
    """Give the pid of each of Monty's processes below this one, with its driver's."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            if fields["Name"] == "monty" and fields["State"][0] != "Z":
                driver = int(fields["PPid"])
                parent = Path(f"/proc/{driver}/stat").read_text().rsplit(")", 1)[1].split()[1]
                if int(parent) == os.getpid():
                    found[int(status.parent.name)] = driver
        except (OSError, KeyError):
            continue
    return found


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("def f(x): return x + [1]", [3, 1, 3, 1]),
        (
            "def f(x):\n    y = []\n    for i, v in enumerate(x):\n        y.append(i * v)\n    return y",
            [0, 1, 6],
        ),
        ("def f(x): return sorted(set(x))", [1, 3]),
        ("def f(x): return sum(x) / len(x)", 7 / 3),
        ("from typing import List\ndef f(x: List[int]) -> list[int]: return x[::-1]", [3, 1, 3]),
        (
            "def g(n): return n if n < 2 else g(n - 1) + g(n - 2)\ndef f(x): return [g(n) for n in x]",
            [2, 1, 2],
        ),
        ("def f(x): return max(x, key=lambda v: -v)", 1),
        ("def f(x): return {v: x.index(v) for v in x}", {3: 0, 1: 1}),
    ],
)
def test_simple_programs_take_the_fast_path(fast, source, value):
    [execution], taken = run(fast, source, [3, 1, 3])
    assert taken
    assert (execution.status, canonical(execution.value)) == ("ok", canonical(value))


@pytest.mark.parametrize(
    "source",
    [
        "def f(x): return list(set(x))",
        "def f(x): return [v for v in {8, 1}]",
        "def f(x):\n    a = set(x)\n    if x:\n        b = a\n    return list(b)",
        "def g(x): return set(x)\ndef f(x): return list(g(x))",
        "def f(x): return map(str, x)",
        "def f(x): return (v for v in x)",
        "def f(x): return range(3)",
        "def f(x): return {1: 2}.keys()",
        "def f(x): return [range(3), len]",
        "def f(x):\n    x.append(x)\n    return x",
        "def f(x):\n    y = [1]\n    z = [y]\n    y.append(z)\n    return y",
        "def f(x):\n    for i, v in enumerate(x):\n        x.pop()\n    return x",
        "def f(x):\n    y = x\n    for i, v in enumerate(x):\n        y.pop()\n    return x",
        "def f(x):\n    y = zip(x, x)\n    x.append(3)\n    return list(y)",
        "def f(x):\n    seen = []\n    any(seen.append(v) or v == 3 for v in x)\n    return seen",
        "def f(x): return {1: 'a', True: 'b'}",
        "def f(x): return dict.fromkeys([1, 1 == 1])",
        "def f(x: Undefined): return x",
        "def f(x): return __name__",
        "def f(x): return hash('a')",
        "def f(x): return sorted([0.1, 0.2])",
        "def f(x):\n    try:\n        return x.unsupported()\n    except Exception:\n        return 1",
        "def f(x): return 'ß'.upper()",
        "def f(x): return 'abc' if x is x[:] else 'b'",
        "def f(x, acc=[]):\n    acc.append(1)\n    return acc",
        "def f(x): print(x)",
        "hex = 3\ndef f(x): return hex",
        "def f(x): return x[9]",
        "def f(x): return f(x)",
        "def f(x): return x",
        "def f(x) return x",
        "def g(x): return x",
        "def f(x):\n    while True: pass",
        "def f(x): return [0] * 10**7",
    ],
)
def test_programs_that_are_not_alike_give_what_the_back_end_gives(fast, embedded, source):
    given = [3, 1, 8, 3]
    executions, _ = run(fast, source, given, given)
    expected = embedded.run(Program(source, "f"), [given, given], LIMITS)
    assert [(e.status, e.value, e.stdout) for e in executions] == [
        (e.status, e.value, e.stdout) for e in expected
    ]


@pytest.mark.parametrize("given", [0.5, "é", "50%", 2**70, {1: 2}, {1, 2}, b"a", "\t", "<x>", "range(3)"])
def test_inputs_that_are_not_certain_go_to_the_back_end(fast, given):
    [execution], taken = run(fast, "def f(x): return x", given)
    assert not taken
    assert canonical(execution.value) == canonical(given)


@pytest.mark.parametrize(
    ("call", "source", "given"),
    [
        ("positional", "def f(x, y): return [y, x]", (1, [2])),
        ("keyword", "def f(x, y): return [y, x]", {"y": 1, "x": (2,)}),
        ("grid_list", "def f(x): return [list(row) for row in zip(*x)]", [[1, 2], [3, 4]]),
    ],
)
def test_ways_to_be_called(fast, embedded, call, source, given):
    [expected] = embedded.run(Program(source, "f", call), [given], LIMITS)
    [execution], taken = run(fast, source, given, call=call)
    assert taken
    assert canonical(execution.value) == canonical(expected.value)


@pytest.mark.parametrize("change", ["x[0][:] = [1]", "x[0][1 == 1] = 2", "x[0].update(x[1])"])
def test_dicts_among_the_inputs(fast, embedded, change):
    source = f"def f(x):\n    x[0][1] = 0\n    {change}\n    return x"
    for given in ([{"a": 1}, {"b": 2}], [{"a": True}, {"b": 2}]):
        [expected] = embedded.run(Program(source, "f"), [given], LIMITS)
        [execution], _ = run(fast, source, given)
        assert (execution.status, repr(execution.value)) == (expected.status, repr(expected.value))


def test_arrays_and_bad_inputs_are_for_the_back_end(fast):
    [execution], taken = run(fast, "def f(x): return x.tolist()", [[1]], call="grid_ndarray")
    assert (execution.value, taken) == ([[1]], False)
    with pytest.raises(ValueError, match="input 1"):
        run(fast, "def f(x): return x", 1, object())
    assert run(fast, "def f(x): return x") == ([], False)


def test_a_dead_monty_is_no_verdict(fast):
    for _ in range(2):
        assert run(fast, "def f(x): return x + 1", 1)[1]
        [monty] = monty_processes()
        os.kill(monty, signal.SIGKILL)
        [execution], taken = run(fast, "def f(x): return x + 1", 1)
        assert (execution.value, taken) == (2, False)
    assert run(fast, "def f(x): return x + 1", 1)[1]


def test_monty_and_its_driver_are_confined(fast):
    run(fast, "def f(x): return x + 1", 1)
    [(monty, driver)] = monty_processes().items()
    for pid in (monty, driver):
        for task in Path(f"/proc/{pid}/task").iterdir():
            fields = dict(
                line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line
            )
            assert fields["Seccomp"] == "2"
            assert fields["NoNewPrivs"] == "1"
            assert int(fields["CapEff"], 16) == 0
            assert "0" not in fields["Uid"].split()
    assert not any("seccomp" in os.readlink(link) for link in Path(f"/proc/{driver}/fd").iterdir())


def test_the_driver_takes_monty_with_it():
    with FastSandbox(EmbeddedSandbox(servers=1), servers=1) as sandbox:
        before = set(monty_processes())
        run(sandbox, "def f(x): return x", 1)
        [monty] = set(monty_processes()) - before
        descriptor = os.pidfd_open(monty)
    assert select.select([descriptor], [], [], 10)[0]
    os.close(descriptor)


def test_is_a_sandbox(fast):
    assert isinstance(fast, Sandbox)
    assert fast.concurrency == 1
    assert fast.environment.back_end.startswith("embedded + monty 1.")


def test_cancelled_runs_raise(fast):
    cancellation = Cancellation()
    timer = threading.Timer(0.1, cancellation.cancel)
    timer.start()
    with pytest.raises(RunCancelledError):
        fast.run(Program("def f(x):\n    while True: pass", "f"), [1], Limits(seconds=60), cancellation)
    timer.join()
    assert run(fast, "def f(x): return x + 1", 1)[0][0].value == 2


def test_closing_closes_the_back_end():
    base = EmbeddedSandbox(servers=1)
    sandbox = FastSandbox(base)
    sandbox.close()
    sandbox.close()
    for closed in (base, sandbox):
        with pytest.raises(SandboxError, match="closed"):
            closed.run(Program("def f(x): return x", "f"), [1], LIMITS)


def test_without_monty_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with (
        EmbeddedSandbox(servers=1) as base,
        pytest.raises(SandboxError, match=r"pip install 'induce\[monty\]'"),
    ):
        FastSandbox(base)


@pytest.mark.parametrize(
    "source",
    [
        "def f(x):\n    q = [5]\n    r = q\n    r *= 2\n    return [q, r]",
        "def g(a):\n    a *= 0\n    return a\ndef f(x):\n    g(x)\n    return x",
        "def f(x):\n    rows = [x, x]\n    for row in rows:\n        row *= 2\n    return rows",
        "def f(x):\n    n = 3\n    n *= len(x)\n    n *= 2\n    return n",
        "def f(x): return ''.find('', 3)",
        "def f(x): return str(len(x)).find('', 100)",
        "def f(x): return 'abc'.count('', 10, 2)",
        "def f(x): return 'abc'.startswith('', 100)",
        "def f(x): return list(enumerate([1, 2], 2 ** 63 - 1))",
        "def f(x): return sorted(x, reverse=None)",
        "def f(x): return list(reversed(zip(x, x)))",
        "def f(x): return int('0' * 5000)",
        "def f(x):\n    a = []\n    for _ in range(250):\n        a = [a]\n    return len(str(a))",
        "def f(x):\n    a = []\n    a.append(a)\n    return len(str(a))",
        "def f(x):\n    a = (1,)\n    for _ in x * 6:\n        b = a, a\n        a = b\n    return a in {a}",
        "def g(a): return (a, a)\ndef f(x):\n    a = (1,)\n    for _ in x * 6: a = g(a)\n    return a in {a}",
        "def f(x):\n    a, b = 0, 1\n    for _ in range(9):\n        a, b = b, a + b\n    return [a, b]",
    ],
)
def test_what_the_interpreters_do_differently_is_kept_out(fast, embedded, source):
    limits = Limits(seconds=5)
    program = Program(source, "f")
    [ours] = fast.run(program, [[3, 1, 2]], limits)
    [theirs] = embedded.run(program, [[3, 1, 2]], limits)
    assert (ours.status, ours.error) == (theirs.status, theirs.error)
    if ours.ok:
        assert canonical(ours.value) == canonical(theirs.value)


def test_a_value_that_is_shared_a_million_times_over_costs_no_time(fast):
    source = "def f(x):\n    a = [1]\n    for i in range(24):\n        a = [a] + [a]\n    return a"
    [execution] = fast.run(Program(source, "f"), [0], LIMITS)
    assert execution.status == "bad_output"


def test_a_long_expression_is_judged_in_no_time():
    source = f"def f(x):\n    y = {'|'.join(['x'] * 900)}\n    return y"
    started = time.monotonic()
    with contextlib.suppress(allow_list.Uncertain, RecursionError):  # as its process does
        allow_list.check(source, "f", truths=False, dicts=False)
    assert time.monotonic() - started < 3
