"""SQLite's own connection as the run log uses it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from hypotheses.run_log.database import Rows


class SQLiteDriver:
    """SQLite's own connection, with nothing in between."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.execute: Callable[..., Rows] = connection.execute
        self._connection = connection

    def insert(self, sql: str, values: Sequence[Any], /) -> int | None:
        """Insert a row."""
        added = self._connection.execute(sql, values)
        return added.lastrowid if added.rowcount else None

    def insert_many(self, into: str, rows: Sequence[Sequence[Any]]) -> list[int]:
        """Insert rows, one by one: a statement costs little here."""
        if not rows:
            return []
        sql = f"INSERT INTO {into} VALUES ({', '.join('?' * len(rows[0]))})"  # noqa: S608  our own names
        return [self._connection.execute(sql, row).lastrowid or 0 for row in rows]

    def add_many(self, into: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert those rows that are not there yet."""
        if rows:
            places = ", ".join("?" * len(rows[0]))
            self._connection.executemany(
                f"INSERT INTO {into} VALUES ({places}) ON CONFLICT DO NOTHING",  # noqa: S608
                rows,
            )

    def lock(self, name: str, *, shared: bool = False) -> None:
        """Do nothing: only one writes."""
