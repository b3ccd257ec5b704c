"""A memory's tables, brought to what this induce knows."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from memory import schema
from memory.backend import Backend
from sandboxes import MemoryStoreError

SCRIPTS = Path(__file__).parent / "migrations"


def prepare(backend: Backend, *, frozen: bool) -> None:
    """Create the tables, or migrate them, or refuse what is none of ours or of a newer induce."""
    with backend.reading() as connection:
        found = _revision(backend.name, connection)
    if found == schema.REVISION:
        return
    if frozen:
        what = "is empty" if found is None else f"has the older schema {found}"
        raise MemoryStoreError(f"the memory {backend.name} {what}; open it once without frozen=True")
    with backend.writing() as connection:
        if _revision(backend.name, connection) != schema.REVISION:  # nobody else was faster
            migrate(connection)


def migrate(connection: sa.Connection, scripts: Path = SCRIPTS) -> None:
    """Bring tables up to the newest of the changes in a folder, within the transaction under way."""
    try:
        from alembic import command  # noqa: PLC0415  only where there is something to do
        from alembic.config import Config  # noqa: PLC0415
    except ImportError as error:
        raise MemoryStoreError(
            "a memory is created and migrated by Alembic, which is missing: pip install 'induce[memory]'"
        ) from error
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(name: str, connection: sa.Connection) -> str | None:
    """Give the newest change that a database has seen, ``None`` for an empty one."""
    tables = set(sa.inspect(connection).get_table_names())
    if schema.VERSION_TABLE not in tables:
        if tables and (connection.dialect.name == "sqlite" or "concepts" in tables):
            raise MemoryStoreError(f"{name} is a database, but no memory of induce; name another")
        return None
    rows = connection.exec_driver_sql(f"SELECT version_num FROM {schema.VERSION_TABLE}").fetchall()  # noqa: S608
    if len(rows) != 1:
        raise MemoryStoreError(f"the memory {name} is damaged: it has no schema version; go back to a copy")
    found = str(rows[0][0])
    if found > schema.REVISION:
        raise MemoryStoreError(
            f"the memory {name} has schema {found} and this induce knows {schema.REVISION} and older; "
            "open it with the induce that wrote it, or a newer one"
        )
    return found
