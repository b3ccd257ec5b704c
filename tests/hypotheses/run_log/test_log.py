"""The run log: whole, append-only, and clear about what is wrong."""

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from run_logs import rows
from sqlalchemy.exc import DatabaseError

from hypotheses.hypothesis import (
    Candidate,
    Completion,
    Entry,
    Hypothesis,
    Judged,
    Proposal,
    Solution,
    Trace,
    Usage,
    Verdict,
)
from hypotheses.run_log import Event, RunInfo, RunLog
from hypotheses.run_log.schema import METADATA
from hypotheses.task import Task
from sandboxes import Environment, Execution, Program, RunLogError

INFO = RunInfo("tasks.jsonl", {"shots": None}, "abc", 3, "search", "", {"limits": {}}, "0.1.0")
VERSION_1 = Path(__file__).parents[2] / "data" / "run_log_1.db"
TASK = Task.from_pairs([("a", (1, b"x"))], queries=["b"], id="one")


def trace_and_solution(task_id="one"):
    program = Program("def f(x): return (1, b'x')", "f")
    hypothesis = Hypothesis("always the same", ("an older rule",), "scripted")
    asked = Completion("hypothesis", "what is the rule?", "Rule: always the same", "m", 0.7, 7, 10, 5)
    unread = Completion("program", "in Python!", "I cannot.", "m")
    written = Completion("translation", "in Python?", "```python```", "m", 0.0)
    verdict = Verdict(
        (Execution("ok", (1, b"x"), stdout="hi\n", seconds=0.25),),
        (True,),
        (Execution("raised", error="ValueError: no"),),
    )
    candidate = Candidate(hypothesis, program, 1, 2, written)
    other = Candidate(hypothesis, program, 1, 2)
    judged = (Judged(candidate, verdict), Judged(other, verdict))
    entry = Entry(1, 2, Proposal(hypothesis, None, asked), judged)
    trace = Trace((entry,), ((1, asked), (1, written), (1, unread)))
    solution = Solution(
        task_id, "solved", (((1, b"x"),),), candidate, verdict, Usage(seconds=1.5, terms=3), ""
    )
    return trace, solution


def test_what_is_recorded_comes_back(address):
    trace, solution = trace_and_solution()
    with RunLog.create(address, INFO) as log:
        assert not log.finished("one")
        log.record(TASK, trace, solution)
        assert log.finished("one")
    with RunLog.open(address) as log:
        [read] = log.solutions()
        assert (read.task_id, read.outcome, read.predictions) == ("one", "solved", solution.predictions)
        assert (read.usage, read.verdict) == (solution.usage, solution.verdict)
        assert read.candidate.program == solution.candidate.program
        assert read.candidate.hypothesis == solution.candidate.hypothesis
        assert [one.verdict for one in log.judged("one")] == [solution.verdict] * 2
        assert log.count() == {"solved": 1}
        assert (log.info.source, log.info.tasks, log.info.source_options) == (
            "tasks.jsonl",
            3,
            {"shots": None},
        )
        assert log.info.created


def test_completions_are_kept_with_what_was_asked(tmp_path):
    with RunLog.create(tmp_path / "run.sqlite", INFO) as log:
        trace, solution = trace_and_solution()
        log.record(TASK, trace, solution)
    database = sqlite3.connect(tmp_path / "run.sqlite")
    rows = database.execute(
        "SELECT kind, text, response, sampling, prompt_tokens, sample FROM completions "
        "JOIN requests ON request_id = requests.id, json_each(messages) AS m "
        "JOIN messages ON messages.id = json_extract(m.value, '$[1]')"
    )
    assert rows.fetchall() == [
        ("hypothesis", "what is the rule?", "Rule: always the same", '{"temperature": 0.7}', 10, 7),
        ("translation", "in Python?", "```python```", '{"temperature": 0.0}', 0, 0),
        ("program", "in Python!", "I cannot.", "{}", 0, 0),
    ]
    database.close()


def test_a_task_is_recorded_wholly_or_not_at_all(address):
    with RunLog.create(address, INFO) as log:
        trace, solution = trace_and_solution()
        log.record(TASK, trace, solution)
        with pytest.raises(RunLogError, match=r"(?i)unique"):
            log.record(TASK, trace, solution)
    assert rows(address, "SELECT count(*) FROM hypotheses") == [(1,)]


