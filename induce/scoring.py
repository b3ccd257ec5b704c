"""Compare a run's predictions with the answers that nobody who made them could see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypotheses.equality import equal
from hypotheses.hypothesis import Solution
from hypotheses.run_log import RunLog
from induce.tasks import LabelledTask, TaskSet


@dataclass(frozen=True, slots=True)
class Score:
    """How many answers are right. Accuracies are fractions from 0 to 1, ``None`` where nothing can be scored.

    ``tasks`` and ``queries`` count those with known answers; all of them are in the denominators, the tasks
    that the run has not finished included. ``accuracy`` is over queries; a task is right when all its
    queries are. The oracle's figures are those of a chooser who knew the answers: the best candidate of any
    round. ``solved`` counts, among ``all_tasks``, those whose program satisfies every example.
    """

    accuracy: float | None
    task_accuracy: float | None
    tasks: int
    queries: int
    correct_tasks: int
    correct_queries: int
    all_tasks: int
    solved: int
    infeasible: int
    unfinished: int
    oracle_accuracy: float | None = None
    oracle_task_accuracy: float | None = None


def score_run(log: RunLog, tasks: TaskSet, *, oracle: bool = False) -> Score:
    """Score a run against the answers in ``tasks``, which must be those it was started with."""
    solutions = {solution.task_id: _Outcome.of(solution) for solution in log.solutions()}
    scored = queries = correct_tasks = correct_queries = all_tasks = unfinished = 0
    oracle_tasks = oracle_queries = 0
    for labelled in tasks.labelled():
        all_tasks += 1
        outcome = solutions.get(labelled.task.id)
        unfinished += outcome is None
        if not labelled.answers:
            continue
        scored += 1
        queries += len(labelled.answers)
        right = 0 if outcome is None else count_correct(labelled, outcome.predictions)
        correct_queries += right
        correct_tasks += right == len(labelled.answers)
        if oracle:
            best = _best_candidate(log, labelled)
            oracle_queries += best
            oracle_tasks += best == len(labelled.answers)
    return Score(
        accuracy=correct_queries / queries if queries else None,
        task_accuracy=correct_tasks / scored if scored else None,
        tasks=scored,
        queries=queries,
        correct_tasks=correct_tasks,
        correct_queries=correct_queries,
        all_tasks=all_tasks,
        solved=sum(one.outcome == "solved" for one in solutions.values()),
        infeasible=sum(one.outcome == "infeasible" for one in solutions.values()),
        unfinished=unfinished,
        oracle_accuracy=oracle_queries / queries if oracle and queries else None,
        oracle_task_accuracy=oracle_tasks / scored if oracle and scored else None,
    )


def count_correct(labelled: LabelledTask, predictions: Sequence[Sequence[Any]]) -> int:
    """Count the queries of which any prediction is the answer."""
    return sum(
        any(_matches(labelled, value, answer) for value in predictions[query])
        for query, answer in labelled.answers.items()
        if query < len(predictions)
    )


def _best_candidate(log: RunLog, labelled: LabelledTask) -> int:
    answers: Mapping[int, Any] = labelled.answers
    return max(
        (
            sum(
                (run := one.verdict.query_executions[query]).ok and _matches(labelled, run.value, answer)
                for query, answer in answers.items()
            )
            for one in log.judged(labelled.task.id)
        ),
        default=0,
    )


def _matches(labelled: LabelledTask, value: Any, answer: Any) -> bool:
    return equal(value, answer, labelled.task.tolerance)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The part of a solution that scoring needs; programs and executions are let go."""

    outcome: str
    predictions: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, solution: Solution) -> _Outcome:
        return cls(solution.outcome, solution.predictions)
