"""Programs that fit a task come first; those that mean harm do nothing."""

import numpy as np
import pytest

from hypotheses.recall import Profile, Ranking, profile_of, query_of
from hypotheses.recall.grid_probes import grid_probes
from hypotheses.recall.grids import as_grid
from hypotheses.recall.literals import colours_named
from hypotheses.recall.probes import probes_for
from hypotheses.task import Task
from sandboxes import Program

GRID = [[0, 3, 0, 0], [3, 3, 0, 5], [0, 0, 5, 5]]
OTHER = [[7, 0, 0], [0, 7, 0], [0, 0, 2], [1, 0, 0], [0, 0, 0]]

BODIES = {
    "rotate": "[list(row) for row in zip(*grid[::-1])]",
    "flip": "grid[::-1]",
    "mirror": "[row + row[::-1] for row in grid]",
    "transpose": "[list(row) for row in zip(*grid)]",
    "enlarge": "[[cell for cell in row for _ in range(2)] for row in grid for _ in range(2)]",
    "top": "grid[: len(grid) // 2]",
    "corner": "[row[:2] for row in grid[:2]]",
    "recolour 3 to 6": "[[6 if cell == 3 else cell for cell in row] for row in grid]",
    "recolour 3 to 4": "[[4 if cell == 3 else cell for cell in row] for row in grid]",
    "recolour 7 to 6": "[[6 if cell == 7 else cell for cell in row] for row in grid]",
    "blacken": "[[0] * len(row) for row in grid]",
    "count": "[[sum(cell > 0 for row in grid for cell in row) % 10]]",
    "sort rows": "[sorted(row) for row in grid]",
}
PROGRAMS = {
    name: Program(f"def f(grid):\n    return {body}", "f", "grid_list") for name, body in BODIES.items()
}
HOSTILE = {
    "hangs": "def f(grid):\n    while True: pass",
    "raises": "def f(grid):\n    raise ValueError(grid)",
    "huge": "def f(grid):\n    return [[1] * 30] * 10**6",
    "hoards": "def f(grid):\n    return len(' ' * 10**12)",
    "dies": "import os\ndef f(grid):\n    os._exit(0)",
    "module hangs": "while True: pass",
    "no Python": "def f(grid:\n",
    "no grid": "def f(grid):\n    return grid",
}


@pytest.fixture(scope="module")
def profiles(sandbox):
    return {name: profile_of(program, sandbox) for name, program in PROGRAMS.items()}


def outputs(program, *grids):
    names = {}
    exec(program.source, names)  # our own one-liners, above
    return [names["f"](grid) for grid in grids]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_that_made_the_examples_comes_first(name, profiles):
    grids = (GRID, OTHER) if name != "recolour 7 to 6" else (OTHER, [[7, 1], [0, 7]])
    grids = (GRID, [[3, 0], [3, 2]]) if name.startswith("recolour 3") else grids
    task = Task.from_pairs(zip(grids, outputs(PROGRAMS[name], *grids), strict=True), call="grid_list")
    ranked = Ranking(list(profiles.values())).rank(task)
    assert list(profiles)[ranked[0]] == name
    assert sorted(ranked) == list(range(len(profiles)))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_program_that_means_harm_does_nothing(name, sandbox):
    program = Program(HOSTILE[name], "f", "grid_list")
    profile = profile_of(program, sandbox)
    assert profile.outcomes == (None,) * len(probes_for(program).inputs)
    assert profile.acts == 0
    assert profile.features == ()


def test_of_a_program_that_does_nothing_the_usual_is_believed(profiles):
    """It comes after those that fit, and before those that surely do not."""
    probes = probes_for(PROGRAMS["flip"]).inputs
    idle = Profile(Program(HOSTILE["raises"], "f", "grid_list"), (None,) * len(probes))
    task = Task.from_pairs([(GRID, GRID[::-1])], call="grid_list")
    names = ["idle", *profiles]
    ranked = [names[position] for position in Ranking([idle, *profiles.values()]).rank(task)]
    assert ranked.index("flip") < ranked.index("idle") < ranked.index("count")


def test_named_colours_decide_between_programs_that_look_alike(sandbox):
    """Neither program acts on any probe, and only one speaks of the colours of the task."""
    source = "def f(grid):\n    if sum(map(sum, grid)) != -1: return grid\n    return [[{}] * len(grid)]"
    programs = [Program(source.format(colour), "f", "grid_list") for colour in (2, 6, 8)]
    task = Task.from_pairs([([[0, 1]], [[6, 1]]), ([[1, 0]], [[1, 6]])], call="grid_list")
    assert Ranking([profile_of(one, sandbox) for one in programs]).rank(task)[0] == 1


@pytest.mark.parametrize(
    ("source", "colours"),
    [
        ("x == 3", {3}),
        ("grid[4][5:6] = 7", {7}),
        ("len(grid) // 2 + 1", set()),
        ("[0] * 3", {0}),
        ("range(2, 9)", set()),
        ("{1: 2, 3: 4}", {1, 2, 3, 4}),
        ("x = 12; y = True; z = 8.0", set()),
        ("no Python 3", set()),
    ],
)
def test_the_colours_that_a_program_names(source, colours):
    assert colours_named(source) == colours


def test_a_profile_has_features_in_the_words_of_a_query(profiles):
    task = Task.from_pairs([(GRID, GRID[::-1]), (OTHER, OTHER[::-1])], call="grid_list")
    shared = set(profiles["flip"].features) & set(query_of(task).features)
    assert {"in:grid", "out:grid", "flipped:up-down", "shape:same", "counts:same"} <= shared


def test_programs_on_texts_and_lists_are_ranked_too(sandbox):
    bodies = ("x.upper()", "x.split()[0]", "x[::-1]", "sorted(x)", "sum(x)", "len(x)", "x[0]")
    programs = [Program(f"def f(x):\n    return {body}", "f") for body in bodies]
    ranking = Ranking([profile_of(program, sandbox) for program in programs])
    texts, lists = ("ada b", "Main Street", "x 12"), ([3, 1, 2], [5, 9], [4, 4, 1, 0])
    for body, inputs in (
        ("x.upper()", texts), ("x.split()[0]", texts), ("x[::-1]", texts),
        ("sorted(x)", lists), ("sum(x)", lists), ("len(x)", lists),
    ):  # fmt: skip
        task = Task.from_pairs([(x, eval(body, {"x": x})) for x in inputs])
        assert bodies[ranking.rank(task)[0]] == body


def test_programs_with_several_parameters_are_ranked_too(sandbox):
    bodies = ("a + ' ' + b", "b + ', ' + a", "a * b", "a + b", "b")
    programs = [Program(f"def f(a, b):\n    return {body}", "f", "positional") for body in bodies]
    ranking = Ranking([profile_of(program, sandbox) for program in programs])
    task = Task.from_pairs([(["ada", "b"], "b, ada"), (["x y", "z"], "z, x y")], call="positional")
    assert ranking.rank(task)[0] == 1


def test_probes_are_always_the_same_grids():
    grid_probes.cache_clear()
    first = grid_probes(60)
    grid_probes.cache_clear()
    assert grid_probes(80)[:60] == first
    assert all(as_grid(grid) is not None for grid in first)
    assert len({np.array(grid).tobytes() for grid in first}) == 60


def test_no_programs_are_no_error():
    task = Task.from_pairs([(GRID, GRID)], call="grid_list")
    assert Ranking([]).rank(task) == []
