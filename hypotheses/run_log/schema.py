"""The tables of a run log."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

SCHEMA_VERSION = 1
"""Raised with every change of the tables; a log of another version is refused by name."""

METADATA = sa.MetaData()
RUN = sa.Table(
    "run",
    METADATA,
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("induce_version", sa.Text, nullable=False),
    sa.Column("created", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("source_options", sa.Text, nullable=False),
    sa.Column("content_hash", sa.Text, nullable=False),
    sa.Column("tasks", sa.Integer, nullable=False),
    sa.Column("proposer", sa.Text, nullable=False),
    sa.Column("proposer_hash", sa.Text, nullable=False),
    sa.Column("settings", sa.Text, nullable=False),
)
ENVIRONMENTS = sa.Table(
    "environments",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("entered", sa.Text, nullable=False),
    sa.Column("environment", sa.Text, nullable=False),
)
COMPLETIONS = sa.Table(
    "completions",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("task_id", sa.Text, nullable=False, index=True),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("sample", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("temperature", sa.Float),
    sa.Column("prompt", sa.Text, nullable=False),
    sa.Column("response", sa.Text, nullable=False),
    sa.Column("prompt_tokens", sa.Integer, nullable=False),
    sa.Column("completion_tokens", sa.Integer, nullable=False),
)
HYPOTHESES = sa.Table(
    "hypotheses",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("task_id", sa.Text, nullable=False, index=True),
    sa.Column("round", sa.Integer, nullable=False),
    sa.Column("sample", sa.Integer, nullable=False),
    sa.Column("proposer", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("parents", sa.Text, nullable=False),
    sa.Column("completion_id", sa.Integer, sa.ForeignKey("completions.id")),
)
PROGRAMS = sa.Table(
    "programs",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("entry_point", sa.Text, nullable=False),
    sa.Column("call", sa.Text, nullable=False),
)
VERDICTS = sa.Table(
    "verdicts",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("task_id", sa.Text, nullable=False),
    sa.Column("program_key", sa.Text, sa.ForeignKey("programs.key"), nullable=False),
    sa.Column("passed", sa.Integer, nullable=False),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("correct", sa.Text, nullable=False),
    sa.Column("executions", sa.Text, nullable=False),
    sa.Column("query_executions", sa.Text, nullable=False),
    sa.UniqueConstraint("task_id", "program_key"),
)
CANDIDATES = sa.Table(
    "candidates",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("hypothesis_id", sa.Integer, sa.ForeignKey("hypotheses.id"), nullable=False, index=True),
    sa.Column("verdict_id", sa.Integer, sa.ForeignKey("verdicts.id"), nullable=False),
    sa.Column("completion_id", sa.Integer, sa.ForeignKey("completions.id")),
)
SOLUTIONS = sa.Table(
    "solutions",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("task_id", sa.Text, nullable=False, unique=True),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("predictions", sa.Text, nullable=False),
    sa.Column("candidate_id", sa.Integer, sa.ForeignKey("candidates.id")),
    sa.Column("usage", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("finished", sa.Text, nullable=False),
)


def _trigger(table: str, action: str) -> str:
    return f"{table}_no_{action.lower()}"


_ACTIONS = ("UPDATE", "DELETE")


def _objects(tables: Iterable[sa.Table]) -> frozenset[tuple[str, str]]:
    return frozenset(
        {("table", table.name) for table in tables}
        | {("index", str(index.name)) for table in tables for index in table.indexes}
        | {("trigger", _trigger(table.name, action)) for table in tables for action in _ACTIONS}
    )


OBJECTS = _objects(METADATA.tables.values())
"""All that a run log's schema consists of, by kind and name."""

LATER = _objects([ENVIRONMENTS])
"""Those of them that the first logs of this version lack; one that is gone on with gets them."""


def create(connection: sa.Connection) -> None:
    """Create the tables, and the triggers that refuse every update and delete, where they are not there."""
    METADATA.create_all(connection)
    for table in METADATA.tables:
        for action in _ACTIONS:
            connection.exec_driver_sql(
                f"CREATE TRIGGER IF NOT EXISTS {_trigger(table, action)} BEFORE {action} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'a run log is append-only'); END"
            )
