"""What dm-clrs itself observes of its algorithms, for the tests to compare with.

Run in an environment that has dm-clrs (``pip install dm-clrs``): ``python make_fixtures.py`` writes
``fixtures/ALGORITHM.npz`` anew. Of all graphs together, the values of one name are one flat column, node by
node; ``sizes``, ``lengths`` and the spec say where each graph's are and of which shape.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clrs
import numpy as np
from clrs._src import algorithms

FIXTURES = Path(__file__).with_name("fixtures")
ALGORITHMS = ("bfs", "dfs", "bellman_ford", "dijkstra", "topological_sort")
WITH_SOURCE = ("bfs", "bellman_ford", "dijkstra")
SIZES = range(1, 17)
PROBABILITIES = (0.1, 0.3, 0.5, 0.9)
DRAWN = 2
"""How many graphs of each size dm-clrs draws, with the size as seed."""

Case = tuple[np.ndarray, "int | None"]


def observed(algorithm: str, matrix: np.ndarray, source: int | None) -> dict[str, np.ndarray]:
    """Give what dm-clrs observes of a run, by name. Of one node alone, it leaves out axes of length 1."""
    arguments = (matrix,) if source is None else (matrix, source)
    _, probes = getattr(algorithms, algorithm)(*arguments)
    return {
        name: np.asarray(probes[stage][location][name]["data"])
        for name, (stage, location, _) in clrs.SPECS[algorithm].items()
    }


def feedback(algorithm: str, samples: int, **settings: Any) -> Any:
    """Give the batch that dm-clrs makes of samples that it draws."""
    sampler, _ = clrs.build_sampler(algorithm, samples, **settings)
    return sampler.next()


def drawn(algorithm: str, size: int) -> Iterator[Case]:
    """Give the graphs that dm-clrs draws."""
    batch = feedback(algorithm, DRAWN, seed=size, length=size, p=PROBABILITIES)
    inputs = {point.name: point.data for point in batch.features.inputs}
    for run in range(DRAWN):
        source = int(inputs["s"][run].argmax()) if algorithm in WITH_SOURCE else None
        yield inputs["A"][run].reshape(size, size), source


def chosen(algorithm: str) -> Iterator[Case]:
    """Give directed graphs with weights, which dm-clrs draws for none of them, and with many ties.

    But not for Dijkstra's algorithm, where dm-clrs leaves ties to a sort that is not stable everywhere.
    """
    rng = np.random.RandomState(30)
    for size in (2, 5, 8, 12, 16):
        for probability in (0.2, 0.5):
            edges = rng.binomial(1, probability, size=(size, size))
            if algorithm == "topological_sort":
                order = rng.permutation(size)
                edges = np.triu(edges, k=1)[order][:, order]
            weights = (
                rng.uniform(size=(size, size)) if algorithm == "dijkstra" else rng.randint(1, 4, (size, size))
            )
            source = int(rng.randint(size))
            yield (edges * weights).astype(float), source if algorithm in WITH_SOURCE else None


def main() -> None:
    FIXTURES.mkdir(exist_ok=True)
    for algorithm in ALGORITHMS:
        spec = clrs.SPECS[algorithm]
        cases = [case for size in SIZES for case in drawn(algorithm, size)]
        cases += chosen(algorithm)
        runs = [observed(algorithm, matrix, source) for matrix, source in cases]
        hint = next(name for name, (stage, _, _) in spec.items() if stage == "hint")
        columns = {
            f"{stage}_{name}": np.concatenate([run[name].ravel() for run in runs]).astype(
                np.float64 if kind == "scalar" else np.int8
            )
            for name, (stage, _, kind) in spec.items()
        }
        np.savez_compressed(
            FIXTURES / f"{algorithm}.npz",
            version=np.array(importlib.metadata.version("dm-clrs")),
            spec=np.array(json.dumps(dict(spec))),
            sizes=np.array([len(matrix) for matrix, _ in cases]),
            lengths=np.array([len(run[hint]) for run in runs]),
            sources=np.array([-1 if source is None else source for _, source in cases]),
            **columns,
        )


if __name__ == "__main__":
    main()
