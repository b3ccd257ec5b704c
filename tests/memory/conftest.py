"""Memories of both kinds: in a file, and on a PostgreSQL server that is started for the session."""

import os
import pwd
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

from memory import ConceptStore

NEW_NUMBERS = count()


def find_binaries():
    """The folder of PostgreSQL's programs, which Debian keeps out of PATH; ``None`` where there is none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("initdb"):
        folders.append(Path(found).parent)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


@pytest.fixture(scope="session")
def postgresql():
    """A URL without a database. The server listens on a socket in its own folder alone."""
    pytest.importorskip("psycopg", reason="PostgreSQL needs psycopg: pip install 'induce[postgres]'")
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL on this machine: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="induce-pg-"))
    account = {}
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, **account}
    data, log = folder / "data", folder / "log"
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    control = [binaries / "pg_ctl", "-D", data, "-w"]
    try:
        initdb = ["-D", data, "-U", "induce", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run([binaries / "initdb", *initdb], check=True, **quiet)
        subprocess.run([*control, "-l", log, "-o", options, "start"], check=True, **quiet)
        try:
            yield sa.URL.create("postgresql+psycopg", "induce", query={"host": str(folder)})
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, **quiet)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def new_database(postgresql):
    """Make new databases; give their addresses. They are dropped after the test."""
    made = []
    engine = sa.create_engine(postgresql.set(database="postgres"), isolation_level="AUTOCOMMIT")

    def make():
        name = f"memory_{next(NEW_NUMBERS)}"
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        made.append(name)
        return postgresql.set(database=name).render_as_string(hide_password=False)

    yield make
    with engine.connect() as connection:
        for name in made:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def new_place(request, tmp_path):
    """Give new places for a memory, of one kind after the other."""
    if request.param == "postgresql":
        return request.getfixturevalue("new_database")
    return lambda: str(tmp_path / f"memory-{next(NEW_NUMBERS)}.sqlite")


@pytest.fixture
def place(new_place):
    return new_place()


@pytest.fixture
def store(place):
    with ConceptStore.open(place) as opened:
        yield opened
