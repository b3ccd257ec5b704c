"""What is said of tasks: the same however their examples are ordered, and true."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypotheses.equality import equal
from hypotheses.recall import query_of
from hypotheses.recall.grids import as_grid
from hypotheses.recall.relations import looks, relations
from hypotheses.task import Task

grids = st.integers(1, 6).flatmap(
    lambda width: st.lists(
        st.lists(st.integers(0, 9), min_size=width, max_size=width), min_size=1, max_size=6
    )
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def grid_task(*pairs):
    return Task.from_pairs(pairs, call="grid_list")


@given(st.lists(st.tuples(grids, grids), min_size=2, max_size=4), st.randoms())
def test_the_order_of_examples_does_not_matter(pairs, chance):
    task = grid_task(*pairs)
    examples = list(task.examples)
    chance.shuffle(examples)
    assert query_of(replace(task, examples=tuple(examples))) == query_of(task)


@given(grids, grids)
def test_what_a_memory_is_asked_says_nothing_of_the_queries(one, other):
    task = grid_task((one, other))
    assert query_of(replace(task, queries=(other,))) == query_of(task)


@given(values, values)
@settings(max_examples=300)
def test_anything_can_be_related_to_anything(one, other):
    assert "same" in relations(one, one)
    assert all(isinstance(token, str) for token in relations(one, other) | looks(one))


@given(st.integers(min_value=10**400), st.floats(), st.lists(st.integers() | st.floats(), max_size=3))
def test_numbers_beyond_all_floats_can_be_related(huge, number, several):
    assert relations(several, huge)
    assert relations([huge, *several], number)
    assert relations(number, huge)
    assert relations(huge, number)


@given(grids)
def test_a_grid_turned_is_said_to_be_turned(rows):
    grid = np.array(rows)
    for name, image in {
        "flipped:up-down": grid[::-1],
        "flipped:left-right": grid[:, ::-1],
        "flipped:diagonal": grid.T,
        "turned:90": np.rot90(grid, -1),
        "turned:180": np.rot90(grid, 2),
        "turned:270": np.rot90(grid),
    }.items():
        assert name in relations(rows, image.tolist())


@given(grids, st.integers(2, 3), st.integers(2, 3))
def test_a_grid_repeated_or_enlarged_is_said_to_be_so(rows, down, across):
    grid = np.array(rows)
    assert {"tiled", "contains", f"rows:x{down}", f"columns:x{across}"} <= relations(
        rows, np.tile(grid, (down, across)).tolist()
    )
    assert "enlarged" in relations(rows, np.kron(grid, np.ones((down, across), int)).tolist())


def test_a_colour_painted_onto_the_background():
    found = relations([[0, 0, 2], [0, 0, 0]], [[0, 3, 2], [0, 3, 0]])
    assert {"shape:same", "new:3", "from:0:to:3", "only:adds", "palette:more", "changed:line"} <= found
    assert not {"gone:2", "only:removes", "recoloured", "counts:same"} & found


def test_a_colour_replaced_everywhere():
    assert {"recoloured", "from:2:to:4", "gone:2", "new:4", "background:kept"} <= relations(
        [[0, 2], [0, 2], [0, 0]], [[0, 4], [0, 4], [0, 0]]
    )


def test_a_part_cut_out_of_panels():
    given_, wanted = [[1, 0, 5, 2, 0], [0, 1, 5, 0, 2]], [[2, 0], [0, 2]]
    assert {"part", "rows:same", "columns:panels:2", "columns:fewer", "gone:5"} <= relations(given_, wanted)


@pytest.mark.parametrize(
    ("given_", "wanted", "tokens"),
    [
        ([3, 1, 2], [1, 2, 3], {"ascending", "rearranged", "length:same", "out:list[int]"}),
        ([3, 1, 2], [2, 1, 3], {"reversed", "rearranged"}),
        ([3, 1, 2], 3, {"first", "most", "element", "length", "out:int"}),
        ("Ada Lovelace", "ADA LOVELACE", {"letters:case", "isupper", "has: ", "out:str"}),
        ("ada.b@c.org", "c.org", {"suffix", "part", "gone:@", "length:less"}),
        (4, True, {"is:True", "out:bool"}),
    ],
)
def test_other_values(given_, wanted, tokens):
    assert tokens <= relations(given_, wanted)


def test_several_arguments_are_told_apart():
    found = relations(["ada", "bob"], "bob", "positional")
    assert "1:same" in found
    assert "0:same" not in found
    assert {"0:in:str", "1:in:int"} <= looks(["ada", 3], "positional")


def test_a_query_has_words_types_and_what_all_examples_share():
    task = Task.from_pairs([([[1, 2]], [[2], [1]]), ([[3, 4]], [[4], [3]])], call="grid_list")
    query = query_of(replace(task, description="turn it"), clock=7)
    assert query.text == "turn it"
    assert query.signature == "(list[list[int]]) -> list[list[int]]"
    assert query.clock == 7
    assert {"in:grid", "out:grid", "turned:270", "rows:crossed"} <= set(query.features)
    assert "has:1" not in query.features


@given(values)
def test_only_rectangles_of_colours_are_grids(value):
    grid = as_grid(value)
    assert grid is None or equal(grid.tolist(), value)


@pytest.mark.parametrize(
    "value", [[[10]], [[-1]], [[1], [1, 2]], [[True]], [[0.5]], [[]], [], [1], "11", [[10**30]]]
)
def test_what_is_no_grid(value):
    assert as_grid(value) is None


@given(grids)
def test_however_a_program_writes_a_grid_it_is_the_same(rows):
    image = [row[::-1] for row in rows]
    for written in (
        tuple(map(tuple, image)),
        np.array(image),
        np.array(image, float),
        [np.array(r) for r in image],
    ):
        assert relations(rows, written) == relations(rows, image)
