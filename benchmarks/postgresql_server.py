"""A PostgreSQL server of a benchmark's own, for as long as it runs."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any


class PostgreSQL:
    """A server in a folder of its own, which listens on a socket there alone."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        """Start it, with the settings that it comes with."""
        account: dict[str, Any] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for parent in (folder, *folder.parents):  # or the server, being nobody, could not get there
            if os.getuid() == 0 and parent.stat().st_uid == 0 and parent.name.startswith("ich"):
                parent.chmod(0o755)
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, **account}
        self._folder = folder
        self._control = [binaries / "pg_ctl", "-D", folder / "data", "-w"]
        initdb = ["-D", folder / "data", "-U", "induce", "-A", "trust", "-E", "UTF8", "--locale=C"]
        subprocess.run([binaries / "initdb", *initdb], check=True, **self._quiet)
        self._start()

    @property
    def address(self) -> str:
        """The address of its first database."""
        return f"postgresql+psycopg://induce@/postgres?host={self._folder}"

    def restart(self) -> None:
        """Stop it at once, as a crash would, and start it again."""
        self._stop()
        self._start()

    def stop(self) -> None:
        """Stop it, and remove its folder."""
        self._stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses=''"
        command = [*self._control, "-l", self._folder / "log", "-o", options, "start"]
        subprocess.run(command, check=True, **self._quiet)

    def _stop(self) -> None:
        subprocess.run([*self._control, "-m", "immediate", "stop"], check=True, **self._quiet)


def start_postgresql(folder: Path) -> PostgreSQL | None:
    """Start a server; ``None`` where there is no PostgreSQL, or no psycopg."""
    binaries = find_binaries()
    return None if binaries is None or find_spec("psycopg") is None else PostgreSQL(folder, binaries)


@contextmanager
def postgresql_server() -> Iterator[str | None]:
    """Start a server, and give the address of its first database; ``None`` where there is no PostgreSQL.

    All is gone at the end.
    """
    server = start_postgresql(Path(tempfile.mkdtemp(prefix="induce-pg-")))
    try:
        yield server and server.address
    finally:
        if server is not None:
            server.stop()


def find_binaries() -> Path | None:
    """Give the folder of PostgreSQL's programs, which Debian keeps out of PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("initdb"):
        folders.append(Path(found).parent)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)
