"""Runs on a server: many writers, and a server that goes away."""

import contextlib
import subprocess
import sys
import threading

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from postgresql_server import new_databases, running_server
from run_logs import on_server, rows

from hypotheses.hypothesis import Solution, Trace
from hypotheses.run_log import Event, FencedError, RunInfo, RunLog
from hypotheses.run_log.postgresql import PostgreSQLDatabase
from hypotheses.run_log.schema import from_postgresql, to_postgresql
from hypotheses.task import Task
from sandboxes import RunLogError

INFO = RunInfo("tasks.jsonl", {}, "abc", 3, "model", "", {}, "0.1.0")
PIECES = st.sampled_from(["\0", "\x1a", "\ud800", "\udfff", "\x1a0000", "\x1ad800", "\x1a001a", "0000", "00"])
TEXTS = st.lists(PIECES | st.text(st.characters(exclude_categories=()))).map("".join)


@given(TEXTS)
def test_texts_become_what_the_server_knows_and_back(text):
    kept = to_postgresql(text)
    assert "\0" not in kept
    kept.encode()
    assert from_postgresql(kept) == text


@given(TEXTS, TEXTS)
def test_two_texts_stay_two(one, other):
    assert (to_postgresql(one) == to_postgresql(other)) == (one == other)


WRITER = """
import sys
from hypotheses.hypothesis import (
    Candidate, Completion, Entry, Hypothesis, Judged, Proposal, Solution, Trace, Verdict
)
from hypotheses.models.chat import ChatRequest, Message, request_key
from hypotheses.run_log import Event, RunLog
from hypotheses.task import Task
from sandboxes import Execution, Program

address, epoch, own = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
won = 0
with RunLog.join(address, int(epoch)) as log:
    for number in range(30):
        words = [f"all say {number}", f"{own} says {number}", "system"]
        request = ChatRequest("program", tuple(Message("user", one) for one in words[:: int(own) % 2 or -1]))
        shared = ChatRequest("program", (Message("system", "system"), Message("user", f"all {number}")), n=2)
        for one in (request, shared):
            key = request_key("m", one)
            answers = [Completion("program", one.prompt, "!", "m", 1.0, n, 7, key=key) for n in range(one.n)]
            log.keep(one, answers)
            assert len(log.recall(key, 0, one.n)) == one.n
        programs = [Program(f"def f(x): return {n}", "f") for n in range(number, number + 6)]
        verdict = Verdict((Execution("ok", 1),), (True,), ())
        hypothesis = Hypothesis("rule")
        judged = tuple(Judged(Candidate(hypothesis, one), verdict) for one in programs[:: int(own) % 2 or -1])
        trace = Trace((Entry(0, 0, Proposal(hypothesis), judged),))
        for id_ in (f"task {number}", f"{own}'s task {number}"):
            [token] = log.lease([id_], own, shared=True)
            solution = Solution(id_, "solved", ((1,),), judged[0].candidate, verdict, note=own)
            won += log.record(Task.from_pairs([(1, 2)], id=id_), trace, solution, token)
        log.note([Event(1.0, "did", own, id_)])
print(won)
"""


def test_many_processes_write_one_run(server_log):
    log = server_log()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, log.address, str(log.epoch), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    won = [int(process.communicate()[0]) for process in processes]
    assert sum(won) == 30 + 4 * 30
    assert log.count() == {"solved": 30 + 4 * 30}
    assert len(list(log.solutions())) == 30 + 4 * 30
    assert log.spent().prompt_tokens == 7 * (30 * 2 + 4 * 30)
    assert len(list(log.events())) == 4 * 30
    for id_ in log.task_ids():
        assert len(list(log.judged(id_))) == 6
    assert rows(log.address, "SELECT count(*) FROM programs") == [(35,)]
    assert rows(log.address, "SELECT count(*) FROM hypotheses") == [(150,)]


class TestWriters:
    def test_join_an_epoch_and_are_fenced_off_with_it(self, server_address, asked):
        address, kept = server_address(), asked(1)
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(RunLog.create(address, INFO))
            joined = stack.enter_context(RunLog.join(address, log.epoch))
            joined.keep(kept.request, kept.completions)
            assert log.recall(kept.key, 0, 1) == kept.completions
            log.close()
            new = stack.enter_context(RunLog.open(address, read_only=False))
            with pytest.raises(FencedError, match="another process has gone on"):
                joined.note([Event(1.0, "late")])
            with pytest.raises(FencedError):
                RunLog.join(address, joined.epoch)
            stack.enter_context(RunLog.join(address, new.epoch)).note([Event(1.0, "in time")])
            assert [event.what for event in new.events()] == ["in time"]

    def test_of_a_transaction_that_is_under_way_are_waited_for(self, server_log):
        """A new epoch begins after what was begun before it, so that nothing comes later."""
        log = server_log()
        begun, go_on, opened = threading.Event(), threading.Event(), []

        def slowly(driver):
            driver.insert("INSERT INTO events (time, what, where_, detail) VALUES (1, 'slow', '', '{}')", ())
            begun.set()
            go_on.wait(20)

        def take_over():
            begun.wait(20)
            log._database._guard.close()
            opened.append(RunLog.open(log.address, read_only=False))
            with opened[0] as new:
                opened.append([event.what for event in new.events()])

        writer = threading.Thread(target=log._write, args=(slowly,))
        other = threading.Thread(target=take_over)
        writer.start()
        other.start()
        begun.wait(20)
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while rows(log.address, waiting) == [(0,)]:
            assert other.is_alive()
        assert opened == []
        go_on.set()
        writer.join()
        other.join()
        assert opened[1] == ["slow"]


