"""Whatever the fast path takes of what models wrote, it must answer as the embedded sandbox does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandboxes import EmbeddedSandbox, Execution, Limits, Program
from sandboxes.values import canonical
from tests.sandboxes.fast_path.recorded_programs import grid_programs, list_functions

pytest.importorskip("pydantic_monty")

from sandboxes.fast_path import FastSandbox

pytestmark = pytest.mark.benchmark_data

LIMITS = Limits(seconds=1)


def disagreements(programs: list[tuple[Program, list[Any]]]) -> tuple[int, list[str]]:
    """Count what the fast path takes, and give the sources on which it differs from the embedded sandbox."""
    differing = []
    with EmbeddedSandbox(servers=2) as embedded, FastSandbox(EmbeddedSandbox(servers=1)) as fast:
        for program, inputs in programs:
            taken = fast.taken
            found = fast.run(program, inputs, LIMITS)
            if fast.taken > taken and shown(found) != shown(embedded.run(program, inputs, LIMITS)):
                differing.append(program.source)
        return fast.taken, differing


def shown(executions: list[Execution]) -> list[tuple[object, ...]]:
    """Give all that must not depend on the path, the order of a dict included."""
    return [(one.status, canonical(one.value), repr(one.value), one.error, one.stdout) for one in executions]


def test_a_sample_of_list_functions(benchmark_data: Path):
    programs = [*list_functions(benchmark_data)][::10]
    taken, differing = disagreements(programs)
    assert differing == []
    assert taken > 0.8 * len(programs)


def test_a_sample_of_grid_programs(benchmark_data: Path):
    programs = [*grid_programs(benchmark_data)][::6]
    taken, differing = disagreements(programs)
    assert differing == []
    assert taken > 0.1 * len(programs)


@pytest.mark.slow
def test_all_programs(benchmark_data: Path):
    programs = [*list_functions(benchmark_data), *grid_programs(benchmark_data)]
    assert disagreements(programs)[1] == []
