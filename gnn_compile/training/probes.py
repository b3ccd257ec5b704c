"""Linear probes: what a linear map can read from the hidden features of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gnn_compile.clrs import SPECS, Location, Probe, Stage, Type, names
from gnn_compile.training.faithfulness import traced
from gnn_compile.training.losses import where
from gnn_compile.training.model import EncodeProcessDecode
from gnn_compile.training.tensors import Tensors, node_features
from sandboxes.errors import AlgorithmError


@dataclass(frozen=True, slots=True)
class Probed:
    """How well a hint can be read, in runs that the map was not fitted on."""

    score: float
    """For scalars R², for all else the share that is right."""
    inputs: float
    """The same of a map that reads the node's inputs alone."""


def probe(model: EncodeProcessDecode, batch: Tensors, ridge: float = 1e-3) -> Mapping[str, Probed]:
    """Fit a ridge regression for each hint on half of the runs, and score it on the others.

    What is regressed on is, for a scalar or a mask, the value, for a node among all whether it is this one,
    for a category whether it is each, and for a pointer the position that it points to; then the nearest is
    taken. The map reads the node's inputs as well, for a pointer is often known by what it is beside the
    node's own position. Raises ``AlgorithmError`` for fewer than two runs.
    """
    if len(batch) < 2:
        raise AlgorithmError(f"a probe is fitted on some runs and scored on others; {len(batch)} is too few")
    trace = traced(model, batch).trace
    assert trace is not None  # noqa: S101 - `traced` made it
    spec, given = SPECS[batch.algorithm], names(batch.algorithm, Stage.INPUT)
    inputs = torch.cat(node_features(spec, given, batch.inputs, batch.size), dim=-1)
    fitted = torch.arange(len(batch)) < len(batch) // 2
    found = {}
    for name in names(batch.algorithm, Stage.HINT):
        of = spec[name]
        features = torch.cat([trace.hidden, inputs.expand(len(trace.hidden), -1, -1, -1)], dim=-1).double()
        if of.location is Location.GRAPH:
            features = features.masked_fill(~batch.nodes[..., None], -torch.inf).amax(2, keepdim=True)
        there = where(of, batch, hints=True)
        there = there[..., None].expand(features.shape[:3]) if there.ndim == 2 else there
        if of.type is Type.MASK_ONE:
            there = there & batch.nodes
        target = _target(of, batch.hints[name][1:], batch)
        known = features[..., trace.hidden.shape[-1] :]
        found[name] = Probed(
            *(
                _score(
                    of,
                    _read(one, target, there & fitted[:, None], ridge),
                    there & ~fitted[:, None],
                    batch,
                    name,
                )
                for one in (features, known)
            )
        )
    return found


def _target(of: Probe, values: Tensor, batch: Tensors) -> Tensor:
    """Give what is regressed on, [steps, runs, nodes, values]."""
    match of.type:
        case Type.POINTER:
            return (values / batch.nodes.sum(1)[:, None])[..., None].double()
        case Type.CATEGORICAL:
            return values.double()
        case _ if of.location is Location.GRAPH:
            return values[..., None, None].double()
        case _:
            return values[..., None].double()


def _read(features: Tensor, target: Tensor, fitted: Tensor, ridge: float) -> Tensor:
    """Fit a map where it is to be fitted, and apply it everywhere."""
    ones = features.new_ones((*features.shape[:-1], 1))
    features = torch.cat([features, ones], dim=-1)
    rows = features[fitted]
    square = rows.T @ rows / len(rows)
    penalty = ridge * square.diagonal().mean() * torch.eye(len(square), dtype=square.dtype)
    penalty[-1, -1] = 0.0
    weights = torch.linalg.solve(square + penalty, rows.T @ target[fitted] / len(rows))
    return features @ weights


def _score(of: Probe, read: Tensor, scored: Tensor, batch: Tensors, name: str) -> float:
    values = batch.hints[name][1:]
    match of.type:
        case Type.SCALAR:
            truth = (values[..., None] if of.location is Location.GRAPH else values)[scored].double()
            spread = (truth - truth.mean()).square().sum()
            return float(1 - (read[..., 0][scored] - truth).square().sum() / spread) if spread > 0 else 1.0
        case Type.MASK:
            right = (read[..., 0] > 0.5) == (values > 0.5)
        case Type.CATEGORICAL:
            right = read.argmax(-1) == values.argmax(-1)
        case Type.POINTER:
            right = (read[..., 0] * batch.nodes.sum(1)[:, None]).round() == values
        case Type.MASK_ONE:
            best = read[..., 0].masked_fill(~batch.nodes, -torch.inf).argmax(-1)
            scored, right = scored.any(-1), best == values.argmax(-1)
    return float(right[scored].double().mean())
