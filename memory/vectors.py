"""The vectors of a memory: which versions lack one, how they are kept, and which are near a query's."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from memory import pgvector, schema
from memory.concept import Concept
from memory.embedding import Embedder
from memory.indexing import in_chunks
from memory.query import RecallQuery
from memory.retrieval import Look
from sandboxes import MemoryStoreError

EXACT = 20_000
"""How many visible versions are compared with a query; of more, the newest, and what else was found."""

READ = 100_000
"""Among how many of the newest versions visible ones are looked for: old clocks see few of a large memory."""

BATCH = 128
"""How many versions are embedded and stored at once."""

LONGEST = 2_000
"""How many characters of a text are embedded; models read no more than some hundred tokens anyway."""

_VERSIONS, _VECTORS, _EMBEDDERS = schema.VERSIONS, schema.VECTORS, schema.EMBEDDERS
_STORED = np.dtype("<f4")
_VISIBLE = """
SELECT v.entry FROM concept_vectors x JOIN concept_versions v ON v.entry = x.entry
WHERE x.embedder = :embedder AND x.entry > :oldest AND {visible} ORDER BY x.entry DESC LIMIT :most
"""

Vector = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float32]
Entries = npt.NDArray[np.int64]


class _Known(NamedTuple):
    """An embedder as a memory knows it."""

    number: int
    dimensions: int


@dataclass(frozen=True, slots=True)
class _Held:
    """Vectors that were read before, by ascending entry. They never change, so they can only be too few."""

    entries: Entries
    rows: Matrix


class Vectors:
    """The vectors of one embedder in one memory, which messages call ``memory``."""

    def __init__(self, memory: str, embedder: Embedder) -> None:
        self._memory = memory
        self._embedder = embedder
        self._name = embedder.name
        self._held: _Held | None = None

    def lacking(self) -> sa.ColumnElement[bool]:
        """Give the condition that a version is present and has no vector yet."""
        vector = (
            sa.select(_VECTORS.c.entry)
            .join(_EMBEDDERS, _EMBEDDERS.c.number == _VECTORS.c.embedder)
            .where(_EMBEDDERS.c.name == self._name, _VECTORS.c.entry == _VERSIONS.c.entry)
        )
        return sa.and_(_VERSIONS.c.until.is_(None), ~vector.exists())

    def embed(self, concepts: Sequence[Concept]) -> Matrix:
        """Embed what concepts say in words. Raises ``MemoryStoreError``."""
        return self._rows([text_of(concept) for concept in concepts])

    def keep(self, connection: sa.Connection, entries: Sequence[int], rows: Matrix) -> int:
        """Store vectors of versions that still lack one, and give how many did.

        Others may have embedded, archived or purged some since they were read.
        """
        asked = sa.select(_VERSIONS.c.entry).where(_VERSIONS.c.entry.in_(entries), self.lacking())
        lacking = set(connection.scalars(asked))
        known = self._known(connection) or self._introduce(connection, rows.shape[1])
        if known.dimensions != rows.shape[1]:
            raise MemoryStoreError(self._differs(known, rows.shape[1]))
        values = [
            {"embedder": known.number, "entry": entry, "vector": row.astype(_STORED).tobytes()}
            for entry, row in zip(entries, rows, strict=True)
            if entry in lacking
        ]
        if values:
            connection.execute(_VECTORS.insert(), values)
            if pgvector.is_there(connection):
                new = {entry: row for entry, row in zip(entries, rows, strict=True) if entry in lacking}
                pgvector.keep(connection, known.number, known.dimensions, new)
        return len(values)

    def query(self, query: RecallQuery) -> Vector | None:
        """Embed what is asked; ``None`` where it says nothing, or the embedder fails, which is a warning."""
        text = query.text.strip()[:LONGEST]
        if not text:
            return None
        try:
            row: Vector = self._rows([text])[0]
        except MemoryStoreError as error:
            warnings.warn(f"recalled without vectors: {error}", RuntimeWarning, stacklevel=3)
            return None
        return row if row.any() else None

    def find(self, look: Look, asked: Vector, found: Mapping[str, Sequence[int]]) -> list[int]:
        """Give the versions whose vectors point most nearly the way of a query's, the best first.

        ``found`` is what other ways have found. What points away from it (a cosine of 0 or less) is left out.
        """
        known = self._known(look.connection)
        if known is None:
            return []
        if known.dimensions != len(asked):
            warnings.warn(
                f"recalled without vectors: {self._differs(known, len(asked))}", RuntimeWarning, stacklevel=3
            )
            return []
        if pgvector.is_there(look.connection):
            in_server = pgvector.find(look, known.number, asked)
            if in_server is not None:
                return in_server
        entries = self._candidates(look, known.number, found)
        if not len(entries):
            return []
        held = self._hold(look.connection, known, entries)
        # Rounded, as the same vector may come out otherwise in another row: the newest of equals is first.
        cosines = np.round(held.rows @ asked, 6)[np.searchsorted(held.entries, entries)]
        order = np.lexsort((-entries, -cosines))[: look.depth]
        return [int(entries[at]) for at in order if cosines[at] > 0]

    def _rows(self, texts: Sequence[str]) -> Matrix:
        """Have texts embedded, and believe no more than its shape can show."""
        try:
            rows = np.asarray(self._embedder.embed(texts), dtype=np.float32)
        except MemoryStoreError:
            raise
        except Exception as error:
            raise MemoryStoreError(
                f"the embedder {self._name} failed: {error!r}; mend or leave it"
            ) from error
        lengths = np.linalg.norm(rows, axis=1) if rows.ndim == 2 else np.array([np.nan])
        if (
            rows.ndim != 2
            or len(rows) != len(texts)
            or not np.all((abs(lengths - 1) < 1e-3) | (lengths == 0))
        ):
            raise MemoryStoreError(
                f"the embedder {self._name} gave numbers of shape {rows.shape} for {len(texts)} texts; "
                "it must give a row of unit length for each"
            )
        return rows

    def _known(self, connection: sa.Connection) -> _Known | None:
        asked = sa.select(_EMBEDDERS.c.number, _EMBEDDERS.c.dimensions).where(_EMBEDDERS.c.name == self._name)
        row = connection.execute(asked).first()
        return row and _Known(row.number, row.dimensions)

    def _introduce(self, connection: sa.Connection, dimensions: int) -> _Known:
        last = connection.execute(sa.select(sa.func.max(_EMBEDDERS.c.number))).scalar()
        known = _Known((last or 0) + 1, dimensions)
        connection.execute(_EMBEDDERS.insert(), [known._asdict() | {"name": self._name}])
        return known

    def _differs(self, known: _Known, dimensions: int) -> str:
        return (
            f"the embedder {self._name} gives {dimensions} numbers a text, and gave {known.dimensions} when "
            f"the memory {self._memory} was embedded: it is another model; give it another name"
        )

    def _candidates(self, look: Look, embedder: int, found: Mapping[str, Sequence[int]]) -> Entries:
        """Give the visible versions to compare, ascending."""
        statement = sa.text(_VISIBLE.format(visible=look.visible.sql))
        newest = sa.select(sa.func.max(_VECTORS.c.entry)).where(_VECTORS.c.embedder == embedder)
        oldest = (look.connection.execute(newest).scalar() or 0) - READ
        values = {"embedder": embedder, "oldest": oldest, "most": EXACT, **look.visible.parameters}
        entries = list(look.connection.scalars(statement, values))
        others = {entry for rows in found.values() for entry in rows}.difference(entries)
        for some in in_chunks(others):
            known = _VECTORS.c.embedder == embedder
            asked = sa.select(_VECTORS.c.entry).where(known, _VECTORS.c.entry.in_(some))
            entries += look.connection.scalars(asked)
        return np.array(sorted(entries), dtype=np.int64)

    def _hold(self, connection: sa.Connection, known: _Known, entries: Entries) -> _Held:
        """Give vectors of at least these versions, reading those that were not read before."""
        held = self._held or _Held(np.empty(0, np.int64), np.empty((0, known.dimensions), np.float32))
        if len(new := np.setdiff1d(entries, held.entries, assume_unique=True)):
            if len(held.entries) + len(new) > 2 * EXACT:
                stay = np.isin(held.entries, entries, assume_unique=True)
                held = _Held(held.entries[stay], held.rows[stay])
            joined = np.concatenate([held.entries, new])
            rows = np.concatenate([held.rows, self._read(connection, known, new)])
            if np.any(joined[1:] < joined[:-1]):  # some older ones were embedded late
                order = np.argsort(joined)
                joined, rows = joined[order], rows[order]
            # Put in place at once, so that other threads have the one or the other.
            self._held = held = _Held(joined, rows)
        return held

    def _read(self, connection: sa.Connection, known: _Known, entries: Entries) -> Matrix:
        rows = np.empty((len(entries), known.dimensions), np.float32)
        at = {int(entry): position for position, entry in enumerate(entries)}
        for some in in_chunks(at):
            asked = sa.select(_VECTORS.c.entry, _VECTORS.c.vector).where(
                _VECTORS.c.embedder == known.number, _VECTORS.c.entry.in_(some)
            )
            for entry, vector in connection.execute(asked):
                if len(vector) != _STORED.itemsize * known.dimensions:
                    raise MemoryStoreError(
                        f"the memory {self._memory} is damaged: the vector of version {entry} has another "
                        "length; go back to a copy, or import its last export into a new one"
                    )
                rows[at[entry]] = np.frombuffer(vector, _STORED)
        return rows


def text_of(concept: Concept) -> str:
    """Give what a concept says in words, when it is relevant first: a long text loses its end."""
    parts = (concept.name, *concept.cues, concept.description, *concept.notes)
    return "\n".join(part for part in parts if part.strip())[:LONGEST]
