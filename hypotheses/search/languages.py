"""Which language a task is searched in."""

from __future__ import annotations

from hypotheses.search.guide import Guide
from hypotheses.search.language import Problem
from hypotheses.search.lists import LISTS
from hypotheses.search.strings import STRINGS
from hypotheses.search.sygus import sygus_problem
from hypotheses.task import Task


def problem_of(task: Task, guide: Guide | None = None) -> Problem | None:
    """Put ``task`` into the terms of a language; ``None`` where no language here fits.

    A task with a grammar is searched in that grammar and no other, and ``guide`` is for that.
    """
    if task.grammar is not None:
        return sygus_problem(task, guide)
    return LISTS.problem(task) or STRINGS.problem(task)
