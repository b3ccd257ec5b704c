"""Graphs of other shapes than CLRS-30 draws: the edges of a shape, then their directions and weights.

A seed gives the same graphs wherever numpy is of the same version.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Pairs = npt.NDArray[np.int64]
"""[edges, 2]: each pair of neighbours once"""

_LINKS = 2
"""How many earlier nodes each node of a Barabási-Albert graph is linked to."""


class Family(StrEnum):
    """What a graph looks like."""

    ERDOS_RENYI = "erdos_renyi"
    """As CLRS-30 draws it; see ``samplers``."""
    BARABASI_ALBERT = "barabasi_albert"
    """Each node is linked to two earlier ones, to those with many links rather than those with few."""
    GRID = "grid"
    """As nearly square as can be; the last row may be shorter."""
    TREE = "tree"
    """Each node hangs below any earlier one."""
    PATH = "path"
    COMPLETE = "complete"


class GraphKind(NamedTuple):
    """Which edges and weights a graph may have."""

    directed: bool = False
    acyclic: bool = False
    """Only what is directed can be."""
    weighted: bool = False


def family_graph(
    rng: np.random.Generator,
    family: Family,
    size: int,
    kind: GraphKind,
    low: float = 0.0,
    high: float = 1.0,
) -> npt.NDArray[np.float64]:
    """Draw the weight matrix of a graph. A node's number says nothing of its place in the shape.

    An edge goes both ways, or, if directed, either way; if acyclic as well, from earlier to later in an
    order of its own. Weights lie in ``(low, high]``, or are 1.
    """
    pairs = rng.permutation(size)[_SHAPES[family](rng, size)]
    matrix = np.zeros((size, size))
    weights = high - (high - low) * rng.random(len(pairs)) if kind.weighted else np.ones(len(pairs))
    if kind.acyclic:
        rank = rng.permutation(size)
        pairs = np.where((rank[pairs[:, 0]] < rank[pairs[:, 1]])[:, None], pairs, pairs[:, ::-1])
    elif kind.directed:
        pairs = np.where(rng.random(len(pairs))[:, None] < 0.5, pairs, pairs[:, ::-1])
    matrix[pairs[:, 0], pairs[:, 1]] = weights
    if not kind.directed:
        matrix[pairs[:, 1], pairs[:, 0]] = weights
    return matrix


def _barabasi_albert(rng: np.random.Generator, size: int) -> Pairs:
    pairs = [(1, 0)][: size - 1]
    degrees = np.zeros(size)
    degrees[:2] = 1
    for node in range(2, size):
        chances = degrees[:node] / degrees[:node].sum()
        for other in rng.choice(node, size=_LINKS, replace=False, p=chances).tolist():
            pairs.append((node, other))
            degrees[[node, other]] += 1
    return _as_pairs(pairs)


def _grid(_: np.random.Generator, size: int) -> Pairs:
    width = math.isqrt(size - 1) + 1
    right = [(node, node + 1) for node in range(size - 1) if (node + 1) % width]
    down = [(node, node + width) for node in range(size - width)]
    return _as_pairs(right + down)


def _tree(rng: np.random.Generator, size: int) -> Pairs:
    return _as_pairs([(node, int(rng.integers(node))) for node in range(1, size)])


def _path(_: np.random.Generator, size: int) -> Pairs:
    return _as_pairs([(node, node + 1) for node in range(size - 1)])


def _complete(_: np.random.Generator, size: int) -> Pairs:
    return np.stack(np.triu_indices(size, k=1), axis=1).astype(np.int64)


_SHAPES: Mapping[Family, Callable[[np.random.Generator, int], Pairs]] = {
    Family.BARABASI_ALBERT: _barabasi_albert,
    Family.GRID: _grid,
    Family.TREE: _tree,
    Family.PATH: _path,
    Family.COMPLETE: _complete,
}


def _as_pairs(pairs: list[tuple[int, int]]) -> Pairs:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
