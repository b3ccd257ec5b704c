"""Where the parts of a circuit stand in a picture: in layers, in an order in which few lines cross."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from gnn_compile.units import Circuit, Kind, Part, Place

_SWEEPS = 12
"""How often the layers are put in order by what they are joined to."""

Spot = tuple[int, int]
"""A part and a layer: its own, or a later one that lines from it pass through."""


class Stage(IntEnum):
    """The kinds of layers, in the order in which they follow one another between two reductions."""

    REDUCED = 0
    NODES = 1
    COPIES = 2
    MESSAGES = 3


_Level = tuple[int, int, int]
"""How many reductions there are up to here, the stage, and the depth among the layers of that stage."""

_FIRST: _Level = (-1, 0, 0)


@dataclass(frozen=True, slots=True)
class Layering:
    """Layers from left to right. Numbers from ``len(circuit.parts)`` on are the outputs, in their order."""

    home: Sequence[int]
    """The layer of each part."""
    layers: Sequence[Sequence[Spot]]
    """From top to bottom."""
    stages: Sequence[Stage | None]
    """``None`` are the columns, which come first, and the outputs, which come last."""

    def way(self, part: int, reader: int) -> list[Spot]:
        """Give the spots that a line from a part passes on its way to one that reads it."""
        return [(part, layer) for layer in range(self.home[part] + 1, self.home[reader])]


def layering(circuit: Circuit) -> Layering:
    """Lay a circuit out: layers of one kind each, and a lane of its own for what passes a layer."""
    levels: list[_Level] = []
    for part in circuit.parts:
        levels.append(_level(part, [levels[one] for one in part.operands]))
    order = sorted(set(levels))
    outputs = list(circuit.outputs.values())
    home = [order.index(one) for one in levels] + [len(order)] * len(outputs)
    reads = [list(dict.fromkeys(part.operands)) for part in circuit.parts] + [[one] for one in outputs]
    before: dict[Spot, list[Spot]] = {}
    layers: list[list[Spot]] = [[] for _ in range(len(order) + 1)]
    for reader, layer in enumerate(home):
        before[reader, layer] = [(one, max(home[one], layer - 1)) for one in reads[reader]]
        layers[layer].append((reader, layer))
        for one in reads[reader]:
            for passed in range(home[one] + 1, layer):
                if (one, passed) not in before:
                    before[one, passed] = [(one, passed - 1)]
                    layers[passed].append((one, passed))
    _untangle(layers, before)
    stages = [None if level == _FIRST else Stage(level[1]) for level in order]
    return Layering(home, layers, [*stages, None])


def _untangle(layers: list[list[Spot]], before: dict[Spot, list[Spot]]) -> None:
    """Put each layer in the order of where that stands that it is joined to, to and fro."""
    after: dict[Spot, list[Spot]] = {spot: [] for spot in before}
    for spot, others in before.items():
        for one in others:
            after[one].append(spot)
    height = {spot: 0.0 for layer in layers for spot in layer}
    for sweep in range(_SWEEPS):
        joined = after if sweep % 2 else before
        for layer in layers[:: -1 if sweep % 2 else 1]:
            for spot in layer:
                if joined[spot]:
                    height[spot] = sum(height[one] for one in joined[spot]) / len(joined[spot])
            layer.sort(key=lambda spot: (height[spot], spot))
            for row, spot in enumerate(layer):
                height[spot] = row - (len(layer) - 1) / 2


def _level(part: Part, before: Sequence[_Level]) -> _Level:
    last = max(before, default=(0, 0, 0))
    reductions = max(last[0], 0)
    match part.kind:
        case Kind.COLUMN:
            return _FIRST
        case Kind.AGGREGATE | Kind.POOL:
            return reductions + 1, Stage.REDUCED, 0
        case Kind.SENDER | Kind.RECEIVER:
            return reductions, Stage.COPIES, 0
    stage = Stage.MESSAGES if part.place is Place.EDGE else Stage.NODES
    deeper = last[:2] == (reductions, stage)
    return reductions, stage, last[2] + 1 if deeper else 0
