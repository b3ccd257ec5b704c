"""Circuits as stages of message passing: layers of weight matrices, and reductions between them.

A stage reduces columns of the nodes to the graph's, and updates the graph's columns; computes messages on the
edges from the columns of sender, receiver, edge and graph; reduces them to the nodes; and updates the nodes'
columns. Each of the three is a stack of layers ``activation(x @ weights.T + bias)``. What a later layer needs
is passed on by a row that has a single 1. A stage's outputs are the next one's inputs; every weight of the
circuit stands in one matrix. Sums come out the same in whatever order a matrix product adds them, so that
the outputs are the circuit's, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gnn_compile.any_order import common_place, in_any_order
from gnn_compile.domains import UNKNOWN, WHOLE
from gnn_compile.graphs import Column, Graph
from gnn_compile.units import Activation, Circuit, Kind, Part, Place, Reduction

Matrix = npt.NDArray[np.floating[Any]]

_REDUCE = {Reduction.MIN: np.minimum, Reduction.MAX: np.maximum, Reduction.SUM: np.add}


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Neurons, each a row: ``activation(x @ weights.T + bias)``."""

    weights: Column
    """[neurons, inputs]"""
    bias: Column
    """[neurons]"""
    activations: tuple[Activation, ...]

    def passes(self, neuron: int) -> int | None:
        """Say which input a neuron passes on as it is, if it does nothing else."""
        (inputs,) = np.nonzero(self.weights[neuron])
        alone = len(inputs) == 1 and self.weights[neuron, inputs[0]] == 1.0 and not self.bias[neuron]
        return int(inputs[0]) if alone and self.activations[neuron] is Activation.IDENTITY else None


@dataclass(frozen=True, slots=True)
class Channel:
    """A column that is reduced, by its place among those that it stands with."""

    value: int
    reduction: Reduction
    default: float
    """What there is of nothing."""
    own: int | None = None
    """A node's or the graph's column (counted on from the node's) that is reduced with the messages."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A message passing layer. Columns that follow one another are those of one matrix with many columns."""

    pools: tuple[Channel, ...]
    """Of the nodes' columns, then the graph's."""
    graph: tuple[Layer, ...]
    """Of the graph's columns, then the pools: the graph's columns from here on."""
    message: tuple[Layer, ...]
    """Of the columns of sender, receiver, edge, graph."""
    kept: int
    """So many columns of the messages, the first, are the edges' columns from here on."""
    aggregations: tuple[Channel, ...]
    """Of the messages' columns."""
    update: tuple[Layer, ...]
    """Of the nodes' columns, then the aggregations, then the graph's columns: the nodes' from here on."""


@dataclass(frozen=True, slots=True, eq=False)
class DenseCircuit:
    """Stages of message passing that are a circuit."""

    columns: Mapping[Place, Sequence[str]]
    """The columns of nodes, edges and graph before the first stage, in order."""
    stages: tuple[Stage, ...]
    outputs: Mapping[str, tuple[Place, int]]
    """Which of the columns after the last stage they are."""

    @property
    def matrices(self) -> dict[str, Column]:
        """Give all weights and biases, by name."""
        return {
            f"{number}.{name}.{depth}.{what}": matrix
            for number, stage in enumerate(self.stages)
            for name in ("graph", "message", "update")
            for depth, layer in enumerate(getattr(stage, name))
            for what, matrix in (("weights", layer.weights), ("bias", layer.bias))
        }

    def with_matrices(self, matrices: Mapping[str, Column]) -> DenseCircuit:
        """Give the same with other weights and biases, by the same names."""

        def with_own(number: int, name: str, layers: Sequence[Layer]) -> tuple[Layer, ...]:
            where = [f"{number}.{name}.{depth}" for depth in range(len(layers))]
            return tuple(
                replace(layer, weights=matrices[f"{one}.weights"], bias=matrices[f"{one}.bias"])
                for one, layer in zip(where, layers, strict=True)
            )

        stages = (
            replace(
                stage,
                graph=with_own(number, "graph", stage.graph),
                message=with_own(number, "message", stage.message),
                update=with_own(number, "update", stage.update),
            )
            for number, stage in enumerate(self.stages)
        )
        return replace(self, stages=tuple(stages))

    def run(
        self, graph: Graph, columns: Mapping[str, Column], dtype: npt.DTypeLike = np.float64
    ) -> dict[str, Column]:
        """Give the outputs, each [nodes] or, of the graph, [1], as computed in ``dtype``."""
        lengths = {Place.GRAPH: 1, Place.NODE: graph.size, Place.EDGE: graph.edges}
        at = {
            place: np.array([columns[name] for name in names], dtype=dtype)
            .reshape(len(names), lengths[place])
            .T
            for place, names in self.columns.items()
        }
        for stage in self.stages:
            at = _staged(stage, graph, at)
        return {
            name: at[place][:, column].astype(np.float64) for name, (place, column) in self.outputs.items()
        }


