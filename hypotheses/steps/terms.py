"""Terms of a task's own grammar: asked for, read, and held against the examples."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from itertools import islice

from hypotheses.hypothesis import Completion
from hypotheses.proposer import Request
from hypotheses.recipes.recipe import Propose
from hypotheses.search.arguments import rows_of
from hypotheses.steps.model import Model, complete
from hypotheses.sygus.grammar import Symbol, Term, to_sexpr
from hypotheses.sygus.semantics import evaluate, is_term_of
from hypotheses.sygus.sexpr import Sexpr, SList, read_sexprs
from hypotheses.sygus.sorts import parameter_sorts
from hypotheses.sygus.terms import Definitions, read_define_fun, read_term, substitute
from hypotheses.task import Task

LARGEST = 1_000
"""How many nodes a completion's ``let`` may expand to: its terms are evaluated here."""

MOST_TERMS = 8
"""How many expressions of one completion are looked at."""

_FENCE = re.compile(r"```[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)


def ask_for_terms(model: Model, request: Request, step: Propose) -> AsyncGenerator[Completion, None]:
    """Ask for all samples of ``step``, however few proposals are wanted: each says where to search."""
    return model.ask(
        "term",
        lambda prompts, reserve: prompts.write_term(
            request.task, notes=request.notes, concepts=request.concepts, reserve=reserve
        ),
        step,
        request,
        step.samples,
    )


def right_terms(completions: Sequence[Completion], task: Task) -> list[tuple[Term, Completion]]:
    """Give the distinct terms of the grammar that are right on every example, the shortest first.

    They are judged by the standard, not by the search's own operators.
    """
    found: dict[str, tuple[Term, Completion]] = {}
    for completion in completions:
        for term in right_in(completion.response, task) if complete(completion) else ():
            found.setdefault(to_sexpr(term), (term, completion))
    return [found[text] for text in sorted(found, key=lambda text: (len(text), text))]


def right_in(response: str, task: Task) -> Iterator[Term]:
    """Give the right terms that stand in a response: as definitions or bare, fenced or not."""
    sorts = parameter_sorts(task)
    rows, outputs, _ = rows_of(task)
    for part in _FENCE.findall(response) or [response[response.find("(") :]]:
        for sexpr in islice(_readable(part), MOST_TERMS):
            try:
                term = _term(sexpr, sorts)
                right = task.grammar is not None and is_term_of(term, task.grammar)
                right = right and all(
                    evaluate(term, dict(zip(sorts, row, strict=True)), sorts) == output
                    for row, output in zip(rows, outputs, strict=True)
                )
            except (ValueError, RecursionError):  # no term, too large, or without a value
                continue
            if right:
                yield term


def _readable(text: str) -> Iterator[Sexpr]:
    """Yield the expressions up to where the text is none any more."""
    with contextlib.suppress(ValueError):
        yield from read_sexprs(text)


def _term(sexpr: Sexpr, sorts: dict[str, str]) -> Term:
    """Read a term, or a definition's body in the task's names, whatever it calls its parameters."""
    definitions = Definitions(room=LARGEST)
    if not (isinstance(sexpr, SList) and sexpr.head == "define-fun"):
        return read_term(sexpr, definitions)
    function = read_define_fun(sexpr, definitions)
    if [sort for _, sort in function.parameters] != list(sorts.values()):
        raise ValueError(f"{function.name} has other parameters than the task")
    renamed = zip(function.parameters, sorts, strict=True)
    return substitute(function.body, {given: Symbol(name) for (given, _), name in renamed})
