"""Comparisons, choices, minima and logic as neurons, exact on the domains that each of them states.

``relu(x)`` is ``max(0, x)``, ``step(x)`` is 1 where ``x > 0``, else 0. In float64 ``a - b`` is 0 only where
``a == b``, and has the right sign otherwise (gradual underflow), so that the step of a difference compares
any two numbers exactly. No sum below has two infinite parts of which one is subtracted from the other and a
finite number is meant to remain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from gnn_compile.domains import ABSORBED, FLAG, INFINITY, Domain
from gnn_compile.targets import Target
from gnn_compile.units import Activation, Builder, Inexact, Reduction


class Gadgets:
    """Neurons for what expressions say; a value is the number of a part."""

    def __init__(self, builder: Builder, target: Target) -> None:
        self.builder, self._target = builder, target

    def plus(self, one: int, other: int, sign: float = 1.0) -> int:
        """``one + sign * other``: a neuron. Not of two values that may both be infinite."""
        ours, theirs = self._domain(one), self._domain(other)
        if not ours.finite and not theirs.finite:
            raise Inexact("the sum or difference of two values that may both be infinite is no number")
        if not math.isnan(constant := self._constant(other)) and abs(constant) < INFINITY:
            return self.builder.neuron([(1.0, one)], sign * constant)
        return self.builder.neuron([(1.0, one), (sign, other)])

    def times(self, value: int, factor: float) -> int:
        """``factor * value``: a neuron. An infinite value can only be negated."""
        if not abs(factor) <= ABSORBED:
            raise Inexact(f"{factor:g} times a value is beyond 2^66, up to which infinity absorbs numbers")
        if not self._domain(value).finite and abs(factor) != 1.0:
            raise Inexact(f"{factor:g} times a value that may be infinite is no number")
        return self.builder.neuron([(factor, value)])

    def less(self, one: int, other: int) -> int:
        """``one < other``: ``step(other - one)``, or what the target has for it."""
        if one == other:
            return self.builder.constant(0)
        return self._positive(other, one)

    def equal(self, one: int, other: int) -> int:
        """``one == other``: ``1 - (one > other) - (one < other)``."""
        if one == other:
            return self.builder.constant(1)
        above, below = (self._positive(one, other, sign) for sign in (1.0, -1.0))
        return self.builder.neuron([(-1.0, above), (-1.0, below)], 1.0, knowing=FLAG)

    def opposite(self, flag: int) -> int:
        """``not flag``: ``1 - flag``."""
        return self.builder.neuron([(-1.0, flag)], 1.0, knowing=FLAG)

    def both(self, flags: Sequence[int]) -> int:
        """``a and b and …``: ``relu(a + b + … - (n - 1))``."""
        if self._constant_among(flags, 0.0):
            return self.builder.constant(0)
        flags = self._without(flags, 1.0)
        if len(flags) < 2:
            return flags[0] if flags else self.builder.constant(1)
        return self.builder.neuron([(1.0, one) for one in flags], 1.0 - len(flags), Activation.RELU)

    def either(self, flags: Sequence[int]) -> int:
        """``a or b or …``: ``1 - relu(1 - a - b - …)``."""
        if self._constant_among(flags, 1.0):
            return self.builder.constant(1)
        flags = self._without(flags, 0.0)
        if len(flags) < 2:
            return flags[0] if flags else self.builder.constant(0)
        none = self.builder.neuron([(-1.0, one) for one in flags], 1.0, Activation.RELU)
        return self.opposite(none)

    def select(self, flag: int, one: int, other: int, knowing: Domain | None = None) -> int:
        """``one if flag else other``: gates, of which one pair is shut.

        ``relu(x - M * shut) - relu(-x - M * shut)`` is ``x`` where ``shut`` is 0, for then nothing is
        rounded, and 0 where it is 1, if ``M`` is at least ``|x|``; infinity is as much as anything.
        """
        if not math.isnan(chosen := self._constant(flag)):
            return one if chosen else other
        if one == other:
            return one
        domain = knowing or self._domain(one) | self._domain(other)
        first, second = self._constant(one), self._constant(other)
        if abs(first) < INFINITY and abs(second) < INFINITY:  # which nan is not
            return self.builder.neuron([(first - second, flag)], second, knowing=domain)
        terms: list[tuple[float, int]] = []
        for value, shut in ((one, self.opposite(flag)), (other, flag)):
            constant = self._constant(value)
            if math.isnan(constant):
                terms += self._gates(value, shut)
            elif constant:
                terms.append((constant, self.opposite(shut)))
        return self.builder.neuron(terms, knowing=domain)

    def only_if(self, flag: int, value: int, otherwise: float) -> int:
        """``value if flag else otherwise``; where that is infinite, by what infinity absorbs: one neuron."""
        domain = self._domain(value)
        if abs(otherwise) == INFINITY and domain.finite and math.isnan(self._constant(flag)):
            return self.builder.neuron([(1.0, value), (otherwise, self.opposite(flag))])
        return self.select(flag, value, self.builder.constant(otherwise))

    def least(self, one: int, other: int) -> int:
        """``min(one, other)``: by the aggregation itself, if one is a minimum over edges, the other a node's.

        Else ``one - relu(one - other)`` of finite whole numbers, and a selection of others.
        """
        ours, theirs = self._domain(one), self._domain(other)
        if one == other or ours.highest <= theirs.lowest:
            return one
        if theirs.highest <= ours.lowest:
            return other
        if ours.flag and theirs.flag:
            return self.both([one, other])
        domain = replace(ours | theirs, above=ours.above and theirs.above)
        if not theirs.above and theirs.low <= theirs.high:
            domain = replace(domain, high=min(domain.high, theirs.high))
        if not ours.above and ours.low <= ours.high:
            domain = replace(domain, high=min(domain.high, ours.high))
        if (looped := self._looped(one, other, Reduction.MIN, domain)) is not None:
            return looped
        if ours.whole and theirs.whole and ours.finite and theirs.finite:
            excess = self._difference(one, other, Activation.RELU)
            return self.builder.neuron([(1.0, one), (-1.0, excess)], knowing=domain)
        return self.select(self.less(other, one), other, one, knowing=domain)

    def greatest(self, one: int, other: int) -> int:
        """``max(one, other)``: minus the least of their opposites."""
        if one == other:
            return one
        domain = self._domain(one) | self._domain(other)
        if (looped := self._looped(one, other, Reduction.MAX, domain)) is not None:
            return looped
        negated = (self.builder.neuron([(-1.0, value)]) for value in (one, other))
        return self.builder.neuron([(-1.0, self.least(*negated))])

    def _looped(self, one: int, other: int, reduction: Reduction, domain: Domain) -> int | None:
        for aggregated, own in ((one, other), (other, one)):
            if self.builder.parts[aggregated].reduction is reduction:
                looped = self.builder.with_own(aggregated, own, domain)
                if looped is not None:
                    return looped
        return None

    def _positive(self, one: int, other: int, sign: float = 1.0) -> int:
        """``sign * (one - other) > 0``: ``step`` of it, which compares any two numbers.

        Of whole numbers it is ``relu(1 - relu(1 - x))`` too, where a step is not to be had, and
        ``step(x - 1/2)``, where ``x`` may be a little off.
        """
        if self._target.steps and not self._target.soft:
            return self._difference(one, other, Activation.STEP, sign)
        if not (self._domain(one).whole and self._domain(other).whole):
            raise Inexact(
                "numbers are compared here that need not be whole, which this target cannot: compile for "
                "whole weights, or with steps and exact selection"
            )
        if self._target.steps:
            return self._difference(one, other, Activation.STEP, sign, threshold=0.5)
        short = self._difference(one, other, Activation.RELU, -sign, threshold=-1.0)
        return self.builder.neuron([(-1.0, short)], 1.0, Activation.RELU)

    def snapped(self, flag: int) -> int:
        """Give a flag that an attention may have made a little off."""
        return self.builder.neuron([(1.0, flag)], -0.5, Activation.STEP) if self._target.soft else flag

    def _difference(
        self, one: int, other: int, activation: Activation, sign: float = 1.0, threshold: float = 0.0
    ) -> int:
        """``activation(sign * (one - other) - threshold)``; two infinities make 0, as they are equal."""
        constant = self._constant(other)
        if not math.isnan(constant) and abs(constant) < INFINITY:
            return self.builder.neuron([(sign, one)], -sign * constant - threshold, activation)
        return self.builder.neuron([(sign, one), (-sign, other)], -threshold, activation)

    def _gates(self, value: int, shut: int) -> list[tuple[float, int]]:
        domain = self._domain(value)
        bound = 2.0 ** math.ceil(math.log2(max(1.0, domain.size))) if domain.finite else INFINITY
        gates = []
        for sign, reaches in ((1.0, domain.highest > 0), (-1.0, domain.lowest < 0)):
            if reaches:
                gate = self.builder.neuron([(sign, value), (-bound, shut)], 0.0, Activation.RELU)
                gates.append((sign, gate))
        return gates

    def _domain(self, value: int) -> Domain:
        return self.builder.domains[value]

    def _constant(self, value: int) -> float:
        """Give the number that a value always is; nan if it is not always one."""
        constant = self.builder.constant_of(value)
        return math.nan if constant is None else constant

    def _constant_among(self, flags: Sequence[int], value: float) -> bool:
        return any(self._constant(one) == value for one in flags)

    def _without(self, flags: Sequence[int], value: float) -> list[int]:
        return [one for one in dict.fromkeys(flags) if self._constant(one) != value]
