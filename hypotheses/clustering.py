"""Candidates that behave alike: what a vote counts, and what further work starts from."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from hypotheses.equality import canonical
from hypotheses.hypothesis import Judged
from sandboxes import Execution


def cluster_by_behaviour(judged: Sequence[Judged]) -> list[tuple[Judged, ...]]:
    """Group candidates that do the same on every example and every query.

    Those that satisfy most examples come first, then the larger groups, then those with the lower sample;
    within a group the candidates keep their order. After AlphaCode (Li et al. 2022, section 4.5), with the
    examples' inputs beside the queries.
    """
    groups: dict[Hashable, list[Judged]] = {}
    for one in judged:
        runs = (*one.verdict.executions, *one.verdict.query_executions)
        groups.setdefault(tuple(map(_outcome, runs)), []).append(one)

    def key(group: Sequence[Judged]) -> tuple[int, int, int]:
        first = group[0]
        return -first.verdict.passed, -len(group), first.candidate.sample

    return [tuple(group) for group in sorted(groups.values(), key=key)]


def representatives(judged: Sequence[Judged], most: int) -> tuple[Judged, ...]:
    """Give the best candidate of a round and, after it, the first of each other behaviour, ``most`` in all.

    The best has most examples right; ties go to the lowest sample. With ``most`` = 1 that is the rule of
    Qiu et al. 2023.
    """
    if not judged:
        return ()
    best = min(judged, key=lambda one: (-one.verdict.passed, one.candidate.sample))
    others = (group for group in cluster_by_behaviour(judged) if not any(one is best for one in group))
    return (best, *(group[0] for group in others))[:most]


def _outcome(run: Execution) -> Hashable:
    return canonical(run.value) if run.ok else run.status
