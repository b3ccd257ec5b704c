"""Vectors in PostgreSQL's own ``vector`` type, where the database has the extension pgvector.

They are compared in the server, exactly, all that are visible; nothing is read but what is found.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from memory import schema
from memory.retrieval import Look

Vector = npt.NDArray[np.float32]

_FIND = """
SELECT x.entry FROM {table} x JOIN concept_versions v ON v.entry = x.entry
WHERE {visible} AND (x.vector <=> CAST(:asked AS vector)) < 1
ORDER BY round(CAST(x.vector <=> CAST(:asked AS vector) AS numeric), 6), x.entry DESC LIMIT :most
"""


def is_there(connection: sa.Connection) -> bool:
    """Whether the database has the extension."""
    if connection.dialect.name != "postgresql":
        return False
    asked = sa.text("SELECT 1 FROM pg_extension WHERE extname = 'vector'")
    return connection.execute(asked).first() is not None


def keep(connection: sa.Connection, embedder: int, dimensions: int, rows: Mapping[int, Vector]) -> None:
    """Store vectors by their versions; at the first time, all that the embedder has made so far."""
    table = _table(embedder)
    if not sa.inspect(connection).has_table(table):
        connection.exec_driver_sql(
            f"CREATE TABLE {table} (entry BIGINT PRIMARY KEY REFERENCES concept_versions (entry) "
            f"ON DELETE CASCADE, vector vector({int(dimensions)}) NOT NULL)"
        )
        known = schema.VECTORS.c
        stored = connection.execute(sa.select(known.entry, known.vector).where(known.embedder == embedder))
        rows = {row.entry: np.frombuffer(row.vector, "<f4") for row in stored} | dict(rows)
    if rows:
        insert = sa.text(
            f"INSERT INTO {table} (entry, vector) VALUES (:entry, CAST(:vector AS vector)) "  # noqa: S608
            "ON CONFLICT (entry) DO NOTHING"
        )
        values = [{"entry": entry, "vector": _text(row)} for entry, row in rows.items()]
        connection.execute(insert, values)


def find(look: Look, embedder: int, asked: Vector) -> list[int] | None:
    """Give the visible versions that point most nearly the way of ``asked``; ``None`` where none are."""
    if not sa.inspect(look.connection).has_table(_table(embedder)):
        return None
    statement = sa.text(_FIND.format(table=_table(embedder), visible=look.visible.sql))
    values = {"asked": _text(asked), "most": look.depth, **look.visible.parameters}
    return [int(entry) for entry in look.connection.scalars(statement, values)]


def _table(embedder: int) -> str:
    return f"concept_vectors_of_{int(embedder)}"


def _text(row: Vector) -> str:
    return f"[{','.join(format(float(number), '.9g') for number in row)}]"