class TestDeletion:
    def test_is_refused_while_anybody_writes(self, server_address):
        address = server_address()
        with RunLog.create(address, INFO) as log, RunLog.join(address, log.epoch) as joined:
            joined.note([Event(1.0, "here")])
            with pytest.raises(RunLogError, match="is being written by another process"):
                RunLog.delete(address)
            log.close()
            with pytest.raises(RunLogError, match="is being written by another process"):
                RunLog.delete(address)
        assert RunLog.delete(address) > 0
        with pytest.raises(RunLogError, match="there is no run log"):
            RunLog.open(address)

    def test_leaves_what_is_no_run(self, server_address):
        address = server_address("diary")
        schema = f"induce_run_{address.rpartition('#')[2]}"
        with on_server(address) as connection:
            connection.exec_driver_sql(f'CREATE SCHEMA "{schema}"')
            connection.exec_driver_sql(f'CREATE TABLE "{schema}".run (schema_version int)')
            connection.exec_driver_sql(f'INSERT INTO "{schema}".run VALUES (3)')
        for attempt in (RunLog.delete, RunLog.open):
            with pytest.raises(RunLogError, match="is no run log of induce: it has other tables"):
                attempt(address)
        assert rows(address, "SELECT * FROM run") == [(3,)]


class TestAddresses:
    @pytest.mark.parametrize(
        "address",
        [
            "postgresql+psycopg://me:secret@host/db",
            "postgresql+psycopg://me:secret@host/db#a/b",
            "postgresql+psycopg://me:secret@host/db#" + "x" * 53,
            "postgresql+psycopg://me:secret@host/#run",
            "postgresql+asyncpg://me:secret@host/db#run",
            "postgresql://me:sec#ret@host/db",
            "postgresql:secret",
        ],
    )
    def test_that_name_no_run_are_refused_without_showing_a_password(self, address):
        with pytest.raises(RunLogError, match="the address of a run on a server is") as error:
            RunLog.open(address)
        assert "sec" not in str(error.value)

    def test_show_no_password(self, server_address):
        secret = server_address().replace("induce@", "induce:secret@")
        with RunLog.create(secret, INFO) as log:
            assert "secret" not in log.address
            with RunLog.join(log.address, log.epoch), pytest.raises(RunLogError, match="exists") as error:
                RunLog.create(secret, INFO)
        assert "secret" not in str(error.value)

    def test_of_a_database_that_is_missing_say_so_at_once(self, runs_database):
        missing = sa.make_url(runs_database).set(database="none").render_as_string(hide_password=False)
        for attempt in (RunLog.open, lambda address: RunLog.create(address, INFO)):
            with pytest.raises(RunLogError, match=r"no such database .*; make it with `createdb`"):
                attempt(f"{missing}#run")

    def test_of_a_server_that_is_missing_say_so_at_once(self, tmp_path):
        with pytest.raises(RunLogError, match=r"cannot open the run log .* check its address"):
            RunLog.open(f"postgresql+psycopg://me@/db?host={tmp_path}#run")

    def test_need_psycopg(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(RunLogError, match=r"needs psycopg: pip install 'induce\[postgres\]'"):
            RunLog.open("postgresql+psycopg://me@host/db#run")


@pytest.fixture(scope="module")
def server():
    """A server that may be stopped."""
    with running_server() as running:
        yield running


@pytest.fixture
def lone_address(server):
    """The address of a run on it."""
    with new_databases(server.url) as make:
        yield f"{make()}#run"


class TestAServerThatGoesAway:
    def test_is_waited_for(self, server, lone_address, asked):
        with RunLog.create(lone_address, INFO) as log, RunLog.join(lone_address, log.epoch) as joined:
            acknowledged = []
            stop = threading.Event()

            def write(own, number):
                while not stop.is_set():
                    kept = asked(1, user=f"{number} asks {len(acknowledged)}")
                    own.keep(kept.request, kept.completions)
                    own.note([Event(float(len(acknowledged)), "kept", str(number))])
                    acknowledged.append((kept, number))

            writers = [threading.Thread(target=write, args=(own, n)) for n, own in enumerate([log, joined])]
            for writer in writers:
                writer.start()
            for mode in ("immediate", "fast", "immediate"):
                known = len(acknowledged)
                while len(acknowledged) < known + 20:
                    assert all(writer.is_alive() for writer in writers)
                server.stop(mode)
                server.start()
            stop.set()
            for writer in writers:
                writer.join()
            for kept, _ in acknowledged:
                assert log.recall(kept.key, 0, 1) == kept.completions
            # Each event was written once, though some were sent twice.
            for number in range(2):
                mine = sum(1 for _, own in acknowledged if own == number)
                assert len([one for one in log.events() if one.where == str(number)]) == mine
            with pytest.raises(RunLogError, match="is being written by another process"):
                RunLog.open(lone_address, read_only=False)

    def test_and_may_have_forgotten_a_transaction_whose_number_another_one_gets(self, server, lone_address):
        with RunLog.create(lone_address, INFO) as log, RunLog.join(lone_address, log.epoch) as joined:
            log.note([Event(0.0, "mine")])
            joined.note([Event(0.0, "theirs")])

            def crash():
                server.stop("immediate")
                server.start()
                for moment in range(1, 6):
                    joined.note([Event(float(moment), "theirs")])

            log._database._writer = _Crashing(log._database._writer, crash)
            log.note([Event(1.0, "mine")])
            assert [event.time for event in log.events() if event.what == "mine"] == [0.0, 1.0]

    def test_is_given_up_in_the_end(self, server, lone_address, monkeypatch):
        monkeypatch.setattr(PostgreSQLDatabase, "patience", 0.3)
        with RunLog.create(lone_address, INFO) as log:
            server.stop()
            try:
                with pytest.raises(
                    RunLogError, match=r"cannot write the run log .*; what was recorded before"
                ):
                    log.note([Event(1.0, "lost")])
                with pytest.raises(RunLogError, match="cannot read the run log"):
                    log.count()
            finally:
                server.start()
            log.note([Event(2.0, "found")])
            assert [event.what for event in log.events()] == ["found"]


class TestAnAnswerThatIsLost:
    """The server commits, and the connection breaks before it can say so."""

    @pytest.fixture
    def losing(self, server_log, monkeypatch):
        log = server_log()
        log.note([Event(0.0, "begun")])
        log._database._writer = _Losing(log._database._writer)
        return log

    def test_of_an_event_does_not_write_it_twice(self, losing):
        losing.note([Event(1.0, "once")])
        assert [event.what for event in losing.events()] == ["begun", "once"]

    def test_of_a_recording_is_no_conflict(self, losing):
        solution = Solution("one", "unsolved")
        assert losing.record(Task.from_pairs([(1, 2)], id="one"), Trace(), solution)
        assert losing.count() == {"unsolved": 1}

    def test_of_a_lease_gives_the_tokens_that_were_granted(self, losing):
        tokens = losing.lease(["one", "two"], "me")
        assert rows(losing.address, "SELECT id FROM leases ORDER BY id") == [(token,) for token in tokens]

    def test_of_a_run_that_is_older_than_the_count(self, server_log):
        """Runs were written without it; whoever goes on with one makes it."""
        with server_log() as log:
            address = log.address
        with on_server(address) as connection:
            connection.exec_driver_sql("DROP TABLE writers")
        with RunLog.open(address, read_only=False) as log, RunLog.join(address, log.epoch) as joined:
            for own in (log, joined):
                own.note([Event(0.0, "begun")])
                own._database._writer = _Losing(own._database._writer)
                own.note([Event(1.0, "once")])
            assert [event.what for event in log.events()] == ["begun", "once"] * 2

    def test_before_the_server_committed_it_is_written_again(self, losing):
        losing._database._writer.commits = False
        losing.note([Event(1.0, "once")])
        assert [event.what for event in losing.events()] == ["begun", "once"]


class _Losing:
    """A connection that breaks at its next commit, after it or before."""

    commits = True

    def __init__(self, connection):
        self._connection = connection

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def commit(self):
        if self.commits:
            self._connection.commit()
        with contextlib.suppress(Exception):
            self._connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        self._connection.execute("SELECT 1")


class _Crashing:
    """A connection whose server crashes before it commits."""

    def __init__(self, connection, crash):
        self._connection, self._crash = connection, crash

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def commit(self):
        self._crash()
        self._connection.commit()


def test_a_run_whose_tables_are_a_strangers_is_not_opened(server_address):
    """Whoever owns a table can have it run code as whoever writes to it."""
    address = server_address()
    RunLog.create(address, INFO).close()
    with on_server(address) as connection:
        connection.exec_driver_sql("CREATE ROLE stranger")
        connection.exec_driver_sql("ALTER TABLE signals OWNER TO stranger")
    for use in (RunLog.open, lambda given: RunLog.signal(given, "cancel")):
        with pytest.raises(RunLogError, match="belongs to another user"):
            use(address)


def test_whether_a_run_is_being_written_is_known_without_beginning_an_epoch(server_address):
    address = server_address()
    with RunLog.create(address, INFO) as log:
        epoch = log.epoch
        assert RunLog.is_being_written(address)
    assert not RunLog.is_being_written(address)
    with RunLog.open(address) as log:
        assert log.epoch == epoch
