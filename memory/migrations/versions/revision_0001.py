"""Concepts, their versions, and how they are found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "concept_store",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("clock", BIG, nullable=False),
        sa.Column("next_concept", BIG, nullable=False),
        sa.Column("next_entry", BIG, nullable=False),
        sa.Column("indexed", BIG, nullable=False),
    )
    op.execute(
        "INSERT INTO concept_store (number, clock, next_concept, next_entry, indexed) VALUES (1, 0, 1, 1, 0)"
    )
    op.create_table(
        "concepts",
        sa.Column("number", BIG, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("exported", sa.Integer, nullable=False),
        sa.Column("recalled", BIG, nullable=False),
        sa.Column("used", BIG, nullable=False),
        sa.Column("wins", BIG, nullable=False),
        sa.Column("losses", BIG, nullable=False),
        sa.Column("last_used", BIG, nullable=False),
    )
    op.create_table(
        "concept_versions",
        sa.Column("entry", BIG, primary_key=True, autoincrement=False),
        sa.Column("concept", BIG, sa.ForeignKey("concepts.number"), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("clock", BIG, nullable=False),
        sa.Column("until", BIG),
        sa.Column("key", sa.Text, nullable=False),
        sa.UniqueConstraint("concept", "version"),
    )
    op.create_index("ix_concept_versions_key", "concept_versions", ["key"])
    op.create_table(
        "concept_bodies",
        sa.Column(
            "entry",
            BIG,
            sa.ForeignKey("concept_versions.entry"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("checksum", BIG, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "concept_words",
        sa.Column("word", sa.Text, primary_key=True),
        sa.Column("versions", BIG, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "concept_features",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("token", sa.Text, nullable=False, unique=True),
        sa.Column("versions", BIG, nullable=False),
    )
    op.create_table(
        "concept_postings",
        sa.Column("feature", sa.Integer, primary_key=True),
        sa.Column("entry", BIG, primary_key=True),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "sqlite":
        # Words come split already: ASCII's separators split nothing more. Bodies hold the texts themselves.
        op.execute(
            "CREATE VIRTUAL TABLE concept_texts "
            "USING fts5(name, description, cues, notes, code, content='', tokenize='ascii')"
        )
    else:
        op.execute("CREATE TABLE concept_texts (entry BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)")
        op.execute("CREATE INDEX ix_concept_texts_words ON concept_texts USING gin (words)")