def dense(circuit: Circuit, whole: float = WHOLE) -> DenseCircuit:
    """Lay a circuit out in stages.

    ``whole`` is up to where the floats that it is to be computed in have all whole numbers.
    """
    return _Layout(in_any_order(circuit, whole)).dense()


def sparse(dense: DenseCircuit) -> Circuit:
    """Give the circuit of a dense one: a part for each row that does more than pass a value on.

    Nothing is known of what its values can be, for the weights may have changed.
    """
    return _Reader(dense).circuit()


def _staged(stage: Stage, graph: Graph, at: Mapping[Place, Matrix]) -> dict[Place, Matrix]:
    nodes = at[Place.NODE]
    everywhere = np.hstack([nodes, _spread(at[Place.GRAPH], graph.size)])
    ends = np.array([0, graph.size])
    pools = [_reduced(one, everywhere[:, one.value], ends) for one in stage.pools]
    ours = _layered(stage.graph, np.hstack([at[Place.GRAPH], *(one[:, None] for one in pools)]))
    messages = np.hstack(
        [nodes[graph.senders], nodes[graph.receivers], at[Place.EDGE], _spread(ours, graph.edges)]
    )
    messages = _layered(stage.message, messages)
    ours_everywhere = _spread(ours, graph.size)
    everywhere = np.hstack([nodes, ours_everywhere])
    found = []
    for one in stage.aggregations:
        reduced = _reduced(one, messages[:, one.value], graph.offsets)
        if one.own is not None:
            reduced = _REDUCE[one.reduction](reduced, everywhere[:, one.own])
        found.append(reduced[:, None])
    nodes = _layered(stage.update, np.hstack([nodes, *found, ours_everywhere]))
    return {Place.NODE: nodes, Place.EDGE: messages[:, : stage.kept], Place.GRAPH: ours}


def _spread(ours: Matrix, rows: int) -> Matrix:
    return np.broadcast_to(ours, (rows, ours.shape[1]))


def _reduced(channel: Channel, column: Matrix, offsets: npt.NDArray[np.int64]) -> Matrix:
    """Reduce the values that follow one another, between two offsets each."""
    out = np.full(len(offsets) - 1, channel.default, dtype=column.dtype)
    (present,) = np.nonzero(np.diff(offsets))
    if len(present):
        out[present] = _REDUCE[channel.reduction].reduceat(column, offsets[present])
    return out


def _layered(layers: Iterable[Layer], values: Matrix) -> Matrix:
    for layer in layers:
        values = values @ layer.weights.astype(values.dtype).T + layer.bias.astype(values.dtype)
        rectified, stepped = (
            [one is activation for one in layer.activations]
            for activation in (Activation.RELU, Activation.STEP)
        )
        values[:, rectified] = np.maximum(values[:, rectified], 0.0)
        values[:, stepped] = values[:, stepped] > 0.0
    return values


