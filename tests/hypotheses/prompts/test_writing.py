"""Values, grids, fences, differences and the choice of examples: what prompts are made of."""

import math
import re
from ast import literal_eval
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypotheses.equality import equal
from hypotheses.prompts.choosing import choose, features_of
from hypotheses.prompts.differences import difference
from hypotheses.prompts.fences import block, fence, line
from hypotheses.prompts.grids import read_grid, write_grid
from hypotheses.prompts.literals import call, literal
from hypotheses.task import Example, Parameter, Signature

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
KEYS = st.text() | st.integers()
VALUES = st.recursive(
    SCALARS | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.sets(KEYS, min_size=1, max_size=4)
    ),
    max_leaves=12,
)
GRIDS = st.integers(1, 6).flatmap(
    lambda width: st.lists(
        st.lists(st.integers(0, 9), min_size=width, max_size=width), min_size=1, max_size=6
    )
)
ENCODINGS = ("digits", "colours", "objects", "runs")


# Values


@given(VALUES)
def test_literals_are_one_line_that_python_reads_back(value):
    text = literal(value)
    assert text.isprintable()
    assert equal(literal_eval(text), value)
    assert "```" not in text


@given(VALUES, st.integers(40, 200))
def test_literals_with_a_limit_are_whole_or_say_what_is_missing(value, limit):
    text = literal(value, limit)
    assert text.isprintable()
    assert "left out" in text or text == literal(value)
    if len(literal(value)) <= limit // 8:
        assert text == literal(value)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**6,
        [1] * 10**6,
        [["ab"] * 1000] * 1000,
        {str(key): [key] * 100 for key in range(10_000)},
        set(range(10_000)),
        10**5000,
        b"\0" * 10**6,
    ],
    ids=lambda value: type(value).__name__,
)
def test_large_values_lose_their_middle(value):
    text = literal(value, 1000)
    assert "left out" in text
    assert len(text) < 8000


def test_values_that_python_writes_in_other_ways():
    assert literal(np.array([[1, 2]])) == "[[1, 2]]"
    assert literal(np.int64(3)) == "3"
    assert literal([math.nan, -math.inf]) == "[float('nan'), float('-inf')]"
    assert literal(OrderedDict(a=1)) == "{'a': 1}"
    assert literal((1,)) == "(1,)"
    assert literal(set()) == "set()"
    assert literal(frozenset({2, 10, 1})) == "frozenset({1, 2, 10})"
    assert literal("<|im_end|>") == r"'<|im_end|>'".replace("<", r"\x3c")


def test_calls():
    keyword = Signature((Parameter("p"), Parameter("q")), call="keyword", name="g")
    assert call(keyword, {"p": 1, "q": "x"}) == "g(p=1, q='x')"
    assert call(keyword, {"p q": 1}) == "g(**{'p q': 1})"
    assert call(Signature((), call="positional"), [1, [2]]) == "f(1, [2])"
    assert call(Signature((), name="no name\n"), [1]) == "f([1])"


# Fences


@given(st.text() | st.text("`\n~ a", max_size=40))
def test_nothing_closes_its_fence(text):
    opened, *inside, closed = fence("x", block(text)).split("\n")
    assert opened == f"{closed}x"
    assert not any(re.fullmatch(rf" {{0,3}}{closed}`*\s*", one) for one in inside)


def test_what_breaks_lines_or_messages_is_made_visible():
    assert block("a\r\nb\u2028c\u202ed\xa0e") == "a\\r\nb\\u2028c\\u202ed\xa0e"
    assert block("<|im_end|> <\uff5cend\uff5c> </s> [INST] <start_of_turn>") == (
        "\\x3c|im_end|> \\x3c\uff5cend\uff5c> \\x3c/s> \\x5bINST] \\x3cstart_of_turn>"
    )
    assert block(r"re.match(r'(?P<s>a) < b', x[N])") == r"re.match(r'(?P<s>a) < b', x[N])"
    assert line("  a\n\tb ") == r"a\n\tb"
    assert line("abcdefgh", 4) == "ab ... 4 characters left out ... gh"


# Grids


@given(GRIDS, st.sampled_from(ENCODINGS))
def test_grids_are_read_back_from_every_encoding(grid, encoding):
    text = write_grid(grid, encoding)
    if encoding == "digits" and len(grid[0]) == 1:
        assert read_grid(text) == grid
    assert read_grid(f"Here it is, as wanted:\n\n{text}\n\nDone, I think.") == grid


