"""Which language a task is searched in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from hypotheses.search.engine import Engine
from hypotheses.search.guide import Guide
from hypotheses.search.language import Expression, Problem
from hypotheses.search.lists import LISTS
from hypotheses.search.moments import MOMENTS, MomentEngine
from hypotheses.search.numbers import NUMBERS, NumberEngine
from hypotheses.search.strings import STRINGS
from hypotheses.search.sygus import sygus_problem
from hypotheses.task import Task


class Searcher(Protocol):
    """What searches for expressions that solve ``problem``, in steps.

    ``terms`` counts the work, ``exhausted`` says at the end that there is nothing left to try, and
    ``pending`` is a solution that still waits for a cheaper one.
    """

    problem: Problem
    terms: int
    exhausted: bool
    pending: Expression | None

    def steps(self) -> Iterator[Expression | None]:
        """Yield solutions, and ``None`` after every other slice of work."""
        ...


def engines_of(task: Task, guide: Guide | None = None) -> list[Searcher]:
    """Give what searches for a solution of ``task``, in this order; nothing where no language here fits.

    A task with a grammar is searched in that grammar and no other, and ``guide`` is for that.
    """
    if task.grammar is not None:
        in_grammar = sygus_problem(task, guide)
        return [] if in_grammar is None else [Engine(in_grammar)]
    found: list[Searcher] = []
    if (moments := MOMENTS.problem(task)) is not None:
        found.append(MomentEngine(moments))
    if (numbers := NUMBERS.problem(task)) is not None:
        found.append(NumberEngine(numbers))
    if (general := LISTS.problem(task) or STRINGS.problem(task)) is not None:
        found.append(Engine(general))
    return found
