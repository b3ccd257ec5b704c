"""Which parts need to be computed only where a gate is open.

A gate is a rectified neuron that is 0 wherever some flag has one of its two values, whatever its other
operands are, as ``relu(x - M * shut)`` is. What is read through such gates alone, all of the same flag, makes
no difference where they are shut. (A parent that is looked for among all senders is wanted for the few nodes
only whose distance became less in this round.)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from gnn_compile.domains import total
from gnn_compile.units import Activation, Circuit, Kind, Place


@dataclass(frozen=True, slots=True)
class Gate:
    """A flag, and which of its values opens."""

    flag: int
    opens: float


@dataclass(frozen=True, slots=True)
class Gating:
    """What of a circuit matters only where."""

    gates: Mapping[int, Gate]
    """Neurons that are 0 unless their gate is open."""
    guards: Mapping[int, Gate]
    """Parts that nobody reads at a node, or at an edge into it, unless this gate is open there."""
    order: tuple[int, ...]
    """The parts, flags before what they guard."""

    @property
    def flags(self) -> frozenset[Gate]:
        """The gates that guard something."""
        return frozenset(self.guards.values())


def gating(circuit: Circuit) -> Gating:
    """Find out what of a circuit matters only where."""
    shut_by = gates(circuit)
    guarded = _guards(circuit, shut_by)
    asked = set(guarded.values())
    return Gating(
        {number: gate for number, gate in shut_by.items() if gate in asked},
        guarded,
        tuple(_order(circuit, guarded)),
    )


def gates(circuit: Circuit, places: Collection[Place] = (Place.NODE,)) -> dict[int, Gate]:
    """Give the gates among the neurons at these places."""
    found = {}
    for number, part in enumerate(circuit.parts):
        if part.activation is not Activation.RELU or part.place not in places:
            continue
        terms = list(zip(part.weights, part.operands, strict=True))
        for place, (weight, flag) in enumerate(terms):
            if not circuit.domains[flag].flag or circuit.parts[flag].place is not part.place:
                continue
            rest = terms[:place] + terms[place + 1 :]
            most = total(((one, circuit.domains[operand]) for one, operand in rest), part.bias).highest
            if rest and most + min(weight, 0.0) <= 0 and (weight < 0 or most <= 0):
                found[number] = Gate(flag, 0.0 if weight < 0 else 1.0)
                break
    return found


def _guards(circuit: Circuit, shut_by: Mapping[int, Gate]) -> dict[int, Gate]:
    """Give the parts that matter only where a flag of the node, or of an edge's receiver, opens."""
    readers: list[list[int]] = [[] for _ in circuit.parts]
    for number, part in enumerate(circuit.parts):
        for operand in set(part.operands):
            readers[operand].append(number)
    found: dict[int, Gate] = {}
    outputs = set(circuit.outputs.values())
    for number in reversed(range(len(circuit.parts))):
        if number in outputs or circuit.parts[number].kind is Kind.COLUMN:
            continue
        wanted = {_asked_by(circuit, number, reader, shut_by, found) for reader in readers[number]}
        if len(wanted) == 1 and (gate := wanted.pop()) is not None:
            found[number] = gate
    return found


def _order(circuit: Circuit, guarded: Mapping[int, Gate]) -> list[int]:
    """Give the parts in an order in which flags come before what they guard."""
    before = {
        number: [*part.operands, *([guarded[number].flag] if number in guarded else [])]
        for number, part in enumerate(circuit.parts)
    }
    return list(TopologicalSorter(before).static_order())


def _asked_by(
    circuit: Circuit, number: int, reader: int, shut_by: Mapping[int, Gate], found: Mapping[int, Gate]
) -> Gate | None:
    """Say where a reader of a part needs it; ``None`` is everywhere."""
    part, reading = circuit.parts[number], circuit.parts[reader]
    if part.place is Place.GRAPH or reading.kind in (Kind.POOL, Kind.SENDER):
        return None
    if reader in found:
        return found[reader]
    gate = shut_by.get(reader)
    return gate if gate is not None and gate.flag != number else None