@given(st.lists(st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=2), min_size=1, max_size=4))
def test_cells_may_be_any_numbers(grid):
    for encoding in ENCODINGS:
        assert read_grid(write_grid(grid, encoding)) == grid


@pytest.mark.parametrize(
    "text", ["012\n345", "0,1,2\n3,4,5", "| 0 | 1 | 2 |\n| 3 | 4 | 5 |", "[0, 1, 2]\n[3, 4, 5]"]
)
def test_other_ways_to_write_a_grid_are_understood(text):
    assert read_grid(text) == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no grid",
        "1 2\n3",
        "0x9999999",
        "5 rows, 5 columns, background 0\ncolour 1: row 9 columns 1",
        "5 rows, 5 columns, background 0\ncolour 1: row 1 columns 3-9",
        "9999 rows, 9999 columns, background 0",
    ],
)
def test_what_is_no_grid_is_refused(text):
    with pytest.raises(ValueError, match="grid"):
        read_grid(text)


def test_long_grids_lose_rows_in_the_middle():
    shown = write_grid([[1] * 30] * 3000, "digits", 1000)
    assert "lines left out" in shown
    assert len(shown) < 1200


# Differences


@pytest.mark.parametrize(
    ("expected", "actual", "words"),
    [
        ("abcd", "abxd", "different from position 2: expected 'cd', got 'xd'"),
        ("abcd", "ab", "different: ends at position 2, missing 'cd'"),
        ("ab", "abcd", "different: from position 2 there is too much, 'cd'"),
        ("Ab", "aB", "only upper and lower case differ from position 0: expected 'Ab', got 'aB'"),
        ("a b", "ab", "only white space differs from position 1: expected ' b', got 'b'"),
        ([1, 2], [2, 1], "the same items in another order"),
        ([1, 2, 3], [1, 5, 3], "item 1 must be 2, not 5"),
        ([1, 2, 3], [1, 2], "expected 3 items, got 2"),
        ([1, 2, 3], [0], "expected 3 items, got 1; item 0 must be 1, not 0"),
        ([1], np.array([2]), "item 0 must be 1, not 2"),
        ([1, 2], None, "expected a list, got None"),
        (1, True, "expected an int, got a bool"),
        (1, 2, ""),
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, "missing keys: 'a'; keys too many: 'c'; 'b' must be 2, not 3"),
    ],
)
def test_differences_in_words(expected, actual, words):
    assert difference(expected, actual) == words


def test_differences_of_grids():
    assert difference([[1, 2]], [[1]], grid=True) == "expected 1 row of 2, got 1 row of 1"
    assert difference([[1, 2]], [[1, 3]], grid=True) == "1 of 2 cells are wrong: row 0 column 1 must be 2"
    assert difference([[1, 2]], "no", grid=True) == "expected a list, got a str"
    assert difference([[0] * 30] * 30, [[1] * 30] * 30, grid=True).endswith("row 0 column 4 must be 0; ...")


def test_what_counts_as_equal_is_no_difference():
    assert difference([1.0, 2.0], [1.0000001, 3.0], 1e-3) == "item 1 must be 2.0, not 3.0"


@given(VALUES, VALUES)
def test_differences_are_one_line_whatever_the_values(expected, actual):
    words = difference(expected, actual)
    assert words.isprintable()
    assert len(words) < 1500


# Choosing


@given(
    st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=12),
    st.integers(0, 60),
    st.none() | st.integers(1, 5),
    st.randoms(use_true_random=False),
)
def test_chosen_examples_fit_the_budget_and_no_more_would(pairs, budget, most, rng):
    features = features_of([Example(*pair) for pair in pairs])
    costs = [rng.randrange(1, 20) for _ in pairs]
    chosen = choose(features, costs, budget, most)
    assert chosen == sorted(set(chosen))
    left = budget - sum(costs[index] for index in chosen)
    assert left >= 0
    if most is None or len(chosen) < most:
        assert all(costs[index] > left for index in range(len(pairs)) if index not in chosen)
    assert most is None or len(chosen) <= most
    assert chosen == choose(features, costs, budget, most)


def test_different_examples_come_before_more_of_the_same():
    alike = [Example([1, 2, 3], 6) for _ in range(50)]
    odd = [Example([], 0), Example([-5] * 9, -45), Example("text", "out")]
    features = features_of([*alike[:20], odd[0], *alike[20:40], odd[1], *alike[40:], odd[2]])
    assert choose(features, [1] * 53, 4) == [0, 20, 41, 52]


# Tokens
