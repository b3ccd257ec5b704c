"""All that a transcript holds, proposed again: rules where it has rules, programs where it has those."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from hypotheses.hypothesis import Completion, Hypothesis, Implementation, Proposal, Report
from hypotheses.models.transcript import TranscriptEndpoint
from hypotheses.prompts import read_rules
from hypotheses.proposer import Request
from hypotheses.recipes.recipe import Implement, Step
from hypotheses.steps.implementing import translate
from hypotheses.steps.model import Model
from hypotheses.steps.proposing import read_hypothesis, read_program

_KINDS = ("hypothesis", "summary", "program")


class PlaybackProposer:
    """Both proposer and implementer, for a transcript whose recipe is not known.

    Each round proposes what the transcript has for it, by sample. Where hypotheses were summarized, the rules
    of the summary are what is proposed.
    """

    name = "recorded"

    def __init__(self, endpoint: TranscriptEndpoint, model: Model) -> None:
        self._endpoint = endpoint
        self._model = model

    async def propose(self, request: Request) -> AsyncGenerator[Proposal | Report, None]:
        """Yield the round's recorded rules and programs."""
        kinds = self._endpoint.kinds_in(request.task.id, request.round)
        parents = tuple(one.candidate.hypothesis.text for one in request.feedback[-1:])
        answered = [one for kind in _KINDS if kind in kinds for one in await self._ask(kind, request)]
        left = request.n
        for completion in sorted(answered, key=lambda one: one.sample):
            for item in self._read(completion, request, parents, summarized="summary" in kinds):
                left -= isinstance(item, Proposal)
                if left >= 0:
                    yield item

    async def implement(
        self, request: Request, hypothesis: Hypothesis
    ) -> AsyncGenerator[Implementation | Report, None]:
        """Yield the recorded translations of a rule."""
        made = translate(self._model, request, Implement(), hypothesis)
        async with aclosing(made):
            async for item in made:
                yield item

    async def _ask(self, kind: str, request: Request) -> list[Completion]:
        # What is written does not matter: recorded answers are found by task, kind, round and sample.
        asked = self._model.ask(
            kind,
            lambda prompts, reserve: prompts.hypothesize(request.task, reserve=reserve),
            Step(),
            request,
            request.n,
        )
        async with aclosing(asked):
            return [completion async for completion in asked]

    def _read(
        self, completion: Completion, request: Request, parents: tuple[str, ...], *, summarized: bool
    ) -> list[Proposal | Report]:
        if completion.kind == "summary":
            rules = read_rules(completion.response)
            return [
                Proposal(Hypothesis(rule, parents, self.name), completion=completion) for rule in rules
            ] or [Report(completions=(completion,))]
        if completion.kind == "program":
            return [read_program(completion, request.task, parents=parents, proposer=self.name)]
        if summarized:
            return [Report(completions=(completion,))]
        return [read_hypothesis(completion, parents, self.name)]
