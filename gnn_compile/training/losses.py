"""How far predictions are from the truth, for each type of probe as CLRS-30 has it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from gnn_compile.clrs import SPECS, Location, Probe, Type
from gnn_compile.training.model import Prediction
from gnn_compile.training.tensors import Tensors

TOLERANCE = 0.005
"""By how much a scalar may be off and still be taken for right: half a tick of depth-first search's clock."""


def loss(prediction: Prediction, batch: Tensors) -> Tensor:
    """Add up the loss of the outputs and, if they are predicted, of the hints after all steps."""
    spec = SPECS[batch.algorithm]
    total = torch.zeros((), dtype=batch.dtype)
    for name, logits in prediction.outputs.items():
        total = total + _mean(errors(spec[name], logits, batch.outputs[name]), where(spec[name], batch))
    for name, logits in prediction.hints.items():
        probe = spec[name]
        total = total + _mean(errors(probe, logits, batch.hints[name][1:]), where(probe, batch, hints=True))
    return total


def errors(probe: Probe, logits: Tensor, truth: Tensor) -> Tensor:
    """Give the loss of each value; of one that is meant among all nodes, as of one value."""
    match probe.type:
        case Type.SCALAR:
            return (logits - truth).square()
        case Type.MASK:
            return functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        case Type.POINTER:
            return -torch.log_softmax(logits, dim=-1).gather(-1, truth[..., None])[..., 0]
        case _:
            return -(torch.log_softmax(logits, dim=-1) * truth).sum(-1)


def agreement(probe: Probe, logits: Tensor, truth: Tensor) -> Tensor:
    """Say which values are right, true or false."""
    match probe.type:
        case Type.SCALAR:
            return (logits - truth).abs() <= TOLERANCE
        case Type.MASK:
            return (logits > 0) == (truth > 0.5)
        case Type.POINTER:
            return logits.argmax(-1) == truth
        case _:
            return logits.argmax(-1) == truth.argmax(-1)


def where(probe: Probe, batch: Tensors, *, hints: bool = False) -> Tensor:
    """Say where there are values, after each step or at the end, in the shape of ``errors``."""
    of_graph = probe.location is Location.GRAPH or probe.type is Type.MASK_ONE
    exists = batch.nodes.new_ones(len(batch)) if of_graph else batch.nodes
    if not hints:
        return exists
    running = batch.running
    return running if of_graph else running[..., None] & exists


def accuracy(prediction: Prediction, batch: Tensors) -> float:
    """Give the share of the outputs' values that are right, averaged over the outputs."""
    spec = SPECS[batch.algorithm]
    shares = [
        _mean(agreement(spec[name], logits, batch.outputs[name]).double(), where(spec[name], batch))
        for name, logits in prediction.outputs.items()
    ]
    return float(torch.stack(shares).mean())


def _mean(values: Tensor, there: Tensor) -> Tensor:
    return torch.where(there, values, 0.0).sum() / there.sum().clamp(min=1)
