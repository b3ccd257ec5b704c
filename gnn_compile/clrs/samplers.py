"""Streams of runs on graphs that are drawn by a seed.

Erdős-Rényi graphs are drawn as CLRS-30 draws them, number by number, so that a seed gives its very samples,
those of its training, validation and test sets included.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gnn_compile.clrs.algorithms import needs_source, run
from gnn_compile.clrs.families import Family, GraphKind, family_graph
from gnn_compile.clrs.samples import Batch, Sample, batch_of
from gnn_compile.clrs.specs import Algorithm
from sandboxes.errors import AlgorithmError

Matrix = npt.NDArray[np.float64]

KINDS: Mapping[Algorithm, GraphKind] = MappingProxyType(
    {
        Algorithm.BFS: GraphKind(),
        Algorithm.DFS: GraphKind(directed=True),
        Algorithm.BELLMAN_FORD: GraphKind(weighted=True),
        Algorithm.DIJKSTRA: GraphKind(weighted=True),
        Algorithm.TOPOLOGICAL_SORT: GraphKind(directed=True, acyclic=True),
    }
)
"""What CLRS-30 draws for each algorithm."""


class Split(NamedTuple):
    """How a set of CLRS-30's is drawn."""

    samples: int
    size: int
    seed: int


SPLITS: Mapping[str, Split] = MappingProxyType(
    {"train": Split(1000, 16, 1), "val": Split(32, 16, 2), "test": Split(32, 64, 3)}
)


@dataclass(frozen=True, slots=True)
class Sampler:
    """An endless stream of samples, the same whenever it is iterated over.

    Raises ``AlgorithmError`` for settings that make no sense.
    """

    algorithm: Algorithm
    sizes: tuple[int, ...] = (16,)
    """How many nodes the graphs have, in turn."""
    seed: int = 0
    family: Family = Family.ERDOS_RENYI
    probabilities: tuple[float, ...] = (0.5,)
    """One is chosen for each Erdős-Rényi graph. Each direction of an edge is there so often, and an edge of
    an undirected graph needs both."""
    low: float = 0.0
    high: float = 1.0
    """Between what two weights are drawn, if there are any."""
    kind: GraphKind | None = None
    """What CLRS-30 draws for the algorithm, if not given."""

    def __post_init__(self) -> None:
        if not self.sizes or min(self.sizes) < 1:
            raise AlgorithmError(f"sizes must be numbers of nodes, each 1 or more, not {self.sizes}")
        if not self.probabilities or not all(0 <= chance <= 1 for chance in self.probabilities):
            raise AlgorithmError(f"probabilities must lie between 0 and 1, not be {self.probabilities}")
        if not 0 <= self.low <= self.high < math.inf or not self.high:
            raise AlgorithmError(
                f"weights lie between low and high, 0 ≤ low ≤ high > 0, not {self.low} and {self.high}"
            )
        if self.kind and self.kind.acyclic and not self.kind.directed:
            raise AlgorithmError(
                "only directed graphs can be acyclic; ask for GraphKind(directed=True, acyclic=True)"
            )
        if not 0 <= self.seed < 2**32:
            raise AlgorithmError(f"a seed is a whole number from 0 to 2^32 - 1, not {self.seed}")

    def __iter__(self) -> Iterator[Sample]:
        for matrix, source in self.graphs():
            yield run(self.algorithm, matrix, source)

    def batches(self, runs: int, *, steps: int = 0) -> Iterator[Batch]:
        """Give the same samples, so many at a time, each batch padded by itself to so many steps at least."""
        if runs < 1:
            raise AlgorithmError(f"a batch needs a sample at least, not {runs}")
        samples = iter(self)
        while True:
            yield batch_of(list(itertools.islice(samples, runs)), steps=steps)

    def graphs(self) -> Iterator[tuple[Matrix, int | None]]:
        """Give the graphs alone, each with the source where the algorithm has one."""
        legacy, modern = np.random.RandomState(self.seed), np.random.default_rng(self.seed)
        kind = KINDS[self.algorithm] if self.kind is None else self.kind
        for size in itertools.cycle(self.sizes):
            source: int | None = None
            if self.family is Family.ERDOS_RENYI:
                chance = float(legacy.choice(self.probabilities))
                matrix = erdos_renyi(legacy, size, chance, kind, self.low, self.high)
                if needs_source(self.algorithm):
                    source = int(legacy.choice(size))
            else:
                matrix = family_graph(modern, self.family, size, kind, self.low, self.high)
                if needs_source(self.algorithm):
                    source = int(modern.integers(size))
            yield matrix, source


def clrs30(algorithm: Algorithm, split: str) -> Iterator[Sample]:
    """Give the samples of a set of CLRS-30's: ``train``, ``val`` or ``test``."""
    if split not in SPLITS:
        raise AlgorithmError(f"CLRS-30 has the sets {', '.join(SPLITS)}, not {split!r}")
    samples, size, seed = SPLITS[split]
    return itertools.islice(Sampler(algorithm, (size,), seed), samples)


def erdos_renyi(
    rng: np.random.RandomState,
    size: int,
    probability: float,
    kind: GraphKind,
    low: float = 0.0,
    high: float = 1.0,
) -> Matrix:
    """Draw a weight matrix as CLRS-30 does; nodes may have edges to themselves, unless it is acyclic.

    The weights of an undirected one are the geometric means of two
    drawn between ``low`` and ``high``, and a little more.
    """
    edges = rng.binomial(1, probability, size=(size, size))
    if not kind.directed:
        edges = edges * edges.T
    elif kind.acyclic:
        order = rng.permutation(size)
        edges = np.triu(edges, k=1)[order][:, order]
    if not kind.weighted:
        return edges.astype(np.float64)
    weights = rng.uniform(low, high, size=(size, size))
    if not kind.directed:
        weights = np.sqrt(weights * weights.T + 1e-3)  # away from 0, which would be no edge
    return edges * weights
