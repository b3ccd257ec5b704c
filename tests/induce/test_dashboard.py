"""What is seen while a batch is being solved."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from hypotheses.models.server_metrics import ServerMetrics
from induce.cli.dashboard import Dashboard, line, render, rows
from ray_jobs.messages import Ended, Load
from ray_jobs.progress import WINDOW_SECONDS, Progress, Tally

MOMENT = Progress(
    {"solved": 1200, "unsolved": 300},
    10_000,
    out=640,
    workers=62,
    wanted=64,
    lost=3,
    rate=50.0,
    token_rate=12_345.0,
    load=Load(solving=600, judging=40),
)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_moment_in_words():
    assert rows(MOMENT) == [
        ("tasks", "1,500 of 10,000"),
        ("solved", "1,200 (80%, 95 % interval 78% to 82%)"),
        ("speed", "50.0 tasks/s, 12,345 tokens/s written"),
        ("workers", "62 of 64 at work on 600 tasks, 3 lost so far"),
        ("sandbox", "40 programs running or waiting"),
        ("time left", "0:02:50"),
    ]
    assert line(MOMENT) == (
        "1,500 of 10,000 tasks, 1,200 (80%, 95 % interval 78% to 82%) solved, 50.0 tasks/s, 62 workers, "
        "0:02:50 left"
    )


def test_what_a_model_costs_and_what_was_given_up_is_shown_where_there_is_any():
    load = Load(samples_under_way=4000, samples_waiting=96, limits=(2048.0, 2048.0))
    servers = {"http://gpu/v1": ServerMetrics(running=3900, waiting=100)}
    moment = replace(MOMENT, completions=9, load=load, money=12.345, given_up=2, servers=servers)
    shown = dict(rows(moment))
    assert shown["model"] == (
        "4,000 samples under way, 96 waiting (at most 2,048, 2,048); server: 3,900 running, 100 waiting"
    )
    assert (shown["cost"], shown["given up"]) == ("12.35 US dollars in this session", "2")


def test_before_anything_is_known():
    begun = Progress({}, None)
    assert dict(rows(begun))["time left"] == "unknown"
    assert line(begun) == "0 tasks, 0 solved, 0.0 tasks/s, 0 workers, time left unknown"


@given(width=st.integers(10, 300), total=st.none() | st.integers(0, 10**7), done=st.integers(0, 10**7))
def test_it_fits_every_terminal(width, total, done):
    console = Console(width=width, quiet=True)
    moment = replace(MOMENT, outcomes={"solved": done}, total=total)
    for shown in console.render_lines(render(moment, width), pad=False):
        assert sum(len(segment.text) for segment in shown) <= width


def test_without_a_terminal_there_is_a_line_now_and_then(capsys):
    with Dashboard(json=False) as dashboard:
        for _ in range(5):
            dashboard.show(MOMENT)
        dashboard.remark("a node was lost")
    out, error = capsys.readouterr()
    assert out == ""
    assert error.splitlines() == [line(MOMENT), "a node was lost"]


def test_for_machines_there_are_records_and_nothing_else(capsys):
    with Dashboard(json=True) as dashboard:
        dashboard.show(MOMENT)
    out, error = capsys.readouterr()
    assert error == ""
    record = json.loads(out)
    assert {name: record[name] for name in ("done", "total", "seconds_left", "rate")} == {
        "done": 1500,
        "total": 10_000,
        "seconds_left": 170.0,
        "rate": 50.0,
    }


def ended(tokens=10):
    return Ended("t", 1, "solved", completions=1, completion_tokens=tokens, programs=2, money=0.5)


def test_rates_are_those_of_late():
    clock = Clock()
    tally = Tally({"unsolved": 7}, 1000, 2, clock)
    for second in range(1, 101):  # one a second, then ten a second
        clock.now = float(second)
        for _ in range(1 if second <= 50 else 10):
            tally.add(ended())
        moment = tally.progress(out=3, given_up=0)
        if second == 50:
            assert moment.rate == pytest.approx(1, rel=0.1)
    assert moment.rate == pytest.approx(10, rel=0.1)
    assert moment.token_rate == pytest.approx(100, rel=0.1)
    assert moment.done == 557
    assert moment.seconds_left == pytest.approx(44.3, rel=0.1)
    assert (moment.programs, moment.completion_tokens, moment.money) == (1100, 5500, 275.0)


def test_after_a_long_pause_nobody_knows_how_long_it_will_take():
    clock = Clock()
    tally = Tally({}, 10, 1, clock)
    clock.now = 1.0
    tally.add(ended())
    assert tally.progress(out=0, given_up=0).seconds_left == pytest.approx(9)
    clock.now = 2 * WINDOW_SECONDS
    assert tally.progress(out=0, given_up=0).seconds_left is None


@given(
    st.lists(st.builds(Load, *(st.integers(0, 100),) * 4, st.just((1.0, 2.0)), st.integers(0, 9)), max_size=9)
)
def test_the_load_is_that_of_all_workers(loads):
    tally = Tally({}, None, 1)
    tally.loads = dict(enumerate(loads))
    moment = tally.progress(out=0, given_up=0)
    assert moment.workers == len(loads)
    assert moment.load.solving == sum(one.solving for one in loads)
    assert moment.load.limits == ((len(loads) * 1.0, len(loads) * 2.0) if loads else ())
    assert json.loads(json.dumps(moment.record()))["load"]["judging"] == sum(one.judging for one in loads)
