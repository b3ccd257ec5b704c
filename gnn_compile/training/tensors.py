"""Batches of runs as tensors, and values of any type as features that a network reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gnn_compile.clrs import COLORS, SPECS, Algorithm, Batch, Location, Probe, Spec, Type

Values = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Tensors:
    """A batch of runs. Pointers are int64, all else is of one type of floats."""

    algorithm: Algorithm
    inputs: Values
    """[runs, …]"""
    hints: Values
    """[steps + 1, runs, …]: before the first step, and after each"""
    outputs: Values
    """[runs, …]"""
    lengths: Tensor
    """[runs], how many hints each has in truth"""
    nodes: Tensor
    """[runs, nodes], true where there is a node"""
    linked: Tensor
    """[runs, receivers, senders], true where there is an edge, and from each node to itself"""

    @classmethod
    def of(cls, batch: Batch, dtype: torch.dtype = torch.float32) -> Tensors:
        """Read a batch."""

        def tensor(name: str, values: np.ndarray[Any, Any]) -> Tensor:
            found = torch.from_numpy(values)
            return found if SPECS[batch.algorithm][name].type is Type.POINTER else found.to(dtype)

        hints = {name: tensor(name, values) for name, values in batch.hints.items()}
        if batch.steps.shape[0] == 1:  # for a network takes one step at least
            hints = {name: torch.cat([values, torch.zeros_like(values)]) for name, values in hints.items()}
        size = batch.inputs["pos"].shape[1]
        adjacent = torch.from_numpy(batch.inputs["adj"] != 0).transpose(1, 2)
        return cls(
            batch.algorithm,
            {name: tensor(name, values) for name, values in batch.inputs.items()},
            hints,
            {name: tensor(name, values) for name, values in batch.outputs.items()},
            torch.from_numpy(batch.lengths),
            torch.from_numpy(batch.nodes),
            adjacent | torch.eye(size, dtype=torch.bool),
        )

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def size(self) -> int:
        """How many nodes the largest graph has."""
        return self.nodes.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """The type of all numbers but pointers."""
        return self.inputs["pos"].dtype

    @property
    def steps(self) -> int:
        """How many steps a network takes for the longest run."""
        return next(iter(self.hints.values())).shape[0] - 1

    @property
    def last(self) -> Tensor:
        """[runs], the step, from 0, after which the outputs are read."""
        return (self.lengths - 2).clamp(min=0)

    @property
    def running(self) -> Tensor:
        """[steps, runs], true where there is a hint after the step."""
        return torch.arange(1, self.steps + 1)[:, None] < self.lengths


def node_width(spec: Spec, names: Iterable[str]) -> int:
    """Count the features of a node that these probes give."""
    widths = {Type.POINTER: 0, Type.CATEGORICAL: COLORS}
    return sum(widths.get(spec[name].type, 1) for name in names if spec[name].location is not Location.EDGE)


def edge_width(spec: Spec, names: Iterable[str]) -> int:
    """Count the features of a pair of nodes that these probes give."""
    return sum(_is_of_pairs(spec[name]) for name in names)


def node_features(spec: Spec, names: Iterable[str], values: Values, size: int) -> list[Tensor]:
    """Give the features of nodes, each [runs, nodes, …]; all nodes see what is the graph's."""
    found = []
    for name in names:
        if _is_of_pairs(spec[name]):
            continue
        column = values[name]
        if spec[name].location is Location.GRAPH:
            column = column[:, None].expand(-1, size)
        found.append(column if spec[name].type is Type.CATEGORICAL else column[..., None])
    return found


def edge_features(spec: Spec, names: Iterable[str], values: Values) -> list[Tensor]:
    """Give the features of pairs, each [runs, receivers, senders].

    A pointer is a feature of the pair in which it comes from the receiver and goes to the sender, as a
    parent's message does to its child.
    """
    found = []
    for name in names:
        if spec[name].type is Type.POINTER:
            found.append(values[name])
        elif _is_of_pairs(spec[name]):
            found.append(values[name].transpose(1, 2))
    return found


def as_read(spec: Spec, values: Values, names: Iterable[str], dtype: torch.dtype) -> dict[str, Tensor]:
    """Give true hints in the form in which predictions of them are read: pointers one-hot."""
    found = {}
    for name in names:
        value = values[name]
        if spec[name].type is Type.POINTER:
            value = functional.one_hot(value, value.shape[-1]).to(dtype)
        found[name] = value
    return found


def softened(probe: Probe, logits: Tensor) -> Tensor:
    """Turn what a decoder gives into the form in which it is read again."""
    match probe.type:
        case Type.SCALAR:
            return logits
        case Type.MASK:
            return torch.sigmoid(logits)
        case _:
            return torch.softmax(logits, dim=-1)


def _is_of_pairs(probe: Probe) -> bool:
    return probe.location is Location.EDGE or probe.type is Type.POINTER
