"""What Alembic runs: the changes, within the transaction that it is handed."""

from __future__ import annotations

from alembic import context

from memory.schema import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
)
context.run_migrations()
