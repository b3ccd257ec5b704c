"""Which task goes to which worker, whatever workers do and however they die."""

import math
from collections import Counter
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hypotheses.task import Task
from ray_jobs.dispatch import Dispatcher, DispatchPolicy, Durations

WORKERS = ("a", "b", "c")
FEW = DispatchPolicy(attempts=2, backoff=1, max_backoff=4, deaths=2, alone=2, slow=3, patience=10)


def task(name):
    return Task.from_pairs([(1, 2)], id=str(name))


def tasks(number):
    return (task(name) for name in range(number))


class Workers(RuleBasedStateMachine):
    """Workers that take tasks, end them, fail on them and die in any order."""

    def __init__(self):
        super().__init__()
        self.pulled = []
        self.dispatcher = Dispatcher(self.source(), FEW)
        self.now = 0.0
        self.held = {name: set() for name in WORKERS}
        self.ended = set()
        self.waits_until = {}
        self.deaths = Counter()
        self.failed_since = set()
        self.alone = {}
        self.read_all = False

    def source(self):
        for number in range(12):
            self.pulled.append(str(number))
            yield task(number)
        self.read_all = True

    @property
    def given_up(self):
        return [one.task_id for one in self.dispatcher.given_up]

    def holders(self, task_id):
        return [name for name in WORKERS if task_id in self.held[name]]

    def leave(self, task_id, *workers):
        for worker in workers:
            self.held[worker].discard(task_id)
            if self.alone.get(worker) == task_id:
                del self.alone[worker]

    def hand(self, worker, room):
        read_before, given_up = self.read_all, len(self.given_up)
        for one in self.dispatcher.hand(worker, room, self.now):
            task_id = one.task.id
            assert task_id not in self.ended
            assert self.waits_until.pop(task_id, 0) <= self.now
            assert one.copy == bool(self.holders(task_id))
            assert task_id not in self.held[worker]
            if one.copy:  # only an idle worker, and only when nothing waits that it might do instead
                assert read_before or self.read_all
                assert not self.held[worker]
                assert not self.waits_until
            elif self.deaths[task_id] >= FEW.deaths and task_id not in self.failed_since:
                assert not self.held[worker]
                self.alone[worker] = task_id
            self.failed_since.discard(task_id)
            self.held[worker].add(task_id)
        assert len(self.given_up) == given_up

    @rule(worker=st.sampled_from(WORKERS), room=st.integers(0, 4))
    def asks(self, worker, room):
        before = len(self.held[worker])
        self.hand(worker, room)
        assert len(self.held[worker]) - before <= room

    @precondition(lambda self: any(self.held.values()))
    @rule(data=st.data(), how=st.sampled_from(["solves", "solves", "fails"]))
    def ends(self, data, how):
        worker = data.draw(st.sampled_from([name for name in WORKERS if self.held[name]]))
        task_id = data.draw(st.sampled_from(sorted(self.held[worker])))
        others = [name for name in self.holders(task_id) if name != worker]
        if how == "solves":
            assert sorted(self.dispatcher.finish(worker, task_id, self.now)) == others
            self.ended.add(task_id)
            self.leave(task_id, *WORKERS)
            return
        self.dispatcher.fail(worker, task_id, "out of order", self.now)
        self.leave(task_id, worker)
        self.failed_since.add(task_id)
        if not others and task_id not in self.given_up:
            self.waits_until[task_id] = self.now + FEW.backoff

    @rule(worker=st.sampled_from(WORKERS), blame=st.booleans(), data=st.data())
    def dies(self, worker, blame, data):
        held = sorted(self.held[worker])
        finished = data.draw(st.sets(st.sampled_from(held))) if held else set()
        self.dispatcher.lose(worker, finished, self.now, begun=None if blame else 0)
        for task_id in held:
            self.leave(task_id, worker)
            if task_id in finished:
                self.ended.add(task_id)
                self.leave(task_id, *WORKERS)
            else:
                self.deaths[task_id] += blame

    @rule(seconds=st.floats(0, 20))
    def time_passes(self, seconds):
        self.now += seconds

    @invariant()
    def it_knows_who_has_what(self):
        assert {name: self.dispatcher.held_by(name) for name in WORKERS} == self.held

    @invariant()
    def every_task_ends_once_or_is_given_up(self):
        assert len(set(self.given_up)) == len(self.given_up)
        assert not self.ended & set(self.given_up)
        assert self.dispatcher.done == (
            self.read_all and len(self.ended) + len(self.given_up) == len(self.pulled)
        )

    @invariant()
    def no_task_is_read_before_a_worker_has_room(self):
        assert self.dispatcher.out == len(self.pulled) - len(self.ended) - len(self.given_up)

    @invariant()
    def only_what_failed_or_killed_often_is_given_up(self):
        for one in self.dispatcher.given_up:
            assert self.deaths[one.task_id] >= FEW.alone or "2 attempts failed" in one.reason

    @invariant()
    def a_suspect_has_no_company(self):
        assert all(self.held[worker] <= {task_id} for worker, task_id in self.alone.items())

    def teardown(self):
        for _ in range(1000):
            if self.dispatcher.done:
                return
            for worker in WORKERS:
                self.hand(worker, 2)
                for task_id in sorted(self.held[worker]):
                    if task_id in self.held[worker]:
                        self.dispatcher.finish(worker, task_id, self.now)
                        self.ended.add(task_id)
                        self.leave(task_id, *WORKERS)
            self.now += 1
        pytest.fail("workers that solve everything do not come to the end")


