"""How far a network does what the algorithm does, beyond giving the same outputs.

After "Mind The Gap" (Saldyt and Kambhampati, arXiv 2505.18623): *external* faithfulness is agreement with
what the algorithm shows of itself at every step; *internal* faithfulness is likeness of the network's
attention to that of the compiled network at the same step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gnn_compile.clrs import SPECS
from gnn_compile.training.losses import accuracy, agreement, where
from gnn_compile.training.model import EncodeProcessDecode, Prediction
from gnn_compile.training.tensors import Tensors
from sandboxes.errors import AlgorithmError


@dataclass(frozen=True, slots=True)
class External:
    """How far a network shows what the algorithm shows."""

    by_step: Mapping[str, tuple[float, ...]]
    """For each hint, the share of its values that are right after each step, over the runs that go on."""
    by_hint: Mapping[str, float]
    """The same over all steps, of which each run has as many as the algorithm takes."""
    whole: float
    """The share of runs in which every value of every hint is right after every step."""

    @property
    def mean(self) -> float:
        """The mean over the hints."""
        return sum(self.by_hint.values()) / len(self.by_hint)


@dataclass(frozen=True, slots=True)
class Internal:
    """Whom a network listens to, where a node has several to choose from; shares and means over these."""

    entropy: float
    """Of the attention, as a share of the largest that there can be: 0 for one sender, 1 for all alike."""
    choices: float | None
    """How often, where the algorithm gives a node another parent, that is the sender listened to most.

    ``None`` where no node gets another.
    """
    similarity: float | None = None
    """1 less the Jensen-Shannon divergence, in bits, from a compiled network's attention."""
    top: float | None = None
    """How often the two listen to the same sender most."""
    compiled_entropy: float | None = None


@dataclass(frozen=True, slots=True)
class Measures:
    """What a network is worth on some runs."""

    accuracy: float
    external: External
    internal: Internal


def measure(
    model: EncodeProcessDecode, batch: Tensors, compiled: EncodeProcessDecode | None = None
) -> Measures:
    """Measure everything, in one run of the network."""
    prediction = traced(model, batch)
    theirs = None if compiled is None else traced(compiled, batch)
    return Measures(
        accuracy(prediction, batch), external(prediction, batch), internal(prediction, batch, theirs)
    )


def traced(model: EncodeProcessDecode, batch: Tensors) -> Prediction:
    """Run a network and keep what it did."""
    with torch.no_grad():
        return model(batch, trace=True)


def external(prediction: Prediction, batch: Tensors) -> External:
    """Compare with the algorithm, step by step.

    A network without hints is asked after every step what its outputs would be, which are then compared with
    the hints of the same meaning: ``pi`` with ``pi_h``.
    """
    spec = SPECS[batch.algorithm]
    shown = dict(prediction.hints)
    if not shown:
        assert prediction.trace is not None  # noqa: S101 - `traced` made it
        shown = {f"{name}_h": values for name, values in prediction.trace.outputs.items()}
    by_step, by_hint = {}, {}
    whole = batch.nodes.new_ones(len(batch))
    for name, logits in shown.items():
        there = where(spec[name], batch, hints=True)
        right = agreement(spec[name], logits, batch.hints[name][1:]) & there
        flat, exists = right.flatten(1).sum(1), there.flatten(1).sum(1)
        by_step[name] = tuple((flat[exists > 0] / exists[exists > 0]).tolist())
        by_hint[name] = float(flat.sum() / exists.sum()) if exists.sum() else 1.0
        wrong = there & ~right
        whole &= ~wrong.transpose(0, 1).flatten(1).any(1)
    return External(by_step, by_hint, float(whole.double().mean()))


def internal(prediction: Prediction, batch: Tensors, compiled: Prediction | None = None) -> Internal:
    """Look at the attention of receivers that have more than one sender, at each step of the algorithm."""
    ours = _attention(prediction)
    senders = batch.linked.sum(-1)
    choosing = batch.running[..., None] & batch.nodes & (senders > 1)
    if not choosing.any():
        raise AlgorithmError(
            "in these runs no node has a sender to choose; take larger graphs, or more edges"
        )
    most = senders.to(ours.dtype).log2()

    def typical(values: Tensor) -> float:
        return float(values[choosing].double().mean())

    found = Internal(typical(_entropy(ours) / most), _choices(ours, batch))
    if compiled is None:
        return found
    theirs = _attention(compiled)
    divergence = _entropy((ours + theirs) / 2) - (_entropy(ours) + _entropy(theirs)) / 2
    return Internal(
        found.entropy,
        found.choices,
        similarity=1.0 - max(0.0, typical(divergence)),
        top=typical((ours.argmax(-1) == theirs.argmax(-1)).to(ours.dtype)),
        compiled_entropy=typical(_entropy(theirs) / most),
    )


def _choices(attention: Tensor, batch: Tensors) -> float | None:
    name = "pi_h"
    if name not in batch.hints:
        return None
    pointers = batch.hints[name]
    changed = (pointers[1:] != pointers[:-1]) & where(SPECS[batch.algorithm][name], batch, hints=True)
    if not changed.any():
        return None
    return float((attention.argmax(-1) == pointers[1:])[changed].double().mean())


def _attention(prediction: Prediction) -> Tensor:
    if prediction.trace is None:
        raise AlgorithmError("to see whom a network listens to, run it with trace=True")
    return prediction.trace.attention


def _entropy(shares: Tensor) -> Tensor:
    return torch.special.entr(shares).sum(-1) / math.log(2)
