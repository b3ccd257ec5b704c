"""A language model as proposer and implementer, as a recipe has it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from hypotheses.hypothesis import Hypothesis, Implementation, Proposal, Report
from hypotheses.models.chat import ContextOverflowError
from hypotheses.proposer import Request
from hypotheses.recipes.recipe import Propose, Recipe
from hypotheses.steps.implementing import apply_rule, translate
from hypotheses.steps.model import Model
from hypotheses.steps.narrowing import Picker, pick, summarize
from hypotheses.steps.proposing import NAME, answer, hypothesize, write_programs
from hypotheses.steps.recalling import Shown
from hypotheses.steps.refining import parents_of, refine


class ModelProposer:
    """Both proposer and implementer.

    ``picker`` is asked where the recipe wants a person to pick. ``recorded`` says that the model is a
    transcript, whose samples count from 0 in each round.
    """

    name = NAME

    def __init__(
        self, recipe: Recipe, model: Model, picker: Picker | None = None, *, recorded: bool = False
    ) -> None:
        if recipe.propose is None:
            raise ValueError(f"the recipe {recipe.name} asks no model; it has no `propose`")
        self.recipe = recipe
        self.model = model
        self.picker = picker
        self.recorded = recorded
        self._propose_step: Propose = recipe.propose
        self._shown = Shown(model, recipe.recall)

    async def propose(self, request: Request) -> AsyncGenerator[Proposal | Report, None]:
        """Yield the first round's proposals, or a later round's revisions.

        A task that does not fit the model's context has none, and a note says so.
        """
        try:
            request, paid = await self._shown.for_request(request, anew=not request.round)
            if paid:
                yield Report(completions=tuple(paid))
            async with aclosing(self._round(request)) as items:
                async for item in items:
                    yield item
        except ContextOverflowError as error:
            yield Report(note=str(error))

    async def implement(
        self, request: Request, hypothesis: Hypothesis
    ) -> AsyncGenerator[Implementation | Report, None]:
        """Yield programs for a rule in words, or what the model answers when it applies it."""
        step = self.recipe.implement
        if step is None:
            return
        by = translate if step.by == "translation" else apply_rule
        try:
            request, paid = await self._shown.for_request(request)
            if paid:
                yield Report(completions=tuple(paid))
            async with aclosing(by(self.model, request, step, hypothesis)) as items:
                async for item in items:
                    yield item
        except ContextOverflowError as error:
            yield Report(note=str(error))

    def _round(self, request: Request) -> AsyncGenerator[Proposal | Report, None]:
        recipe = self.recipe
        if request.round and recipe.refine is not None and parents_of(request, recipe.refine):
            return refine(self.model, request, recipe.refine, recorded=self.recorded)
        # Nothing could be run so far, so there is nothing to revise: further samples of the first prompt.
        asked = 0 if self.recorded else self._propose_step.samples * request.round
        return self._first_round(request, asked)

    async def _first_round(self, request: Request, first: int) -> AsyncGenerator[Proposal | Report, None]:
        recipe, step = self.recipe, self._propose_step
        if step.what == "answer":
            proposals = answer(self.model, request, step)
        elif step.what == "program":
            proposals = write_programs(self.model, request, step, first)
        else:
            proposals = hypothesize(self.model, request, step, first)
        if recipe.summarize is not None or recipe.pick is not None:
            proposals = self._narrow(request, proposals, recipe)
        async with aclosing(proposals):
            async for item in proposals:
                yield item

    async def _narrow(
        self, request: Request, proposals: AsyncGenerator[Proposal | Report, None], recipe: Recipe
    ) -> AsyncGenerator[Proposal | Report, None]:
        """Wait for all hypotheses, then pass on fewer."""
        kept: list[Proposal] = []
        async with aclosing(proposals):
            async for item in proposals:
                if isinstance(item, Report):
                    yield item
                else:
                    kept.append(item)
                    if item.completion is not None:  # paid for, whatever comes of it
                        yield Report(completions=(item.completion,))
        if recipe.pick is not None:
            picked = pick(request, recipe.pick, kept, self.picker)
            kept = []
            async with aclosing(picked):
                async for item in picked:
                    if isinstance(item, Report):
                        yield item
                    else:
                        kept.append(item)
        if recipe.summarize is None:
            for proposal in kept:
                yield proposal
            return
        async with aclosing(summarize(self.model, request, recipe.summarize, kept)) as summarized:
            async for item in summarized:
                yield item
