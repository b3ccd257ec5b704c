"""Logs of earlier versions, written by the induce of their time, are read and gone on with."""

import contextlib
import hashlib
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hypotheses.hypothesis import Completion
from hypotheses.run_log import RunLog, migration
from induce.scoring import score_run
from induce.tasks import load_tasks
from sandboxes import RunLogError

ROOT = Path(__file__).parents[3]
VERSION_1 = ROOT / "tests" / "data" / "run_log_1.db"
VERSION_2 = ROOT / "tests" / "data" / "run_log_2.db"
TASKS = ROOT / "examples" / "search" / "lists.jsonl"


@pytest.fixture
def old(tmp_path):
    return Path(shutil.copy(VERSION_1, tmp_path / "old.sqlite"))


def rows(path, query):
    mode = (
        "mode=ro&immutable=1" if path in (VERSION_1, VERSION_2) else "mode=ro"
    )  # nothing is to be left beside that one
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True)) as connection:
        return connection.execute(query).fetchall()


def as_recorded(path):
    """Read a log of version 1 with nothing but SQL, in the words of what is read from it now."""
    completions = rows(
        path,
        "SELECT task_id, round, kind, prompt, response, model, temperature, sample, prompt_tokens, "
        "completion_tokens FROM completions ORDER BY id",
    )
    candidates = rows(
        path,
        "SELECT h.task_id, h.text, source, entry_point, h.round, h.sample, passed, total FROM candidates c "
        "JOIN hypotheses h ON h.id = hypothesis_id JOIN verdicts v ON v.id = verdict_id "
        "JOIN programs ON key = program_key ORDER BY c.id",
    )
    links = rows(
        path,
        "SELECT h.task_id, h.text, response FROM hypotheses h "
        "LEFT JOIN completions c ON c.id = completion_id ORDER BY h.id",
    )
    solutions = rows(
        path,
        "SELECT s.task_id, outcome, source FROM solutions s LEFT JOIN candidates c ON c.id = candidate_id "
        "LEFT JOIN verdicts v ON v.id = verdict_id LEFT JOIN programs ON key = program_key ORDER BY s.id",
    )
    return completions, candidates, links, solutions


def as_read(log):
    """Give the same of an opened log."""
    ids = log.task_ids()
    completions = [
        (id_, round_, one.kind, one.prompt, one.response, one.model, one.temperature, one.sample,
         one.prompt_tokens, one.completion_tokens)
        for id_ in ids
        for round_, one in log.completions(id_)
    ]  # fmt: skip
    candidates = [
        (id_, one.candidate.hypothesis.text, one.candidate.program.source, one.candidate.program.entry_point,
         one.candidate.round, one.candidate.sample, one.verdict.passed, one.verdict.total)
        for id_ in ids
        for one in log.judged(id_)
    ]  # fmt: skip
    links = [
        (
            id_,
            entry.proposal.hypothesis.text,
            entry.proposal.completion and entry.proposal.completion.response,
        )
        for id_ in ids
        for entry in log.trace(id_).entries
    ]
    solutions = [(one.task_id, one.outcome, one.candidate.program.source) for one in log.solutions()]
    return completions, candidates, links, solutions


def scored(log):
    return score_run(log, load_tasks(TASKS), oracle=True)


