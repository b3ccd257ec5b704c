"""Which of the recalled concepts a model is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypotheses.hypothesis import Completion
from hypotheses.models.chat import ContextOverflowError, ModelDownError, Sampling
from hypotheses.models.langchain_model import NothingLeftError, as_langchain
from hypotheses.proposer import Request
from hypotheses.recipes.recipe import Recall
from hypotheses.steps.model import Model
from memory import Concept
from memory.selection import fit, order, select

KIND = "selection"
"""What a completion that chooses concepts is recorded as."""

_MOST_TASKS = 1_000


class Shown:
    """Chooses the concepts for a task once, and gives them to every prompt about it."""

    def __init__(self, model: Model, step: Recall) -> None:
        self._model = model
        self._step = step
        self._chosen: dict[str, tuple[Concept, ...]] = {}

    async def for_request(self, request: Request, *, anew: bool = False) -> tuple[Request, list[Completion]]:
        """Give a request with those concepts that go into its prompts, and the completions that took.

        They are chosen at the first request about a task, or ``anew``. A model that is down, or has too short
        a context, chooses nothing: the best that fit are shown.
        """
        fitting = request.concepts[: min(request.shown, self._step.concepts)]
        if not fitting:
            return replace(request, concepts=()), []
        completions: list[Completion] = []
        if anew or request.task.id not in self._chosen:
            chosen: Sequence[Concept] = fitting
            if self._step.by == "model":
                chosen = await self._selected(request, fitting, completions)
            prompts = self._model.prompts
            kept = fit(chosen, self._step.tokens, prompts.tokens_of)
            while len(self._chosen) >= _MOST_TASKS:
                del self._chosen[next(iter(self._chosen))]
            self._chosen[request.task.id] = tuple(order(kept, self._step.order))
        return replace(request, concepts=self._chosen[request.task.id]), completions

    async def _selected(
        self, request: Request, concepts: Sequence[Concept], completions: list[Completion]
    ) -> Sequence[Concept]:
        sampling = Sampling(temperature=0.0, max_tokens=100)
        chat = as_langchain(self._model.client, KIND, sampling, request.ledger, completions, request.task.id)
        text = self._model.prompts.outline(request.task)
        try:
            return (await select(chat, text, concepts)).concepts
        except (ContextOverflowError, ModelDownError, NothingLeftError):
            return concepts
