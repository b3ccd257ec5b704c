"""Which language a task is searched in."""

from __future__ import annotations

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
    extends the languages. Where solutions are ``remembered``, they are tried with changes, and the languages
    are searched with the library and without it, all as often: experience that misleads costs time alone.
    """
    with_library = _engines(task, guide, library)
    if remembered is None or not remembered.terms or not with_library:
        return with_library
    *special, general = with_library
    others = _engines(task, guide, None)[-1:] if library is not None else []
    reused = [ReuseEngine(problem, remembered) for problem in _problems(task, guide)]
    return [*special, Interleaved([*reused, general, *others], 0, 0)] if reused else with_library


def _problems(task: Task, guide: Guide | None) -> list[Problem]:
    """Give a task in the languages that solutions are remembered in."""
    if task.grammar is not None:
        found = [sygus_problem(task, guide)]
    else:
        found = [LISTS.problem(task) or STRINGS.problem(task), VALUES.problem(task)]
    return [problem for problem in found if problem is not None]


def _engines(task: Task, guide: Guide | None, library: Library | None) -> list[Searcher]:
    """Give the searchers of one task: those for a few kinds of values first, the general one last."""

    def extended(problem: Problem) -> Problem:
        return problem if library is None else replace(problem, language=library.extend(problem.language))

    if task.grammar is not None:
        in_grammar = sygus_problem(task, guide)
        return [] if in_grammar is None else [Engine(extended(in_grammar))]
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
        found.append(Interleaved(general, OPENING, 0 if many else HEAD_START))
    return found
