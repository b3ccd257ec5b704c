"""Dates, times of day and numbers in texts: what is found is right, and holds for inputs not shown."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypotheses.search import search
from hypotheses.search.helpers.numbers import write_number
from hypotheses.search.language import Constant, evaluate
from hypotheses.search.languages import engines_of
from hypotheses.search.moments import MOMENTS, PARTS, READ, ROUND, MomentEngine
from hypotheses.search.numbers import NUMBERS, NumberEngine
from hypotheses.task import Task
from hypotheses.verification import verify
from sandboxes import Limits

CASES = {
    "a date in another layout": (
        [("06-Oct-2143", "Sunday, October 6, 2143"), ("Mar 30 2002", "Saturday, March 30, 2002")],
        ("7/4/1776", "Thursday, July 4, 1776"),
    ),
    "day first": ([("25/12/2001", "2001-12-25"), ("03/11/1999", "1999-11-03")], ("04/10/2020", "2020-10-04")),
    "half an hour": (
        [("11:12:29", "11:00-11:30"), ("08:29:52", "8:00-8:30"), ("12:41:14", "12:30-13:00")],
        ("23:59:59", "23:30-0:00"),
    ),
    "two hours to the last minute": (
        [("6PM", "6:00PM-7:59PM"), ("9PM", "8:00PM-9:59PM"), ("7AM", "6:00AM-7:59AM")],
        ("11am", "10:00AM-11:59AM"),
    ),
    "a clock without a colon": (
        [("243", "2:30AM-3:00AM"), ("842", "8:30AM-9:00AM"), ("1132", "11:30AM-12:00PM")],
        ("1403", "2:00PM-2:30PM"),
    ),
    "two columns": (
        [(["7/24/1957", "1:13:23"], "Wed 1:00-2:00"), (["12/17/2203", "11:54:32"], "Sat 11:00-12:00")],
        (["5/5/1788", "10:05:34"], "Mon 10:00-11:00"),
    ),
    "a field of a record": (
        [("a,9/12/2002 6:25 PM,x", "2002-09-12 18:25"), ("b,1/2/2003 7:00 AM,y", "2003-01-02 07:00")],
        ("c,11/30/2010 12:05 AM,z", "2010-11-30 00:05"),
    ),
    "thousands": ([("1652", "1,652"), ("1234567", "1,234,567")], ("98765", "98,765")),
    "the other way of writing": (
        [("2345.23292", "2.345,23292"), ("243", "243"), ("12.5", "12,5")],
        ("0.5", "0,5"),
    ),
    "two decimals": ([("123.4567", "123.46"), ("3.4", "3.40")], ("7", "7.00")),
    "two decimals at least": ([("1.1", "1.10"), ("1.2345678", "1.2345678"), ("1", "1.00")], ("2.5", "2.50")),
    "to a half": ([("1.14", "1.0"), ("1.45", "1.5"), ("1.82", "2.0")], ("7.3", "7.5")),
    "up to fifties": ([("51", "$100"), ("130", "$150"), ("420", "$450")], ("201", "$250")),
    "thousands of dollars": ([("243", "$0.2B"), ("12.5", "$0.0B"), ("2345.2", "$2.3B")], ("5555", "$5.6B")),
    "leading zeros": ([("item 7", "no. 007"), ("item 12", "no. 012")], ("item 345", "no. 345")),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_learned_holds_for_what_was_not_shown(name, sandbox):
    shown, (unseen, wanted) = CASES[name]
    call = "positional" if isinstance(unseen, list) else "single"
    task = Task.from_pairs(shown, queries=[unseen], call=call)
    result = search(task, seconds=None, max_terms=2_000_000)
    assert result.report.reason == "solved"
    verdict = verify(result.found.program, task, sandbox, Limits())
    assert verdict.consistent, result.found.program.source
    assert verdict.query_executions[0].value == wanted, result.found.text


def test_what_is_copied_is_no_number_and_no_moment():
    for shown in ([("id 007", "007"), ("id 012", "012")], [("ab-1-cd", "cd"), ("ef-2-gh", "gh")]):
        task = Task.from_pairs(shown)
        assert list(NumberEngine(NUMBERS.problem(task)).steps()) == []
        assert not any(MomentEngine(MOMENTS.problem(task)).steps())


def test_texts_alone_are_searched_so():
    kinds = [type(one).__name__ for one in engines_of(Task.from_pairs([("a", "b")]))]
    assert kinds == ["MomentEngine", "NumberEngine", "Interleaved"]
    assert [type(one).__name__ for one in engines_of(Task.from_pairs([([1], [2])]))] == ["Interleaved"]


YEARS = (datetime.fromisoformat("1000-01-01"), datetime.fromisoformat("9998-12-31"))
MOMENT = st.datetimes(*YEARS).map(lambda m: m.replace(microsecond=0))
LAYOUTS = ("%Y-%m-%d %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%d %B %Y %H:%M:%S", "%b %d, %Y %I:%M:%S%p")


@given(MOMENT, st.sampled_from(LAYOUTS))
def test_moments_are_read_as_they_are_written(moment, layout):
    assert evaluate_one(READ[0], moment.strftime(layout)) == moment


@given(MOMENT, st.sampled_from([5, 10, 15, 30, 60, 120, 720, 1440]))
def test_moments_are_rounded_down_within_their_day(moment, minutes):
    floor = evaluate_one(ROUND, moment, minutes)
    assert floor <= moment < floor + timedelta(minutes=minutes)
    assert floor.date() == moment.date()
    assert (floor.hour * 60 + floor.minute) % minutes == floor.second == 0


def evaluate_one(operator, *values):
    return operator.evaluate(*((value,) for value in values))[0]


@given(st.sampled_from(sorted(PARTS)), MOMENT)
def test_every_part_of_a_layout_is_known_to_the_c_library(part, moment):
    assert "%" not in moment.strftime(part)


@given(
    number=st.decimals(-(10**9), 10**9, allow_nan=False, places=6),
    least=st.integers(0, 4),
    more=st.integers(0, 4),
    comma=st.sampled_from(["", ",", "'"]),
)
@settings(max_examples=200)
def test_written_numbers_say_the_number(number, least, more, comma):
    text = write_number(number, least, least + more, comma=comma)
    value = Decimal(text.replace(comma, "") if comma else text)
    assert abs(value - number) <= Decimal(1).scaleb(-least - more) / 2
    decimals = text.partition(".")[2]
    assert least <= len(decimals) <= least + more
    assert len(decimals) == least or not decimals.endswith("0")


def test_a_constant_of_the_language_is_one_value_for_all_rows():
    assert evaluate(Constant(30, "int"), [("a",), ("b",)]) == (30, 30)


def test_ten_thousand_examples_leave_the_deadline_in_force():
    pairs = [(f"{n % 24}:{n % 60:02d} {n}", f"{n % 24}:00") for n in range(10_000)]
    wrong = [*pairs[:-1], (pairs[-1][0], "no time")]
    for shown in (pairs, wrong):
        assert search(Task.from_pairs(shown), seconds=2).report.seconds < 10
