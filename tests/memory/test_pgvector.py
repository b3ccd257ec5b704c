"""Vectors in a PostgreSQL with pgvector: found in the server, as they are found without it."""

import os
import pwd
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from memory import Concept, ConceptStore, RecallQuery, export_memory, pgvector
from memory.embedding import unit

pgserver = pytest.importorskip(
    "pgserver", reason="a PostgreSQL with pgvector comes with pip install pgserver"
)
pytest.importorskip("psycopg", reason="PostgreSQL needs psycopg: pip install 'induce[postgres]'")


class Letters:
    """Counts letters: words of like letters point the same way."""

    name = "letters"

    def embed(self, texts):
        return unit(np.array([[text.count(one) for one in "abcdefgh"] for text in texts], float))


@pytest.fixture(scope="module")
def address():
    binaries = Path(pgserver.__file__).parent / "pginstall" / "bin"
    with tempfile.TemporaryDirectory(prefix="induce-pgv-") as name:
        folder, account = Path(name), {}
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, **account}
        data = folder / "data"
        control = [binaries / "pg_ctl", "-D", data, "-w"]
        initdb = ["-D", data, "-U", "induce", "-A", "trust", "-E", "UTF8"]
        subprocess.run([binaries / "initdb", *initdb], check=True, **quiet)
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        subprocess.run([*control, "-l", folder / "log", "-o", options, "start"], check=True, **quiet)
        try:
            yield f"postgresql+psycopg://induce@/postgres?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, **quiet)


def tables(address):
    engine = sa.create_engine(address)
    found = set(sa.inspect(engine).get_table_names())
    engine.dispose()
    return found


def execute(address, statement):
    engine = sa.create_engine(address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def found(store, text, clock=None):
    ranked = [one for one in store.recall(RecallQuery(text, clock=clock), 20) if "dense" in one.ranks]
    return [one.concept.name for one in sorted(ranked, key=lambda one: one.ranks["dense"])]


def test_what_is_found_in_the_server_is_what_is_found_without_it(address, tmp_path):
    words = ["abc", "abd", "aab", "fgh", "hhg", "cde", "aaaa", "bead"]
    with (
        ConceptStore.open(address, embedder=Letters()) as store,
        ConceptStore.open(tmp_path / "m.sqlite", embedder=Letters()) as other,
    ):
        for one in (store, other):
            one.bring([Concept(word, "") for word in words[:4]])
        assert not any(name.startswith("concept_vectors_of") for name in tables(address))
        execute(address, "CREATE EXTENSION vector")
        assert found(store, "aab") == found(other, "aab")  # before anything is in the new type
        for one in (store, other):
            one.bring([Concept(word, "") for word in words[4:]])
        assert "concept_vectors_of_1" in tables(address)
        for asked in (*words, "hhhh", "ab gh"):
            assert found(store, asked) == found(other, asked)
        assert found(store, "hhg", clock=1) == ["fgh"] == found(other, "hhg", clock=1)
        assert found(store, "hhg", clock=2) == found(other, "hhg", clock=2)
        ids = [one.id for one in store.concepts() if one.name in ("hhg", "abc")]
        for one in (store, other):
            one.archive(ids)
            assert "hhg" not in found(one, "hhg")
        export_memory(store, tmp_path / "all.jsonl")
        store.purge(ids)
        assert found(store, "hhg") == found(other, "hhg")
        count = sa.text("SELECT count(*) FROM concept_vectors_of_1")
        assert store.look(lambda connection: connection.execute(count).scalar()) == len(words) - 2
        assert store.look(pgvector.is_there)
        assert not other.look(pgvector.is_there)
