"""The tables of a run log, the same in every database, and how they keep any text."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

SCHEMA_VERSION = 3
"""Raised with every change of the tables; older logs are migrated, newer ones refused by name."""


def to_column(text: str) -> str | bytes:
    """Give what SQLite keeps of a text: the text, or bytes where it is no Unicode (lone surrogates).

    Models and programs write such texts too, and nothing that they write may be lost.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def from_column(kept: Any) -> str:
    """Give the text that ``to_column`` made ``kept`` of.

    Raises ``ValueError`` or ``TypeError`` for what it never makes.
    """
    if isinstance(kept, bytes):
        return kept.decode("utf-8", "surrogatepass")
    if not isinstance(kept, str):
        raise TypeError(f"a text was expected, not {kept!r}")
    return kept


ESCAPE = "\x1a"
"""Begins, in PostgreSQL, what stands for a character that its TEXT does not know."""
_UNKNOWN = re.compile(f"[\0{ESCAPE}\ud800-\udfff]")
_ESCAPED = re.compile(f"{ESCAPE}([0-9a-f]{{4}})")


def to_postgresql(text: str) -> str:
    """Give what PostgreSQL keeps of a text: NULs and lone surrogates are escaped, and so is the escape."""
    return _UNKNOWN.sub(lambda found: f"{ESCAPE}{ord(found[0]):04x}", text)


def from_postgresql(kept: str) -> str:
    """Give the text that ``to_postgresql`` made ``kept`` of."""
    if ESCAPE not in kept:
        return kept
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), kept)


def to_json(value: Any) -> str:
    """Give JSON that tells all texts apart. With escapes, two surrogates would become one character."""
    return json.dumps(value, ensure_ascii=False)


class AnyText(sa.TypeDecorator[str]):
    """Any ``str``, lone surrogates and NULs included."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> Any:
        """Give what is kept of a text."""
        if value is None:
            return None
        return to_postgresql(value) if dialect.name == "postgresql" else to_column(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> str | None:
        """Give the text that was kept."""
        if value is None:
            return None
        return from_postgresql(value) if dialect.name == "postgresql" else from_column(value)


BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""Wide in every database; SQLite knows the number of a row by the name of INTEGER alone."""


METADATA = sa.MetaData()
RUN = sa.Table(
    "run",
    METADATA,
    sa.Column("schema_version", BIG, nullable=False),
    sa.Column("induce_version", sa.Text, nullable=False),
    sa.Column("created", sa.Text, nullable=False),
    sa.Column("source", AnyText, nullable=False),
    sa.Column("source_options", AnyText, nullable=False),
    sa.Column("content_hash", sa.Text, nullable=False),
    sa.Column("tasks", BIG, nullable=False),
    sa.Column("proposer", AnyText, nullable=False),
    sa.Column("proposer_hash", sa.Text, nullable=False),
    sa.Column("settings", AnyText, nullable=False),
)
ENVIRONMENTS = sa.Table(
    "environments",
    METADATA,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("entered", sa.Text, nullable=False),
    sa.Column("environment", AnyText, nullable=False),
)
MESSAGES = sa.Table(
    "messages",  # each text once: 64 samples share a prompt, and all tasks the system's message
    METADATA,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),  # SHA-256 of the text
    sa.Column("text", AnyText, nullable=False),
)
REQUESTS = sa.Table(
    "requests",
    METADATA,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("key", sa.Text, unique=True),  # NULL: a foreign completion's, one for each
    sa.Column("model", AnyText, nullable=False),
    sa.Column("sampling", AnyText, nullable=False),  # as far as it is known
    sa.Column("messages", sa.Text, nullable=False),  # [[role, id], …]; role "": all of them as one text
)
COMPLETIONS = sa.Table(
    "completions",  # with the long texts last, so that sums need not read them
    METADATA,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("request_id", BIG, sa.ForeignKey("requests.id"), nullable=False),
    sa.Column("sample", BIG, nullable=False),
    sa.Column("task_id", AnyText, nullable=False, index=True),  # the first that asked for it
    sa.Column("round", BIG, nullable=False),
    sa.Column("kind", AnyText, nullable=False),
    sa.Column("finish", AnyText, nullable=False),
    sa.Column("prompt_tokens", BIG, nullable=False),
    sa.Column("completion_tokens", BIG, nullable=False),
    sa.Column("cached_tokens", BIG, nullable=False),
    sa.Column("money", sa.Float, nullable=False),
    sa.Column("logprob", sa.Float),
    sa.Column("response", AnyText, nullable=False),
    sa.Column("reasoning", AnyText, nullable=False),
    sa.UniqueConstraint("request_id", "sample"),
)
USES = sa.Table(
    "uses",  # which completions a finished task was made from
    METADATA,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("task_id", AnyText, nullable=False),
    sa.Column("round", BIG, nullable=False),
    sa.Column("kind", AnyText, nullable=False),
    sa.Column("completion_id", BIG, sa.ForeignKey("completions.id"), nullable=False),
    sa.UniqueConstraint("task_id", "completion_id", "round", "kind"),
)
HYPOTHESES = sa.Table(
    "hypotheses",
    METADATA,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("task_id", AnyText, nullable=False, index=True),
    sa.Column("round", BIG, nullable=False),
    sa.Column("sample", BIG, nullable=False),
    sa.Column("proposer", AnyText, nullable=False),
    sa.Column("text", AnyText, nullable=False),
    sa.Column("parents", AnyText, nullable=False),
    sa.Column("completion_id", BIG, sa.ForeignKey("completions.id")),
)
PROGRAMS = sa.Table(
    "programs",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("source", AnyText, nullable=False),
    sa.Column("entry_point", AnyText, nullable=False),
    sa.Column("call", sa.Text, nullable=False),
)
VERDICTS = sa.Table(
    "verdicts",
    METADATA,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("task_id", AnyText, nullable=False),
    sa.Column("program_key", sa.Text, sa.ForeignKey("programs.key")),  # NULL: a model answered itself
    sa.Column("passed", BIG, nullable=False),
    sa.Column("total", BIG, nullable=False),
    sa.Column("correct", sa.Text, nullable=False),
    sa.Column("executions", AnyText, nullable=False),
    sa.Column("query_executions", AnyText, nullable=False),
    sa.UniqueConstraint("task_id", "program_key"),
)
CANDIDATES = sa.Table(
    "candidates",
    METADATA,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("hypothesis_id", BIG, sa.ForeignKey("hypotheses.id"), nullable=False, index=True),
    sa.Column("verdict_id", BIG, sa.ForeignKey("verdicts.id"), nullable=False),
    sa.Column("completion_id", BIG, sa.ForeignKey("completions.id")),
)
SOLUTIONS = sa.Table(
    "solutions",
    METADATA,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("task_id", AnyText, nullable=False, unique=True),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("predictions", AnyText, nullable=False),
    sa.Column("candidate_id", BIG, sa.ForeignKey("candidates.id")),
    sa.Column("usage", sa.Text, nullable=False),
    sa.Column("note", AnyText, nullable=False),
    sa.Column("finished", sa.Text, nullable=False),
    sa.Column("token", BIG),  # the lease that it was made under
)
EPOCHS = sa.Table(
    "epochs",  # whoever begins one fences off all earlier writers
    METADATA,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("begun", sa.Text, nullable=False),
)
LEASES = sa.Table(
    "leases",
    METADATA,
    sa.Column("id", BIG, primary_key=True),  # the fencing token
    sa.Column("epoch", BIG, sa.ForeignKey("epochs.id"), nullable=False),
    sa.Column("task_id", AnyText, nullable=False, index=True),
    sa.Column("holder", AnyText, nullable=False),
    sa.Column("shared", sa.Boolean, nullable=False),  # beside earlier ones, which it does not fence off
    sa.Column("granted", sa.Text, nullable=False),
)
EVENTS = sa.Table(
    "events",
    METADATA,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("time", sa.Double, nullable=False),
    sa.Column("task_id", AnyText, index=True),
    sa.Column("what", AnyText, nullable=False),
    sa.Column("where_", AnyText, nullable=False),
    sa.Column("detail", AnyText, nullable=False),
)
SIGNALS = sa.Table(
    "signals",  # words to the writer from anybody
    METADATA,
    sa.Column("id", BIG, primary_key=True),
    sa.Column("time", sa.Double, nullable=False),
    sa.Column("what", AnyText, nullable=False),
)


