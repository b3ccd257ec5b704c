"""Writers that were replaced write nothing more: epochs and leases."""

import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from run_logs import rows

from hypotheses.hypothesis import Completion, Solution, Trace
from hypotheses.run_log import Event, FencedError, RunInfo, RunLog
from hypotheses.task import Task
from sandboxes import Environment, RunLogError

INFO = RunInfo("tasks.jsonl", {}, "abc", 3, "model", "", {}, "0.1.0")


def task(id_):
    return Task.from_pairs([(1, 2)], id=id_)


def record(log, id_, token=None, note=""):
    trace = Trace(completions=((0, Completion("program", "?", note)),))
    return log.record(task(id_), trace, Solution(id_, "unsolved", note=note), token)


def unlock(log):
    """Let a second process open what a first still writes, as where locks do not reach."""
    if log.address.startswith("postgresql"):
        log._database._guard.close()
    else:
        Path(f"{log.path}-lock").unlink()


class TestEpochs:
    def test_each_opening_for_writing_begins_one(self, address):
        with RunLog.create(address, INFO) as log:
            first = log.epoch
        with RunLog.open(address) as log:
            assert log.epoch == first
        with RunLog.open(address, read_only=False) as log:
            assert log.epoch > first
            with RunLog.open(address) as reader:
                assert reader.epoch == log.epoch

    def test_a_zombie_of_an_earlier_one_writes_nothing(self, address, asked):
        kept = asked(2)
        with RunLog.create(address, INFO) as zombie:
            [token] = zombie.lease(["one"], "zombie")
            unlock(zombie)
            with RunLog.open(address, read_only=False) as log:
                attempts = [
                    lambda: zombie.keep(kept.request, kept.completions),
                    lambda: record(zombie, "one", token),
                    lambda: record(zombie, "two"),
                    lambda: zombie.lease(["one"], "zombie"),
                    lambda: zombie.enter(Environment("embedded", "3.12.1", {})),
                    lambda: zombie.note([Event(1.0, "alive")]),
                ]
                for attempt in attempts:
                    with pytest.raises(FencedError, match=rf"epoch {log.epoch} has begun"):
                        attempt()
                assert zombie.recall(kept.key, 0, 2) == []
                assert (log.count(), list(log.events()), log.environments) == ({}, [], [])
                log.keep(kept.request, kept.completions)
                assert zombie.recall(kept.key, 0, 2) == kept.completions

    def test_a_task_that_the_last_one_finished_stays_finished(self, address):
        with RunLog.create(address, INFO) as log:
            tokens = log.lease(["one", "two"], "me")
            assert record(log, "one", tokens[0])
        with RunLog.open(address, read_only=False) as log:
            assert record(log, "one", tokens[0])
            with pytest.raises(FencedError, match="superseded by epoch"):
                record(log, "two", tokens[1])
            [token] = log.lease(["one"], "me")
            assert not record(log, "one", token)
            assert log.finished_among(["one", "two"]) == {"one"}


class TestLeases:
    def test_of_hundreds_of_tasks_have_tokens_in_their_order(self, new_log):
        log = new_log()
        ids = [f"task {number}\0\ud800" for number in range(1200)]
        tokens = log.lease(ids, "me")
        assert sorted(tokens) == tokens
        assert len(set(tokens)) == 1200
        for number in (0, 499, 500, 1199):
            assert record(log, ids[number], tokens[number])
            with pytest.raises(RunLogError, match="has granted no lease"):
                record(log, ids[(number + 7) % 1200], tokens[number])
        assert log.finished_among(ids) == {ids[0], ids[499], ids[500], ids[1199]}
        assert log.lease([], "me") == []

    def test_a_newer_one_fences_off_an_older_one(self, new_log):
        log = new_log()
        [old] = log.lease(["one"], "a")
        [new] = log.lease(["one"], "b")
        with pytest.raises(FencedError, match=f"lease {old} of the task one .* superseded by lease {new}"):
            record(log, "one", old)
        assert not log.finished("one")
        assert rows(log.address, "SELECT count(*) FROM completions") == [(0,)]
        assert record(log, "one", new)

    def test_of_two_that_share_a_task_the_first_is_recorded(self, new_log):
        log = new_log()
        [first] = log.lease(["one"], "a")
        [second] = log.lease(["one"], "b", shared=True)
        assert record(log, "one", first, "first")
        assert not record(log, "one", second, "second")
        assert record(log, "one", first, "first")
        assert log.solution("one").note == "first"
        assert rows(log.address, "SELECT response FROM completions") == [("first",)]

    def test_without_a_token_a_task_is_recorded_once(self, new_log):
        log = new_log()
        assert record(log, "one", note="first")
        with pytest.raises(RunLogError, match=r"(?i)unique"):
            record(log, "one")
        [token] = log.lease(["one"], "me")
        assert not record(log, "one", token)
        assert log.solution("one").note == "first"

    def test_the_first_of_many_threads_is_recorded(self, new_log):
        log = new_log()
        tokens = [log.lease(["one"], str(number), shared=True)[0] for number in range(8)]
        won = []

        def work(token):
            if record(log, "one", token, str(token)):
                won.append(token)

        threads = [threading.Thread(target=work, args=(token,)) for token in tokens]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [str(token) for token in won] == [log.solution("one").note]


