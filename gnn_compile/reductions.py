"""Several values become one: by minimum, maximum or sum, or by a softmax in place of the first two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gnn_compile.graphs import Column, Index
from gnn_compile.units import Part, Reduction

_SELECT = {Reduction.MIN: np.minimum, Reduction.MAX: np.maximum, Reduction.SUM: np.add}


@dataclass(frozen=True, slots=True)
class Segments:
    """Values of which those that become one follow one another."""

    degrees: Index
    """How many become one, for each; there may be none."""
    starts: Index
    """Where those begin that there are."""
    present: Index | None
    """For which there are any; ``None`` is for all."""

    @classmethod
    def of(cls, degrees: Index) -> Segments:
        starts = np.cumsum(degrees) - degrees
        present = np.flatnonzero(degrees)
        if len(present) == len(degrees):
            return cls(degrees, starts, None)
        return cls(degrees, starts[present], present)


def reduce(part: Part, column: Column, segments: Segments, own: Column | None, out: Column) -> None:
    """Reduce to the least, greatest or sum; ``own`` is one more value for each."""
    operation = _SELECT[part.reduction]
    _reduced(operation, column, segments, part.default, out)
    if own is not None:
        operation(out, own, out=out)


def average(
    part: Part, column: Column, segments: Segments, own: Column | None, out: Column, sharpness: float
) -> None:
    """Average by a softmax: ``m + sum(a * (x - m))``, where ``m = min(x)`` and ``a = softmax(-s * x)``."""
    reduce(part, column, segments, own, out)
    if part.reduction is Reduction.SUM:
        return
    gaps = column - np.repeat(out, segments.degrees)
    shares = np.exp(-sharpness * np.abs(gaps))
    above, below = np.zeros(len(out)), np.zeros(len(out))
    _reduced(np.add, shares * gaps, segments, 0.0, above)
    _reduced(np.add, shares, segments, 0.0, below)
    if own is not None:
        share = np.exp(-sharpness * np.abs(own - out))
        above += share * (own - out)
        below += share
    np.divide(above, below, out=above, where=below > 0)
    out += above


def _reduced(operation: np.ufunc, column: Column, segments: Segments, default: float, out: Column) -> None:
    if segments.present is None:
        operation.reduceat(column, segments.starts, 0, None, out)
        return
    out.fill(default)
    if len(segments.present):
        out[segments.present] = operation.reduceat(column, segments.starts)
