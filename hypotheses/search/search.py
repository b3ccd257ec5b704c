"""One search for one task, from start to finish, under a budget."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from hypotheses.search.abstraction import inline
from hypotheses.search.engine import alternatives
from hypotheses.search.guide import Guide
from hypotheses.search.language import Expression, Problem
from hypotheses.search.languages import engines_of
from hypotheses.search.library import Library
from hypotheses.search.library_text import write_term
from hypotheses.search.reuse import Remembered
from hypotheses.search.storage import MEGABYTE, Storage
from hypotheses.task import Task
from sandboxes import Program

Reason = Literal["solved", "exhausted", "budget", "unsupported"]
"""How a search ended: with a solution, with every expression of the language tried, with its seconds, terms
or memory used up, or at once, for want of a language that fits the task."""


MEMORY_MB = 512
"""How many megabytes a search stores at most, unless it is told otherwise."""

WEIGH_EVERY = 4096
"""After so many terms it is estimated how much is stored."""

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

    ``definition`` is the rule as a SyGuS ``define-fun`` where the task has a grammar, else empty. ``origin``
    is the remembered solution that it was made of; empty where it was found without.
    """

    text: str
    program: Program
    expression: Expression
    problem: Problem
    definition: str = ""
    origin: str = ""

    @property
    def term(self) -> str:
        """The expression as ``search`` can be given it again, ``remembered``."""
        return write_term(inline(self.expression))

    @property
    def rule(self) -> str:
        """The rule in words and, in a line of its own below, its definition, if it has one."""
        return f"{self.text}\n{self.definition}" if self.definition else self.text


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What ``search`` found, if anything, and how the search went."""

    found: Found | None
    report: SearchReport


class Search:
    """A search in steps, so that its driver can stop it between any two of them.

    ``seconds``, ``max_terms`` and ``memory_mb`` limit it; without the first, the same task gives the same
    steps. ``guide`` orders it, ``library`` adds operators, ``remembered`` are solutions of other tasks.
    ``report`` is up to date after every step.
    """

    def __init__(
        self,
        task: Task,
        seconds: float | None,
        max_terms: int | None,
        guide: Guide | None = None,
        memory_mb: int = MEMORY_MB,
        library: Library | None = None,
        remembered: Sequence[str] = (),
    ) -> None:
        self._started = time.monotonic()
        self._seconds = seconds
        self._max_terms = max_terms
        self._storage = Storage(memory_mb * MEGABYTE)
        self._remembered = Remembered(remembered)
        self._engines = engines_of(task, guide, library, self._remembered)
        self._terms = self._weighed = 0
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
            for found in self._storage.charged(engine.steps()):
                self._terms = before + engine.terms
                spent = self._spent()
                first = found or (engine.pending if spent else None)
                if first or spent:
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
        others = alternatives(problem, first, max(before, LEAST_EXTRA))
        for other, terms in self._storage.charged(others):
            self._terms = before + terms
            yield self._print(problem, other) if other else None
            if self._spent():
                return

    def _spent(self) -> bool:
        if self._seconds is not None and time.monotonic() - self._started >= self._seconds:
            return True
        if self._max_terms is not None and self._terms >= self._max_terms:
            return True
        if self._terms - self._weighed < WEIGH_EVERY:
            return False
        self._weighed = self._terms
        return self._storage.full

    def _print(self, problem: Problem, expression: Expression) -> Found:
        language = problem.language
        definition = language.define(expression) if language.define else ""
        return Found(
            language.describe(expression),
            language.implement(expression),
            expression,
            problem,
            definition,
            self._remembered.origin_of(expression),
        )


def search(
    task: Task,
    *,
    seconds: float | None = 10.0,
    max_terms: int | None = None,
    guide: Guide | None = None,
    memory_mb: int = MEMORY_MB,
    library: Library | None = None,
    remembered: Sequence[str] = (),
) -> SearchResult:
    """Search for the cheapest program that satisfies the examples of ``task``.

    Where the task has a grammar, ``guide`` says what is cheap. ``library`` adds what was learned from other
    solutions (``learn_library``), and solutions that are ``remembered`` (``Found.term``), those of the most
    similar tasks first, are tried as they are and with a part changed.

    ``seconds`` and ``max_terms`` limit the search, ``None`` meaning no limit; ``max_terms`` alone makes it
    deterministic. So does ``memory_mb``, how many megabytes it may store. Runs in the calling thread.
    """
    run = Search(task, seconds, max_terms, guide, memory_mb, library, remembered)
    found = next((found for found in run.steps() if found), None)
    return SearchResult(found, run.report)
