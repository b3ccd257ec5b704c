"""What a run's candidates are worth, whoever chooses among them: figures with intervals, from its log.

Like a score it needs the answers, which nobody who proposed or selected could see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypotheses.hypothesis import Judged
from hypotheses.run_log import RunLog
from hypotheses.selection import SelectionRule, select
from induce.scoring import count_correct
from induce.statistics import Bootstrap, Estimate, pass_at_k
from induce.tasks import LabelledTask, TaskSet
from sandboxes import RunLogError, TaskFormatError

KS = (1, 2, 5)
"""The numbers of attempts, and of samples, for which there are figures."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The share of queries that are right, and that of tasks with all queries right."""

    over_queries: Estimate
    over_tasks: Estimate


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a run; or, where two are compared, by how much the second's are above the first's.

    ``attempts``   by k: the selection rule gives up to k distinct predictions a query; any may be right
    ``pass_at``    by k: the chance that one of k programs of the first round is right on all queries
    ``majority``   one prediction a query, by the selection rule of that name
    ``oracle``     the best candidate of any round, chosen by who knows the answers
    ``recorded``   the predictions that the run itself made; ``None`` where several runs are pooled

    Predictions that are put together from several candidates, query by query, can be better than the oracle.
    """

    attempts: Mapping[int, Accuracy]
    pass_at: Mapping[int, Estimate]
    majority: Accuracy
    oracle: Accuracy
    recorded: Accuracy | None


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What came out on one task: how many of ``queries``, those with known answers, each way gets right.

    The ways are those of ``Figures``. ``programs`` counts the candidates of the first round, ``right`` those
    of them with all queries right; both are 0 where several runs are pooled.
    """

    task_id: str
    queries: int
    attempts: Mapping[int, int]
    majority: int
    oracle: int
    recorded: int | None
    programs: int = 0
    right: int = 0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of a run, or of several pooled, over the tasks with known answers.

    A task that the run has not finished is wrong by all of them. ``programs`` is how many were asked for in
    the first round of each task; there is a pass@k for each k up to that.
    """

    tasks: int
    queries: int
    rule: SelectionRule
    programs: int
    figures: Figures
    results: tuple[TaskResult, ...] = field(repr=False)


def evaluate(
    log: RunLog,
    tasks: TaskSet,
    ks: Iterable[int] = KS,
    *,
    rule: SelectionRule = "all-rounds",
    programs: int | None = None,
    bootstrap: Bootstrap | None = None,
) -> Evaluation:
    """Evaluate a run against the answers in ``tasks``, which must be those it was started with.

    ``rule`` may be another than the run's own. ``programs`` is how many were asked for in the first round of
    a task: those that never came are wrong. Left out, it is what the task with most of them has. A pass@k
    makes sense where these programs were drawn alike and independently.

    Raises ``TaskFormatError`` where no task has an answer, and ``ValueError`` for a k below 1 or where a task
    has more candidates than ``programs``.
    """
    ks = _checked(ks)
    recorded = {solution.task_id: solution.predictions for solution in log.solutions()}
    results = []
    for labelled in _answered(tasks):
        judged = list(log.judged(labelled.task.id))
        first_round = [_correct(labelled, one) for one in judged if one.candidate.round == 0]
        result = _result(
            labelled,
            judged,
            ks,
            rule,
            recorded=count_correct(labelled, recorded.get(labelled.task.id, ())),
            programs=len(first_round),
            right=first_round.count(len(labelled.answers)),
        )
        results.append(result)
    most = max(one.programs for one in results)
    if programs is not None and programs < most:
        raise ValueError(f"a task has {most} candidates in its first round, so programs cannot be {programs}")
    return _evaluation(results, rule, most if programs is None else programs, bootstrap)


def pool(
    logs: Sequence[RunLog],
    tasks: TaskSet,
    ks: Iterable[int] = KS,
    *,
    rule: SelectionRule = "all-rounds",
    bootstrap: Bootstrap | None = None,
) -> Evaluation:
    """Evaluate several runs over the same tasks as one, whose candidates all compete together.

    Where the rule sees no difference, the candidate of the earlier of ``logs`` is preferred. There is no
    pass@k, as the programs were not drawn alike.

    Raises ``RunLogError`` where the runs were started with different tasks, ``ValueError`` where there are
    no runs or for a k below 1, and ``TaskFormatError`` where no task has an answer.
    """
    if not logs:
        raise ValueError("there are no runs to pool")
    for log in logs[1:]:
        if log.info.content_hash != logs[0].info.content_hash:
            raise RunLogError(
                f"{logs[0].path} and {log.address} cannot be pooled, for their tasks differ; "
                "pool runs over the same tasks"
            )
    ks = _checked(ks)
    results = []
    for labelled in _answered(tasks):
        judged = [one for log in logs for one in log.judged(labelled.task.id)]
        results.append(_result(labelled, judged, ks, rule))
    return _evaluation(results, rule, 0, bootstrap)


def compare(first: Evaluation, second: Evaluation, bootstrap: Bootstrap | None = None) -> Figures:
    """Estimate by how much the second's figures are above the first's, by a paired bootstrap over the tasks.

    There is a figure wherever both have one. Raises ``RunLogError`` where they are not over the same tasks.
    """
    asked = [[(one.task_id, one.queries) for one in evaluation.results] for evaluation in (first, second)]
    if asked[0] != asked[1]:
        raise RunLogError(
            "the runs cannot be compared, for their tasks differ; compare runs over the same tasks"
        )
    counts = [_Counts(one.results, one.programs) for one in (first, second)]
    return _figures(counts, bootstrap or Bootstrap())


def _checked(ks: Iterable[int]) -> tuple[int, ...]:
    checked = tuple(sorted(set(ks)))
    if not checked or checked[0] < 1:
        raise ValueError(f"the numbers of attempts must be at least 1, not {list(checked)}")
    return checked


def _answered(tasks: TaskSet) -> Iterable[LabelledTask]:
    found = False
    for labelled in tasks.labelled():
        if labelled.answers:
            found = True
            yield labelled
    if not found:
        raise TaskFormatError(
            f"no task of {tasks.source} has an answer, so there is nothing to evaluate; "
            "give its queries an `output`"
        )


def _result(
    labelled: LabelledTask,
    judged: Sequence[Judged],
    ks: Sequence[int],
    rule: SelectionRule,
    *,
    recorded: int | None = None,
    programs: int = 0,
    right: int = 0,
) -> TaskResult:
    return TaskResult(
        labelled.task.id,
        len(labelled.answers),
        attempts={
            k: count_correct(labelled, predictions)
            for k, predictions in _attempts(labelled, judged, ks, rule)
        },
        majority=count_correct(
            labelled, select(judged, len(labelled.task.queries), 1, "majority").predictions
        ),
        oracle=max((_correct(labelled, one) for one in judged), default=0),
        recorded=recorded,
        programs=programs,
        right=right,
    )


def _attempts(
    labelled: LabelledTask, judged: Sequence[Judged], ks: Sequence[int], rule: SelectionRule
) -> Iterable[tuple[int, Sequence[Sequence[Any]]]]:
    """Yield the predictions for each number of attempts in ``ks``, which is in ascending order."""
    queries = len(labelled.task.queries)
    if rule == "last-round":  # who may answer depends on the number of attempts
        for k in ks:
            yield k, select(judged, queries, k, rule).predictions
        return
    most = select(judged, queries, ks[-1], rule).predictions  # to rank candidates is slow, so only once
    for k in ks:
        yield k, [values[:k] for values in most]


def _correct(labelled: LabelledTask, one: Judged) -> int:
    runs = one.verdict.query_executions
    return count_correct(labelled, [(run.value,) if run.ok else () for run in runs])


def _evaluation(
    results: Sequence[TaskResult], rule: SelectionRule, programs: int, bootstrap: Bootstrap | None
) -> Evaluation:
    return Evaluation(
        tasks=len(results),
        queries=sum(one.queries for one in results),
        rule=rule,
        programs=programs,
        figures=_figures([_Counts(results, programs)], bootstrap or Bootstrap()),
        results=tuple(results),
    )


@dataclass(frozen=True, slots=True)
class _Counts:
    """What the figures of one run are made of."""

    results: Sequence[TaskResult]
    programs: int

    def pass_at(self, k: int) -> list[float]:
        return [pass_at_k(self.programs, one.right, k) for one in self.results]


def _figures(runs: Sequence[_Counts], over: Bootstrap) -> Figures:
    """Estimate the figures of one run, or the differences between two."""
    queries = [one.queries for one in runs[0].results]

    def estimate(columns: Sequence[Sequence[float]], weights: Sequence[float] | None = None) -> Estimate:
        if len(columns) == 1:
            return over.mean(columns[0], weights)
        return over.difference(columns[0], columns[1], weights)

    def accuracy(count: Callable[[TaskResult], int]) -> Accuracy:
        right = [[count(one) for one in run.results] for run in runs]
        complete = [[float(count(one) == one.queries) for one in run.results] for run in runs]
        return Accuracy(estimate(right, queries), estimate(complete))

    def with_attempts(k: int) -> Accuracy:
        return accuracy(lambda one: one.attempts[k])

    ks = [k for k in runs[0].results[0].attempts if all(k in run.results[0].attempts for run in runs)]
    has_recorded = all(one.recorded is not None for run in runs for one in run.results)
    return Figures(
        attempts={k: with_attempts(k) for k in ks},
        pass_at={
            k: estimate([run.pass_at(k) for run in runs])
            for k in ks
            if all(k <= run.programs for run in runs)
        },
        majority=accuracy(lambda one: one.majority),
        oracle=accuracy(lambda one: one.oracle),
        recorded=accuracy(lambda one: one.recorded or 0) if has_recorded else None,
    )