def _trigger(table: str, action: str) -> str:
    return f"{table}_no_{action.lower()}"


_ACTIONS = ("UPDATE", "DELETE")


def objects(indexes_by_table: dict[str, set[str]]) -> frozenset[tuple[str, str]]:
    """Give all that tables with these indexes consist of, triggers included, by kind and name."""
    return frozenset(
        {("table", table) for table in indexes_by_table}
        | {("index", index) for indexes in indexes_by_table.values() for index in indexes}
        | {("trigger", _trigger(table, action)) for table in indexes_by_table for action in _ACTIONS}
    )


OBJECTS = objects(
    {table.name: {str(index.name) for index in table.indexes} for table in METADATA.tables.values()}
)
"""All that a run log's schema consists of, by kind and name."""


def statements(tables: Collection[str] = METADATA.tables) -> list[str]:
    """Give the SQL that creates tables in SQLite, and the triggers that refuse every update and delete."""
    created: list[str] = []
    for table in METADATA.sorted_tables:
        if table.name not in tables:
            continue
        created += _creation(table, sqlite.dialect())
        created += [
            f"CREATE TRIGGER {_trigger(table.name, action)} BEFORE {action} ON {table.name} "
            "BEGIN SELECT RAISE(ABORT, 'a run log is append-only'); END"
            for action in _ACTIONS
        ]
    return created


def postgresql_statements(name: str) -> list[str]:
    """Give the SQL that creates the schema ``name`` in PostgreSQL with all tables and triggers."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    created = [
        f'CREATE SCHEMA "{name}"',
        f'CREATE FUNCTION "{name}".refuse_change() RETURNS trigger LANGUAGE plpgsql AS '
        "$$ BEGIN RAISE EXCEPTION 'a run log is append-only'; END $$",
    ]
    for table in METADATA.sorted_tables:
        created += _creation(table, dialect)
        created.append(
            f"CREATE TRIGGER {table.name}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table.name} "
            f'FOR EACH STATEMENT EXECUTE FUNCTION "{name}".refuse_change()'
        )
    return created


def _creation(table: sa.Table, dialect: sa.Dialect) -> list[str]:
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    return [
        str(CreateTable(table).compile(dialect=dialect)).strip(),
        *(str(CreateIndex(index).compile(dialect=dialect)) for index in indexes),
    ]
