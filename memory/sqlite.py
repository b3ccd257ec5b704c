"""A memory in a file: SQLite in WAL mode, with FTS5 for its words."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import sqlalchemy as sa

from memory.backend import Backend, Visible
from memory.words import Texts
from sandboxes import MemoryStoreError

BUSY_SECONDS = 60
"""How long a writer waits for others."""

_WEIGHTS = "4.0, 2.0, 3.0, 1.0, 1.0"  # name, description, cues, notes, code
_MATCH = """
SELECT entry FROM (
    SELECT v.entry AS entry, bm25(concept_texts, {weights}) AS score
    FROM concept_texts CROSS JOIN concept_versions v ON v.entry = concept_texts.rowid
    WHERE concept_texts MATCH :query AND {visible}
    ORDER BY concept_texts.rowid DESC LIMIT :postings
) ORDER BY score, entry DESC LIMIT :most
"""


class SQLiteBackend(Backend):
    """A file that several processes may read and write at once, one writer at a time."""

    def __init__(self, path: Path, *, frozen: bool) -> None:
        self._path = path
        self._frozen = frozen
        self._one_at_a_time = threading.Lock()
        engine = sa.create_engine("sqlite://", creator=self._connect, poolclass=sa.pool.QueuePool)
        sa.event.listen(engine, "begin", _begin)
        super().__init__(str(path), engine)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a connection with a snapshot of its own."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Give a connection that has the write lock from the start, and so is never refused it later."""
        with self._one_at_a_time, self.engine.connect() as plain:
            connection = plain.execution_options(begin="IMMEDIATE")
            with connection.begin():
                yield connection

    def run_many(
        self, connection: sa.Connection, statement: str, rows: Sequence[tuple[int | str, ...]]
    ) -> None:
        """Run a statement for each row."""
        connection.exec_driver_sql(statement, list(rows))

    def index(self, connection: sa.Connection, rows: Sequence[tuple[int, Texts]]) -> None:
        """Put the words of versions into the index."""
        connection.exec_driver_sql(
            "INSERT INTO concept_texts (rowid, name, description, cues, notes, code) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [(entry, *map(" ".join, texts)) for entry, texts in rows],
        )

    def unindex(self, connection: sa.Connection, rows: Sequence[tuple[int, Texts]]) -> None:
        """Take versions out of the index, which keeps no texts and must be told them."""
        connection.exec_driver_sql(
            "INSERT INTO concept_texts (concept_texts, rowid, name, description, cues, notes, code) "
            "VALUES ('delete', ?, ?, ?, ?, ?, ?)",
            [(entry, *map(" ".join, texts)) for entry, texts in rows],
        )

    def match(
        self,
        connection: sa.Connection,
        words: Mapping[str, float],
        visible: Visible,
        postings: int,
        most: int,
    ) -> list[int]:
        """Give versions by BM25, which weighs the words itself."""
        statement = sa.text(_MATCH.format(weights=_WEIGHTS, visible=visible.sql))
        query = " OR ".join(f'"{word}"' for word in words)
        values = {"query": query, "postings": postings, "most": most, **visible.parameters}
        return list(connection.scalars(statement, values))

    def check(self, connection: sa.Connection) -> None:
        """Have SQLite look at every page and every entry of the index."""
        found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
        if found != "ok":
            raise MemoryStoreError(
                f"the memory {self.name} is damaged: {' '.join(str(found).split())}; "
                "go back to a copy, or import its last export into a new one"
            )
        if not self._frozen:
            connection.exec_driver_sql("INSERT INTO concept_texts (concept_texts) VALUES ('integrity-check')")

    def _connect(self) -> sqlite3.Connection:
        uri = f"{self._path.absolute().as_uri()}?mode={'ro' if self._frozen else 'rwc'}"
        connection = sqlite3.connect(
            uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None
        )
        try:
            if not self._frozen:
                _use_wal(connection)
                connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA trusted_schema=OFF")  # a memory may come from somebody else
            connection.execute("PRAGMA cache_size=-65536")
        except BaseException:
            connection.close()
            raise
        return connection


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('begin', 'DEFERRED')}")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL, which SQLite does not wait for where another process is at it too."""
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return
