"""Judging a program: what it keeps from one input to the next does not count."""

from __future__ import annotations

import pytest

from hypotheses.task import Task
from hypotheses.verification import verify
from sandboxes import EmbeddedSandbox, Limits, Program

TASK = Task.from_pairs([(1, 1), (1, 2), (1, 3)], queries=[1])
LIMITS = Limits(seconds=0.5, memory_mb=64)


@pytest.fixture(scope="module")
def sandbox():
    with EmbeddedSandbox(servers=1) as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    "source",
    [
        "n = 0\ndef f(x):\n    global n\n    n += 1\n    return n",
        "def f(x, seen=[]):\n    seen.append(x)\n    return len(seen)",
        "import itertools\nnumbers = itertools.count(1)\ndef f(x): return next(numbers)",
        "def f(x):\n    f.n = getattr(f, 'n', 0) + 1\n    return f.n",
        "import builtins\ndef f(x):\n    builtins.n = getattr(builtins, 'n', 0) + 1\n    return builtins.n",
    ],
    ids=["global", "default", "iterator", "attribute", "builtins"],
)
def test_a_program_that_counts_its_inputs_satisfies_nothing(sandbox, source):
    verdict = verify(Program(source, "f"), TASK, sandbox, LIMITS)
    assert not verdict.consistent
    assert verdict.correct == (True, False, False)
    assert [run.value for run in (*verdict.executions, *verdict.query_executions)] == [1, 1, 1, 1]


def test_a_program_without_memory_is_judged_as_before(sandbox):
    task = Task.from_pairs([(1, 2), (3, 4)], queries=[5])
    verdict = verify(Program("def f(x): return x + 1", "f"), task, sandbox, LIMITS)
    assert verdict.consistent
    assert verdict.query_executions[0].value == 6


def test_one_that_fails_an_example_is_run_once(sandbox):
    class Counting:
        runs = 0

        def run(self, *arguments):
            self.runs += 1
            return sandbox.run(*arguments)

    counting = Counting()
    task = Task.from_pairs([(1, 2), (3, 5)], queries=[5])
    assert not verify(Program("def f(x): return x + 1", "f"), task, counting, LIMITS).consistent
    assert counting.runs == 1
