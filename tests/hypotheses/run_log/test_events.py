"""A timeline that somebody else wrote."""

import contextlib
import sqlite3

import pytest

from hypotheses.run_log import RunInfo, RunLog
from sandboxes import RunLogError

INFO = RunInfo("tasks.jsonl", {}, "abc", 3, "model", "", {}, "0.1.0")


@pytest.mark.parametrize(
    ("moment", "detail"),
    [("soon", "{}"), (-1.0, "{}"), (float("inf"), "{}"), (1e300, "{}"), (1.0, "[]"), (1.0, "3"), (1.0, "{")],
)
def test_an_event_that_none_of_ours_is_means_damage(tmp_path, moment, detail):
    path = tmp_path / "run.sqlite"
    RunLog.create(path, INFO).close()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        row = (moment, "progress", "", detail)
        connection.execute("INSERT INTO events (time, what, where_, detail) VALUES (?, ?, ?, ?)", row)
    with RunLog.open(path) as log, pytest.raises(RunLogError, match="is damaged"):
        list(log.events())


def test_whether_a_file_is_being_written(tmp_path):
    path = tmp_path / "run.sqlite"
    with RunLog.create(path, INFO):
        assert RunLog.is_being_written(path)
    assert not RunLog.is_being_written(path)
