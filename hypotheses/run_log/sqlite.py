"""A run in a file: SQLite, with one process that writes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import sqlalchemy as sa

from hypotheses.run_log import migration, schema
from hypotheses.run_log.database import (
    Database,
    Driver,
    cause_of,
    failures,
    refuse_existing,
    refuse_newer,
    write_new,
)
from hypotheses.run_log.sqlite_driver import SQLiteDriver
from sandboxes import RunLogError

T = TypeVar("T")
_ERRORS = (sa.exc.SQLAlchemyError, sqlite3.Error, OSError)


class SQLiteDatabase(Database):
    """A file with a run, locked as long as it is open for writing."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, engine: sa.Engine, lock: int | None
    ) -> None:
        super().__init__(str(path), path.name, writable=lock is not None)
        self.path = path
        self._engine = engine
        self._lock = lock
        # Completions come one request at a time, so they have a connection that is always at hand.
        self._connection: sqlite3.Connection | None = connection
        self._driver = SQLiteDriver(connection)
        self._one_at_a_time = threading.Lock()

    @classmethod
    def create(cls, address: str, run: Mapping[str, Any]) -> Self:
        """Make a new file."""
        path = Path(address)
        with failures(address, "start", _ERRORS), contextlib.ExitStack() as on_error:
            refuse_existing(address, there=path.exists())
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = _take_lock(path)
            on_error.callback(os.close, lock)
            refuse_existing(address, there=path.exists())
            _write_file(path, run)
            made = cls(path, _connect(path, "rwc"), _engine(path, "rwc"), lock)
            on_error.pop_all()
        return made

    @classmethod
    def open(cls, address: str, *, read_only: bool) -> Self:
        """Open a file. An older log is migrated, in place where it is opened for writing, else in memory."""
        path = Path(address)
        mode = "ro" if read_only else "rwc"
        with contextlib.ExitStack() as on_error, _damage(path):
            lock = None
            if not read_only:
                lock = _lock_existing(path)
                on_error.callback(os.close, lock)
            _refuse_missing(path)
            connection = _connect(path, mode)
            on_error.callback(connection.close)
            engine = _engine(path, mode)
            if _check_schema(path, connection) != schema.SCHEMA_VERSION:
                if read_only:
                    connection = _copy_in_memory(connection)
                    on_error.callback(connection.close)
                    engine = _engine_of(connection)
                _migrate(path, connection)
            on_error.pop_all()
        return cls(path, connection, engine, lock)

    @classmethod
    def open_beside(cls, address: str) -> Self:
        """Open a file without its lock."""
        path = Path(address)
        with contextlib.ExitStack() as on_error, _damage(path):
            _refuse_missing(path)
            with contextlib.closing(_connect(path, "ro")) as connection:
                version = _check_schema(path, connection)
            if version != schema.SCHEMA_VERSION:
                raise RunLogError(
                    f"{path} is of an older induce, which hears no signals; go on with it first: "
                    f"`induce resume {path}`"
                )
            connection = _connect(path, "rw")
            on_error.callback(connection.close)
            opened = cls(path, connection, _engine(path, "ro"), None)
            on_error.pop_all()
        return opened

    @classmethod
    def delete(cls, address: str) -> int:
        """Delete a file, and what SQLite keeps beside it."""
        path = Path(address)
        # The lock last: nobody may come in between.
        files = [path.with_name(path.name + end) for end in ("", "-wal", "-shm", "-lock")]
        freed = sum(file.stat().st_size for file in files if file.exists())
        with _damage(path):
            lock = _lock_existing(path)
        try:
            with failures(address, "delete", _ERRORS):
                for file in files:
                    file.unlink(missing_ok=True)
        finally:
            os.close(lock)
        return freed

    @classmethod
    def is_being_written(cls, address: str) -> bool:
        """Whether somebody has the file's lock."""
        path = Path(address)
        with _damage(path):
            _refuse_missing(path)
        if not path.with_name(f"{path.name}-lock").exists():
            return False
        try:
            os.close(_take_lock(path))
        except RunLogError:
            return True
        return False

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Do work on a connection of the caller's own."""
        with failures(self.address, "read", _ERRORS), self._engine.connect() as connection:
            return work(connection)

    def at_hand(self, work: Callable[[Driver], T]) -> T:
        """Do short reading."""
        with self._one_at_a_time, failures(self.address, "read", _ERRORS):
            self._present()
            return work(self._driver)

    def write(self, work: Callable[[Driver], T], check: Callable[[Driver], None]) -> T:
        """Do work in one transaction."""
        with self._one_at_a_time, failures(self.address, "write", _ERRORS), self._present():
            self._driver.execute("BEGIN IMMEDIATE")
            check(self._driver)
            return work(self._driver)

    def begin(self, work: Callable[[Driver], T]) -> T:
        """Do work in one transaction."""
        return self.write(work, lambda _: None)

    def driver(self, connection: sa.Connection) -> Driver:
        """Give SQLite's own connection."""
        own = connection.connection.driver_connection
        if not isinstance(own, sqlite3.Connection):
            raise TypeError(f"a file needs sqlite3, not {own!r}")
        return SQLiteDriver(own)

    def close(self) -> None:
        """Close the file and give the lock back."""
        with self._one_at_a_time:
            self.writable = False
            self._engine.dispose()
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _present(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RunLogError(f"the run log {self.path} is closed")
        return self._connection


def _refuse_missing(path: Path) -> None:
    if not path.is_file():
        raise RunLogError(f"there is no run log {path}; `induce runs list` shows those there are")


def _write_file(path: Path, run: Mapping[str, Any]) -> None:
    """Write a log without tasks, and give it its name only when it is whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with contextlib.closing(_connect(draft, "rwc")) as connection, connection:
            connection.execute("BEGIN")
            write_new(SQLiteDriver(connection), schema.statements(), run)
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=30, check_same_thread=False)
    try:
        if mode != "ro":
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA trusted_schema=OFF")  # a log may come from somebody else
    except BaseException:
        connection.close()
        raise
    return connection


def _engine(path: Path, mode: str) -> sa.Engine:
    def connect() -> sqlite3.Connection:
        return _connect(path, mode)

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.QueuePool)


def _migrate(path: Path, connection: sqlite3.Connection) -> None:
    try:
        migration.migrate(connection)
    except sqlite3.Error as error:
        raise RunLogError(
            f"cannot bring the run log {path} to this induce's schema: {cause_of(error)}; it is as it was: "
            "mend the cause, or, if it is damaged, read it with the induce that wrote it"
        ) from error


def _copy_in_memory(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Give a copy of a database, and close the original."""
    copy = sqlite3.connect(":memory:", check_same_thread=False)
    with contextlib.closing(connection):
        connection.backup(copy)
    copy.execute("PRAGMA trusted_schema=OFF")
    return copy


def _engine_of(connection: sqlite3.Connection) -> sa.Engine:
    """Give an engine that has no connection but this one."""
    return sa.create_engine("sqlite://", creator=lambda: connection, poolclass=sa.pool.StaticPool)


def _check_schema(path: Path, connection: sqlite3.Connection) -> int:
    """Give the version of a log. Raises ``RunLogError`` for a newer one, and for any other database."""
    query = "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    found = frozenset(connection.execute(query))
    if ("table", schema.RUN.name) not in found:
        raise RunLogError(f"{path} is no run log of induce")
    rows = connection.execute("SELECT schema_version FROM run LIMIT 2").fetchall()
    version = rows[0][0] if len(rows) == 1 else None
    if not isinstance(version, int) or version < 1:
        raise RunLogError(f"{path} is no run log of induce, or is damaged: it has no schema version")
    refuse_newer(str(path), version, schema.SCHEMA_VERSION)
    if not migration.fits(version, found):
        raise RunLogError(f"{path} is no run log of induce: it has other tables, views or triggers")
    return version


def _lock_existing(path: Path) -> int:
    """Lock a run log for writing. A file that is none of ours gets no lock beside it."""
    _refuse_missing(path)
    with contextlib.closing(_connect(path, "ro")) as connection:
        _check_schema(path, connection)
    with failures(str(path), "open", _ERRORS):
        return _take_lock(path)


def _take_lock(path: Path) -> int:
    """Lock ``path`` for writing until the descriptor is closed, by the user's or the kernel's hand."""
    descriptor = os.open(f"{path}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise RunLogError(f"{path} is being written by another process; wait for it or stop it") from error
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise RunLogError(f"{path} is no run log of induce, or is damaged: {cause_of(error)}") from error