@pytest.mark.parametrize("table", sorted(METADATA.tables))
def test_nothing_can_be_changed_or_deleted(address, table):
    with RunLog.create(address, INFO) as log:
        trace, solution = trace_and_solution()
        log.record(TASK, trace, solution)
        log.enter(Environment("embedded", "3.12.1", {}))
        log.lease(["one"], "me")
        log.note([Event(1.5, "begun")])
    RunLog.signal(address, "cancel")
    [column, *_] = METADATA.tables[table].columns.keys()
    statements = [f"DELETE FROM {table}", f"UPDATE {table} SET {column} = {column}"]
    if address.startswith("postgresql"):
        statements.append(f"TRUNCATE {table} CASCADE")
    for statement in statements:
        with pytest.raises((sqlite3.IntegrityError, DatabaseError), match="append-only"):
            rows(address, statement)


def test_a_run_is_never_overwritten(address):
    RunLog.create(address, INFO).close()
    with pytest.raises(RunLogError, match="exists already; if it is a run, go on with `induce resume"):
        RunLog.create(address, INFO)


def test_two_processes_cannot_go_on_with_one_run(address):
    script = (
        "import sys; from hypotheses.run_log import RunLog; from sandboxes import RunLogError\n"
        "try: RunLog.open(sys.argv[1], read_only=False)\nexcept RunLogError as error: print(error)"
    )
    with RunLog.create(address, INFO):
        other = subprocess.run(
            [sys.executable, "-c", script, address], capture_output=True, text=True, check=True
        )
    assert "is being written by another process" in other.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no run log of induce"),
        (b"not a database, but long enough to be looked at" * 50, "not a database"),
    ],
)
def test_a_file_that_is_no_run_log_is_refused(tmp_path, content, message):
    (tmp_path / "run.sqlite").write_bytes(content)
    with pytest.raises(RunLogError, match=message):
        RunLog.open(tmp_path / "run.sqlite")
    assert (tmp_path / "run.sqlite").read_bytes() == content


def test_a_missing_log_and_another_schema_are_named(tmp_path):
    with pytest.raises(RunLogError, match="there is no run log"):
        RunLog.open(tmp_path / "none.sqlite")
    RunLog.create(tmp_path / "run.sqlite", INFO).close()
    database = sqlite3.connect(tmp_path / "run.sqlite")
    database.execute("DROP TRIGGER run_no_update")
    database.execute("UPDATE run SET schema_version = 99")
    database.commit()
    database.close()
    with pytest.raises(RunLogError, match="schema version 99 and this induce reads 3 and older"):
        RunLog.open(tmp_path / "run.sqlite")


def test_an_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunLogError, match=r"cannot start the run log .*; check its folder"):
        RunLog.create(tmp_path / "file" / "run.sqlite", INFO)


def test_a_full_disk_loses_nothing_that_was_recorded(tmp_path):
    path = tmp_path / "run.sqlite"
    with RunLog.create(path, INFO) as log:
        [pages] = log._at_hand(lambda driver: driver.execute("PRAGMA page_count").fetchone())
        log._at_hand(lambda driver: driver.execute(f"PRAGMA max_page_count = {pages + 20}"))
        recorded = []

        def fill():
            for n in range(1000):
                trace, solution = trace_and_solution(str(n))
                log.record(Task.from_pairs([(1, 1)], id=str(n)), trace, solution)
                recorded.append(str(n))

        with pytest.raises(RunLogError, match=r"disk is full; what was recorded before is safe"):
            fill()
    with RunLog.open(path) as log:
        assert [solution.task_id for solution in log.solutions()] == recorded
    assert recorded


def test_strange_paths_work(tmp_path):
    path = tmp_path / "a run?mode=memory#1 %41.sqlite"
    with RunLog.create(path, INFO) as log:
        trace, solution = trace_and_solution()
        log.record(TASK, trace, solution)
    assert path.is_file()
    with RunLog.open(path) as log:
        assert log.count() == {"solved": 1}


def damaged(path, *statements):
    """Make a log with one recorded task, and change it behind our back."""
    with RunLog.create(path, INFO) as log:
        trace, solution = trace_and_solution()
        log.record(TASK, trace, solution)
    database = sqlite3.connect(path)
    triggers = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        database.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        database.execute(statement)
    for _, sql in triggers:
        database.execute(sql)
    database.commit()
    database.close()
    return path


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE solutions SET outcome = 'x'",
        "UPDATE solutions SET usage = '{\"evil\": 1}'",
        "UPDATE solutions SET predictions = '['",
        "UPDATE solutions SET predictions = '[1, 2]'",
        "UPDATE verdicts SET executions = '[[1]]'",
    ],
)
def test_a_damaged_record_is_our_error(tmp_path, change):
    path = damaged(tmp_path / "run.sqlite", change)
    with RunLog.open(path) as log, pytest.raises(RunLogError, match="is damaged"):
        list(log.solutions())


