"""PostgreSQL servers of the tests' own, which listen on a socket in their own folder alone."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

_NEW_NUMBERS = count()


def find_binaries():
    """The folder of PostgreSQL's programs, which Debian keeps out of PATH; ``None`` where there is none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("initdb"):
        folders.append(Path(found).parent)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


class Server:
    """A server that can be stopped and started again. ``url`` names no database."""

    def __init__(self, binaries, folder):
        self._binaries = binaries
        self._folder = folder
        self._quiet = {"cwd": folder, "stdout": subprocess.DEVNULL}
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            self._quiet |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self.url = sa.URL.create("postgresql+psycopg", "induce", query={"host": str(folder)})
        initdb = ["-U", "induce", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run([binaries / "initdb", "-D", folder / "data", *initdb], check=True, **self._quiet)

    def start(self):
        options = f"-k {self._folder} -c listen_addresses='' -c fsync=off"
        self._control("-l", self._folder / "log", "-o", options, "start")

    def stop(self, mode="immediate"):
        self._control("-m", mode, "stop")

    def _control(self, *arguments):
        command = [self._binaries / "pg_ctl", "-D", self._folder / "data", "-w", *arguments]
        subprocess.run(command, check=True, **self._quiet)


@contextlib.contextmanager
def running_server():
    """Give a server that has just been started; skip the test where this machine has none."""
    pytest.importorskip("psycopg", reason="PostgreSQL needs psycopg: pip install 'induce[postgres]'")
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL on this machine: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="induce-pg-"))
    try:
        server = Server(binaries, folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def new_databases(url):
    """Give a function that makes new databases and gives their addresses; at the end they are dropped."""
    made = []
    engine = sa.create_engine(
        url.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool
    )

    def make():
        name = f"induce_{next(_NEW_NUMBERS)}"
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        made.append(name)
        return url.set(database=name).render_as_string(hide_password=False)

    yield make
    with engine.connect() as connection:
        for name in made:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()
