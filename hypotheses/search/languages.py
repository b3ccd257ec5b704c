"""Which language a task is searched in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypotheses.search.deduction import DeductionEngine
from hypotheses.search.engine import Engine
from hypotheses.search.guide import Guide
from hypotheses.search.interleaving import Interleaved, Searcher
from hypotheses.search.language import Problem
from hypotheses.search.library import Library
from hypotheses.search.lists import LISTS
from hypotheses.search.moments import MOMENTS, MomentEngine
from hypotheses.search.numbers import NUMBERS, NumberEngine
from hypotheses.search.records import RecordEngine
from hypotheses.search.reuse import Remembered, ReuseEngine
from hypotheses.search.strings import STRINGS
from hypotheses.search.sygus import sygus_problem
from hypotheses.search.values import VALUES
from hypotheses.search.vocabulary import MANY_EXAMPLES
from hypotheses.task import Task

HEAD_START = 400_000
"""By how many terms the small language goes ahead where there are few examples: a large one fits them all."""

OPENING = 20_000
"""How many terms each language gets before that: what is cheap in any of them comes first."""


def engines_of(
    task: Task,
    guide: Guide | None = None,
    library: Library | None = None,
    remembered: Remembered | None = None,
) -> list[Searcher]:
    """Give what searches for a solution of ``task``, in this order; nothing where no language here fits.

    A task with a grammar is searched in that grammar and no other, and ``guide`` is for that. ``library``
    extends the languages; solutions that are ``remembered`` are tried, with changes, as often as others.
    """

    def extended(problem: Problem) -> Problem:
        return problem if library is None else replace(problem, language=library.extend(problem.language))

    def reusing(searcher: Searcher, problems: Sequence[Problem]) -> Searcher:
        if remembered is None or not remembered.terms:
            return searcher
        reused = [ReuseEngine(problem, remembered) for problem in problems]
        return Interleaved([*reused, searcher], 0, 0)

    if task.grammar is not None:
        in_grammar = sygus_problem(task, guide)
        return [] if in_grammar is None else [reusing(Engine(extended(in_grammar)), [in_grammar])]
    found: list[Searcher] = []
    if (moments := MOMENTS.problem(task)) is not None:
        found.append(MomentEngine(moments))
    if (numbers := NUMBERS.problem(task)) is not None:
        found.append(NumberEngine(numbers))
    general: list[Searcher] = []
    if (small := LISTS.problem(task) or STRINGS.problem(task)) is not None:
        general.append(Engine(extended(small)))
    if (record := RecordEngine.of(task, extended)) is not None:
        general.append(record)
    if (large := VALUES.problem(task)) is not None:
        general.append(DeductionEngine(extended(large)))
    if general:
        many = len(task.examples) >= MANY_EXAMPLES or small is None
        together = Interleaved(general, OPENING, 0 if many else HEAD_START)
        found.append(reusing(together, [problem for problem in (small, large) if problem is not None]))
    return found
