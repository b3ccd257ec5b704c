"""Which candidate wins: explicit, and the same for every proposer."""

from __future__ import annotations

import io
import tokenize
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from hypotheses.equality import canonical
from hypotheses.extraction import MAX_READ
from hypotheses.hypothesis import Judged

SelectionRule = Literal["all-rounds", "last-round", "majority"]


@dataclass(frozen=True, slots=True)
class Selection:
    """The winner, and per query up to ``attempts`` distinct predictions, best first."""

    best: Judged | None
    predictions: tuple[tuple[Any, ...], ...]


def select(judged: Sequence[Judged], queries: int, attempts: int, rule: SelectionRule) -> Selection:
    """Choose among the judged candidates of a task with ``queries`` queries.

    ``all-rounds``
        All candidates of all rounds compete: consistency with the examples first, then agreement between
        behaviours (programs that answer the queries alike vote together), then description length. Where
        the winner fails on a query, the next best candidate that answers it stands in.
    ``last-round``
        Only the last round's candidates: most examples right, ties to the lowest sample, and nobody stands
        in. The rule of Qiu et al. 2023 ("Phenomenal Yet Puzzling", section 3).
    ``majority``
        Of those with most examples right, each has a vote on each query by itself; the most frequent answers
        are the predictions, and who gives most of them is the winner. Self-consistency (Wang et al. 2022).
    """
    if rule == "majority":
        return _vote(judged, queries, attempts)
    ranked = _RULES[rule](judged)
    answering = ranked[:attempts] if rule == "last-round" else ranked
    predictions = tuple(_distinct(answering, query, attempts) for query in range(queries))
    return Selection(ranked[0] if ranked else None, predictions)


@lru_cache(maxsize=4096)
def description_length(source: str) -> int:
    """Count the tokens of a program; comments and line breaks cost nothing, nor do long names.

    Source that is no Python, or longer than anybody would read, counts its characters instead.
    """
    if len(source) > MAX_READ:
        return len(source)
    free = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    count = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            count += token.type not in free
    except (tokenize.TokenError, SyntaxError, ValueError):
        return len(source)
    return count


def _rank_last_round(judged: Sequence[Judged]) -> list[Judged]:
    last = max((one.candidate.round for one in judged), default=0)
    of_last = [one for one in judged if one.candidate.round == last]
    return sorted(of_last, key=lambda one: (-one.verdict.passed, one.candidate.sample))


def _rank_all_rounds(judged: Sequence[Judged]) -> list[Judged]:
    behaviours = {id(one): _behaviour(one) for one in judged}
    votes = Counter(behaviours.values())

    def key(one: Judged) -> tuple[int, ...]:
        program = one.candidate.program
        length = description_length(one.candidate.hypothesis.text if program is None else program.source)
        # A program that answers no query agrees with nobody.
        agreement = votes[behaviours[id(one)]] if _answers(one) or not one.verdict.query_executions else 0
        return (-one.verdict.passed, -agreement, length, one.candidate.round, one.candidate.sample)

    return sorted(judged, key=key)


def _vote(judged: Sequence[Judged], queries: int, attempts: int) -> Selection:
    most = max((one.verdict.passed for one in judged), default=0)
    voters = [one for one in _rank_all_rounds(judged) if one.verdict.passed == most]
    predictions = []
    for query in range(queries):
        votes: dict[Hashable, int] = {}
        values: dict[Hashable, Any] = {}
        for one in voters:
            run = one.verdict.query_executions[query]
            if run.ok:
                name = canonical(run.value)
                votes[name] = votes.get(name, 0) + 1
                values.setdefault(name, run.value)
        # Ties go to whom the other rules would prefer: sorting is stable, and voters come in their order.
        predictions.append(tuple(values[name] for name in sorted(votes, key=lambda n: -votes[n])[:attempts]))

    def agreed(one: Judged) -> int:
        return sum(
            run.ok and bool(values) and canonical(run.value) == canonical(values[0])
            for run, values in zip(one.verdict.query_executions, predictions, strict=True)
        )

    return Selection(max(voters, key=agreed, default=None), tuple(predictions))


_RULES: dict[SelectionRule, Callable[[Sequence[Judged]], list[Judged]]] = {
    "all-rounds": _rank_all_rounds,
    "last-round": _rank_last_round,
}


def _behaviour(one: Judged) -> Hashable:
    """Give a key shared by the equally consistent candidates that answer every query alike."""
    runs = one.verdict.query_executions
    return (one.verdict.passed, *((run.ok, canonical(run.value) if run.ok else None) for run in runs))


def _answers(one: Judged) -> int:
    return sum(run.ok for run in one.verdict.query_executions)


def _distinct(ranked: Sequence[Judged], query: int, attempts: int) -> tuple[Any, ...]:
    values: dict[Hashable, Any] = {}
    for one in ranked:
        run = one.verdict.query_executions[query]
        if run.ok and len(values) < attempts:
            values.setdefault(canonical(run.value), run.value)
    return tuple(values.values())
