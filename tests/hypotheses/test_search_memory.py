"""A search ends before it takes up more memory than it may."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_growth import TASKS

from hypotheses.search import SearchProposer
from hypotheses.search.storage import MEGABYTE, Storage, charge, size_of_new

SCRIPT = Path(__file__).parent.parent / "search_growth.py"
CAP = 64


@pytest.mark.parametrize("name", TASKS)
def test_a_process_grows_by_less_than_the_limit_yet_makes_use_of_it(name):
    command = [sys.executable, str(SCRIPT), name, str(CAP)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    grown = json.loads(done.stdout)
    assert grown["reason"] == "budget"
    assert grown["grown_mb"] < CAP, grown
    assert grown["grown_mb"] > (CAP / 4 if name == "long texts" else CAP / 3), grown


class Holder:
    def __init__(self, size, ahead=0):
        self.size, self.ahead = size, ahead


def test_what_is_made_on_the_way_counts_and_what_is_gone_does_not():
    storage = Storage(100 * MEGABYTE)
    held = []

    def steps():
        for size in (30, 30, 40):
            held.append(Holder(size * MEGABYTE))
            charge(held[-1])
            yield size

    fullness = [storage.full for _ in storage.charged(steps())]
    assert fullness == [False, False, True]
    held.clear()
    assert storage.used == 0
    assert not storage.full


def test_nothing_counts_outside_of_a_search():
    storage = Storage(1)
    holder = Holder(2)
    charge(holder)
    assert not storage.full
    storage.add(holder)
    assert storage.full


def test_the_next_step_must_fit_too():
    storage = Storage(100)
    holder = Holder(10)
    storage.add(holder)
    assert not storage.full
    holder.ahead = 90
    assert storage.full


@given(st.lists(st.text(min_size=2), unique=True), st.lists(st.integers(1000, 2000), unique=True))
def test_only_what_is_new_is_measured(texts, numbers):
    column = (*texts, tuple(numbers))
    assert size_of_new(column, [column]) == 0
    assert size_of_new(column) >= sum(map(sys.getsizeof, texts)) + sum(map(sys.getsizeof, numbers))
    longer = (*numbers, 5000)
    assert size_of_new([longer], [column]) == sys.getsizeof(longer) + sys.getsizeof(5000)


def test_a_limit_must_be_positive():
    with pytest.raises(ValueError, match="memory_mb must be positive"):
        SearchProposer(memory_mb=0)
