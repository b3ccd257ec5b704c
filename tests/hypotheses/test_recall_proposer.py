"""Remembered programs solve tasks, alone and one after another."""

import asyncio

import pytest

from hypotheses.equality import equal
from hypotheses.recall import RecalledProposer, query_of
from hypotheses.recall.composition import compose
from hypotheses.solver import Solver, SolverConfig
from hypotheses.task import Task
from memory import Concept, Recalled
from sandboxes import Limits, Program

FLIP = "def f(grid):\n    return grid[::-1]"
RECOLOUR = "import numpy as np\nOLD, NEW = 3, 6\n\ndef f(grid):\n    return np.where(grid == OLD, NEW, grid)"
CONCEPTS = [
    Concept(
        "decoy", "Everything is black.", program=Program("def f(g):\n    return [[0]]", "f", "grid_list")
    ),
    Concept("hangs", "Never ends.", program=Program("def f(g):\n    while True: pass", "f", "grid_list")),
    Concept("words", "A concept without a program."),
    Concept("text", "Capitals.", program=Program("def f(x):\n    return x.upper()", "f")),
    Concept("flip", "Turn the grid upside down.", program=Program(FLIP, "f", "grid_list")),
    Concept("recolour", "Green becomes pink.", program=Program(RECOLOUR, "f", "grid_ndarray")),
]
GRIDS = ([[0, 3, 1], [2, 0, 0]], [[3, 3], [0, 1], [4, 0]])


def flipped(grid):
    return grid[::-1]


def recoloured(grid):
    return [[6 if cell == 3 else cell for cell in row] for row in grid]


def grid_task(function, call="grid_list"):
    return Task.from_pairs([(grid, function(grid)) for grid in GRIDS], queries=[[[3], [5]]], call=call)


def solve(proposer, sandbox, task, **config):
    config = {"rounds": None, "samples": 1} | config
    solver = Solver(proposer, sandbox, config=SolverConfig(**config), limits=Limits(seconds=0.2))
    return asyncio.run(solver.solve(task))


@pytest.fixture(scope="module")
def proposer(sandbox):
    return RecalledProposer(CONCEPTS, sandbox)


@pytest.mark.parametrize("call", ["grid_list", "grid_ndarray"])
def test_a_remembered_program_solves_a_task_at_once(call, proposer, sandbox):
    solution = solve(proposer, sandbox, grid_task(flipped, call))
    assert solution.solved
    assert solution.predictions == (([[5], [3]],),)
    assert solution.candidate.hypothesis.text == "Turn the grid upside down."
    assert solution.candidate.hypothesis.proposer == "recall"
    assert solution.usage.programs == 1


def test_two_programs_solve_what_neither_does(proposer, sandbox):
    solution = solve(proposer, sandbox, grid_task(lambda grid: recoloured(flipped(grid))))
    assert solution.solved
    assert equal(solution.predictions[0][0], [[5], [6]])
    assert set(
        solution.candidate.hypothesis.text.replace("First: ", "").replace("Then: ", "").split("\n")
    ) == {
        "Turn the grid upside down.",
        "Green becomes pink.",
    }
    assert not solve(
        RecalledProposer(CONCEPTS, sandbox, composed=0), sandbox, grid_task(lambda g: recoloured(flipped(g)))
    ).solved


def test_a_program_of_texts_is_not_tried_on_grids(proposer, sandbox):
    names = [concept.name for concept in proposer.ranked(grid_task(flipped))]
    assert sorted(names) == ["decoy", "flip", "hangs", "recolour"]
    solution = solve(proposer, sandbox, Task.from_pairs([("ada", "ADA")], queries=["eve"]))
    assert solution.predictions == (("EVE",),)


@pytest.mark.parametrize("samples", [1, 2, 3, 64])
def test_no_more_than_the_most_are_proposed_and_none_twice(samples, sandbox):
    concepts = [
        Concept(f"first {n}", "", program=Program(f"def f(g): return g[:{n}]", "f", "grid_list"))
        for n in range(1, 8)
    ]
    proposer = RecalledProposer(concepts, sandbox, most=5, composed=0)
    solution = solve(proposer, sandbox, grid_task(lambda _: [[9, 9, 9]]), samples=samples)
    assert not solution.solved
    assert solution.usage.programs == solution.usage.hypotheses == 5


def test_a_memory_is_asked_about_the_task(sandbox):
    class Recording:
        def __init__(self):
            self.asked = []

        def add(self, concepts):
            raise NotImplementedError

        def recall(self, query, most=8):
            self.asked.append((query, most))
            return [Recalled(CONCEPTS[4], 1.0)]

    memory, task = Recording(), grid_task(flipped)
    assert solve(RecalledProposer(memory, sandbox, recalled=9), sandbox, task).solved
    assert memory.asked == [(query_of(task), 9)]


def test_an_empty_memory_says_so(sandbox):
    solution = solve(RecalledProposer([], sandbox), sandbox, grid_task(flipped))
    assert solution.outcome == "unsolved"
    assert solution.note == "the memory has no program that takes what this task gives"


@pytest.mark.parametrize("options", [{"most": 0}, {"composed": -1}, {"recalled": 0}])
def test_limits_that_make_no_sense_are_refused(options, sandbox):
    with pytest.raises(ValueError, match=next(iter(options))):
        RecalledProposer([], sandbox, **options)


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        (Program(FLIP, "f", "grid_list"), Program(RECOLOUR, "f", "grid_ndarray"), [[5, 6], [6, 1]]),
        (Program(RECOLOUR, "f", "grid_ndarray"), Program(FLIP, "f", "grid_list"), [[5, 6], [6, 1]]),
        (Program(FLIP, "f", "grid_list"), Program(FLIP, "f", "grid_list"), [[3, 1], [5, 3]]),
    ],
)
def test_programs_with_the_same_names_are_kept_apart(first, second, wanted, sandbox):
    [run] = sandbox.run(compose(second, first), [[[3, 1], [5, 3]]], Limits())
    assert equal(run.value, wanted)


@pytest.mark.parametrize(
    "source",
    [
        "from math import *\ndef f(x): return x",
        "n = 0\ndef f(x):\n    global n\n    n += 1\n    return x",
        "from __future__ import annotations\ndef f(x): return x",
        "def f(x:",
    ],
)
def test_what_cannot_stand_in_a_function_is_not_composed(source):
    good, bad = Program("def f(x): return x", "f"), Program(source, "f")
    assert compose(good, bad) is None
    assert compose(bad, good) is None
    assert compose(good, good) is not None
    assert compose(Program("def f(x, y): return x", "f", "positional"), good) is None
