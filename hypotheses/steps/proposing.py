"""The first round: rules in words, programs, or the outputs themselves."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from hypotheses.extraction import extract_code, extract_prose, extract_rule, make_program
from hypotheses.hypothesis import Completion, Hypothesis, Proposal, Report, Verdict
from hypotheses.prompts import PromptOptions, read_value, value_schema
from hypotheses.proposer import Request
from hypotheses.recipes.recipe import Propose
from hypotheses.steps.merging import in_order, shares
from hypotheses.steps.model import Model, complete
from hypotheses.task import Task
from sandboxes import Execution

NAME = "model"
"""Who proposes, as the run log has it."""


async def hypothesize(
    model: Model, request: Request, step: Propose, first: int = 0
) -> AsyncGenerator[Proposal | Report, None]:
    """Yield rules in words, at each level of abstraction its share."""
    levels = step.levels or ("",)

    async def at(level: str, n: int) -> AsyncGenerator[Proposal | Report, None]:
        asked = model.ask(
            "hypothesis",
            lambda prompts, reserve: prompts.hypothesize(
                request.task, level=level, notes=request.notes, concepts=request.concepts, reserve=reserve
            ),
            step,
            request,
            n,
            first=first,
        )
        async with aclosing(asked):
            async for completion in asked:
                yield read_hypothesis(completion)

    counts = shares(min(step.samples, request.n), len(levels))
    streams = [at(level, n) for level, n in zip(levels, counts, strict=True) if n]
    async with aclosing(in_order(streams)) as merged:
        async for item in merged:
            yield item


async def write_programs(
    model: Model, request: Request, step: Propose, first: int = 0
) -> AsyncGenerator[Proposal | Report, None]:
    """Yield programs straight from the examples."""
    asked = model.ask(
        "program",
        lambda prompts, reserve: prompts.write_program(
            request.task, notes=request.notes, concepts=request.concepts, reserve=reserve
        ),
        step,
        request,
        min(step.samples, request.n),
        first=first,
    )
    async with aclosing(asked):
        async for completion in asked:
            yield read_program(completion, request.task)


async def answer(model: Model, request: Request, step: Propose) -> AsyncGenerator[Proposal | Report, None]:
    """Yield answers to all queries, one for each sample, without any program.

    An answer that cannot be read, or was cut off, counts as ``bad_output``.
    """
    task = request.task
    n = min(step.samples, request.n)

    async def to(query: object) -> list[Completion]:
        asked = model.ask(
            "answer",
            lambda prompts, reserve: prompts.answer(task, query, reserve=reserve),
            step,
            request,
            n,
            schema=value_schema(task),
        )
        async with aclosing(asked):
            return [completion async for completion in asked]

    async def collected(query: object) -> AsyncGenerator[list[Completion], None]:
        yield await to(query)

    columns = []
    async with aclosing(in_order([collected(query) for query in task.queries])) as merged:
        async for completions in merged:
            yield Report(completions=tuple(completions))
            columns.append({one.sample: one for one in completions})
    for sample in range(n):
        row = [column.get(sample) for column in columns]
        if any(row):
            runs = tuple(read_answer(one, task, model.prompts.options) for one in row)
            yield Proposal(Hypothesis("", proposer=NAME), verdict=Verdict((), (), runs))


def read_hypothesis(
    completion: Completion, parents: Sequence[str] = (), proposer: str = NAME
) -> Proposal | Report:
    """Give the rule that a completion states, or a report of a completion that states none."""
    rule = extract_rule(completion.response) if complete(completion) else ""
    if not rule:
        return Report(completions=(completion,))
    return Proposal(Hypothesis(rule, tuple(parents), proposer), completion=completion)


def read_program(
    completion: Completion, task: Task, text: str = "", parents: Sequence[str] = (), proposer: str = NAME
) -> Proposal | Report:
    """Give the program in a completion, or a report of a completion without one.

    ``text`` is the rule in words that it carries out, where the completion itself has none.
    """
    code = extract_code(completion.response) if complete(completion) else None
    if code is None:
        return Report(completions=(completion,))
    rule = extract_prose(completion.response) or text
    return Proposal(
        Hypothesis(rule, tuple(parents), proposer), make_program(code, task.signature), completion=completion
    )


def read_answer(completion: Completion | None, task: Task, options: PromptOptions) -> Execution:
    """Give the output that a completion states, as if a program had returned it."""
    if completion is None:
        return Execution("bad_output", error="the model gave no answer")
    if not complete(completion):
        return Execution("bad_output", error="the model's answer was cut off")
    try:
        return Execution("ok", read_value(completion.response, task, options))
    except ValueError as error:
        return Execution("bad_output", error=str(error))