def test_a_database_with_views_or_foreign_triggers_is_refused(tmp_path):
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
    path = damaged(tmp_path / "run.sqlite", f"CREATE VIEW endless AS {endless}")
    with pytest.raises(RunLogError, match="other tables, views or triggers"):
        RunLog.open(path)
    view = tmp_path / "view.sqlite"
    database = sqlite3.connect(view)
    database.execute(f"CREATE VIEW run AS {endless}")
    database.close()
    with pytest.raises(RunLogError, match="is no run log of induce"):
        RunLog.open(view)


def test_only_a_run_log_that_nobody_writes_is_deleted(tmp_path):
    path = tmp_path / "run.sqlite"
    with RunLog.create(path, INFO), pytest.raises(RunLogError, match="another process"):
        RunLog.delete(path)
    assert path.exists()
    assert RunLog.delete(path) > 0
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "diary.sqlite").write_bytes(b"")
    with pytest.raises(RunLogError):
        RunLog.delete(tmp_path / "diary.sqlite")
    assert (tmp_path / "diary.sqlite").exists()


def test_values_as_deep_as_a_sandbox_gives_them_fit(address):
    deep = 1
    for _ in range(99):
        deep = [deep]
    _, solution = trace_and_solution()
    verdict = Verdict((Execution("ok", deep),), (True,), (Execution("ok", deep),))
    candidate = replace(solution.candidate, completion=None)
    judged = Judged(candidate, verdict)
    deep_trace = Trace((Entry(0, 0, Proposal(candidate.hypothesis), (judged,)),))
    answer = Solution("one", "solved", ((deep,),), candidate, verdict)
    with RunLog.create(address, INFO) as log:
        log.record(TASK, deep_trace, answer)
        [read] = log.solutions()
    assert read.predictions == ((deep,),)
    assert read.verdict == verdict


def test_a_closed_log_cannot_be_written(address):
    log = RunLog.create(address, INFO)
    log.close()
    trace, solution = trace_and_solution()
    with pytest.raises(RunLogError, match="not open for writing"):
        log.record(TASK, trace, solution)
    with (
        RunLog.open(address) as reader,
        pytest.raises(RunLogError, match="not open for writing"),
    ):
        reader.record(TASK, trace, solution)


def test_a_file_of_the_users_gets_no_lock_beside_it(tmp_path):
    (tmp_path / "tasks.jsonl").write_text("{}")
    with pytest.raises(RunLogError, match="exists already"):
        RunLog.create(tmp_path / "tasks.jsonl", INFO)
    with pytest.raises(RunLogError, match="is no run log"):
        RunLog.open(tmp_path / "tasks.jsonl", read_only=False)
    assert [path.name for path in tmp_path.iterdir()] == ["tasks.jsonl"]


class TestEnvironments:
    HERE = Environment("embedded", "3.12.1", {"numpy": "2.4.6"})
    THERE = Environment("docker", "3.11.7", {"numpy": "1.26.4", "scipy": "1.10.1"}, {"image": "x:1"})

    def test_are_kept_in_order_each_time_they_change(self, address):
        with RunLog.create(address, INFO) as log:
            assert log.environments == []
            assert log.enter(self.HERE)
            assert log.enter(self.HERE)
            assert not log.enter(self.THERE)
            assert not log.enter(self.HERE)
        with RunLog.open(address) as log:
            assert log.environments == [self.HERE, self.THERE, self.HERE]
            with pytest.raises(RunLogError, match="not open for writing"):
                log.enter(self.HERE)

    def test_a_log_from_before_they_were_kept_can_be_read_and_gone_on_with(self, tmp_path):
        path = tmp_path / "run.sqlite"
        shutil.copy(VERSION_1, path)
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DROP TABLE environments")
        with RunLog.open(path) as log:
            assert log.environments == []
        with RunLog.open(path, read_only=False) as log:
            assert log.enter(self.HERE)
        with RunLog.open(path) as log:
            assert log.environments == [self.HERE]

    def test_are_named_in_words(self):
        assert str(self.HERE) == "Python 3.12.1 with numpy 2.4.6 (embedded)"
        assert str(self.THERE) == "Python 3.11.7 with numpy 1.26.4 and scipy 1.10.1 (docker, x:1)"