class _Layout:
    """Gives each part its stage, as early as it can be, and each value its place among the columns."""

    def __init__(self, circuit: Circuit) -> None:
        self._circuit, self._parts = circuit, circuit.parts
        self._made: list[int] = []
        """In which stage; a copy of a node's: from which on."""
        for part in self._parts:
            self._made.append(self._earliest(part))
        self._count = max([0, *self._made]) + 1
        self._until = self._last_readings()
        """The stages of which a value is an input are up to this one."""
        self._copies = {
            (part.kind, part.operands[0]): number
            for number, part in enumerate(self._parts)
            if part.kind in (Kind.SENDER, Kind.RECEIVER)
        }

    def dense(self) -> DenseCircuit:
        at = {place: self._columns(place) for place in Place}
        named = {place: tuple(self._parts[one].name for one in values) for place, values in at.items()}
        stages = []
        for number in range(self._count):
            stage, at = self._stage(number, at)
            stages.append(stage)
        outputs = {}
        for name, value in self._circuit.outputs.items():
            place = self._parts[value].place
            outputs[name] = (place, at[place].index(value))
        return DenseCircuit(named, tuple(stages), outputs)

    def _earliest(self, part: Part) -> int:
        made = [self._made[one] for one in part.operands]
        match part.kind:
            case Kind.COLUMN:
                return -1
            case Kind.POOL | Kind.SENDER | Kind.RECEIVER:
                return made[0] + 1
            case Kind.AGGREGATE if len(made) > 1 and self._parts[part.operands[1]].place is Place.NODE:
                return max(made[0], made[1] + 1, 0)
        return max([0, *made])

    def _last_readings(self) -> list[int]:
        until = [-1] * len(self._parts)
        for value in self._circuit.outputs.values():
            until[value] = self._count
        for number in reversed(range(len(self._parts))):
            part = self._parts[number]
            copy = part.kind in (Kind.SENDER, Kind.RECEIVER)
            stage = until[number] if copy else self._made[number]
            for one in part.operands:
                # The graph's columns are read in the same stage, after its layers.
                after = self._parts[one].place is Place.GRAPH and part.place is not Place.GRAPH
                until[one] = max(until[one], stage + after)
        return until

    def _columns(self, place: Place) -> list[int]:
        return [
            number
            for number, part in enumerate(self._parts)
            if part.kind is Kind.COLUMN and part.place is place
        ]

    def _new(self, kind: Kind, place: Place, stage: int) -> list[int]:
        return [
            number
            for number, part in enumerate(self._parts)
            if part.kind is kind and part.place is place and self._made[number] == stage
        ]

    def _stage(self, number: int, at: Mapping[Place, list[int]]) -> tuple[Stage, dict[Place, list[int]]]:
        nodes, ours = at[Place.NODE], at[Place.GRAPH]
        pools = self._new(Kind.POOL, Place.GRAPH, number)
        everywhere = [*nodes, *ours]
        pooled = tuple(self._channel(one, everywhere) for one in pools)
        graph, ours = self._layers([*ours, *pools], Place.GRAPH, number)
        copied = [self._copies.get((end, one)) for end in (Kind.SENDER, Kind.RECEIVER) for one in nodes]
        aggregations = self._new(Kind.AGGREGATE, Place.NODE, number)
        reduced = [self._parts[one].operands[0] for one in aggregations]
        message, messages = self._layers([*copied, *at[Place.EDGE], *ours], Place.EDGE, number, reduced)
        kept = [one for one in messages if self._kept(one, Place.EDGE, number)]
        channels = tuple(self._channel(one, messages, [*nodes, *ours]) for one in aggregations)
        update, nodes = self._layers([*nodes, *aggregations, *ours], Place.NODE, number)
        after = {Place.NODE: nodes, Place.EDGE: kept, Place.GRAPH: ours}
        return Stage(pooled, graph, message, len(kept), channels, update), after

    def _kept(self, value: int, place: Place, stage: int) -> bool:
        """Whether a value is among the columns of a place after this stage."""
        part = self._parts[value]
        copy = part.kind in (Kind.SENDER, Kind.RECEIVER)
        return part.place is place and not copy and self._until[value] > stage

    def _layers(
        self, inputs: Sequence[int | None], place: Place, stage: int, wanted: Iterable[int] = ()
    ) -> tuple[tuple[Layer, ...], list[int]]:
        """Give a place's layers in a stage, and the values after them: what is kept, then what is wanted."""
        new = self._new(Kind.NEURON, place, stage)
        depth: dict[int, int] = {}
        until: dict[int, int] = {}
        for number in new:
            depth[number] = 1 + max([0, *(depth.get(one, 0) for one in self._parts[number].operands)])
            for one in self._parts[number].operands:
                until[one] = max(until.get(one, 0), depth[number] - 1)
        last = max([1, *depth.values()])
        kept = {one for one in (*inputs, *new) if one is not None and self._kept(one, place, stage)}
        until |= dict.fromkeys((*kept, *wanted), last)
        layers = []
        values = list(inputs)
        for level in range(1, last + 1):
            after = [one for one in values if one is not None and until.get(one, 0) >= level]
            after += [one for one in new if depth[one] == level and until.get(one, 0) >= level]
            if level == last:
                after.sort(key=lambda one: one not in kept)
            layers.append(self._layer(values, after))
            values = list(after)
        return tuple(layers), [one for one in values if one is not None]

    def _layer(self, values: Sequence[int | None], after: Sequence[int]) -> Layer:
        place = {one: column for column, one in enumerate(values) if one is not None}
        weights, bias = np.zeros((len(after), len(values))), np.zeros(len(after))
        activations = []
        for row, number in enumerate(after):
            part = self._parts[number]
            if number in place:
                weights[row, place[number]] = 1.0
                activations.append(Activation.IDENTITY)
                continue
            weights[row, [place[one] for one in part.operands]] = part.weights
            bias[row] = part.bias
            activations.append(part.activation)
        return Layer(weights, bias, tuple(activations))

    def _channel(self, number: int, values: Sequence[int], owned: Sequence[int] = ()) -> Channel:
        part = self._parts[number]
        own = owned.index(part.operands[1]) if len(part.operands) > 1 else None
        return Channel(values.index(part.operands[0]), part.reduction, part.default, own)


