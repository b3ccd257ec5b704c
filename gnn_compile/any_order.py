"""Sums that come out the same in whatever order they are added, as matrix products need.

A neuron adds its terms from the left. A matrix product adds them in an order of its own, zeros among them,
and may leave out the rounding of a product before it is added (fused). Neither makes a difference for

- a single term, or two addends (a bias is one) of which no product needs rounding: there is one rounding;
- whole numbers whose magnitudes do not add up to more than 2^53: there is none;
- such a sum of finite numbers and infinity times a flag: it is 0, or absorbs the others whenever it is added.

All other neurons are taken apart into a chain of neurons that are of these kinds and add from the left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from gnn_compile.domains import ABSORBED, INFINITY, WHOLE, Domain, total
from gnn_compile.units import Activation, Circuit, Kind, Part, Place

Term = tuple[float, int]
_ONE = Domain(1.0, 1.0, whole=True)


def in_any_order(circuit: Circuit, whole: float = WHOLE) -> Circuit:
    """Give a circuit that gives the same, to the last bit, whose sums may be added in any order.

    ``whole`` is up to where the floats that it will be computed in have all whole numbers.
    """
    splitter = _Splitter(circuit, whole)
    numbers = [splitter.take(number) for number in range(len(circuit.parts))]
    outputs = {name: numbers[number] for name, number in circuit.outputs.items()}
    return Circuit(tuple(splitter.parts), tuple(splitter.domains), outputs).only(outputs)


class _Splitter:
    def __init__(self, circuit: Circuit, whole: float) -> None:
        self._circuit, self._whole = circuit, whole
        self.parts: list[Part] = []
        self.domains: list[Domain] = []
        self._numbers: list[int] = []
        self._known: dict[Part, int] = {}

    def take(self, number: int) -> int:
        """Take over a part, and give its number here."""
        part, domain = self._circuit.parts[number], self._circuit.domains[number]
        operands = tuple(self._numbers[one] for one in part.operands)
        if part.kind is Kind.NEURON:
            terms = self._chained(list(zip(part.weights, operands, strict=True)), part.bias)
            found = self._neuron(terms, domain, part.bias, part.activation)
        elif part.place is Place.EDGE and operands and self.parts[operands[0]].place is Place.GRAPH:
            found = operands[0]  # a copy of what the edges have already
        else:
            found = self._add(replace(part, operands=operands), domain)
        self._numbers.append(found)
        return found

    def _chained(self, terms: list[Term], bias: float) -> list[Term]:
        """Leave a sum that can be added in any order, of parts that are such sums."""
        if len(terms) > 1 or bias:
            terms = [
                (weight, one) if self._exact(weight, self.domains[one]) else (1.0, self._sum([(weight, one)]))
                for weight, one in terms
            ]
        while not self._free(terms, bias):
            length = max(n for n in range(2, len(terms) + 1) if n == 2 or self._free(terms[:n], 0.0))
            terms = [(1.0, self._sum(terms[:length])), *terms[length:]]
        return _combined(terms)

    def _sum(self, terms: Sequence[Term]) -> int:
        domain = total(((weight, self.domains[one]) for weight, one in terms), 0.0)
        return self._neuron(_combined(terms), domain)

    def _neuron(
        self,
        terms: Sequence[Term],
        domain: Domain,
        bias: float = 0.0,
        activation: Activation = Activation.IDENTITY,
    ) -> int:
        weights, operands = tuple(weight for weight, _ in terms), tuple(one for _, one in terms)
        place = common_place(self.parts[one].place for one in operands)
        return self._add(Part(Kind.NEURON, place, operands, weights, bias, activation), domain)

    def _add(self, part: Part, domain: Domain) -> int:
        if part not in self._known:
            self._known[part] = len(self.parts)
            self.parts.append(part)
            self.domains.append(domain)
        return self._known[part]

    def _free(self, terms: Sequence[Term], bias: float) -> bool:
        """Whether a sum is the same in any order."""
        addends = [(weight, self.domains[one]) for weight, one in terms]
        if len(addends) + bool(bias) == 1:
            return True
        if not all(self._exact(weight, domain) for weight, domain in addends):
            return False
        if bias:
            addends.append((bias, _ONE))
        if len(addends) <= 2:
            return True
        infinite = [domain for weight, domain in addends if abs(weight) == INFINITY]
        rest = [(weight, domain) for weight, domain in addends if abs(weight) != INFINITY]
        if len(infinite) > 1 or not all(one.flag for one in infinite):
            return False
        if not all(domain.finite for _, domain in rest):
            return False
        size = sum(abs(weight) * domain.size for weight, domain in rest)
        whole = all(domain.whole and float(weight).is_integer() for weight, domain in rest)
        return (len(rest) <= 2 and size <= ABSORBED) or (whole and size <= self._whole)

    def _exact(self, weight: float, domain: Domain) -> bool:
        """Whether a product needs no rounding."""
        if abs(weight) >= 1.0 and abs(math.frexp(weight)[0]) == 0.5:
            return True
        whole = domain.whole and domain.finite and float(weight).is_integer()
        return whole and abs(weight) * domain.size <= self._whole


def common_place(places: Iterable[Place]) -> Place:
    """Give where a neuron is whose operands are at these places."""
    there = set(places)
    return next((one for one in (Place.EDGE, Place.NODE) if one in there), Place.GRAPH)


def _combined(terms: Sequence[Term]) -> list[Term]:
    """Add up what occurs twice, of a sum that is the same in any order."""
    sums: dict[int, float] = {}
    for weight, one in terms:
        sums[one] = sums.get(one, 0.0) + weight
    return [(weight, one) for one, weight in sums.items() if weight]
