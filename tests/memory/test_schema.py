"""Memories of other schemas, damaged ones, and databases that are none."""

import random
import shutil
import sqlite3
import subprocess
import sys
import zlib

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from memory import Concept, ConceptStore, RecallQuery, schema
from memory.migrating import SCRIPTS, migrate
from sandboxes import MemoryStoreError

LATER = """
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.add_column("concepts", sa.Column("colour", sa.Text))
    op.execute("UPDATE concepts SET colour = 'red'")
    {more}
"""


@pytest.fixture
def engine(place):
    engine = sa.create_engine(place if "://" in place else f"sqlite:///{place}")
    yield engine
    engine.dispose()


def scripts_with(tmp_path, more=""):
    """The migrations of a newer induce."""
    folder = tmp_path / "migrations"
    shutil.copytree(SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "revision_0003.py").write_text(LATER.format(more=more))
    return folder


def test_migrations_make_the_tables_that_the_code_knows(store, engine):
    def known(_object, name, kind, *_):
        return kind != "table" or not name.startswith("concept_texts")

    with engine.connect() as connection:
        options = {"version_table": schema.VERSION_TABLE, "include_object": known}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, schema.METADATA) == []


def test_an_older_memory_is_migrated_with_all_it_holds_and_then_newer_than_before(
    store, place, engine, tmp_path
):
    store.add([Concept("mirror", "turn it around")])
    store.close()
    with engine.begin() as connection:
        migrate(connection, scripts_with(tmp_path))
        colours = connection.execute(sa.text("SELECT colour FROM concepts")).scalars().all()
    assert colours == ["red"]
    for frozen in (False, True):
        with pytest.raises(MemoryStoreError, match="has schema 0003 and this induce knows 0002"):
            ConceptStore.open(place, frozen=frozen)


def test_a_migration_that_fails_leaves_the_memory_as_it_was(store, place, tmp_path):
    store.add([Concept("mirror", "turn it around")])
    scripts = scripts_with(tmp_path, 'op.execute("SELECT nothing FROM nowhere")')
    with pytest.raises(sa.exc.DBAPIError), store._backend.writing() as connection:
        migrate(connection, scripts)
    store.close()
    with ConceptStore.open(place) as again:
        assert len(again) == 1


def test_an_empty_place_is_not_opened_frozen(place):
    with pytest.raises(MemoryStoreError, match=r"no memory .* to open frozen|is empty; open it once without"):
        ConceptStore.open(place, frozen=True)


def test_addresses_that_cannot_be_are_refused(tmp_path):
    for address in ("mysql://host/db", "sqlite://", "postgresql://host/db"):
        with pytest.raises(MemoryStoreError, match="no memory is kept at"):
            ConceptStore.open(address)
    with pytest.raises(MemoryStoreError, match="no address of a memory"):
        ConceptStore.open("://")
    (tmp_path / "file").write_text("")
    with pytest.raises(MemoryStoreError, match="cannot make the folder"):
        ConceptStore.open(tmp_path / "file" / "memory.sqlite")
    with pytest.raises(MemoryStoreError, match="cannot open the memory"):
        ConceptStore.open(tmp_path)


def test_an_unreachable_server_is_an_error_without_the_password(tmp_path):
    pytest.importorskip("psycopg")
    with pytest.raises(MemoryStoreError, match=r"cannot open the memory .*induce:\*\*\*@") as caught:
        ConceptStore.open(f"postgresql+psycopg://induce:secret@/db?host={tmp_path}")
    assert "secret" not in str(caught.value)


def test_other_files_and_databases_are_refused_and_left_alone(tmp_path):
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE run (id)")
    connection.close()
    with pytest.raises(MemoryStoreError, match=r"other\.sqlite is a database, but no memory of induce"):
        ConceptStore.open(other)
    text = tmp_path / "notes.txt"
    text.write_text("no database " * 1_000)
    with pytest.raises(MemoryStoreError, match=r"notes\.txt: file is not a database; it is damaged"):
        ConceptStore.open(text)
    assert text.read_text() == "no database " * 1_000


def test_a_changed_body_is_noticed_whenever_it_is_read(store, engine):
    [concept_id] = store.add([Concept("mirror", "turn it around")])
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE concept_bodies SET body = replace(body, 'turn', 'burn')"))
    for read in (
        lambda: store.get(concept_id),
        lambda: store.recall(RecallQuery("mirror")),
        lambda: list(store.concepts()),
        store.check,
    ):
        with pytest.raises(MemoryStoreError, match=f"damaged: concept {concept_id}, version 1: its checksum"):
            read()


def test_a_body_that_is_none_of_ours_is_noticed(store, engine):
    store.add([Concept("mirror", "turn it around")])
    with engine.begin() as connection:
        values = {"body": "[]", "sum": zlib.crc32(b"[]")}
        connection.execute(sa.text("UPDATE concept_bodies SET body = :body, checksum = :sum"), values)
    with pytest.raises(MemoryStoreError, match=r"damaged: concept .*a concept is a mapping"):
        store.check()


@pytest.mark.parametrize("seed", range(10))
def test_a_corrupt_file_is_named_when_it_is_opened_checked_or_read(tmp_path, seed):
    path = tmp_path / "memory.sqlite"
    with ConceptStore.open(path) as store:
        store.add([Concept(f"c{number}", f"word{number} " * 50) for number in range(200)])
    content = bytearray(path.read_bytes())
    chosen = random.Random(seed)
    for _ in range(20):  # pages of noise
        start = 4096 * chosen.randrange(len(content) // 4096)
        content[start : start + 4096] = chosen.randbytes(4096)
    path.write_bytes(content)
    with pytest.raises(MemoryStoreError, match=r"memory\.sqlite.*damaged"), ConceptStore.open(path) as store:
        store.check()


def test_a_truncated_file_is_named(tmp_path):
    path = tmp_path / "memory.sqlite"
    with ConceptStore.open(path) as store:
        store.add([Concept(f"c{number}", f"word{number} " * 50) for number in range(200)])
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(MemoryStoreError, match=r"memory\.sqlite.*damaged"), ConceptStore.open(path) as store:
        store.check()


def test_neither_alembic_nor_yaml_nor_psycopg_is_loaded_before_it_is_needed(tmp_path):
    path = tmp_path / "memory.sqlite"
    ConceptStore.open(path).close()
    code = (
        "import sys\nfrom memory import ConceptStore\nConceptStore.open(sys.argv[1]).close()\n"
        "assert not {'alembic', 'yaml', 'psycopg'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True)
