"""Older logs become present ones, in one transaction: tables that have changed are written anew."""

from __future__ import annotations

import contextlib
import sqlite3

from hypotheses.hypothesis import Completion
from hypotheses.run_log import completions, schema
from hypotheses.run_log.sqlite_driver import SQLiteDriver

_TABLES_1 = {
    "run": set[str](),
    "environments": set[str](),
    "completions": {"ix_completions_task_id"},
    "hypotheses": {"ix_hypotheses_task_id"},
    "programs": set[str](),
    "verdicts": set[str](),
    "candidates": {"ix_candidates_hypothesis_id"},
    "solutions": set[str](),
}
_LATER_1 = schema.objects({"environments": set()})  # the first logs of version 1 lack them

_TABLES_2 = {
    **_TABLES_1,
    "messages": set[str](),
    "requests": set[str](),
    "uses": set[str](),
}
_UNCHANGED = {
    # What is in version 2 as it is now.
    2: frozenset(_TABLES_2) - {"run", "solutions"},
    1: frozenset[str](),
}
_COPIES = (
    f"INSERT INTO run SELECT {schema.SCHEMA_VERSION}, induce_version, created, source, source_options, "  # noqa: S608
    "content_hash, tasks, proposer, proposer_hash, settings FROM old_run",
    "INSERT INTO environments SELECT id, entered, environment FROM old_environments",
    "INSERT INTO hypotheses SELECT id, task_id, round, sample, proposer, text, parents, completion_id "
    "FROM old_hypotheses",
    "INSERT INTO programs SELECT key, source, entry_point, call FROM old_programs",
    "INSERT INTO verdicts SELECT id, task_id, program_key, passed, total, correct, executions, "
    "query_executions FROM old_verdicts",
    "INSERT INTO candidates SELECT id, hypothesis_id, verdict_id, completion_id FROM old_candidates",
    "INSERT INTO solutions SELECT id, task_id, outcome, predictions, candidate_id, usage, note, finished, "
    "NULL FROM old_solutions",
)
_COMPLETIONS = (
    "SELECT id, task_id, round, kind, prompt, response, model, temperature, sample, prompt_tokens, "
    "completion_tokens FROM old_completions ORDER BY id"
)


def fits(version: int, found: frozenset[tuple[str, str]]) -> bool:
    """Whether these are the objects, by kind and name, of a log of this version."""
    if version == 1:
        expected = schema.objects(_TABLES_1)
        return expected - _LATER_1 <= found <= expected
    if version == 2:
        return found == schema.objects(_TABLES_2)
    return version == schema.SCHEMA_VERSION and found == schema.OBJECTS


def migrate(connection: sqlite3.Connection) -> None:
    """Make the older log behind ``connection`` one of the present version, wholly or not at all.

    Raises ``sqlite3.Error`` where it is damaged, or cannot be written.
    """
    level, connection.isolation_level = connection.isolation_level, None
    # Otherwise a renamed table would keep the references to it.
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA legacy_alter_table = ON")
    try:
        connection.execute("BEGIN IMMEDIATE")
        _write_anew(connection)
        connection.execute("COMMIT")
    except BaseException as error:
        with contextlib.suppress(sqlite3.Error):  # SQLite has rolled back by itself for some errors
            connection.execute("ROLLBACK")
        if isinstance(error, (TypeError, ValueError)):
            raise sqlite3.DataError(str(error)) from error
        raise
    finally:
        connection.execute("PRAGMA legacy_alter_table = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.isolation_level = level


def _write_anew(connection: sqlite3.Connection) -> None:
    [version] = connection.execute("SELECT schema_version FROM run").fetchone()
    kept = _UNCHANGED[version]
    names = connection.execute(
        "SELECT type, name, tbl_name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    )
    found = {(kind, name) for kind, name, table in names.fetchall() if table not in kept}
    for kind, name in found:
        if kind in ("trigger", "index"):
            connection.execute(f"DROP {kind} {name}")
    for kind, name in found:
        if kind == "table":
            connection.execute(f"ALTER TABLE {name} RENAME TO old_{name}")
    for statement in schema.statements(frozenset(schema.METADATA.tables) - kept):
        connection.execute(statement)
    if ("table", "completions") in found:
        _copy_completions(connection)
    for statement in _COPIES:
        if ("table", statement.rpartition(" old_")[2]) in found:
            connection.execute(statement)
    for kind, name in found:
        if kind == "table":
            connection.execute(f"DROP TABLE old_{name}")
    dangling = connection.execute("PRAGMA foreign_key_check").fetchone()
    if dangling is not None:
        raise sqlite3.IntegrityError(f"a row of {dangling[0]} refers to one of {dangling[2]} that is missing")


def _copy_completions(connection: sqlite3.Connection) -> None:
    driver = SQLiteDriver(connection)
    for own_id, task_id, round_, kind, prompt, response, model, *numbers in connection.execute(_COMPLETIONS):
        completion = Completion(
            schema.from_column(kind),
            schema.from_column(prompt),
            schema.from_column(response),
            schema.from_column(model),
            *numbers,
        )
        completions.write_as(driver, own_id, schema.from_column(task_id), round_, completion)