TestWorkers = Workers.TestCase
TestWorkers.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@settings(max_examples=100, deadline=None)
@given(
    number=st.integers(1, 30),
    data=st.data(),
    workers=st.integers(1, 4),
    room=st.integers(1, 8),
    seed=st.integers(0, 2**32),
)
def test_a_lethal_task_takes_no_other_with_it(number, data, workers, room, seed):
    dice = Random(seed)
    lethal = {str(one) for one in data.draw(st.sets(st.integers(0, number - 1), max_size=3))}
    dispatcher = Dispatcher(tasks(number))
    names = (f"w{one}" for one in count())
    alive = [next(names) for _ in range(workers)]
    solved, alone, now = set(), Counter(), 0.0
    for _ in range(20_000):
        if dispatcher.done:
            break
        now += 0.1
        at = dice.randrange(len(alive))
        worker = alive[at]
        dispatcher.hand(worker, room - len(dispatcher.held_by(worker)), now)
        held = sorted(dispatcher.held_by(worker))
        if lethal & set(held) and dice.random() < 0.5:
            alone.update(held if len(held) == 1 else ())
            dispatcher.lose(worker, (), now)
            alive[at] = next(names)
        else:
            done = [one for one in held if one not in lethal]
            for task_id in done[: dice.randint(0, len(done))]:
                dispatcher.finish(worker, task_id, now)
                solved.add(task_id)
    assert dispatcher.done
    assert {one.task_id for one in dispatcher.given_up} == lethal
    assert solved == {str(one) for one in range(number)} - lethal
    assert all(alone[one] >= DispatchPolicy().alone for one in lethal)


@given(room=st.integers(2, 8))
def test_a_suspect_is_solved_by_a_worker_that_has_no_other(room):
    dispatcher = Dispatcher(tasks(100))
    for worker in ("a", "b"):  # both die of what they have, which is the same but for new ones
        dispatcher.hand(worker, room, 0)
        dispatcher.lose(worker, (), 0)
    assert dispatcher.hand("c", room, 1)[0].copy is False
    first = dispatcher.held_by("c")
    assert len(first) == 1
    assert not dispatcher.hand("c", room, 1), "it gets nothing else meanwhile"
    others = dispatcher.hand("d", room, 1)
    assert len(others) == room, "while the others go on"
    assert not first & {one.task.id for one in others}


def test_what_the_log_already_has_is_not_done_again():
    dispatcher = Dispatcher(tasks(3))
    dispatcher.hand("a", 3, 0)
    dispatcher.lose("a", ["0", "2"], 0)
    assert [one.task.id for one in dispatcher.hand("b", 3, 0)] == ["1"]
    dispatcher.finish("b", "1", 1)
    assert dispatcher.done


