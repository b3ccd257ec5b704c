"""Trials without a concept, how tasks ended, and vectors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the counters, the place where consolidation stands, and three tables."""
    for table, column in (
        ("concepts", "wins_without"),
        ("concepts", "losses_without"),
        ("concept_store", "consolidated"),
    ):
        op.add_column(table, sa.Column(column, BIG, nullable=False, server_default="0"))
    op.create_table(
        "concept_outcomes",
        sa.Column("number", BIG, primary_key=True, autoincrement=False),
        sa.Column("clock", BIG, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("family", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("solved", sa.Boolean, nullable=False),
        sa.Column("recalled", BIG, nullable=False),
        sa.Column("used", BIG, nullable=False),
        sa.Column("work", BIG, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
    )
    op.create_table(
        "concept_embedders",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("dimensions", sa.Integer, nullable=False),
    )
    op.create_table(
        "concept_vectors",
        sa.Column("embedder", sa.Integer, sa.ForeignKey("concept_embedders.number"), primary_key=True),
        sa.Column("entry", BIG, sa.ForeignKey("concept_versions.entry"), primary_key=True),
        sa.Column("vector", sa.LargeBinary, nullable=False),
    )