IDS = st.sampled_from(["a", "b", "c"])


class Writers(RuleBasedStateMachine):
    """Leases and recordings at random, beside a model of what may come of them."""

    def __init__(self, new_address):
        super().__init__()
        self.new_address = new_address
        self.leases = []  # (token, epoch, task, shared)
        self.finished = {}  # task: token

    @initialize()
    def create(self):
        self.address = self.new_address()
        self.log = RunLog.create(self.address, INFO)
        self.zombies = []

    def teardown(self):
        for log in [*self.zombies, self.log]:
            log.close()

    @rule(ids=st.lists(IDS, max_size=4), shared=st.booleans())
    def lease(self, ids, shared):
        tokens = self.log.lease(ids, "somebody", shared=shared)
        assert len(tokens) == len(ids)
        assert all(token > known for token in tokens for known, *_ in self.leases)
        self.leases += [(token, self.log.epoch, id_, shared) for token, id_ in zip(tokens, ids, strict=True)]

    @rule(data=st.data())
    def record(self, data):
        if not self.leases:
            return
        token, epoch, id_, _ = data.draw(st.sampled_from(self.leases))
        later = any(other > token and about == id_ and not shared for other, _, about, shared in self.leases)
        if id_ in self.finished:
            assert record(self.log, id_, token, str(token)) == (self.finished[id_] == token)
        elif later or epoch != self.log.epoch:
            with pytest.raises(FencedError):
                record(self.log, id_, token)
        else:
            assert record(self.log, id_, token, str(token))
            self.finished[id_] = token

    @rule(id_=IDS)
    def zombies_are_fenced(self, id_):
        for zombie in self.zombies:
            with pytest.raises(FencedError):
                zombie.lease([id_], "zombie")
            with pytest.raises(FencedError):
                record(zombie, id_, 1)

    @rule()
    def go_on(self):
        unlock(self.log)
        self.zombies.append(self.log)
        self.log = RunLog.open(self.address, read_only=False)

    @invariant()
    def what_is_finished_is_known(self):
        if hasattr(self, "log"):
            assert self.log.finished_among(["a", "b", "c"]) == set(self.finished)
            assert {one.task_id: int(one.note) for one in self.log.solutions()} == self.finished


def test_any_order_of_leases_and_recordings(new_address):
    names = iter(range(10**6))
    run_state_machine_as_test(
        lambda: Writers(lambda: new_address(f"machine-{next(names)}")),
        settings=settings(
            max_examples=12,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


class TestTimeline:
    def test_comes_back_as_it_was_noted(self, new_log):
        log = new_log()
        noted = [
            Event(1700000000.25, "begun", "node 1", "one", {"tries": 1, "text": "\0\ud800\x1a"}),
            Event(1.5, "\ud800", "", None, {}),
            *(Event(float(number), "more", task_id="two") for number in range(250)),
        ]
        log.note(noted)
        log.note([])
        assert list(log.events()) == noted
        assert list(log.events("one")) == noted[:1]
        assert list(log.events("two")) == noted[2:]
        assert list(log.events("three")) == []


class TestSignals:
    def test_reach_the_writer_from_anybody(self, new_log):
        log = new_log()
        assert log.signals() == []
        RunLog.signal(log.address, "cancel")
        RunLog.signal(log.address, "faster")
        [(first, _), (second, _)] = log.signals()
        assert log.signals() == [(first, "cancel"), (second, "faster")]
        assert log.signals(first) == [(second, "faster")]
        assert record(log, "one")

    def test_need_a_run(self, new_address):
        with pytest.raises(RunLogError, match="there is no run log"):
            RunLog.signal(new_address("other"), "cancel")


def test_a_file_changes_hands_in_one_epoch_and_has_one_writer(new_file):
    log = new_file()
    with pytest.raises(RunLogError, match="is being written by another process"):
        RunLog.join(log.address, log.epoch)
    log.close()
    with RunLog.join(log.address, log.epoch) as joined:
        assert record(joined, "one")
    RunLog.open(log.address, read_only=False).close()
    with pytest.raises(FencedError, match="another process has gone on"):
        RunLog.join(log.address, log.epoch)


def test_a_log_is_named(new_log):
    log = new_log("my.run")
    assert log.name.endswith("my.run")
    assert log.address.endswith("my.run")
