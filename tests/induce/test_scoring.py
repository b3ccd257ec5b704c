"""Scores, and the way they are taken from a run."""

import json

import pytest

import induce
from hypotheses.run_log import RunLog
from induce.runs import reload_tasks
from induce.scoring import score_run
from sandboxes import RunLogError

TASKS = [
    {"task": "right", "program": "x + 1", "pairs": [(1, 2), (2, 3)], "queries": [(5, 6), (7, 8)]},
    {"task": "half", "program": "x + 1", "pairs": [(1, 2), (2, 3)], "queries": [(5, 6), (7, 7654321)]},
    {"task": "wrong", "program": "x", "pairs": [(1, 2)], "queries": [(5, 6)]},
    {"task": "unknown", "program": "x", "pairs": [(1, 1)], "queries": [(5, None)]},
]


@pytest.fixture
def run(tmp_path):
    """A recorded run over four small tasks, and the file of the tasks."""
    tasks, transcript = tmp_path / "tasks.jsonl", tmp_path / "transcript.jsonl"
    with tasks.open("w") as file:
        for one in TASKS:
            examples = [{"input": x, "output": y} for x, y in one["pairs"]]
            queries = [{"input": x} | ({} if y is None else {"output": y}) for x, y in one["queries"]]
            file.write(json.dumps({"id": one["task"], "examples": examples, "queries": queries}) + "\n")
    with transcript.open("w") as file:
        for one in TASKS:
            source = f"def f(x):\n    return {one['program']}"
            file.write(json.dumps({"task": one["task"], "kind": "program", "program": source}) + "\n")
    out = tmp_path / "run.sqlite"
    induce.solve(tasks, proposer=f"recorded:{transcript}", out=out)
    return out, tasks


def fail(error):
    raise error


def test_every_task_with_answers_is_in_the_denominator(run):
    out, _ = run
    with RunLog.open(out) as log:
        score = score_run(log, reload_tasks(log, fail), oracle=True)
    assert (score.tasks, score.queries) == (3, 5)
    assert (score.correct_tasks, score.correct_queries) == (1, 3)
    assert score.accuracy == pytest.approx(3 / 5)
    assert score.task_accuracy == pytest.approx(1 / 3)
    assert (score.all_tasks, score.solved, score.unfinished) == (4, 3, 0)
    assert (score.oracle_accuracy, score.oracle_task_accuracy) == (score.accuracy, score.task_accuracy)


def test_the_log_holds_no_answer(run):
    """The answer that no program gave, a number nothing else has, is nowhere in the file."""
    out, _ = run
    assert b"7654321" not in out.read_bytes()
    with RunLog.open(out) as log:
        assert [solution.predictions for solution in log.solutions() if solution.task_id == "half"] == [
            ((6,), (8,))
        ]


def test_changed_tasks_are_refused(run):
    out, tasks = run
    tasks.write_text(tasks.read_text().replace("7654321", "8"))
    with RunLog.open(out) as log, pytest.raises(RunLogError, match="content hash differs"):
        reload_tasks(log, fail)


def test_moved_tasks_can_be_named(run, tmp_path):
    out, tasks = run
    (tmp_path / "elsewhere").mkdir()
    moved = tasks.rename(tmp_path / "elsewhere" / tasks.name)
    with RunLog.open(out) as log:
        assert score_run(log, reload_tasks(log, fail, str(moved))).tasks == 3
