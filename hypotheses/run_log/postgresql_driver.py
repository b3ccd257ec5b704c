"""The connection of psycopg as the run log uses it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from hypotheses.run_log.database import Rows
from hypotheses.run_log.schema import from_postgresql, to_postgresql

_ROWS_AT_ONCE = 500


class PostgreSQLDriver:
    """The connection of psycopg, with ``?`` for its parameters, and any text in its rows."""

    def __init__(self, connection: Any, lock_name: str) -> None:
        self._connection = connection
        self._lock_name = lock_name

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Rows:
        """Run a statement."""
        return _DecodedRows(self._connection.execute(_translated(sql), [_encoded(one) for one in values]))

    def insert(self, sql: str, values: Sequence[Any], /) -> int | None:
        """Insert a row."""
        row = self.execute(f"{sql} RETURNING id", values).fetchone()
        return None if row is None else int(row[0])

    def insert_many(self, into: str, rows: Sequence[Sequence[Any]]) -> list[int]:
        """Insert rows, many at once."""
        ids: list[int] = []
        for chunk, places in _chunks(rows):
            found = self.execute(f"INSERT INTO {into} VALUES {places} RETURNING id", chunk)  # noqa: S608
            ids += sorted(row[0] for row in found.fetchall())  # they are given in the order of the rows
        return ids

    def add_many(self, into: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert those rows that are not there yet."""
        for chunk, places in _chunks(rows):
            self.execute(f"INSERT INTO {into} VALUES {places} ON CONFLICT DO NOTHING", chunk)  # noqa: S608

    def lock(self, name: str, *, shared: bool = False) -> None:
        """Have a lock to the transaction's end."""
        function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        self.execute(f"SELECT {function}(?)", (lock_number(self._lock_name, name),))


class _DecodedRows:
    """Rows with the texts that were written."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def fetchone(self) -> Any:
        row = self._cursor.fetchone()
        return None if row is None else _decoded(row)

    def fetchall(self) -> list[Any]:
        return [_decoded(row) for row in self._cursor.fetchall()]

    def __iter__(self) -> Iterator[Any]:
        return map(_decoded, iter(self._cursor))


@functools.lru_cache(maxsize=1024)
def _translated(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")


def _encoded(value: Any) -> Any:
    if isinstance(value, bytes):  # how SQLite keeps lone surrogates
        value = value.decode("utf-8", "surrogatepass")
    return to_postgresql(value) if isinstance(value, str) else value


def _decoded(row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple([from_postgresql(one) if isinstance(one, str) else one for one in row])


def _chunks(rows: Sequence[Sequence[Any]]) -> Iterator[tuple[list[Any], str]]:
    """Give the values of many rows at a time, and the places for them."""
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        chunk = rows[start : start + _ROWS_AT_ONCE]
        places = f"({', '.join('?' * len(chunk[0]))})"
        yield [value for row in chunk for value in row], ", ".join([places] * len(chunk))


@functools.lru_cache(maxsize=4096)
def lock_number(schema_name: str, lock: str) -> int:
    """Give the number that an advisory lock of a run has in its database."""
    digest = hashlib.sha256(f"{schema_name} {lock}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
