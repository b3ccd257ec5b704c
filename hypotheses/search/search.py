"""One search for one task, from start to finish, under a budget."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hypotheses.search.engine import alternatives
from hypotheses.search.guide import Guide
from hypotheses.search.language import Expression, Problem
from hypotheses.search.languages import engines_of
from hypotheses.task import Task
from sandboxes import Program

Reason = Literal["solved", "exhausted", "budget", "unsupported"]
"""How a search ended: with a solution, with every expression of the language tried, with its seconds, terms
or memory used up, or at once, for want of a language that fits the task."""


LEAST_EXTRA = 20_000
"""How many terms are built at least, after a first solution, in search of another."""


@dataclass(frozen=True, slots=True)
class SearchReport:
    """How a search ended, how many terms it built and pieces it tried, and how long it took."""

    reason: Reason
    terms: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Found:
    """A solution: the rule in words, the program, and the expression that both were written from.

    ``definition`` is the rule as a SyGuS ``define-fun`` where the task has a grammar, else empty.
    """

    text: str
    program: Program
    expression: Expression
    problem: Problem
    definition: str = ""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What ``search`` found, if anything, and how the search went."""

    found: Found | None
    report: SearchReport


class Search:
    """A search in steps, so that its driver can stop it between any two of them.

    ``seconds`` and ``max_terms`` limit it; with ``max_terms`` alone, the same task gives the same steps.
    ``guide`` orders it. ``report`` is up to date after every step.
    """

    def __init__(
        self, task: Task, seconds: float | None, max_terms: int | None, guide: Guide | None = None
    ) -> None:
        self._started = time.monotonic()
        self._seconds = seconds
        self._max_terms = max_terms
        self._engines = engines_of(task, guide)
        self._terms = 0
        self._reason: Reason = "budget" if self._engines else "unsupported"

    @property
    def report(self) -> SearchReport:
        """How the search stands, or how it ended."""
        return SearchReport(self._reason, self._terms, time.monotonic() - self._started)

    def steps(self) -> Iterator[Found | None]:
        """Yield each solution, cheapest first, and ``None`` after every other slice of work.

        The engines come one after the other: those for a few kinds of tasks are soon at their end. After the
        first solution come those that answer the queries differently and are found with as much work again.
        """
        before = 0
        for engine in self._engines:
            first: Expression | None = None
            for found in engine.steps():
                self._terms = before + engine.terms
                first = found or (engine.pending if self._spent() else None)
                if first or self._spent():
                    break
                yield None
            before = self._terms = before + engine.terms
            first = first or engine.pending
            if first is not None:
                yield from self._solutions(engine.problem, first)
                return
            if self._spent():
                return
        if self._engines and self._engines[-1].exhausted:
            self._reason = "exhausted"

    def _solutions(self, problem: Problem, first: Expression) -> Iterator[Found | None]:
        self._reason = "solved"
        yield self._print(problem, first)
        before = self._terms
        for other, terms in alternatives(problem, first, max(before, LEAST_EXTRA)):
            self._terms = before + terms
            yield self._print(problem, other) if other else None
            if self._spent():
                return

    def _spent(self) -> bool:
        if self._seconds is not None and time.monotonic() - self._started >= self._seconds:
            return True
        return self._max_terms is not None and self._terms >= self._max_terms

    def _print(self, problem: Problem, expression: Expression) -> Found:
        language = problem.language
        definition = language.define(expression) if language.define else ""
        return Found(
            language.describe(expression), language.implement(expression), expression, problem, definition
        )


def search(
    task: Task,
    *,
    seconds: float | None = 10.0,
    max_terms: int | None = None,
    guide: Guide | None = None,
) -> SearchResult:
    """Search for the cheapest program that satisfies the examples of ``task``.

    Where the task has a grammar, ``guide`` says what is cheap.

    ``seconds`` and ``max_terms`` limit the search, ``None`` meaning no limit; ``max_terms`` alone makes it
    deterministic. Runs in the calling thread.
    """
    run = Search(task, seconds, max_terms, guide)
    found = next((found for found in run.steps() if found), None)
    return SearchResult(found, run.report)
