"""From a rule in words to programs, or to outputs where the model applies the rule itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from hypotheses.equality import equal
from hypotheses.extraction import extract_code, make_program
from hypotheses.hypothesis import Completion, Hypothesis, Implementation, Report, Verdict
from hypotheses.prompts import value_schema
from hypotheses.proposer import Request
from hypotheses.recipes.recipe import Implement
from hypotheses.steps.merging import in_order
from hypotheses.steps.model import Model, complete
from hypotheses.steps.proposing import read_answer


async def translate(
    model: Model, request: Request, step: Implement, hypothesis: Hypothesis
) -> AsyncGenerator[Implementation | Report, None]:
    """Yield programs that carry the rule out."""
    asked = model.ask(
        "translation",
        lambda prompts, reserve: prompts.translate(
            request.task, hypothesis.text, concepts=request.concepts, reserve=reserve
        ),
        step,
        request,
        request.n,
        first=request.first,
        rule=hypothesis.text,
    )
    async with aclosing(asked):
        async for completion in asked:
            code = extract_code(completion.response) if complete(completion) else None
            if code is None:
                yield Report(completions=(completion,))
            else:
                yield Implementation(make_program(code, request.task.signature), completion)


async def apply_rule(
    model: Model, request: Request, step: Implement, hypothesis: Hypothesis
) -> AsyncGenerator[Implementation | Report, None]:
    """Yield what the model answers when it applies the rule to each example and query.

    The model as the interpreter of its own rules (Qiu et al. 2023, section 4).
    """
    if request.first:
        return  # asked again it would say the same
    task = request.task
    inputs = [*(example.input for example in task.examples), *task.queries]

    async def to(value: Any) -> AsyncGenerator[Completion | None, None]:
        asked = model.ask(
            "application",
            lambda prompts, reserve: prompts.apply_rule(task, hypothesis.text, value, reserve=reserve),
            step,
            request,
            1,
            rule=hypothesis.text,
            schema=value_schema(task),
        )
        async with aclosing(asked):
            answers = [completion async for completion in asked]
        yield answers[0] if answers else None

    completions: list[Completion | None] = []
    async with aclosing(in_order([to(value) for value in inputs])) as merged:
        async for completion in merged:
            completions.append(completion)
            if completion is not None:
                yield Report(completions=(completion,))
    if not any(completions):
        return  # the budget allowed none
    runs = tuple(read_answer(completion, task, model.prompts.options) for completion in completions)
    correct = tuple(
        run.ok and equal(run.value, example.output, task.tolerance)
        for run, example in zip(runs, task.examples, strict=False)
    )
    yield Implementation(None, verdict=Verdict(runs[: len(correct)], correct, runs[len(correct) :]))
