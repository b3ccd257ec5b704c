"""The tables of a memory, as the newest migration leaves them.

A concept has its counters in one row, and a row for each of its versions. Versions are found again by words
and by structural tokens, and hold from the ``clock`` they were learned at up to ``until``, where another
version took their place or they were archived: so a memory can be asked as it was.
"""

from __future__ import annotations

import sqlalchemy as sa

REVISION = "0002"
"""The newest migration's. Older memories are migrated when they are opened, newer ones refused."""

VERSION_TABLE = "concept_schema"

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""Wide in every database; SQLite knows the number of a row by the name of INTEGER alone."""

METADATA = sa.MetaData()
STATE = sa.Table(
    "concept_store",  # one row
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("clock", BIG, nullable=False),
    sa.Column("next_concept", BIG, nullable=False),
    sa.Column("next_entry", BIG, nullable=False),
    sa.Column("indexed", BIG, nullable=False),  # versions
    sa.Column("consolidated", BIG, nullable=False, server_default="0"),  # the entry up to which
)
CONCEPTS = sa.Table(
    "concepts",
    METADATA,
    sa.Column("number", BIG, primary_key=True, autoincrement=False),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("version", sa.Integer, nullable=False),  # the newest
    sa.Column("exported", sa.Integer, nullable=False),  # the newest that is in a file with all before it
    sa.Column("recalled", BIG, nullable=False),
    sa.Column("used", BIG, nullable=False),
    sa.Column("wins", BIG, nullable=False),
    sa.Column("losses", BIG, nullable=False),
    sa.Column("last_used", BIG, nullable=False),
    sa.Column("wins_without", BIG, nullable=False, server_default="0"),
    sa.Column("losses_without", BIG, nullable=False, server_default="0"),
)
OUTCOMES = sa.Table(
    "concept_outcomes",  # how each task ended
    METADATA,
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
EMBEDDERS = sa.Table(
    "concept_embedders",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("dimensions", sa.Integer, nullable=False),
)
VECTORS = sa.Table(
    "concept_vectors",  # of unit length, as little-endian numbers of 32 bits
    METADATA,
    sa.Column("embedder", sa.Integer, sa.ForeignKey("concept_embedders.number"), primary_key=True),
    sa.Column("entry", BIG, sa.ForeignKey("concept_versions.entry"), primary_key=True),
    sa.Column("vector", sa.LargeBinary, nullable=False),
)
VERSIONS = sa.Table(
    "concept_versions",  # narrow: whatever is found is looked up here before it counts
    METADATA,
    sa.Column("entry", BIG, primary_key=True, autoincrement=False),
    sa.Column("concept", BIG, sa.ForeignKey("concepts.number"), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("clock", BIG, nullable=False),
    sa.Column("until", BIG),
    sa.Column("key", sa.Text, nullable=False, index=True),
    sa.UniqueConstraint("concept", "version"),
)
BODIES = sa.Table(
    "concept_bodies",
    METADATA,
    sa.Column("entry", BIG, sa.ForeignKey("concept_versions.entry"), primary_key=True, autoincrement=False),
    sa.Column("checksum", BIG, nullable=False),  # CRC-32 of the body
    sa.Column("body", sa.Text, nullable=False),
)
WORDS = sa.Table(
    "concept_words",  # how many versions have a word
    METADATA,
    sa.Column("word", sa.Text, primary_key=True),
    sa.Column("versions", BIG, nullable=False),
    sqlite_with_rowid=False,
)
FEATURES = sa.Table(
    "concept_features",  # how many versions have a token
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("token", sa.Text, nullable=False, unique=True),
    sa.Column("versions", BIG, nullable=False),
)
POSTINGS = sa.Table(
    "concept_postings",  # which versions have a token
    METADATA,
    sa.Column("feature", sa.Integer, primary_key=True),
    sa.Column("entry", BIG, primary_key=True),
    sqlite_with_rowid=False,
)
