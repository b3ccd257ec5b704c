"""Tasks and values in a terminal."""

from __future__ import annotations

from io import StringIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from hypotheses.task import Example, Parameter, Signature, Task
from induce.render import (
    Grid,
    render_examples,
    render_grid,
    render_predictions,
    render_task,
    render_value,
    visible,
)

GRIDS = Task(
    "flip",
    (Example([[1, 2], [3, 4]], [[2, 1], [4, 3]]),),
    ([[5, 6]], [[7]]),
    Signature((Parameter("grid", "np.ndarray"),), "np.ndarray", "transform", "grid_ndarray"),
    "arc",
)
WORDS = Task(
    "upper",
    (Example("a\tb", "A\tB"), Example("[red]x[/]", "[RED]X[/]")),
    ("q",),
    Signature((Parameter("x", "str"),), "str"),
    description="Say it louder.",
)


def plain(renderable: RenderableType, width: int = 80) -> list[str]:
    console = Console(file=StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return [line.rstrip() for line in capture.get().splitlines()]


def coloured(renderable: RenderableType, width: int = 80, **settings: Any) -> str:
    console = Console(
        file=StringIO(),
        width=width,
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
        **settings,
    )
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_a_task_shows_what_is_to_be_found_its_examples_and_its_queries():
    assert plain(render_task(WORDS)) == [
        "upper  own  f(x: str) -> str",
        "Say it louder.",
        r"example 1 'a\tb'      → 'A\tB'",
        "example 2 '[red]x[/]' → '[RED]X[/]'",
        "query 1 'q' → ?",
    ]


def test_answers_are_shown_only_where_they_are_given():
    assert plain(render_task(WORDS, {0: "Q"}))[-1] == "query 1 'q' → 'Q'"
    assert plain(render_task(GRIDS, {1: [[8]]}))[-4:] == [
        "query 1  1x2 → ?",
        "  5 6",
        "query 2  1x1 → 1x1",
        "  7   →  8",
    ]


def test_grids_stand_beside_each_other_in_digits_without_colour():
    assert plain(render_examples(GRIDS.examples, "grid_ndarray")) == [
        "example 1  2x2 → 2x2",
        "  1 2   →  2 1",
        "  3 4      4 3",
    ]


def test_grids_too_wide_for_the_terminal_shrink_and_then_stand_below_each_other():
    wide = [Example([[1] * 30], [[2] * 30])]
    assert plain(render_examples(wide, "grid_list"), width=80)[1] == f"  {'1' * 30}  →  {'2' * 30}"
    lines = plain(render_examples(wide, "grid_list"), width=50)
    assert [line for line in lines[1:] if line] == [f"  {'1' * 30}", f"  {'2' * 30}"]
    lines = plain(render_examples(wide, "grid_list"), width=22)
    assert "".join(lines[1:]).replace(" ", "") == "1" * 30 + "2" * 30, "nothing is cut off"


def test_grids_are_drawn_in_the_colours_of_arc():
    drawn = coloured(render_grid([[0, 1], [2, 9]]))
    assert drawn.splitlines()[0] == "\x1b[48;2;0;0;0m  \x1b[0m\x1b[48;2;0;116;217m  \x1b[0m"
    small = coloured(render_grid([[1], [2], [3]]), width=1)
    assert small.splitlines() == [
        "\x1b[38;2;0;116;217;48;2;255;65;54m▀\x1b[0m",
        "\x1b[38;2;46;204;64m▀\x1b[0m",
    ]


def test_no_color_means_digits_even_on_a_terminal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured(render_grid([[0, 1], [2, 9]])).split() == ["0", "1", "2", "9"]


def test_cells_that_are_no_colours_are_numbers():
    assert plain(render_grid([[10, 200], [3, -4]])) == [" 10 200", "  3  -4"]


def test_predictions_stand_beside_their_queries_best_first():
    assert plain(render_predictions(GRIDS, [([[6, 5]], [[0]])])) == [
        "query 1  1x2 → 1x2 or 1x1",
        "  5 6   →  6 5   or 0",
        "query 2  1x1 → ?",
        "  7",
    ]
    assert plain(render_predictions(WORDS, [("Q", None)])) == ["query 1 'q' →  'Q'", "            or None"]
    assert plain(render_predictions(WORDS, [])) == ["query 1 'q' → ?"]


@pytest.mark.parametrize(
    ("value", "call", "shown"),
    [
        ({"first": "Ada", "year": 1815}, "keyword", ["first='Ada', year=1815"]),
        (["a", 1], "positional", ["'a', 1"]),
        ([["a"]], "single", ["[['a']]"]),
        ([[1, 2], [3, 4]], "single", ["[[1, 2], [3, 4]]"]),
        ([[1, 2], [3, 4]], None, ["1 2", "3 4"]),
        ([[1, 2], [3]], None, ["[[1, 2], [3]]"]),
        ([[10]], None, ["[[10]]"]),
        (np.array([[1, 2]]), None, ["1 2"]),
        (np.array([0.5]), None, ["[0.5]"]),
        ("\x1b[31m\u00a0", None, [r"'\x1b[31m\xa0'"]),
        pytest.param(10**5000, None, ["<a value with a huge integer>"], id="huge"),
    ],
)
def test_values(value: Any, call: Any, shown: list[str]):
    assert plain(render_value(value, call)) == shown


def test_a_grid_must_be_a_rectangle():
    with pytest.raises(ValueError, match="a grid is a non-empty rectangle of integers"):
        render_grid([[1], [2, 3]])


@settings(deadline=None)
@given(st.text())
def test_nothing_unprintable_reaches_the_terminal(text: str):
    assert visible(text).isprintable()
    assert render_value(text).plain.isprintable()  # type: ignore[union-attr]


grids = st.integers(1, 40).flatmap(
    lambda width: st.lists(
        st.lists(st.integers(0, 9), min_size=width, max_size=width), min_size=1, max_size=9
    )
)


@settings(deadline=None)
@given(grids, st.integers(10, 100))
def test_every_cell_is_drawn_whatever_the_width(cells: list[list[int]], width: int):
    digits = "".join(plain(Grid(cells), width)).replace(" ", "")
    assert digits == "".join(str(cell) for row in cells for cell in row)
