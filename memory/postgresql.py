"""A memory on a server: PostgreSQL, with vectors of words under a GIN index."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import sqlalchemy as sa

from memory.backend import Backend, Visible
from memory.words import Texts

_LABELS = ("A", "C", "B", "D", "D")  # of name, description, cues, notes, code
_WEIGHTS = "{0.25, 0.5, 0.75, 1.0}"  # of D, C, B and A
_LAST_POSITION = 16_383
_MOST_POSITIONS = 255
_RANKED_AGAIN = 2
"""How many times what is asked for is ranked word by word: the server itself weighs none by its rarity."""

_MATCH = """
WITH matching AS (
    SELECT t.entry, t.words FROM concept_texts t JOIN concept_versions v ON v.entry = t.entry
    WHERE t.words @@ CAST(:query AS tsquery) AND {visible}
    ORDER BY t.entry DESC LIMIT :postings
), dense AS (
    SELECT entry, words FROM matching
    ORDER BY ts_rank_cd(CAST(:places AS real[]), words, CAST(:query AS tsquery), 1) DESC, entry DESC
    LIMIT :dense
)
SELECT entry FROM dense
CROSS JOIN unnest(CAST(:asked AS text[]), CAST(:weights AS float8[])) AS w(word, weight)
GROUP BY entry
ORDER BY
    sum(w.weight * ts_rank_cd(CAST(:places AS real[]), words, CAST(w.word AS tsquery), 1)) DESC, entry DESC
LIMIT :most
"""


class PostgreSQLBackend(Backend):
    """A database that many may read and write; writers wait for each other in line."""

    def __init__(self, url: sa.URL) -> None:
        super().__init__(url.render_as_string(), sa.create_engine(url, pool_pre_ping=True))

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a connection with a snapshot of its own."""
        with self.engine.connect() as plain:
            connection = plain.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Give a connection that no other writer is beside."""
        with self.engine.connect() as connection, connection.begin():
            # Of tables that may not be there yet: the name is what is locked.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('induce concept_store'))")
            yield connection

    def run_many(
        self, connection: sa.Connection, statement: str, rows: Sequence[tuple[int | str, ...]]
    ) -> None:
        """Run a statement for each row."""
        connection.exec_driver_sql(statement.replace("?", "%s"), list(rows))

    def index(self, connection: sa.Connection, rows: Sequence[tuple[int, Texts]]) -> None:
        """Put the words of versions into the index."""
        statement = sa.text(
            "INSERT INTO concept_texts (entry, words) VALUES (:entry, CAST(:words AS tsvector))"
        )
        connection.execute(statement, [{"entry": entry, "words": _vector(texts)} for entry, texts in rows])

    def unindex(self, connection: sa.Connection, rows: Sequence[tuple[int, Texts]]) -> None:
        """Take versions out of the index."""
        statement = sa.text("DELETE FROM concept_texts WHERE entry = :entry")
        connection.execute(statement, [{"entry": entry} for entry, _ in rows])

    def match(
        self,
        connection: sa.Connection,
        words: Mapping[str, float],
        visible: Visible,
        postings: int,
        most: int,
    ) -> list[int]:
        """Give versions by how densely they are covered by the words, then by the weight of those."""
        asked = [f"'{word}'" for word in words]
        values = {
            "places": _WEIGHTS,
            "query": " | ".join(asked),
            "asked": asked,
            "weights": list(words.values()),
            "postings": postings,
            "dense": _RANKED_AGAIN * most,
            "most": most,
            **visible.parameters,
        }
        return list(connection.scalars(sa.text(_MATCH.format(visible=visible.sql)), values))

    def check(self, connection: sa.Connection) -> None:
        """Leave the pages to the server, which has its own means."""


def _vector(texts: Texts) -> str:
    """Write words with their places as a tsvector, so that the server splits nothing on its own."""
    places: dict[str, list[str]] = {}
    position = 0
    for label, part in zip(_LABELS, texts, strict=True):
        for word in part:
            position = min(position + 1, _LAST_POSITION)
            found = places.setdefault(word, [])
            if len(found) < _MOST_POSITIONS:
                found.append(f"{position}{label}")
    return " ".join(f"'{word}':{','.join(found)}" for word, found in places.items())
