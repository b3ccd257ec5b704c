"""The ways of finding concepts, and how what they find becomes one list.

A retriever gives versions (by entry), best first. What it costs is bounded by ``POSTINGS``, however large the
memory: of the words or tokens that it is asked with, the rarest count, and of one in more than ``POSTINGS``
versions only the newest of these.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa

from memory.backend import Backend, Visible
from memory.query import RecallQuery
from memory.words import signature_tokens, tokens, words

POSTINGS = 3_000
"""How many entries of the index a retriever reads."""

DEPTH = 100
"""How many concepts a retriever gives, unless more are asked for."""

COMMON = 0.05
"""What is in a larger share of all versions tells little, and is asked for only if nothing else is there."""

SMALL = 1_000
"""How many versions may have a word, whatever share of all that is."""

MOST_TERMS = 64
_RRF = 60
_Term = TypeVar("_Term", int, str)


@dataclass(frozen=True, slots=True)
class Look:
    """One look into a memory: a connection with a snapshot, and what may be seen.

    ``indexed`` is how many versions there are, ``depth`` how many are wanted at most.
    """

    backend: Backend
    connection: sa.Connection
    visible: Visible
    indexed: int
    depth: int = DEPTH


Retriever = Callable[[Look, RecallQuery], Sequence[int]]


def by_words(look: Look, query: RecallQuery) -> Sequence[int]:
    """Find by words: BM25 in SQLite, density of cover in PostgreSQL."""
    asked = list(dict.fromkeys(words(query.text)))[:2_000]
    statement = sa.text("SELECT word, versions FROM concept_words WHERE word IN :words AND versions > 0")
    statement = statement.bindparams(sa.bindparam("words", expanding=True))
    rows = look.connection.execute(statement, {"words": asked}) if asked else ()
    known = {row.word: row.versions for row in rows}
    weights = {word: math.log1p(look.indexed / known[word]) for word in _telling(known, look.indexed)}
    if not weights:
        return []
    return look.backend.match(look.connection, weights, look.visible, POSTINGS, look.depth)


def by_features(look: Look, query: RecallQuery) -> Sequence[int]:
    """Find by shared structural tokens, each weighed by how rare it is."""
    known = _known_tokens(look, tokens(query.features, ""))
    weights = {number: math.log1p(look.indexed / found) for number, found in known.items()}
    chosen = _telling(known, look.indexed)
    if not chosen:
        return []
    scores = _overlaps(look, {number: weights[number] for number in chosen})
    if rest := sorted(known.keys() - set(chosen)):
        # Common tokens find nothing on their own, but they tell apart what was found.
        statement = sa.text("SELECT feature, entry FROM concept_postings WHERE feature IN :f AND entry IN :r")
        statement = statement.bindparams(*(sa.bindparam(name, expanding=True) for name in "fr"))
        for feature, entry in look.connection.execute(statement, {"f": rest, "r": list(scores)}):
            scores[entry] += weights[feature]
    return sorted(scores, key=lambda entry: (-round(scores[entry], 9), -entry))[: look.depth]


def by_signature(look: Look, query: RecallQuery) -> Sequence[int]:
    """Find by the same signature, what was of most use first; a common one only where it is all there is."""
    known = _known_tokens(look, signature_tokens(query.signature))
    for feature, found in known.items():
        if _is_common(found, look.indexed) and (query.text or query.features):
            break
        statement = sa.text(
            "SELECT entry FROM ("  # noqa: S608
            "SELECT v.entry AS entry, c.used AS used FROM concept_postings p "
            "JOIN concept_versions v ON v.entry = p.entry JOIN concepts c ON c.number = v.concept "
            f"WHERE p.feature = :feature AND {look.visible.sql} ORDER BY p.entry DESC LIMIT :postings"
            ") AS found ORDER BY used DESC, entry DESC LIMIT :most"
        )
        values = {"feature": feature, "postings": POSTINGS, "most": look.depth, **look.visible.parameters}
        return list(look.connection.scalars(statement, values))
    return []


RETRIEVERS: Mapping[str, Retriever] = {
    "words": by_words,
    "features": by_features,
    "signature": by_signature,
}
"""The ways that a memory finds concepts in, by the name that ``Recalled.ranks`` has them under."""


def fuse(found: Mapping[str, Sequence[int]]) -> list[tuple[int, float, dict[str, int]]]:
    """Make one list of several by reciprocal ranks (Cormack et al. 2009): entry, score, rank in each."""
    ranks: dict[int, dict[str, int]] = defaultdict(dict)
    for name, rows in found.items():
        for rank, entry in enumerate(rows, start=1):
            ranks[entry][name] = rank
    scored = [(entry, sum(1 / (_RRF + rank) for rank in at.values()), at) for entry, at in ranks.items()]
    return sorted(scored, key=lambda one: (-one[1], -one[0]))


def _overlaps(look: Look, weights: Mapping[int, float]) -> dict[int, float]:
    """Give how much of the weight those have that have most of it, or are newest among equals."""
    parts, values = [], dict[str, object](look.visible.parameters)
    for index, (feature, weight) in enumerate(weights.items()):
        parts.append(
            f"SELECT * FROM (SELECT p.entry AS entry, CAST(:w{index} AS DOUBLE PRECISION) AS weight "  # noqa: S608
            "FROM concept_postings p JOIN concept_versions v ON v.entry = p.entry "
            f"WHERE p.feature = :f{index} AND {look.visible.sql} "
            f"ORDER BY p.entry DESC LIMIT :postings) AS found{index}"
        )
        values |= {f"f{index}": feature, f"w{index}": weight}
    statement = sa.text(
        f"SELECT entry, sum(weight) AS score FROM ({' UNION ALL '.join(parts)}) AS found "  # noqa: S608
        "GROUP BY entry ORDER BY score DESC, entry DESC LIMIT :most"
    )
    rows = look.connection.execute(statement, values | {"postings": POSTINGS, "most": 2 * look.depth})
    return {row.entry: row.score for row in rows}


def _known_tokens(look: Look, asked: Sequence[str]) -> dict[int, int]:
    """Give those of the tokens that there are, by number, and how many versions have each."""
    statement = sa.text(
        "SELECT number, versions FROM concept_features WHERE token IN :tokens AND versions > 0"
    ).bindparams(sa.bindparam("tokens", expanding=True))
    rows = look.connection.execute(statement, {"tokens": list(asked[:2_000])}) if asked else ()
    return {row.number: row.versions for row in rows}


def _telling(found: Mapping[_Term, int], indexed: int) -> list[_Term]:
    """Choose the rarest, as many as may be read; common ones only where there are no others."""
    rare = {term: number for term, number in found.items() if not _is_common(number, indexed)} or found
    chosen: list[_Term] = []
    read = 0
    for term in sorted(rare, key=lambda term: (rare[term], term))[:MOST_TERMS]:
        read += rare[term]
        if chosen and read > POSTINGS:
            break
        chosen.append(term)
    return chosen


def _is_common(number: int, indexed: int) -> bool:
    return number > max(SMALL, COMMON * indexed)
