"""The colours that a program names: a program that speaks of colour 3 is for tasks where colour 3 matters."""

from __future__ import annotations

import ast
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hypotheses.extraction import MAX_READ
from hypotheses.recall.grids import COLOURS, as_grid
from hypotheses.task import Task

NEW, ALWAYS, SOMETIMES, NEVER = 60.0, 5.0, 0.5, 0.05
"""How many times the usual odds a program names a colour: that outputs have and inputs lack; that all inputs
have; that some grids of the task have; that none has."""

_COUNTERS = 2
"""0 and 1 are in programs as numbers as often as they are as colours, and count by half."""


@lru_cache(maxsize=65_536)
def colours_named(source: str) -> frozenset[int]:
    """Give the colours among the numbers of a program, those left out that it counts or indexes with."""
    if len(source) > MAX_READ:
        return frozenset()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()
    found: set[int] = set()
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Constant) and type(node.value) is int and 0 <= node.value < COLOURS:
            found.add(node.value)
        todo += [child for child in ast.iter_child_nodes(node) if not _counts(node, child)]
    return frozenset(found)


def _counts(node: ast.AST, child: ast.AST) -> bool:
    """Whether numbers directly below are positions, lengths or terms of a sum."""
    match node:
        case ast.Subscript(slice=index):
            return child is index
        case ast.BinOp():
            return not isinstance(child, ast.List)  # [0] * 3 is three cells of colour 0
        case ast.Call(func=ast.Name(id="range")):
            return True
    return False


def colour_scores(task: Task, named: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Score programs by the colours they name: the log of how much likelier they are with this task.

    ``named`` has a row for each program, 1 for a colour it names; how usual a colour is comes from all.
    """
    share = (named.sum(0) + 1) / (len(named) + 2)
    odds = share / (1 - share) * _factors(task)
    with_task = odds / (1 + odds)
    scores = named @ np.log(with_task / share) + (1 - named) @ np.log((1 - with_task) / (1 - share))
    return np.asarray(scores)


def _factors(task: Task) -> npt.NDArray[np.float64]:
    before, after, number = np.zeros(COLOURS), np.zeros(COLOURS), 0
    new = np.zeros(COLOURS)
    for example in task.examples:
        given, wanted = as_grid(example.input), as_grid(example.output)
        if given is not None and wanted is not None:
            has, gets = (np.isin(np.arange(COLOURS), grid) for grid in (given, wanted))
            before += has
            after += gets | has
            new += gets & ~has
            number += 1
    if not number:
        return np.ones(COLOURS)
    factors = np.where(
        new == number, NEW, np.where(before == number, ALWAYS, np.where(after, SOMETIMES, NEVER))
    )
    factors[:_COUNTERS] **= 0.5
    return factors
