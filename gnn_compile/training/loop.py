"""Training: Adam on the losses of outputs and hints, until the steps or the time are used up."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

import torch

from gnn_compile.clrs import Batch, Sampler
from gnn_compile.training.losses import accuracy, loss
from gnn_compile.training.model import EncodeProcessDecode
from gnn_compile.training.tensors import Tensors
from sandboxes.errors import AlgorithmError


class Ending(StrEnum):
    """Why a training ended."""

    STEPS = "steps"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train. Raises ``AlgorithmError`` for numbers that make no sense."""

    steps: int = 1000
    seconds: float = 600.0
    """Of wall clock, validation included. Whatever ends by it depends on the machine."""
    runs: int = 32
    """In a batch."""
    rate: float = 1e-3
    forcing: float = 0.0
    """The share of runs that read true hints in a step, and not what the network has predicted."""
    clip: float = 1.0
    """The largest norm of a gradient."""
    every: int = 50
    """Steps from one validation to the next."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.runs, self.every) < 1 or min(self.seconds, self.rate, self.clip) <= 0:
            raise AlgorithmError(
                "steps, runs, every, seconds, rate and clip must all be larger than 0, which "
                f"{self.steps}, {self.runs}, {self.every}, {self.seconds}, {self.rate}, {self.clip} are not"
            )
        if not 0 <= self.forcing <= 1:
            raise AlgorithmError(f"forcing is a share from 0 to 1, not {self.forcing}")


@dataclass(frozen=True, slots=True)
class Validation:
    """How a network was after some steps."""

    step: int
    loss: float
    """Averaged over the steps since the one before."""
    accuracy: float


@dataclass(slots=True)
class History:
    """What came of a training."""

    losses: list[float] = field(default_factory=list)
    """Of each step."""
    validations: list[Validation] = field(default_factory=list)
    best: int = 0
    """After how many steps the network was that was kept."""
    seconds: float = 0.0
    ending: Ending = Ending.STEPS

    @property
    def steps(self) -> int:
        """How many steps were done."""
        return len(self.losses)


def train(
    model: EncodeProcessDecode,
    sampler: Sampler,
    plan: Plan | None = None,
    *,
    validation: Batch | None = None,
) -> History:
    """Train a network in place, on one thread, on the samples of a stream.

    With runs for ``validation`` it ends as it was when most of their outputs were right, of equals the last;
    as it began is among these. For a seed and a number of steps the weights are the same on the same machine.
    Raises ``AlgorithmError`` where the loss is no number.
    """
    plan = plan or Plan()
    history = History()
    dtype = next(model.parameters()).dtype
    optimizer = torch.optim.Adam(model.parameters(), lr=plan.rate)
    generator = torch.Generator().manual_seed(plan.seed)
    watch = _Watch(model, None if validation is None else Tensors.of(validation, dtype), history)
    begun = time.monotonic()
    with one_thread():
        watch.look()
        for batch in sampler.batches(plan.runs):
            tensors = Tensors.of(batch, dtype)
            prediction = model(tensors, forcing=plan.forcing, generator=generator)
            found = loss(prediction, tensors)
            if not torch.isfinite(found):
                raise AlgorithmError(
                    f"the loss in step {history.steps + 1} is {float(found.detach())}: train with a lower "
                    "rate, or from less sharp weights"
                )
            optimizer.zero_grad()
            found.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
            optimizer.step()
            history.losses.append(float(found.detach()))
            late = time.monotonic() - begun >= plan.seconds
            if late or history.steps % plan.every == 0 or history.steps == plan.steps:
                watch.look()
            if late or history.steps == plan.steps:
                history.ending = Ending.STEPS if history.steps == plan.steps else Ending.TIME
                break
        watch.restore()
    history.seconds = time.monotonic() - begun
    return history


class _Watch:
    """Validates a network from time to time, and keeps the best of its weights."""

    def __init__(self, model: EncodeProcessDecode, validation: Tensors | None, history: History) -> None:
        self._model, self._validation, self._history = model, validation, history
        self._best = -1.0
        self._weights = model.state_dict()
        self._since = 0

    def look(self) -> None:
        if self._validation is None:
            return
        with torch.no_grad():
            found = accuracy(self._model(self._validation), self._validation)
        steps = self._history.steps
        recent = self._history.losses[self._since :]
        mean = sum(recent) / len(recent) if recent else float("nan")
        self._history.validations.append(Validation(steps, mean, found))
        self._since = steps
        if found >= self._best:
            self._best, self._history.best = found, steps
            self._weights = copy.deepcopy(self._model.state_dict())

    def restore(self) -> None:
        if self._validation is None:
            self._history.best = self._history.steps
        else:
            self._model.load_state_dict(self._weights)


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch use one thread, so that sums are added in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
