"""Search on published tasks, a sample of them, within a fixed number of terms."""

import os
from pathlib import Path

import pytest

from hypotheses.search import search
from hypotheses.sygus.semantics import evaluate, is_term_of
from hypotheses.sygus.terms import parse_define_fun
from induce.tasks.labelled import LabelledTask, ReadOptions
from induce.tasks.sygus import SygusReader

DATA = os.environ.get("INDUCE_BENCHMARK_DATA")

pytestmark = [
    pytest.mark.benchmark_data,
    pytest.mark.skipif(DATA is None, reason="INDUCE_BENCHMARK_DATA is not set"),
]


def sample():
    """Every sixteenth file of the track that holds a task."""
    paths = sorted(Path(DATA, "sygus", "PBE_SLIA_Track").rglob("*.sl"))[::16]
    items = [item for path in paths for item in SygusReader().read(path, ReadOptions())]
    return [item.task for item in items if isinstance(item, LabelledTask)]


def test_most_sygus_string_tasks_are_solved_and_every_solution_stands_up_to_the_standard():
    tasks = sample()
    solved = 0
    for task in tasks:
        result = search(task, seconds=None, max_terms=300_000)
        if result.found:
            solved += 1
            function = parse_define_fun(result.found.definition)
            assert is_term_of(function.body, task.grammar)
            names = [name for name, _ in function.parameters]
            for example in task.examples:
                values = [example.input] if task.signature.call == "single" else example.input
                assert evaluate(function.body, dict(zip(names, values, strict=True))) == example.output
    assert solved >= 0.6 * len(tasks)
