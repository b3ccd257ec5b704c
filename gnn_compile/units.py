"""The parts of a network: neurons, copies along edges, and aggregations; and how they are put together.

A value is a column: a number for each node, for each edge, or one for the graph. A neuron is
``activation(bias + sum(weight * value))``, of values at its own place or of the graph. Between the places,
``sender`` and ``receiver`` copy a node's value to its edges, an aggregation takes the minimum, maximum or sum
over the edges into each node, and perhaps its own value, and a pooling over all nodes. There is nothing else,
so a network's neurons are the rows of the weight matrices of its message and update functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from gnn_compile.domains import ABSORBED, NOTHING, WHOLE, Domain, total

if TYPE_CHECKING:
    import networkx as nx


class Place(StrEnum):
    """Where a value is."""

    GRAPH = "graph"
    NODE = "node"
    EDGE = "edge"


class Kind(StrEnum):
    """What a part does."""

    COLUMN = "column"
    NEURON = "neuron"
    SENDER = "sender"
    RECEIVER = "receiver"
    AGGREGATE = "aggregate"
    POOL = "pool"


class Activation(StrEnum):
    """What a neuron makes of its weighted sum ``x``."""

    IDENTITY = "identity"
    RELU = "relu"
    """``max(0, x)``"""
    STEP = "step"
    """1 if ``x > 0``, else 0"""


class Reduction(StrEnum):
    """How several values become one."""

    MIN = "min"
    MAX = "max"
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class Part:
    """One value of a network, and how it comes about. Operands are numbers of parts, which come before it."""

    kind: Kind
    place: Place
    operands: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    """A neuron's, one for each operand."""
    bias: float = 0.0
    activation: Activation = Activation.IDENTITY
    reduction: Reduction = Reduction.MIN
    default: float = 0.0
    """What an aggregation gives where there is no edge."""
    name: str = ""
    """What a column is called: a field of the algorithm's."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """Parts in order, and which of them are the values asked for."""

    parts: tuple[Part, ...]
    domains: tuple[Domain, ...]
    """What each part's value can be."""
    outputs: Mapping[str, int]

    def only(self, outputs: Iterable[str]) -> Circuit:
        """Give these outputs and the parts that they need, and nothing else."""
        wanted = {name: self.outputs[name] for name in outputs}
        order = self._needed(wanted.values())
        number = {old: new for new, old in enumerate(order)}
        parts = (self.parts[one] for one in order)
        return Circuit(
            tuple(replace(part, operands=tuple(number[one] for one in part.operands)) for part in parts),
            tuple(self.domains[one] for one in order),
            {name: number[one] for name, one in wanted.items()},
        )

    def columns(self, outputs: Iterable[str] | None = None) -> set[str]:
        """Give the fields that these outputs, or all, depend on."""
        wanted = self.outputs if outputs is None else outputs
        needed = self._needed(self.outputs[name] for name in wanted)
        return {self.parts[one].name for one in needed if self.parts[one].kind is Kind.COLUMN}

    def to_networkx(self) -> nx.DiGraph[int]:
        """Give the expression graph: parts with their attributes, and an edge from each operand, weighted."""
        import networkx as nx  # noqa: PLC0415 - takes a tenth of a second

        graph: nx.DiGraph[int] = nx.DiGraph(outputs=dict(self.outputs))
        for number, (part, domain) in enumerate(zip(self.parts, self.domains, strict=True)):
            described: dict[str, object] = {"kind": part.kind, "place": part.place, "domain": str(domain)}
            described["name"] = part.name
            if part.kind is Kind.NEURON:
                described |= {"activation": part.activation, "bias": part.bias}
            elif part.kind in (Kind.AGGREGATE, Kind.POOL):
                described |= {"reduction": part.reduction, "default": part.default}
            graph.add_node(number, **described)
            weights = part.weights or (1.0,) * len(part.operands)
            graph.add_weighted_edges_from(
                (one, number, weight) for one, weight in zip(part.operands, weights, strict=True)
            )
        return graph

    def _needed(self, values: Iterable[int]) -> list[int]:
        found: set[int] = set()
        left = list(values)
        while left:
            one = left.pop()
            if one not in found:
                found.add(one)
                left.extend(self.parts[one].operands)
        return sorted(found)


