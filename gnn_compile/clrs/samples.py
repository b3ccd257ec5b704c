"""Runs of an algorithm as data: one alone, and several padded to one size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from gnn_compile.clrs.specs import SPECS, Algorithm, Location, Stage, Type, names, shape
from sandboxes.errors import AlgorithmError

Index = npt.NDArray[np.int64]
Values = Mapping[str, npt.NDArray[Any]]
"""By the names of the spec: pointers are int64, all else is float64."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One run on one graph."""

    algorithm: Algorithm
    inputs: Values
    """[nodes], or [nodes, nodes] with the sender first"""
    hints: Values
    """[steps, …], with the values at each step"""
    outputs: Values
    length: int
    """How many steps there are."""

    @property
    def size(self) -> int:
        """How many nodes there are."""
        return len(self.inputs["pos"])


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Runs of one algorithm, filled up with zeros to the most steps and the most nodes.

    ``lengths`` and ``sizes`` say what is there in truth; ``sample`` gives it back.
    """

    algorithm: Algorithm
    inputs: Values
    """[runs, …]"""
    hints: Values
    """[steps, runs, …]: the steps come first, as in CLRS-30"""
    outputs: Values
    """[runs, …]"""
    lengths: Index
    """[runs], the steps of each"""
    sizes: Index
    """[runs], the nodes of each"""

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def nodes(self) -> npt.NDArray[np.bool_]:
        """[runs, nodes], true where there is a node."""
        return np.arange(self.inputs["pos"].shape[1]) < self.sizes[:, None]

    @property
    def steps(self) -> npt.NDArray[np.bool_]:
        """[steps, runs], true where there is a step."""
        most = next(iter(self.hints.values())).shape[0]
        return np.arange(most)[:, None] < self.lengths

    def sample(self, run: int) -> Sample:
        """Give one run as it was."""
        size, length = int(self.sizes[run]), int(self.lengths[run])

        def cut(values: Values) -> Values:
            places = {name: _place(self.algorithm, name, run, size, length) for name in values}
            return MappingProxyType({name: values[name][place] for name, place in places.items()})

        return Sample(self.algorithm, cut(self.inputs), cut(self.hints), cut(self.outputs), length)


def batch_of(samples: Sequence[Sample], *, steps: int = 0, size: int = 0) -> Batch:
    """Make a batch, of so many steps and nodes at least, so that several batches can be of one shape.

    Raises ``AlgorithmError`` for no samples, or for samples of several algorithms.
    """
    if not samples:
        raise AlgorithmError("a batch needs a sample at least; this one is empty")
    algorithm = samples[0].algorithm
    if strays := {sample.algorithm for sample in samples} - {algorithm}:
        raise AlgorithmError(
            f"a batch is of one algorithm, not of {algorithm} and {', '.join(sorted(strays))}"
        )
    sizes = np.array([sample.size for sample in samples], dtype=np.int64)
    lengths = np.array([sample.length for sample in samples], dtype=np.int64)
    size, steps = max(size, int(sizes.max())), max(steps, int(lengths.max()))

    def padded(stage: Stage, given: Sequence[Values]) -> Values:
        before = (steps, len(samples)) if stage is Stage.HINT else (len(samples),)
        filled = {}
        for name in names(algorithm, stage):
            probe = SPECS[algorithm][name]
            dtype = np.int64 if probe.type is Type.POINTER else np.float64
            filled[name] = np.zeros((*before, *shape(probe, size)), dtype)
            for run, (sample, values) in enumerate(zip(samples, given, strict=True)):
                place = _place(algorithm, name, run, sample.size, sample.length)
                filled[name][place] = values[name]
        return MappingProxyType(filled)

    return Batch(
        algorithm,
        padded(Stage.INPUT, [sample.inputs for sample in samples]),
        padded(Stage.HINT, [sample.hints for sample in samples]),
        padded(Stage.OUTPUT, [sample.outputs for sample in samples]),
        lengths,
        sizes,
    )


def _place(algorithm: Algorithm, name: str, run: int, size: int, length: int) -> tuple[slice | int, ...]:
    """Say where in a batch's array the values of a run are that has so many nodes and steps."""
    probe = SPECS[algorithm][name]
    axes = {Location.NODE: 1, Location.EDGE: 2, Location.GRAPH: 0}[probe.location]
    nodes = (slice(size),) * axes
    return (slice(length), run, *nodes) if probe.stage is Stage.HINT else (run, *nodes)
