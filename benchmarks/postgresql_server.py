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


@contextmanager
def postgresql_server() -> Iterator[str | None]:
    """Start a server with the settings it comes with, and give the address of its first database.

    Gives ``None`` where there is no PostgreSQL, or no psycopg. The server listens on a socket in its own
    folder alone, and all is gone at the end.
    """
    binaries = find_binaries()
    if binaries is None or find_spec("psycopg") is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="induce-pg-"))
    account: dict[str, Any] = {}
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, **account}
    data = folder / "data"
    control = [binaries / "pg_ctl", "-D", data, "-w"]
    options = f"-k {folder} -c listen_addresses=''"
    try:
        initdb = ["-D", data, "-U", "induce", "-A", "trust", "-E", "UTF8", "--locale=C"]
        subprocess.run([binaries / "initdb", *initdb], check=True, **quiet)
        subprocess.run([*control, "-l", folder / "log", "-o", options, "start"], check=True, **quiet)
        try:
            yield f"postgresql+psycopg://induce@/postgres?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, **quiet)
    finally:
        shutil.rmtree(folder)


def find_binaries() -> Path | None:
    """Give the folder of PostgreSQL's programs, which Debian keeps out of PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if found := shutil.which("initdb"):
        folders.append(Path(found).parent)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)
