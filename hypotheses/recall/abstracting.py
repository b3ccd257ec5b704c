"""Concepts of a finished task, written by the model that worked on it."""

from __future__ import annotations

from collections.abc import Sequence

from hypotheses.budget import Ledger
from hypotheses.experience import Recollection
from hypotheses.hypothesis import Completion, Solution
from hypotheses.models.chat import ContextOverflowError, ModelDownError, Sampling
from hypotheses.models.langchain_model import NothingLeftError, as_langchain
from hypotheses.steps.model import Model
from hypotheses.task import Task
from memory import Concept
from memory.abstraction import Solved, abstract

KIND = "abstraction"
"""What a completion that makes concepts is recorded as."""


class ModelAbstractor:
    """Has a model write down what a solution teaches, and what a failure does (ArcMemo).

    Of a task that was not solved the best candidate is looked at, if it is right on some example. ``ledger``
    is what may be spent on all tasks; up to ``most`` concepts are made of one.
    """

    def __init__(self, model: Model, ledger: Ledger, *, most: int = 5) -> None:
        self._model = model
        self._ledger = ledger
        self._most = most

    async def concepts(self, task: Task, recollection: Recollection, solution: Solution) -> Sequence[Concept]:
        """Give concepts of a task, the known ones among those it was shown with what is new about them.

        None where there is nothing to learn from, or the model is down or gives no concept.
        """
        candidate, verdict = solution.candidate, solution.verdict
        if candidate is None or verdict is None or not verdict.passed:
            return ()
        failed = verdict.total - verdict.passed
        solved = Solved(
            candidate.hypothesis.text,
            candidate.program,
            task.family,
            task.id,
            solution.solved,
            f"{failed} of {verdict.total} examples came out wrong" if failed else "",
        )
        completions: list[Completion] = []
        sampling = Sampling(temperature=0.0, max_tokens=1_500)
        chat = as_langchain(self._model.client, KIND, sampling, self._ledger, completions, task.id)
        known = recollection.concepts[: recollection.shown]
        try:
            return (await abstract(chat, solved, known, most=self._most)).concepts
        except (ContextOverflowError, ModelDownError, NothingLeftError):
            return ()
