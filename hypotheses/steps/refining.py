"""The later rounds: what failed, and how, goes back to the model."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from hypotheses.hypothesis import Feedback, Proposal, Report
from hypotheses.proposer import Request
from hypotheses.recipes.recipe import Refine
from hypotheses.steps.merging import in_order, shares
from hypotheses.steps.model import Model
from hypotheses.steps.proposing import read_hypothesis, read_program


def parents_of(request: Request, step: Refine) -> tuple[Feedback, ...]:
    """Give what a round starts from: the best of the last round that had any."""
    last = max((one.candidate.round for one in request.feedback), default=-1)
    return tuple(one for one in request.feedback if one.candidate.round == last)[: step.parents]


async def refine(
    model: Model, request: Request, step: Refine, *, recorded: bool = False
) -> AsyncGenerator[Proposal | Report, None]:
    """Yield revisions of the last round's candidates, their number shared out over them.

    Where an earlier round revised the very same candidate, further samples are asked for, unless the model is
    a transcript (``recorded``), whose samples count from 0 in each round.
    """
    parents = parents_of(request, step)
    revise = revise_hypothesis if step.what == "hypothesis" else revise_program
    counts = shares(min(step.samples, request.n), max(1, len(parents)))
    streams = [
        revise(model, request, step, parent, n, 0 if recorded else step.samples * _revised(request, parent))
        for parent, n in zip(parents, counts, strict=False)
        if n
    ]
    async with aclosing(in_order(streams)) as merged:
        async for item in merged:
            yield item


def _revised(request: Request, parent: Feedback) -> int:
    """Count the earlier rounds in which the same rule with the same program was fed back."""

    def content(one: Feedback) -> tuple[str, str]:
        program = one.candidate.program
        return one.candidate.hypothesis.text, "" if program is None else program.key

    rounds = {one.candidate.round for one in request.feedback if content(one) == content(parent)}
    return len(rounds - {parent.candidate.round})


async def revise_hypothesis(
    model: Model, request: Request, step: Refine, parent: Feedback, n: int, first: int
) -> AsyncGenerator[Proposal | Report, None]:
    """Yield new rules in the place of one that fails (Qiu et al. 2023, section 3)."""
    asked = model.ask(
        "hypothesis",
        lambda prompts, reserve: prompts.revise_hypothesis(request.task, parent, reserve=reserve),
        step,
        request,
        n,
        first=first,
    )
    async with aclosing(asked):
        async for completion in asked:
            yield read_hypothesis(completion, (parent.candidate.hypothesis.text,))


async def revise_program(
    model: Model, request: Request, step: Refine, parent: Feedback, n: int, first: int
) -> AsyncGenerator[Proposal | Report, None]:
    """Yield repaired programs: with what running the old one showed and, if wanted, a critique in words."""
    critique = ""
    if step.critique:
        asked = model.ask(
            "critique",
            lambda prompts, reserve: prompts.critique(request.task, parent, reserve=reserve),
            step,
            request,
            1,
        )
        async with aclosing(asked):
            async for completion in asked:
                critique = completion.response.strip()
                yield Report(completions=(completion,))
    text = parent.candidate.hypothesis.text
    asked = model.ask(
        "program",
        lambda prompts, reserve: prompts.revise_program(
            request.task, parent, critique=critique, reserve=reserve
        ),
        step,
        request,
        n,
        first=first,
    )
    async with aclosing(asked):
        async for completion in asked:
            yield read_program(completion, request.task, text, (text,) if text else ())
