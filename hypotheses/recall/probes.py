"""Inputs to try a program on, for what its parameters may be; drawn, not taken from any task."""

from __future__ import annotations

import ast
import random
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypotheses.recall.grid_probes import grid_probes
from hypotheses.recall.relations import looks
from sandboxes import CallStyle, Program

GRIDS = 500
VALUES = 240
"""How many inputs a program on grids, and any other, is tried on."""

_WORDS = ("ada", "Bob", "Eve", "Main Street", "north", "x", "2024", "12", "007", "a.b", "New York", "ok")
_JOINTS = (" ", " ", ", ", "-", "/", ".", "_", "@", ": ")


@dataclass(frozen=True, slots=True, eq=False)
class Probes:
    """Inputs to try programs on, and what each looks like."""

    inputs: tuple[Any, ...]
    looks: tuple[frozenset[str], ...]


def probes_for(program: Program) -> Probes:
    """Give the inputs to try ``program`` on, as its way of being called takes them; always the same object.

    Programs that are called by keyword, or whose parameters cannot be counted, have none.
    """
    return _probes(program.call, _parameters(program) if program.call == "positional" else 1)


@cache
def _probes(call: CallStyle, parameters: int) -> Probes:
    inputs: tuple[Any, ...]
    match call:
        case "grid_list" | "grid_ndarray":
            inputs = grid_probes(GRIDS)
        case "single":
            inputs = tuple(value for (value,) in _values(1, VALUES))
        case "positional":
            inputs = _values(parameters, VALUES)
        case "keyword":
            inputs = ()
    return Probes(inputs, tuple(looks(value, call) for value in inputs))


def _parameters(program: Program) -> int:
    try:
        tree = ast.parse(program.source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 0
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == program.entry_point:
            return len(node.args.posonlyargs) + len(node.args.args)
    return 0


def _values(arguments: int, number: int) -> tuple[list[Any], ...]:
    """Give lists of arguments, half of them of one kind, as far as there are any."""
    drawn = []
    for seed in range(number if arguments else 0):
        chance = random.Random(seed)  # noqa: S311 - no secret
        alike = chance.random() < 0.5
        kind = seed % 5
        kinds = [kind if alike or not position else chance.randrange(5) for position in range(arguments)]
        drawn.append([_value(one, chance) for one in kinds])
    return tuple(drawn)


def _value(kind: int, chance: random.Random) -> Any:
    number = chance.randint(-3, 12) if chance.random() < 0.7 else chance.randint(-99, 999)
    length = chance.choice((0, 1, 2, 3, 4, 5, 6, 8, 10))
    if kind == 0:
        return number
    if kind in (1, 2):
        top = chance.choice((3, 9, 99))
        return [chance.randint(-top if chance.random() < 0.1 else 0, top) for _ in range(length)]
    words = [chance.choice(_WORDS) for _ in range(max(1, length // 2))]
    return words if kind == 3 else chance.choice(_JOINTS).join(words)
