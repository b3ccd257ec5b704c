"""Whether training leads back to a compiled network that noise was added to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gnn_compile.clrs import Batch, Sampler
from gnn_compile.training.alignment import distance
from gnn_compile.training.faithfulness import Measures, measure
from gnn_compile.training.loop import History, Plan, train
from gnn_compile.training.model import EncodeProcessDecode
from gnn_compile.training.tensors import Tensors
from gnn_compile.training.weights import perturbed


@dataclass(frozen=True, slots=True)
class Recovery:
    """What noise did to a compiled network, and what training then made of it."""

    sigma: float
    before: Measures
    distance_before: float
    after: Measures
    distance_after: float
    history: History


def recovery(
    compiled: EncodeProcessDecode,
    sigmas: Sequence[float],
    sampler: Sampler,
    plan: Plan,
    test: Tensors,
    *,
    validation: Batch | None = None,
) -> Iterator[Recovery]:
    """Add noise of each deviation, by the plan's seed, and train; measure before and after."""
    for sigma in sigmas:
        model = perturbed(compiled, sigma, plan.seed)
        before, apart = measure(model, test, compiled), distance(model, compiled)
        history = train(model, sampler, plan, validation=validation)
        yield Recovery(
            sigma, before, apart, measure(model, test, compiled), distance(model, compiled), history
        )
