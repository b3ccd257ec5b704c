"""Versions go into what they are found by, and out of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TypeVar

import sqlalchemy as sa

from memory import schema
from memory.backend import Backend
from memory.concept import Concept
from memory.words import texts, tokens

_T = TypeVar("_T")
_COUNT_WORDS = (
    "INSERT INTO concept_words (word, versions) VALUES (?, ?) "
    "ON CONFLICT (word) DO UPDATE SET versions = concept_words.versions + excluded.versions"
)
_COUNT_TOKENS = (
    "INSERT INTO concept_features (token, versions) VALUES (?, ?) "
    "ON CONFLICT (token) DO UPDATE SET versions = concept_features.versions + excluded.versions"
)
_POST = "INSERT INTO concept_postings (feature, entry) VALUES (?, ?)"
CHUNK = 2_000
"""How many values a statement is given at once."""


def index(backend: Backend, connection: sa.Connection, entries: Sequence[tuple[int, Concept]]) -> None:
    """Have versions found by their words and tokens from now on."""
    numbers = _change(backend, connection, entries, 1)
    postings = sorted(
        (numbers[token], entry)
        for entry, concept in entries
        for token in tokens(concept.features, concept.signature)
    )
    if postings:
        backend.run_many(connection, _POST, postings)


def unindex(backend: Backend, connection: sa.Connection, entries: Sequence[tuple[int, Concept]]) -> None:
    """Have versions found no longer."""
    numbers = _change(backend, connection, entries, -1)
    for entry, concept in entries:
        features = [numbers[token] for token in tokens(concept.features, concept.signature)]
        connection.execute(
            schema.POSTINGS.delete().where(
                schema.POSTINGS.c.feature.in_(features), schema.POSTINGS.c.entry == entry
            )
        )


def in_chunks(values: Iterable[_T], size: int = CHUNK) -> Iterator[list[_T]]:
    """Yield values in lists that a statement has room for."""
    left = iter(values)
    while some := list(islice(left, size)):
        yield some


def _change(
    backend: Backend, connection: sa.Connection, entries: Sequence[tuple[int, Concept]], sign: int
) -> dict[str, int]:
    """Change the index of words and all counts; give the numbers of the tokens."""
    by_entry = [(entry, texts(concept)) for entry, concept in entries]
    (backend.index if sign > 0 else backend.unindex)(connection, by_entry)
    _count(
        backend,
        connection,
        _COUNT_WORDS,
        chain.from_iterable(set(chain(*found)) for _, found in by_entry),
        sign,
    )
    used = Counter(chain.from_iterable(tokens(one.features, one.signature) for _, one in entries))
    _count(backend, connection, _COUNT_TOKENS, used.elements(), sign)
    connection.execute(schema.STATE.update().values(indexed=schema.STATE.c.indexed + sign * len(entries)))
    numbers: dict[str, int] = {}
    for asked in in_chunks(used):
        table = schema.FEATURES.c
        found = connection.execute(sa.select(table.token, table.number).where(table.token.in_(asked)))
        numbers.update((token, number) for token, number in found)
    return numbers


def _count(
    backend: Backend, connection: sa.Connection, statement: str, terms: Iterable[str], sign: int
) -> None:
    if counted := Counter(terms):
        # In one order, so that the pages of the table are visited one after the other.
        rows = [(term, sign * number) for term, number in sorted(counted.items())]
        backend.run_many(connection, statement, rows)