class Inexact(Exception):  # noqa: N818 - no failure: whoever builds says which field it was
    """Something was put together that would not be exact; the message says what."""


@dataclass(slots=True)
class Builder:
    """Puts parts together; what is there already is not made twice.

    Sums of sums become one sum wherever that gives the same float64: where all is whole and finite, or the
    inner sum is what the outer one begins with, so that the numbers are still added in the same order.
    """

    parts: list[Part] = field(default_factory=list)
    domains: list[Domain] = field(default_factory=list)
    _known: dict[Part, int] = field(default_factory=dict)

    def column(self, name: str, place: Place, domain: Domain) -> int:
        """Give a field's value."""
        return self._add(Part(Kind.COLUMN, place, name=name), domain)

    def neuron(
        self,
        terms: Iterable[tuple[float, int]],
        bias: float = 0.0,
        activation: Activation = Activation.IDENTITY,
        knowing: Domain | None = None,
    ) -> int:
        """Give ``activation(bias + sum(weight * value))``, added from the left, the bias last.

        ``knowing`` is what its value can be, where that is less than the operands' ranges say. Raises
        ``Inexact`` where the sum may be too large to be exact.
        """
        given = list(terms)
        summed = total(((weight, self.domains[one]) for weight, one in given), bias)
        merged, bias = self._merged(given, bias)
        if activation is Activation.IDENTITY and not bias and len(merged) == 1 and merged[0][0] == 1.0:
            return merged[0][1]
        places = {self.parts[one].place for _, one in merged}
        if {Place.NODE, Place.EDGE} <= places:
            raise AssertionError("a node's value must be copied to the edges first")
        place = next((one for one in (Place.EDGE, Place.NODE) if one in places), Place.GRAPH)
        summed = knowing or summed & total(((weight, self.domains[one]) for weight, one in merged), bias)
        domain = _activated(summed, activation)
        if (constant := _constant(domain)) is not None and merged:
            return self.constant(constant)
        if summed.whole and summed.size > WHOLE:
            raise Inexact(
                f"whole numbers up to {summed.size:.3g} are beyond 2^53, up to which sums are exact"
            )
        if summed.size > ABSORBED:
            raise Inexact(
                f"numbers up to {summed.size:.3g} are beyond 2^66, up to which infinity absorbs them"
            )
        weights, operands = tuple(one for one, _ in merged), tuple(one for _, one in merged)
        return self._add(Part(Kind.NEURON, place, operands, weights, bias, activation), domain)

    def constant(self, value: float) -> int:
        """Give a number, which is a bias alone."""
        return self._add(Part(Kind.NEURON, Place.GRAPH, bias=float(value)), Domain.of(value))

    def constant_of(self, value: int) -> float | None:
        """Give the number that a value always is, if it is always one."""
        part = self.parts[value]
        return part.bias if part.kind is Kind.NEURON and not part.operands else None

    def copied(self, value: int, end: Kind) -> int:
        """Copy a node's value to the edges that it sends or receives by; the graph's is there already."""
        if self.parts[value].place is Place.GRAPH:
            return value
        if self.parts[value].place is not Place.NODE:
            raise AssertionError("only nodes send and receive")
        return self._add(Part(end, Place.EDGE, (value,)), self.domains[value])

    def aggregate(self, value: int, reduction: Reduction, default: float, most: int) -> int:
        """Reduce the values of the edges into each node, of which there are so many at most."""
        return self._reduced(value, Kind.AGGREGATE, Place.NODE, reduction, default, most)

    def with_own(self, aggregated: int, own: int, domain: Domain) -> int | None:
        """Give the least, or greatest, of what is aggregated and a node's own value: a loop at each node.

        ``None`` where the value is no such aggregation, or its loop is taken already.
        """
        part = self.parts[aggregated]
        if (
            part.kind is not Kind.AGGREGATE
            or len(part.operands) > 1
            or self.parts[own].place is not Place.NODE
        ):
            return None
        return self._add(replace(part, operands=(*part.operands, own)), domain)

    def pool(self, value: int, reduction: Reduction, default: float, most: int) -> int:
        """Reduce the values of all nodes, of which there are so many at most."""
        return self._reduced(value, Kind.POOL, Place.GRAPH, reduction, default, most)

    def circuit(self, outputs: Mapping[str, int]) -> Circuit:
        """Give what these values need, and nothing else."""
        return Circuit(tuple(self.parts), tuple(self.domains), outputs).only(outputs)

    def _reduced(
        self, value: int, kind: Kind, place: Place, reduction: Reduction, default: float, most: int
    ) -> int:
        domain = self.domains[value]
        if reduction is Reduction.SUM:
            if not domain.finite or not domain.whole:
                raise Inexact("a sum over edges or nodes is exact of whole, finite numbers only")
            domain = Domain(min(0.0, most * domain.low), max(0.0, most * domain.high), whole=True)
            if domain.size > WHOLE:
                raise Inexact(f"a sum of up to {most:,} values may reach {domain.size:.3g}, beyond 2^53")
        else:
            domain |= Domain.of(default)
        return self._add(Part(kind, place, (value,), reduction=reduction, default=default), domain)

    def _add(self, part: Part, domain: Domain) -> int:
        if part in self._known:
            return self._known[part]
        self.parts.append(part)
        self.domains.append(domain)
        self._known[part] = len(self.parts) - 1
        return self._known[part]

    def _merged(
        self, terms: Sequence[tuple[float, int]], bias: float
    ) -> tuple[list[tuple[float, int]], float]:
        """Take sums apart that may be part of this one, and add up what occurs twice."""
        exact = _whole(bias) and all(
            _whole(weight) and self.domains[one].whole and self.domains[one].finite for weight, one in terms
        )
        flat: list[tuple[float, int]] = []
        given = bias
        for place, (weight, one) in enumerate(terms):
            part = self.parts[one]
            inner = part.kind is Kind.NEURON and part.activation is Activation.IDENTITY
            alone = len(terms) == 1 and not bias  # a multiple of it, and all factors are powers of two
            if inner and (exact or (place == 0 and abs(weight) == 1.0 and (not part.bias or alone))):
                flat += [
                    (weight * own, operand) for own, operand in zip(part.weights, part.operands, strict=True)
                ]
                bias += weight * part.bias
            else:
                flat.append((weight, one))
        if exact and not self._whole_throughout(flat, bias):
            return [term for term in terms if term[0]], given
        if not exact:
            return [term for term in flat if term[0]], bias
        sums: dict[int, float] = {}
        for weight, one in flat:
            sums[one] = sums.get(one, 0.0) + weight
        return [(weight, one) for one, weight in sums.items() if weight], bias

    def _whole_throughout(self, terms: Sequence[tuple[float, int]], bias: float) -> bool:
        """Whether a sum of whole numbers is exact however far it has been added up."""
        return abs(bias) + sum(abs(weight) * self.domains[one].size for weight, one in terms) <= WHOLE


def _activated(domain: Domain, activation: Activation) -> Domain:
    match activation:
        case Activation.IDENTITY:
            return domain
        case Activation.RELU:
            positive = domain.high > 0 and domain.low <= domain.high
            zero = domain.low <= 0 or domain.below or domain.low > domain.high
            low = max(0.0, domain.low) if positive else 0.0
            high = domain.high if positive else 0.0
            if not positive and not zero:
                return NOTHING.with_infinity(above=domain.above)
            return Domain(0.0 if zero else low, high, domain.whole, domain.above)
        case Activation.STEP:
            return Domain(float(domain.lowest > 0), float(domain.highest > 0), whole=True)


def _whole(number: float) -> bool:
    return abs(number) < WHOLE and float(number).is_integer()


def _constant(domain: Domain) -> float | None:
    return domain.low if domain.finite and domain.low == domain.high else None
