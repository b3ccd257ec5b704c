"""Marks on versions, by which those that share one find each other.

They are in the index of tokens, and counted as those of no version, so that no recall finds by them. When a
version is archived its marks stay, and count no more; they go when it is purged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from memory import schema
from memory.backend import Backend
from memory.indexing import in_chunks

MOST_ALIKE = 1_000
"""How many present versions are looked at that share a mark."""

_SEEN = "mark:seen"
_ARRIVED = "mark:arrived:"
_AT_ONCE = 100
_NAME = "INSERT INTO concept_features (token, versions) VALUES (?, 0) ON CONFLICT (token) DO NOTHING"
_POST = "INSERT INTO concept_postings (feature, entry) VALUES (?, ?) ON CONFLICT (feature, entry) DO NOTHING"
_FEATURES, _POSTINGS, _VERSIONS = schema.FEATURES.c, schema.POSTINGS.c, schema.VERSIONS.c


def put(backend: Backend, connection: sa.Connection, marks: Iterable[tuple[str, int]]) -> None:
    """Put marks on versions, by their entries; those that are there already stay."""
    for some in in_chunks((mark, entry) for mark, entry in marks if mark):
        names = sorted({mark for mark, _ in some})
        backend.run_many(connection, _NAME, [(name,) for name in names])
        numbers = _numbers(connection, names)
        backend.run_many(connection, _POST, sorted((numbers[mark], entry) for mark, entry in some))


def put_seen(backend: Backend, connection: sa.Connection, entry: int) -> None:
    """Note that all versions up to an entry have their marks."""
    put(backend, connection, [(_SEEN, entry)])


def seen(connection: sa.Connection) -> int:
    """Give the entry up to which versions have their marks."""
    query = sa.select(sa.func.max(_POSTINGS.entry)).join_from(
        schema.FEATURES, schema.POSTINGS, _POSTINGS.feature == _FEATURES.number
    )
    return connection.execute(query.where(_FEATURES.token == _SEEN)).scalar() or 0


def put_arrived(backend: Backend, connection: sa.Connection, clock: int, entries: Iterable[int]) -> None:
    """Note when versions came from elsewhere, as their own clocks are those of where they were learned."""
    put(backend, connection, ((f"{_ARRIVED}{clock}", entry) for entry in entries))


def arrived(connection: sa.Connection, entries: Sequence[int]) -> dict[int, int]:
    """Give the clocks at which those of the versions came that were learned elsewhere."""
    query = sa.select(_POSTINGS.entry, _FEATURES.token).join_from(
        schema.FEATURES, schema.POSTINGS, _POSTINGS.feature == _FEATURES.number
    )
    found: dict[int, int] = {}
    for some in in_chunks(entries):
        rows = connection.execute(
            query.where(_FEATURES.token.startswith(_ARRIVED, autoescape=True), _POSTINGS.entry.in_(some))
        )
        found |= {entry: int(token.removeprefix(_ARRIVED)) for entry, token in rows}
    return found


def sharing(connection: sa.Connection, marks: Iterable[str]) -> Mapping[str, list[int]]:
    """Give the present versions that have each of the marks, the oldest ones where they are very many."""
    found: dict[str, list[int]] = defaultdict(list)
    numbers = _numbers(connection, sorted({mark for mark in marks if mark}))
    for some in in_chunks(numbers.items(), _AT_ONCE):
        names = {number: mark for mark, number in some}
        each = (
            sa.select(_POSTINGS.feature, _POSTINGS.entry)
            .join_from(schema.POSTINGS, schema.VERSIONS, _VERSIONS.entry == _POSTINGS.entry)
            .where(_POSTINGS.feature == number, _VERSIONS.until.is_(None))
            .order_by(_POSTINGS.entry)
            .limit(MOST_ALIKE)
            .subquery()
            .select()
            for number in names
        )
        for number, entry in connection.execute(sa.union_all(*each)):
            found[names[number]].append(entry)
    return found


def _numbers(connection: sa.Connection, marks: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for some in in_chunks(marks):
        query = sa.select(_FEATURES.token, _FEATURES.number).where(_FEATURES.token.in_(some))
        found |= {row.token: row.number for row in connection.execute(query)}
    return found
