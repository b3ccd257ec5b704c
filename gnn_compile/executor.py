"""Computes circuits with numpy: each part for all nodes or edges at once, the weights that are 0 left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from gnn_compile.gating import Gate, Gating
from gnn_compile.graphs import Column, Graph, Index
from gnn_compile.reductions import Segments, average, reduce
from gnn_compile.units import Activation, Circuit, Kind, Part, Place

_FEW = 0.25
"""Up to this share of the nodes, only what is behind their open gates is computed."""
_ZERO = np.zeros(1)

Operation = Callable[[], object]


class Executor:
    """Computes a circuit on a graph, again and again, from columns that it is given once and reads anew.

    A column has a number for each node, or edge, or is one number, [1], of the graph's. What depends on
    ``fixed`` columns alone is computed once. The columns of ``outputs`` are written anew by each run.
    """

    def __init__(
        self,
        circuit: Circuit,
        gating: Gating,
        graph: Graph,
        columns: Mapping[str, Column],
        fixed: frozenset[str] = frozenset(),
        sharpness: float | None = None,
    ) -> None:
        self._circuit, self._gating, self._graph = circuit, gating, graph
        self._reduce = reduce if sharpness is None else partial(average, sharpness=sharpness)
        self._into = Segments.of(np.diff(graph.offsets))
        self._nodes = Segments.of(np.array([graph.size]))
        self._values: list[Column] = [_ZERO] * len(circuit.parts)
        self._scratch = {place: np.empty(_length(place, graph)) for place in Place}
        self._behind = {gate: _Behind(gate, graph, self._values) for gate in gating.flags}
        self._operations: list[Operation] = []
        done: set[int] = set()
        for number in gating.order:
            part = circuit.parts[number]
            if part.kind is Kind.COLUMN:
                self._values[number] = columns[part.name]
                done |= {number} if part.name in fixed else set()
                continue
            self._values[number] = np.empty(_length(part.place, graph))
            operations = self._everywhere(part, self._values[number])
            if done.issuperset(part.operands):
                done.add(number)
                for operation in operations:
                    operation()
            else:
                self._operations += self._where_it_matters(number, operations)
        self.outputs = {name: self._values[number] for name, number in circuit.outputs.items()}

    def run(self) -> None:
        """Compute the outputs."""
        for operation in self._operations:
            operation()

    def _where_it_matters(self, number: int, operations: list[Operation]) -> list[Operation]:
        """Give what computes a part, behind its gate alone where that is little, and what opens that gate."""
        guard, gate = self._gating.guards.get(number), self._gating.gates.get(number)
        if guard is not None:
            behind = self._behind[guard]
            operations = [partial(self._guarded, number, behind, operations)]
        elif gate is not None:
            operations = [partial(self._gated, number, self._behind[gate], operations)]
        opened = [one.look for gate, one in self._behind.items() if gate.flag == number]
        return operations + opened

    def _guarded(self, number: int, behind: _Behind, operations: list[Operation]) -> None:
        if behind.few is None:
            for operation in operations:
                operation()
        elif len(behind.few):
            behind.values[number] = self._computed(self._circuit.parts[number], behind)

    def _gated(self, number: int, behind: _Behind, operations: list[Operation]) -> None:
        if behind.few is None:
            for operation in operations:
                operation()
            return
        column = self._values[number]
        column.fill(0.0)
        if len(behind.few):
            column[behind.few] = self._computed(self._circuit.parts[number], behind)

    def _everywhere(self, part: Part, out: Column) -> list[Operation]:
        """Give what computes a part for all nodes or edges."""
        graph, values = self._graph, [self._values[one] for one in part.operands]
        match part.kind:
            case Kind.SENDER | Kind.RECEIVER:
                ends = graph.senders if part.kind is Kind.SENDER else graph.receivers
                # "clip" is never needed, and lets numpy write to the buffer at once.
                return [partial(np.take, values[0], ends, 0, out, "clip")]
            case Kind.POOL:
                column = np.broadcast_to(values[0], (graph.size,))
                return [partial(self._reduce, part, column, self._nodes, None, out)]
            case Kind.AGGREGATE:
                column = np.broadcast_to(values[0], (graph.edges,))
                own = values[1] if len(values) > 1 else None
                return [partial(self._reduce, part, column, self._into, own, out)]
        return self._neuron(part, values, out)

    def _neuron(self, part: Part, values: list[Column], out: Column) -> list[Operation]:
        """Add up from the left, the bias last, and activate."""
        weights = list(part.weights)
        found: list[Operation] = []
        if not values:
            return [partial(out.fill, _activated(part, np.array(part.bias)).item())]
        if len(values) > 1 and weights[0] == 1.0 and abs(weights[1]) == 1.0:
            found.append(partial(np.add if weights[1] > 0 else np.subtract, values[0], values[1], out))
            weights, values = weights[2:], values[2:]
        else:
            found.append(partial(np.multiply, values[0], weights[0], out))
            weights, values = weights[1:], values[1:]
        for weight, value in zip(weights, values, strict=True):
            if abs(weight) == 1.0:
                found.append(partial(np.add if weight > 0 else np.subtract, out, value, out))
            else:
                scratch = self._scratch[part.place] if len(value) == len(out) else np.empty(len(value))
                found.append(partial(np.multiply, value, weight, scratch))
                found.append(partial(np.add, out, scratch, out))
        if part.bias:
            found.append(partial(np.add, out, part.bias, out))
        match part.activation:
            case Activation.RELU:
                found.append(partial(np.maximum, out, 0.0, out=out))
            case Activation.STEP:
                above = np.empty(len(out), dtype=np.bool_)
                found += [partial(np.greater, out, 0.0, out=above), partial(np.copyto, out, above)]
        return found

    def _computed(self, part: Part, behind: _Behind) -> Column:
        """Compute a part for the nodes at which a gate is open, or the edges into them."""
        match part.kind:
            case Kind.SENDER:
                return self._values[part.operands[0]][behind.senders]
            case Kind.RECEIVER:
                return np.repeat(self._at(part.operands[0], behind, Place.NODE), behind.degrees)
            case Kind.AGGREGATE:
                column = self._at(part.operands[0], behind, Place.EDGE)
                column = np.broadcast_to(column, behind.senders.shape)
                own = self._at(part.operands[1], behind, Place.NODE) if len(part.operands) > 1 else None
                out = np.empty(len(behind.degrees))
                self._reduce(part, column, Segments.of(behind.degrees), own, out)
                return out
        found: Column = _ZERO
        for place, (weight, operand) in enumerate(zip(part.weights, part.operands, strict=True)):
            value = self._at(operand, behind, part.place)
            if place and abs(weight) == 1.0:
                found = found + value if weight > 0 else found - value
            elif place:
                found = found + weight * value
            else:
                found = weight * value if weight != 1.0 else value
        return _activated(part, found + part.bias if part.bias else found)

    def _at(self, number: int, behind: _Behind, place: Place) -> Column:
        """Give the part of a value that is behind a gate."""
        if number not in behind.values:
            value = self._values[number]
            if self._circuit.parts[number].place is place:
                value = value[behind.edges if place is Place.EDGE else behind.few]
            behind.values[number] = value
        return behind.values[number]


class _Behind:
    """The nodes at which a gate is open now, and the edges into them."""

    few: Index | None
    """These nodes; ``None`` where they are too many to be picked."""
    edges: Index
    senders: Index
    degrees: Index
    """Edges into each of these nodes."""

    def __init__(self, gate: Gate, graph: Graph, values: list[Column]) -> None:
        self._gate, self._graph, self._all = gate, graph, values
        self.few = None
        self.values: dict[int, Column] = {}
        """What was computed, or picked, for these nodes or edges in this round."""

    def look(self) -> None:
        """See where the gate is open."""
        graph = self._graph
        self.values.clear()
        nodes = np.flatnonzero(np.equal(self._all[self._gate.flag], self._gate.opens))
        if len(nodes) > _FEW * graph.size:
            self.few = None
            return
        self.few = nodes
        if len(nodes):
            first = graph.offsets[nodes]
            self.degrees = graph.offsets[nodes + 1] - first
            ends = np.cumsum(self.degrees)
            self.edges = np.repeat(first - ends + self.degrees, self.degrees) + np.arange(int(ends[-1]))
            self.senders = graph.senders[self.edges]


def _length(place: Place, graph: Graph) -> int:
    return {Place.GRAPH: 1, Place.NODE: graph.size, Place.EDGE: graph.edges}[place]


def _activated(part: Part, value: Column) -> Column:
    match part.activation:
        case Activation.RELU:
            return np.maximum(value, 0.0)
        case Activation.STEP:
            return np.greater(value, 0.0).astype(np.float64)
    return value
