"""Searches that take turns, and expressions that are met halfway."""

import operator

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hypotheses.search import search
from hypotheses.search.assembly import Assembly
from hypotheses.search.interleaving import Interleaved
from hypotheses.search.language import Constant, Problem, Variable, evaluate
from hypotheses.search.lists import LISTS
from hypotheses.task import Task


class Scripted:
    """A searcher that works in steps of so many terms; it finds, or holds back, something at some of them."""

    def __init__(self, problem, step, finds=None, holds_back=range(0), steps=10):
        self.problem = problem
        self.terms = 0
        self.exhausted = False
        self.pending = None
        self._script = (step, finds, holds_back, steps)

    def steps(self):
        step, finds, holds_back, steps = self._script
        for number in range(steps):
            self.terms += step
            self.pending = Constant(0, "int") if number in holds_back else None
            yield Constant(number, "int") if number == finds else None
        self.exhausted = True


def problem():
    return LISTS.problem(Task.from_pairs([([1], 1)]))


def order(first, second, opening=0, head_start=0):
    """Which of the two works in each turn."""
    before = 0
    for _ in Interleaved([first, second], opening, head_start).steps():
        yield first if first.terms > before else second
        before = first.terms


def test_each_does_as_much_work():
    small, large = Scripted(problem(), 10, steps=30), Scripted(problem(), 30, steps=10)
    for _ in order(small, large):
        assert abs(small.terms - large.terms) <= 30


def test_the_first_goes_ahead():
    first, second = Scripted(problem(), 10), Scripted(problem(), 10)
    turns = list(order(first, second, head_start=50))
    assert turns[:6] == [first] * 6
    assert turns.count(first) == turns.count(second) == 10


def test_before_that_each_is_opened():
    first, second = Scripted(problem(), 10), Scripted(problem(), 10)
    turns = list(order(first, second, opening=30, head_start=50))
    assert turns[:6].count(first) == turns[:6].count(second) == 3
    assert turns[6:11] == [first] * 5


def test_while_the_first_holds_something_back_the_others_wait():
    first, second = Scripted(problem(), 10, finds=7, holds_back=range(2, 7)), Scripted(problem(), 1)
    turns = Interleaved([first, second], 0, 0)
    for found in turns.steps():
        if first.pending is not None:
            waiting = second.terms
            assert turns.pending is first.pending
        if found is not None:
            break
    assert second.terms == waiting
    assert turns.problem is first.problem


def test_the_problem_is_that_of_whoever_found_something():
    first, second = Scripted(problem(), 10), Scripted(problem(), 10, finds=1)
    turns = Interleaved([first, second], 0, 0)
    assert any(found is not None for found in turns.steps())
    turns = Interleaved([Scripted(problem(), 10), second := Scripted(problem(), 10, finds=1)], 0, 0)
    next(found for found in turns.steps() if found is not None)
    assert turns.problem is second.problem
    assert not turns.exhausted


def test_it_is_exhausted_when_all_are():
    turns = Interleaved([Scripted(problem(), 10), Scripted(problem(), 10, steps=3)], 0, 0)
    assert list(turns.steps()) == [None] * 13
    assert turns.exhausted
    assert turns.terms == 130


NUMBERS = st.integers(-20, 20)
COLUMNS = st.integers(3, 6).flatmap(lambda n: st.tuples(*[st.tuples(*[NUMBERS] * n)] * 2))


@given(COLUMNS, st.sampled_from([operator.add, operator.sub, operator.mul]), st.booleans())
def test_two_expressions_meet_in_a_sum_a_difference_a_product(columns, combine, swapped):
    """Whichever of the two is seen first; a product that is mostly zero does not tell its factors."""
    left, right = columns
    outputs = tuple(map(combine, left, right))
    assume(combine is not operator.mul or sum(map(bool, outputs)) >= 3)
    language = LISTS.problem(
        Task.from_pairs([([a, b], 0) for a, b in zip(left, right, strict=True)], call="positional")
    )
    entries = [(left, Variable("x0", "int", 0)), (right, Variable("x1", "int", 1))]
    assembly = Assembly(language.language, outputs)
    for entry in entries[::-1] if swapped else entries:
        if assembly.show(1, [entry]):
            return  # one of the two is all of it
    made = assembly.assemble(1000)
    assert made is not None
    assert evaluate(made.expression, list(zip(left, right, strict=True))) == outputs


@pytest.mark.parametrize("function", [lambda a, b: (a % 10) * (b % 10), lambda a, b: a * a - b // 3 + 11])
def test_what_meets_halfway_is_found_with_few_terms(function):
    pairs = [((a * 37 % 101, a * 53 % 89), function(a * 37 % 101, a * 53 % 89)) for a in range(1, 21)]
    result = search(Task.from_pairs(pairs, call="positional"), seconds=None, max_terms=400_000)
    assert result.found is not None, result.report
    found = result.found
    assert isinstance(found.problem, Problem)
    rows = [(1234, 5678), (77, 3), (0, 10)]
    assert evaluate(found.expression, rows) == tuple(function(a, b) for a, b in rows), found.text
