"""Every case of the conformance suite on every back end, and what only a sandbox of one's own can show."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from sandboxes import Limits, Program, SandboxError
from sandboxes.conformance import CHECKS, behaviour_cases, hostile_cases, run_cases, suite

PLUS_ONE = Program("def f(x): return x + 1", "f")
QUICK = Limits(seconds=0.3, memory_mb=64)


def named(cases):
    return [pytest.param(case, id=f"{case.group}: {case.name}") for case in cases]


def passes(sandbox, case):
    [result] = run_cases(sandbox, [case])
    if result.skipped:
        pytest.skip(result.skipped)
    assert result.problem is None


@pytest.mark.parametrize("case", named([*behaviour_cases(), *CHECKS]))
def test_behaviour(sandbox, case):
    passes(sandbox, case)


@pytest.mark.parametrize("case", named(hostile_cases()))
def test_harm_stays_with_the_program(sandbox, case):
    passes(sandbox, case)


class TestClosing:
    def test_ends_runs_under_way(self, make_sandbox):
        sandbox = make_sandbox()
        sandbox.run(PLUS_ONE, [1], QUICK)
        raised = []

        def spin() -> None:
            try:
                sandbox.run(Program("def f(x):\n    while True: pass", "f"), [1], Limits(seconds=60))
            except SandboxError as error:
                raised.append(str(error))

        thread = threading.Thread(target=spin)
        thread.start()
        sandbox.close()
        thread.join(timeout=20)
        assert not thread.is_alive()
        assert len(raised) == 1
        assert "closed" in raised[0]

    def test_twice_does_no_harm(self, make_sandbox):
        sandbox = make_sandbox()
        sandbox.run(PLUS_ONE, [1], QUICK)
        sandbox.close()
        sandbox.close()
        with pytest.raises(SandboxError, match="closed"):
            sandbox.run(PLUS_ONE, [1], QUICK)


class TestTheSuite:
    def test_no_two_cases_share_a_name(self):
        count = Counter((case.group, case.name) for case in suite())
        assert [name for name, times in count.items() if times > 1] == []

    def test_the_corpus_is_large(self):
        assert len(hostile_cases()) >= 100

    def test_every_source_is_what_it_claims_to_be(self):
        """A program that does not compile is raised, which would pass for a refused attack."""
        for case in hostile_cases():
            if case.group != "crashes":
                compile(case.source, case.name, "exec")
