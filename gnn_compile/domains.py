"""What a value can be: a range, whether it is whole, whether it may be infinite.

Infinity is the number ``INFINITY`` = 2^120, which *absorbs*: in float64, ``INFINITY + x == INFINITY`` for all
``|x| <= ABSORBED`` = 2^66, so that a distance that nobody has found yet stays infinite whatever is added, and
no value is ever nan, as it would be by ``inf - inf`` or ``0 * inf`` in a matrix product. (In float32 it
absorbs up to 2^95.) All ranges here are of finite values; ``above`` and ``below`` say that plus or minus
infinity may occur beside them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

INFINITY = 2.0**120
ABSORBED = 2.0**66
WHOLE = 2.0**53
"""Up to here every whole number is a float64, and sums of them are exact."""


@dataclass(frozen=True, slots=True)
class Domain:
    """The finite values lie in ``[low, high]``; there are none if ``low > high``."""

    low: float
    high: float
    whole: bool = False
    above: bool = False
    below: bool = False

    @classmethod
    def of(cls, value: float) -> Domain:
        """Give the domain of a constant, which may be infinite."""
        if abs(value) >= INFINITY:
            return NOTHING.with_infinity(above=value > 0, below=value < 0)
        return cls(value, value, float(value).is_integer())

    @property
    def flag(self) -> bool:
        """Whether it is 0 or 1."""
        return self.whole and not self.above and not self.below and self.low >= 0 and self.high <= 1

    @property
    def finite(self) -> bool:
        return not self.above and not self.below

    @property
    def lowest(self) -> float:
        return -INFINITY if self.below else self.low

    @property
    def highest(self) -> float:
        return INFINITY if self.above else self.high

    @property
    def size(self) -> float:
        """The largest magnitude of a finite value."""
        return max(abs(self.low), abs(self.high)) if self.low <= self.high else 0.0

    def with_infinity(self, *, above: bool = False, below: bool = False) -> Domain:
        return replace(self, above=self.above or above, below=self.below or below)

    def __or__(self, other: Domain) -> Domain:
        return Domain(
            min(self.low, other.low),
            max(self.high, other.high),
            self.whole and other.whole,
            self.above or other.above,
            self.below or other.below,
        )

    def __and__(self, other: Domain) -> Domain:
        return Domain(
            max(self.low, other.low),
            min(self.high, other.high),
            self.whole or other.whole,
            self.above and other.above,
            self.below and other.below,
        )

    def __contains__(self, value: float) -> bool:
        if value >= INFINITY or value <= -INFINITY:
            return self.above if value > 0 else self.below
        return self.low <= value <= self.high and (not self.whole or float(value).is_integer())

    def within(self, other: Domain) -> bool:
        """Whether all its values are values of the other."""
        return (self | other) == other

    def __str__(self) -> str:
        if self.flag:
            return "0 or 1" if self.low < self.high else f"{self.low:g}"
        parts = []
        if self.low <= self.high:
            kind = "whole numbers" if self.whole else "numbers"
            parts.append(f"{kind} {_plain(self.low)} … {_plain(self.high)}")
        parts += ["∞"] * self.above + ["-∞"] * self.below
        return " or ".join(parts)


NOTHING = Domain(math.inf, -math.inf, whole=True)
FLAG = Domain(0, 1, whole=True)
UNKNOWN = Domain(-math.inf, math.inf, above=True, below=True)
"""Of a value of which nothing is known."""


def total(terms: Iterable[tuple[float, Domain]], bias: float) -> Domain:
    """Give the domain of ``bias + sum(coefficient * value)``."""
    low = high = bias if abs(bias) < INFINITY else 0.0
    whole = float(bias).is_integer()
    above, below = bias >= INFINITY, bias <= -INFINITY
    for coefficient, domain in terms:
        if domain.low <= domain.high:
            if abs(coefficient) >= INFINITY and domain.size:  # a flag that makes it infinite
                above, below = above or coefficient > 0, below or coefficient < 0
            else:
                ends = sorted((coefficient * domain.low, coefficient * domain.high))
                low, high = low + ends[0], high + ends[1]
        whole = whole and domain.whole and float(coefficient).is_integer()
        up, down = (domain.above, domain.below) if coefficient > 0 else (domain.below, domain.above)
        above, below = above or up, below or down
    return Domain(low, high, whole, above, below)


def _plain(number: float) -> str:
    if float(number).is_integer() and abs(number) < 1e15:
        return f"{int(number):,}"
    power = math.log2(abs(number))
    return f"{'-' if number < 0 else ''}2^{power:g}" if power.is_integer() else f"{number:.6g}"