class _Reader:
    """Takes rows for parts again."""

    def __init__(self, dense: DenseCircuit) -> None:
        self._dense = dense
        self._parts: list[Part] = []
        self._known: dict[Part, int] = {}

    def circuit(self) -> Circuit:
        at = {
            place: [self._add(Part(Kind.COLUMN, place, name=name)) for name in names]
            for place, names in self._dense.columns.items()
        }
        for stage in self._dense.stages:
            nodes, ours = at[Place.NODE], at[Place.GRAPH]
            everywhere = [*nodes, *ours]
            pools = [self._channel(one, everywhere, Kind.POOL, Place.GRAPH) for one in stage.pools]
            ours = self._layers(stage.graph, [*ours, *pools])
            copied = [self._copy(end, one) for end in (Kind.SENDER, Kind.RECEIVER) for one in nodes]
            messages = self._layers(stage.message, [*copied, *at[Place.EDGE], *ours])
            reduced = [
                self._channel(one, messages, Kind.AGGREGATE, Place.NODE, [*nodes, *ours])
                for one in stage.aggregations
            ]
            nodes = self._layers(stage.update, [*nodes, *reduced, *ours])
            at = {Place.NODE: nodes, Place.EDGE: messages[: stage.kept], Place.GRAPH: ours}
        outputs = {name: at[place][column] for name, (place, column) in self._dense.outputs.items()}
        return Circuit(tuple(self._parts), (UNKNOWN,) * len(self._parts), outputs).only(outputs)

    def _layers(self, layers: Iterable[Layer], values: Sequence[int]) -> list[int]:
        for layer in layers:
            values = [self._neuron(layer, row, values) for row in range(len(layer.bias))]
        return list(values)

    def _neuron(self, layer: Layer, row: int, values: Sequence[int]) -> int:
        passed = layer.passes(row)
        if passed is not None:
            return values[passed]
        (inputs,) = np.nonzero(layer.weights[row])
        operands = tuple(values[one] for one in inputs.tolist())
        weights = tuple(layer.weights[row, inputs].tolist())
        place = common_place(self._parts[one].place for one in operands)
        bias, activation = float(layer.bias[row]), layer.activations[row]
        return self._add(Part(Kind.NEURON, place, operands, weights, bias, activation))

    def _channel(
        self, channel: Channel, values: Sequence[int], kind: Kind, place: Place, owned: Sequence[int] = ()
    ) -> int:
        own = () if channel.own is None else (owned[channel.own],)
        operands = (values[channel.value], *own)
        reduction, default = channel.reduction, channel.default
        return self._add(Part(kind, place, operands, reduction=reduction, default=default))

    def _copy(self, end: Kind, value: int) -> int:
        if self._parts[value].place is Place.GRAPH:
            return value
        return self._add(Part(end, Place.EDGE, (value,)))

    def _add(self, part: Part) -> int:
        if part not in self._known:
            self._known[part] = len(self._parts)
            self._parts.append(part)
        return self._known[part]