def files(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_fixture_is_of_version_1_and_not_trivial():
    assert rows(VERSION_1, "SELECT schema_version FROM run") == [(1,)]
    completions, candidates, links, solutions = as_recorded(VERSION_1)
    assert (len(completions), len(candidates), len(links)) == (12, 6, 7)
    assert {outcome for _, outcome, _ in solutions} == {"solved", "unsolved"}
    assert {row[2] for row in completions} == {"hypothesis", "translation", "program"}


def test_reading_leaves_the_file_as_it_is(old, tmp_path):
    before = files(tmp_path)[old.name]
    with RunLog.open(old) as log:
        assert as_read(log) == as_recorded(VERSION_1)
        assert log.info.tasks == 3
        assert len(log.environments) == 1
        assert log.count() == {"solved": 2, "unsolved": 1}
        assert (scored(log).correct_tasks, scored(log).oracle_accuracy) == (2, 2 / 3)
        nested = {one.task_id: len(list(log.judged(one.task_id))) for one in log.solutions()}
        assert nested == {"small-ones": 2, "sorted-doubles": 2, "total-of-rest": 2}
        with pytest.raises(RunLogError, match="not open for writing"):
            log.enter(log.environments[0])
    assert files(tmp_path)[old.name] == before
    assert rows(old, "SELECT schema_version FROM run") == [(1,)]


def test_going_on_migrates_it_in_place(old, tmp_path, asked):
    with RunLog.open(old) as log:
        info, solutions, environments, score = log.info, list(log.solutions()), log.environments, scored(log)
        judged = {one.task_id: list(log.judged(one.task_id)) for one in solutions}
    for _ in range(2):
        with RunLog.open(old, read_only=False) as log:
            assert as_read(log) == as_recorded(VERSION_1)
            assert (log.info, list(log.solutions()), log.environments) == (info, solutions, environments)
            assert {id_: list(log.judged(id_)) for id_ in judged} == judged
            assert scored(log) == score
            assert log.recall("", 0, 10) == []
    with RunLog.open(old, read_only=False) as log:
        kept = asked(2)
        log.keep(kept.request, kept.completions)
    with RunLog.open(old) as log:
        assert log.recall(kept.key, 0, 2) == kept.completions


def test_a_migrated_log_has_the_tables_of_a_new_one(old, new_file):
    RunLog.open(old, read_only=False).close()
    schema = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
    assert rows(old, schema) == rows(new_file().path, schema)
    assert rows(old, "PRAGMA integrity_check") == [("ok",)]
    assert rows(old, "PRAGMA foreign_key_check") == []
    with (
        contextlib.closing(sqlite3.connect(old)) as connection,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        connection.execute("DELETE FROM completions")


def test_a_prompt_is_kept_once(old):
    texts = {row[3] for row in as_recorded(VERSION_1)[0]}
    RunLog.open(old, read_only=False).close()
    assert sorted(rows(old, "SELECT text FROM messages")) == sorted((text,) for text in texts)
    assert len(texts) < len(as_recorded(VERSION_1)[0])


DYING = """
import os, shutil, signal, sqlite3, sys
from hypotheses.run_log import migration

def migrate(path, trace):
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA cache_size = 1")  # so that much is in the file before the end
    connection.execute("PRAGMA journal_mode = WAL")
    connection.set_trace_callback(trace)
    migration.migrate(connection)

def migrate_and_die(path, step):
    seen = []

    def trace(statement):
        seen.append(statement)
        if len(seen) > step:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        migrate(path, trace)
    finally:
        os._exit(1)

old, folder = sys.argv[1:]
statements = []
migrate(shutil.copy(old, f"{folder}/counted.sqlite"), statements.append)
for step in range(1, statements.index("COMMIT") + 1, 4):
    path = shutil.copy(old, f"{folder}/killed_{step}.sqlite")
    child = os.fork()
    if child == 0:
        migrate_and_die(path, step)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""


def test_kill_9_in_the_middle_leaves_version_1(old, tmp_path):
    subprocess.run([sys.executable, "-c", DYING, old, tmp_path], check=True)
    killed = sorted(tmp_path.glob("killed_*.sqlite"))
    assert len(killed) > 10
    for path in killed:
        with RunLog.open(path) as log:
            assert as_read(log) == as_recorded(VERSION_1)
        assert rows(path, "SELECT schema_version FROM run") == [(1,)]
    with RunLog.open(killed[-1], read_only=False) as log:
        assert as_read(log) == as_recorded(VERSION_1)


def change(path, *statements):
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        for _, sql in triggers:
            connection.execute(sql)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE candidates SET verdict_id = 999",
        "UPDATE hypotheses SET completion_id = 999",
        "UPDATE completions SET prompt = x'ff00ff'",
        "ALTER TABLE completions RENAME COLUMN prompt TO question",
        "UPDATE solutions SET outcome = CAST(x'ff' AS TEXT)",
    ],
)
def test_a_damaged_log_is_refused_and_left_as_it_was(old, damage):
    change(old, damage)
    before = rows(old, "SELECT * FROM run"), rows(old, "SELECT name FROM sqlite_master ORDER BY 1")

    def read(read_only):
        with RunLog.open(old, read_only=read_only) as log:
            list(log.solutions())

    for read_only in (True, False):
        with pytest.raises(RunLogError, match=r"old\.sqlite"):
            read(read_only)
        if "outcome" not in damage:  # that is found out only when it is read
            assert (
                rows(old, "SELECT * FROM run"),
                rows(old, "SELECT name FROM sqlite_master ORDER BY 1"),
            ) == before


def test_foreign_objects_are_refused_before_anything_is_done(old):
    change(old, "CREATE VIEW more AS SELECT 1")
    for read_only in (True, False):
        with pytest.raises(RunLogError, match="other tables, views or triggers"):
            RunLog.open(old, read_only=read_only)
    assert not Path(f"{old}-lock").exists()


def test_a_full_disk_is_named_and_leaves_version_1(old):
    with contextlib.closing(sqlite3.connect(old)) as connection:
        [pages] = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            migration.migrate(connection)
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    with RunLog.open(old) as log:
        assert as_read(log) == as_recorded(VERSION_1)


def test_an_old_log_is_deleted_without_being_migrated(old, tmp_path):
    size = old.stat().st_size
    assert RunLog.delete(old) == size
    assert list(tmp_path.iterdir()) == []


def test_completions_of_version_1_have_no_key(old):
    with RunLog.open(old) as log:
        first = next(one for _, one in log.completions("total-of-rest"))
        assert first == Completion("program", "Python, please.", first.response, "scripted-1", 1.0, 0)
        assert list(log.requests()) == []


class TestVersion2:
    """It had the completions as they are now, and neither epochs nor leases."""

    TABLES = (
        "completions",
        "requests",
        "messages",
        "uses",
        "hypotheses",
        "programs",
        "verdicts",
        "candidates",
        "environments",
    )

    @pytest.fixture
    def old(self, tmp_path):
        return Path(shutil.copy(VERSION_2, tmp_path / "old.sqlite"))

    def kept(self, path):
        """Give what a log holds, but for its version and what was not kept then."""
        return (
            [rows(path, f"SELECT * FROM {table} ORDER BY 1") for table in self.TABLES],
            rows(path, "SELECT id, task_id, outcome, predictions, candidate_id, usage, note, finished "
                       "FROM solutions ORDER BY id"),
            rows(path, "SELECT induce_version, created, source, content_hash, tasks, settings FROM run"),
        )  # fmt: skip

    def test_is_not_trivial(self):
        assert rows(VERSION_2, "SELECT schema_version FROM run") == [(2,)]
        assert all(self.kept(VERSION_2)[0])
        assert len(rows(VERSION_2, "SELECT * FROM solutions")) == 3

    def test_is_read_and_left_as_it_is(self, old, tmp_path):
        before = files(tmp_path)[old.name]
        with RunLog.open(old) as log:
            assert as_read(log)[1:] == as_recorded(VERSION_1)[1:]
            assert {request.request.task_id: request.request.n for request in log.requests()} == {
                "total-of-rest": 2,
                "not-finished": 3,
            }
            assert (log.epoch, list(log.events()), log.signals()) == (0, [], [])
        assert files(tmp_path)[old.name] == before

    def test_is_gone_on_with_and_keeps_all(self, old, new_file):
        for _ in range(2):
            with RunLog.open(old, read_only=False) as log:
                assert as_read(log)[1:] == as_recorded(VERSION_1)[1:]
                assert len(log.lease(["not-finished"], "me")) == 1
            assert self.kept(old) == self.kept(VERSION_2)
        schema = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
        assert rows(old, schema) == rows(new_file().path, schema)
        assert rows(old, "PRAGMA integrity_check") == [("ok",)]
        assert rows(old, "PRAGMA foreign_key_check") == []

    def test_survives_kill_9_in_the_middle(self, old, tmp_path):
        subprocess.run([sys.executable, "-c", DYING, old, tmp_path], check=True)
        killed = sorted(tmp_path.glob("killed_*.sqlite"))
        assert len(killed) > 5
        for path in killed:
            with RunLog.open(path, read_only=False):
                pass
            assert self.kept(path) == self.kept(VERSION_2)

    def test_hears_no_signals_before_it_is_gone_on_with(self, old):
        with pytest.raises(RunLogError, match="go on with it first"):
            RunLog.signal(old, "cancel")
        RunLog.open(old, read_only=False).close()
        RunLog.signal(old, "cancel")
        with RunLog.open(old) as log:
            assert [what for _, what in log.signals()] == ["cancel"]