def test_what_fails_waits_longer_each_time_and_is_then_given_up():
    dispatcher = Dispatcher(tasks(1), DispatchPolicy(attempts=4, backoff=2, max_backoff=5))
    now, waits = 0.0, []
    while not dispatcher.done:
        if not dispatcher.hand("a", 1, now):
            now += 0.5
            continue
        if waits:
            waits[-1] = now - waits[-1]
        dispatcher.fail("a", "0", "no model", now)
        waits.append(now)
    assert waits[:-1] == [2, 4, 5]
    [lost] = dispatcher.given_up
    assert (lost.task_id, lost.reason) == ("0", "4 attempts failed, the last with: no model")


def test_deaths_that_no_task_is_to_blame_for_do_not_count():
    dispatcher = Dispatcher(tasks(2))
    for death in range(50):
        assert len(dispatcher.hand(f"w{death}", 2, death)) == 2
        dispatcher.lose(f"w{death}", (), death, begun=0)
    assert not dispatcher.given_up


def test_a_straggler_is_copied_to_an_idle_worker_and_the_first_to_end_counts():
    dispatcher = Dispatcher(tasks(7), DispatchPolicy(slow=3, patience=1))
    dispatcher.hand("a", 7, 0)
    for name in range(5):
        dispatcher.finish("a", str(name), 2)
    assert not dispatcher.hand("b", 1, 5.9), "three times as long as the others is not over"
    [copied] = dispatcher.hand("b", 1, 6.1)
    assert (copied.task.id, copied.copy) == ("5", True)
    assert not dispatcher.hand("b", 1, 6.2), "it has something to do"
    [other] = dispatcher.hand("c", 1, 6.2)
    assert other.task.id == "6", "two copies are enough"
    assert dispatcher.finish("b", "5", 7) == ["a"]
    assert dispatcher.finish("a", "5", 8) == (), "the other comes too late"
    assert dispatcher.finish("a", "6", 8) == ["c"]
    assert dispatcher.done


def test_a_task_with_a_copy_goes_on_where_one_of_both_dies():
    dispatcher = Dispatcher(tasks(6), DispatchPolicy(patience=1))
    dispatcher.hand("a", 6, 0)
    for name in range(5):
        dispatcher.finish("a", str(name), 0.1)
    [copied] = dispatcher.hand("b", 1, 5)
    assert copied.copy
    dispatcher.lose("a", (), 5.5)
    assert not dispatcher.hand("c", 1, 5.5)
    dispatcher.finish("b", "5", 7)
    assert dispatcher.done


@given(st.lists(st.floats(0, 100), min_size=5, max_size=40), st.integers(5, 20))
def test_durations_are_the_latest(seconds, keep):
    durations = Durations(keep)
    for one in seconds:
        durations.add(one)
    latest = sorted(seconds[-keep:])
    for q in (0, 0.5, 0.95, 1):
        assert durations.quantile(q) in latest
    assert durations.quantile(0) == latest[0]
    assert durations.quantile(1) == latest[-1]


def test_a_few_durations_say_nothing():
    durations = Durations()
    for _ in range(4):
        durations.add(1)
    assert durations.quantile(0.95) == math.inf


@pytest.mark.parametrize(
    "name", ["attempts", "backoff", "max_backoff", "deaths", "alone", "slow", "patience"]
)
def test_a_policy_without_sense_is_refused(name):
    with pytest.raises(ValueError, match=f"DispatchPolicy.{name} must be positive, not 0"):
        DispatchPolicy(**{name: 0})


def test_what_a_worker_had_not_begun_did_not_kill_it():
    dispatcher = Dispatcher(tasks(3), FEW)
    for death in range(FEW.deaths):
        given = [one.task.id for one in dispatcher.hand(f"w{death}", 3, 100.0 * death)]
        assert len(given) == 3
        dispatcher.lose(f"w{death}", (), 100.0 * death, begun=1)
    first = given[0]
    [suspect] = dispatcher.hand("alone", 3, 1000.0)
    assert suspect.task.id == first
    assert {one.task.id for one in dispatcher.hand("other", 3, 1000.0)} == set(given) - {first}
