"""Fewer hypotheses from many, before programs are written for them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

from hypotheses.hypothesis import Hypothesis, Proposal, Report
from hypotheses.prompts import read_rules, rules_schema
from hypotheses.proposer import Request
from hypotheses.recipes.recipe import Pick, Summarize
from hypotheses.steps.model import Model, complete
from hypotheses.steps.proposing import NAME
from hypotheses.task import Task
from sandboxes import ProposerError


class Picker(Protocol):
    """A person, or whoever stands for one, who picks among hypotheses."""

    async def pick(self, task: Task, hypotheses: Sequence[Hypothesis], to: int) -> Sequence[int]:
        """Give the indices of at most ``to`` hypotheses to go on with."""
        ...


async def summarize(
    model: Model, request: Request, step: Summarize, proposals: Sequence[Proposal]
) -> AsyncGenerator[Proposal | Report, None]:
    """Have the model summarize hypotheses to fewer (Wang et al. 2023, section 2.3).

    Hypotheses that are few already are passed on as they are. Where no rule can be read from the summary, the
    most frequent hypotheses stand in.
    """
    if len(proposals) <= step.to:
        for proposal in proposals:
            yield proposal
        return
    for proposal in proposals:
        if proposal.completion is not None:
            yield Report(completions=(proposal.completion,))
    texts = [proposal.hypothesis.text for proposal in proposals]
    rules: list[str] = []
    asked = model.ask(
        "summary",
        lambda prompts, reserve: prompts.summarize(request.task, texts, step.to, reserve=reserve),
        step,
        request,
        1,
        schema=rules_schema(step.to),
    )
    async with aclosing(asked):
        async for completion in asked:
            rules = read_rules(completion.response)[: step.to] if complete(completion) else []
            if not rules:
                yield Report(completions=(completion,))
            for rule in rules:
                yield Proposal(Hypothesis(rule, proposer=NAME), completion=completion)
    if not rules:
        for index in most_frequent(proposals, step.to):
            yield proposals[index]


async def pick(
    request: Request, step: Pick, proposals: Sequence[Proposal], picker: Picker | None
) -> AsyncGenerator[Proposal | Report, None]:
    """Pass on some of the hypotheses: those proposed most often, or those that a person picks.

    Raises ``ProposerError`` where a person is wanted and there is none.
    """
    if step.by == "person":
        if picker is None:
            raise ProposerError(
                "the recipe wants a person to pick hypotheses, and there is nobody at a terminal to ask; "
                'set `by = "score"` in its [pick]'
            )
        hypotheses = [proposal.hypothesis for proposal in proposals]
        kept = list(await picker.pick(request.task, hypotheses, step.to))[: step.to]
    else:
        kept = most_frequent(proposals, step.to)
    for index, proposal in enumerate(proposals):
        if index not in kept and proposal.completion is not None:
            yield Report(completions=(proposal.completion,))
    for index in kept:
        yield proposals[index]


def most_frequent(proposals: Sequence[Proposal], to: int) -> list[int]:
    """Give the indices of the hypotheses proposed most often, each once.

    Ties go to those the model was surest of, where it says so, then to those that came first.
    """
    groups: dict[str, list[int]] = {}
    for index, proposal in enumerate(proposals):
        groups.setdefault(" ".join(proposal.hypothesis.text.lower().split()), []).append(index)

    def key(group: list[int]) -> tuple[float, ...]:
        logprobs = [
            completion.logprob
            for index in group
            if (completion := proposals[index].completion) is not None and completion.logprob is not None
        ]
        return -len(group), -max(logprobs, default=float("-inf")), group[0]

    return [group[0] for group in sorted(groups.values(), key=key)[:to]]
