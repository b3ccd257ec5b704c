"""The discrete-event simulation of batches: what is known of queues without it, it must say, too."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
COSTS = (
    "hop exchange beat handled scan lease leased record keep note server_write server_lease task answer "
    "request program start out_bytes id_bytes"
)
FREE = dict.fromkeys(COSTS.split(), 0.0) | {"server_width": 1}


def script(name):
    before, known = list(sys.path), set(sys.modules)
    sys.path.append(str(BENCHMARKS))  # at the end: a script there has the name of a package
    try:
        yield importlib.import_module(name)
    finally:
        sys.path[:] = before
        for one in {"cluster_model", "discrete_events"} - known:
            sys.modules.pop(one, None)


@pytest.fixture(scope="module")
def model():
    """The model, as a module."""
    yield from script("cluster_model")


@pytest.fixture(scope="module")
def events():
    """The engine, as a module."""
    yield from script("discrete_events")


def ended(model, work, shape, tasks, **costs):
    constants = model.Constants(**(FREE | costs))
    return model.simulate(constants, work, shape, tasks)


def rate(result):
    ends = sorted(result.ends)
    first, last = len(ends) // 10, len(ends) * 9 // 10
    return (last - first) / (ends[last] - ends[first])


seconds = st.floats(0.01, 10.0)


@settings(deadline=None)
@given(works=st.lists(seconds, min_size=1, max_size=20), cores=st.integers(1, 4))
def test_a_processor_gives_what_it_has_and_no_more(events, works, cores):
    clock = events.Clock()
    processor = events.Processor(clock, cores)
    ends = {}

    def process(number, work):
        yield processor.compute(work)
        ends[number] = clock.now

    for number, work in enumerate(works):
        clock.start(process(number, work))
    clock.run(lambda: False)
    assert processor.used == pytest.approx(sum(works))
    assert max(ends.values()) >= max([*works, sum(works) / cores]) - 1e-6
    assert max(ends.values()) <= sum(works) / cores + max(works) + 1e-6
    shortest_first = sorted(range(len(works)), key=works.__getitem__)
    assert [ends[number] for number in shortest_first] == sorted(ends.values())


@settings(deadline=None)
@given(works=st.lists(seconds, min_size=1, max_size=20), servers=st.integers(1, 4))
def test_a_station_serves_in_the_order_of_arrival(events, works, servers):
    clock = events.Clock()
    station = events.Station(clock, servers)
    ends = [0.0] * len(works)

    def process(number, work):
        yield station.serve(clock.sleep(work))
        ends[number] = clock.now

    for number, work in enumerate(works):
        clock.start(process(number, work))
    clock.run(lambda: False)
    free = [0.0] * servers
    expected = []
    for work in works:
        expected.append(min(free) + work)
        free[free.index(min(free))] = expected[-1]
    assert ends == pytest.approx(expected)
    assert station.busy_seconds() == pytest.approx(sum(works))


@pytest.mark.parametrize("limit", [0.5, 2.0, float("inf")])
def test_who_waits_for_a_signal_goes_on_at_the_signal_or_in_time(events, limit):
    clock = events.Clock()
    signal = events.Signal(clock)
    woken = []

    def process():
        yield signal.within(limit)
        woken.append(clock.now)

    clock.start(process())
    clock.after(1.0, signal.give)
    clock.run(lambda: False)
    assert woken == [min(limit, 1.0)]


@settings(max_examples=20, deadline=None)
@given(workers=st.integers(1, 8), tasks=st.integers(1, 200), cpu=st.floats(0.05, 5.0))
def test_workers_with_nothing_else_to_do_share_the_tasks(model, workers, tasks, cpu):
    result = ended(model, model.Work(cpu=cpu), model.Shape(workers=workers), tasks)
    assert len(result.ends) == tasks
    rounds = -(-tasks // workers)
    assert rounds * cpu - 1e-6 <= max(result.ends) <= 2 * rounds * cpu + 1.0


def test_more_workers_than_cores_are_no_quicker(model):
    work, shape = model.Work(cpu=1.0), model.Shape(cores=2, workers=2)
    two = ended(model, work, shape, 100)
    six = ended(model, work, replace(shape, workers=6), 100)
    assert rate(six) == pytest.approx(2.0, rel=0.1)
    assert rate(two) == pytest.approx(2.0, rel=0.1)


def test_the_driver_is_the_limit_where_tasks_are_quick(model):
    result = ended(model, model.Work(cpu=0.01), model.Shape(), 10_000, handled=0.005)
    assert rate(result) == pytest.approx(200, rel=0.1)
    assert result.uses["driver"] == pytest.approx(1.0, abs=0.05)


def test_the_owner_of_the_log_is_the_limit_where_writes_are_slow_and_a_server_is_wider(model):
    work = model.Work(cpu=0.01)
    file = ended(model, work, model.Shape(), 2000, record=0.01)
    served = ended(
        model, work, model.Shape(log="postgresql"), 2000, record=0.01, server_write=0.01, server_width=4
    )
    assert rate(file) == pytest.approx(100, rel=0.1)
    assert file.uses["log"] == pytest.approx(1.0, abs=0.05)
    assert rate(served) == pytest.approx(400, rel=0.1)


def test_slots_are_the_limit_where_there_are_tasks_enough(model):
    shape = model.Shape(workers=4, concurrency=16, slots=20, share=60, latency=1.0, latency_sigma=0.0)
    result = ended(model, model.Work(programs=0, asks=((1, 5), (5, 1))), shape, 400)
    assert rate(result) == pytest.approx(20 / 10, rel=0.1)  # ten samples a task
    assert result.uses["endpoints"] > 0.9


def test_what_failed_nodes_had_is_done_again(model):
    shape = model.Shape(nodes=4, workers=4, failures=20.0, replacement=5.0)
    result = ended(model, model.Work(cpu=5.0, sigma=1.0), shape, 1000)
    whole = ended(model, model.Work(cpu=5.0, sigma=1.0), replace(shape, failures=0.0), 1000)
    assert result.lost > 0
    assert len(result.ends) >= 1000
    assert rate(result) < rate(whole)


def test_a_batch_is_played_twice_alike_and_begins_as_a_longer_one(model):
    work, shape = model.Work(cpu=1.0, sigma=1.0), model.Shape(nodes=2)
    costs = {"exchange": 0.001, "record": 0.001, "hop": 0.0003}
    one, again = (ended(model, work, shape, 500, **costs) for _ in range(2))
    assert one.ends == again.ends
    longer = model.simulate(model.Constants(**(FREE | costs)), work, shape, 10**9, played=300)
    assert longer.ends == one.ends[:300]


def test_lingering_to_the_end_spares_the_driver_exchanges(model):
    work, shape = model.Work(cpu=0.02, sigma=1.0), model.Shape(nodes=20)
    costs = {"exchange": 0.0001}
    now, gathering = (
        ended(model, work, replace(shape, gathers=gathers), 20_000, **costs) for gathers in (False, True)
    )
    assert gathering.exchanges < 0.7 * now.exchanges
