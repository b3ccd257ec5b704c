"""A run on a server: PostgreSQL, a schema for each run, with any number of processes that write.

A writer's transactions share a lock with all others, and look in it which epoch is the newest; whoever begins
an epoch has that lock alone. So nothing of an old epoch is written after the new one has begun.
"""

from __future__ import annotations

import contextlib
import functools
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, TypeVar

import sqlalchemy as sa

from hypotheses.run_log import schema
from hypotheses.run_log.database import (
    Database,
    Driver,
    failure,
    refuse_existing,
    refuse_newer,
    write_new,
)
from hypotheses.run_log.postgresql_address import DRIVER, parse_address
from hypotheses.run_log.postgresql_driver import PostgreSQLDriver, lock_number
from sandboxes import RunLogError

T = TypeVar("T")
PATIENCE = 60.0
"""For how many seconds what fails because of a lost connection, or of another transaction, is tried again."""

_DYING = 1.0
"""For how many seconds the server may not know that a process has died."""
_PREFIX = "induce_run_"
_OLDEST = 13
_TABLES = frozenset(schema.METADATA.tables)
_MAKE_WRITERS = "CREATE TABLE IF NOT EXISTS writers (id text PRIMARY KEY, writes bigint NOT NULL)"
"""How often each writer has written. Runs that are older do not have it, until they are written to."""
_DEFAULTS = {
    "connect_timeout": "10",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
_SETTINGS = (
    "SET search_path TO \"{schema}\"; SET client_encoding TO 'UTF8'; "
    "SET default_transaction_isolation TO 'read committed'; "
    "SET lock_timeout TO '20s'; "
    "SET idle_in_transaction_session_timeout TO '30s'"  # a writer that hangs keeps nobody waiting for ever
)
# Of lost connections (08, 57P), servers without room for one (53300), transactions in each other's way (40).
_PASSING = re.compile("08...|57P0[1235]|53300|40001|40P01|25P0[34]|55P03")
_FOR_GOOD = ("does not exist", "authentication failed", "no pg_hba.conf entry", "permission denied")
_STARTING = ("starting up", "shutting down", "in recovery mode", "not yet accepting")


# Whoever owns a table can have it do things as whoever uses it.
_STRANGERS = (
    "SELECT 1 FROM (SELECT nspowner AS owner FROM pg_namespace WHERE nspname = ? UNION "
    "SELECT relowner FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = ? UNION "
    "SELECT proowner FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = ?) owners "
    "JOIN pg_roles us ON us.rolname = current_user WHERE owner <> us.oid AND NOT EXISTS "
    "(SELECT 1 FROM pg_auth_members WHERE roleid = owner AND member = us.oid)"
)


class PostgreSQLDatabase(Database):
    """A schema with a run. Whoever went on with it holds a lock, so that nobody else does by mistake."""

    patience = PATIENCE

    def __init__(self, url: sa.URL, run: str, *, writable: bool, patient: bool = True) -> None:
        shown = sa.URL.create(DRIVER, url.username, None, url.host, url.port, url.database, url.query)
        shown = shown.difference_update_query(["password", "sslpassword"])
        super().__init__(f"{shown.render_as_string()}#{run}", run, writable=writable)
        self._schema = f"{_PREFIX}{run}"
        try:
            self._engine = sa.create_engine(url.update_query_dict(_DEFAULTS | dict(url.query)))
        except ModuleNotFoundError as error:
            raise RunLogError(
                f"the run {self.address} needs psycopg: pip install 'induce[postgres]'"
            ) from error
        sa.event.listen(self._engine, "connect", self._prepare)
        self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ")
        self._fails = self._engine.dialect.loaded_dbapi
        self._writer: Any = None  # psycopg's, always at hand
        self._guard: Any = None
        self._guarding = False
        self._patient = patient
        self._closed = False
        self._id = uuid.uuid4().hex
        self._writes = 0
        self._is_counted = False
        self._one_at_a_time = threading.Lock()

    @classmethod
    def create(cls, address: str, run: Mapping[str, Any]) -> Self:
        """Make a new schema."""
        with cls._opening(address, writable=True) as made:

            def refuse(driver: Driver) -> None:
                refuse_existing(made.address, there=made._has_schema(driver))

            def work(driver: Driver) -> None:
                refuse(driver)
                [encoding], [version] = (
                    driver.execute(f"SHOW {name}").fetchone()
                    for name in ("server_encoding", "server_version_num")
                )
                if encoding != "UTF8" or int(version) < _OLDEST * 10_000:
                    raise RunLogError(
                        f"cannot start the run log {made.address}: it needs PostgreSQL {_OLDEST} or newer "
                        f"and a database with the encoding UTF8; this one has {encoding}: create another"
                    )
                write_new(driver, schema.postgresql_statements(made._schema), run)
                driver.execute(_MAKE_WRITERS)
                driver.execute("INSERT INTO writers VALUES (?, 0)", (made._id,))

            made._patiently("start", functools.partial(made._read_once, refuse))
            made._take_guard()
            made._once("start", work, committed=made._is_ours)
        return made

    @classmethod
    def open(cls, address: str, *, read_only: bool) -> Self:
        """Open a schema."""
        with cls._opening(address, writable=not read_only) as opened:
            opened._check_schema()
            if not read_only:
                opened._take_guard()
        return opened

    @classmethod
    def open_beside(cls, address: str) -> Self:
        """Open a schema."""
        with cls._opening(address, writable=False) as opened:
            opened._check_schema()
        return opened

    @classmethod
    def join(cls, address: str) -> Self:
        """Open a schema that another process opened for writing; wait for the server, for it was there."""
        with cls._opening(address, writable=True, patient=True) as opened:
            opened._check_schema()
        return opened

    @classmethod
    def delete(cls, address: str) -> int:
        """Delete a schema."""
        with cls._opening(address, writable=False) as opened:
            opened._check_schema()
            opened._take_guard()

            def work(driver: Driver) -> int:
                lock = (lock_number(opened._schema, "presence"),)
                if not driver.execute("SELECT pg_try_advisory_xact_lock(?)", lock).fetchone()[0]:
                    raise _being_written(opened.address)
                size = driver.execute(
                    "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c "
                    "JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = ? AND relkind = 'r'",
                    (opened._schema,),
                )
                [freed] = size.fetchone()
                driver.execute(f'DROP SCHEMA "{opened._schema}" CASCADE')
                return int(freed)

            freed = opened._once("delete", work, committed=lambda driver: not opened._has_schema(driver))
        opened.close()
        return freed

    @classmethod
    def is_being_written(cls, address: str) -> bool:
        """Whether somebody has the run's lock."""
        with cls._opening(address, writable=False) as opened:
            opened._check_schema()
            opened._guarding = True
            try:
                opened._keep_guard()
            except RunLogError:
                busy = True
            else:
                busy = False
        opened.close()
        return busy

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Do work in a snapshot of the run."""

        def attempt() -> T:
            self._refuse_if_closed()
            with self._reader.connect() as connection:
                return work(connection)

        return self._patiently("read", attempt)

    def at_hand(self, work: Callable[[Driver], T]) -> T:
        """Do short reading."""

        def attempt() -> T:
            with self._transaction() as driver:
                return work(driver)

        with self._one_at_a_time:
            return self._patiently("read", attempt)

    def write(self, work: Callable[[Driver], T], check: Callable[[Driver], None]) -> T:
        """Do work in one transaction, beside those of other writers."""

        def checked(driver: Driver) -> T:
            check(driver)
            return work(driver)

        return self._once("write", checked, "pg_advisory_xact_lock_shared")

    def begin(self, work: Callable[[Driver], T]) -> T:
        """Do work in one transaction when all that are under way have ended."""
        return self._once("write", work, "pg_advisory_xact_lock")

    def driver(self, connection: sa.Connection) -> Driver:
        """Give psycopg's connection."""
        return PostgreSQLDriver(connection.connection.driver_connection, self._schema)

    def close(self) -> None:
        """Close all connections, and give the lock back."""
        with self._one_at_a_time:
            self._closed = True
            self.writable = False
            self._drop()
            if self._guard is not None:
                self._guard.close()
            self._engine.dispose()

    @classmethod
    @contextlib.contextmanager
    def _opening(cls, address: str, *, writable: bool, patient: bool = False) -> Iterator[Self]:
        """Give a database; while it is being opened, a server that is not there is an error at once."""
        opened = cls(*parse_address(address), writable=writable, patient=patient)
        try:
            yield opened
        except BaseException:
            opened.close()
            raise
        opened._patient = True

    def _once(
        self,
        verb: str,
        work: Callable[[Driver], T],
        lock: str = "pg_advisory_xact_lock",
        *,
        committed: Callable[[Driver], bool] | None = None,
    ) -> T:
        """Do work in a transaction that is committed once, under the lock of the run's epochs.

        Where the connection was lost while the server committed, ``committed`` sees whether it did: by a
        count of this writer's, which the transaction itself sets, unless something else is said. By the
        transaction's own number it could not be told: a server that crashes may give one that it has not
        written down yet to another.
        """
        unknown: list[T] = []
        first = f"SELECT {lock}(?)"
        values: tuple[int | str, ...] = (lock_number(self._schema, "epoch"),)

        def attempt() -> T:
            if unknown:
                with self._transaction() as driver:
                    if (committed or self._counted)(driver):
                        return unknown[0]
                unknown.clear()
            if not committed:
                self._be_counted()
            with self._transaction() as driver:
                if driver.execute(first, values).fetchone() is None:
                    raise RunLogError(f"{self.address} is damaged: it has forgotten who writes it")
                done = work(driver)
                unknown.append(done)
                self._writer.commit()
                unknown.clear()
                return done

        with self._one_at_a_time:
            if not committed:
                self._writes += 1
                own = "UPDATE writers SET writes = ? WHERE id = ? RETURNING 1"
                first = f"WITH own AS ({own}) SELECT {lock}(?) FROM own"  # noqa: S608
                values = (self._writes, self._id, *values)
            return self._patiently(verb, attempt)

    def _counted(self, driver: Driver) -> bool:
        """Whether the last write was committed; waits while the server still has it under way."""
        row = driver.execute("SELECT writes FROM writers WHERE id = ? FOR UPDATE", (self._id,)).fetchone()
        return row is not None and bool(row[0] == self._writes)

    def _has_schema(self, driver: Driver) -> bool:
        there = driver.execute("SELECT 1 FROM pg_namespace WHERE nspname = ?", (self._schema,))
        return there.fetchone() is not None

    def _is_ours(self, driver: Driver) -> bool:
        """Whether the run was started by us."""
        return self._has_schema(driver) and self._counted(driver)

    def _be_counted(self) -> None:
        """Have a row for the count."""
        if self._is_counted:
            return
        with self._transaction() as driver:
            if driver.execute("SELECT to_regclass('writers')").fetchone()[0] is None:
                lock = (lock_number(self._schema, "epoch"),)
                driver.execute("SELECT pg_advisory_xact_lock(?)", lock)
                driver.execute(_MAKE_WRITERS)
            driver.execute("INSERT INTO writers VALUES (?, 0) ON CONFLICT DO NOTHING", (self._id,))
            self._writer.commit()
        self._is_counted = True

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Driver]:
        """Give the connection at hand; what is not committed is undone."""
        self._refuse_if_closed()
        if self._writer is None:
            self._writer = self._connect()
            if self.writable:
                with contextlib.suppress(RunLogError, self._fails.Error, sa.exc.DBAPIError):
                    self._keep_guard()
                shared = "SELECT pg_advisory_lock_shared(%s)"
                self._writer.execute(shared, (lock_number(self._schema, "presence"),))
                self._writer.commit()
        try:
            yield PostgreSQLDriver(self._writer, self._schema)
        finally:
            with contextlib.suppress(self._fails.Error):
                self._writer.rollback()
            if self._writer.closed:
                self._drop()

    def _patiently(self, verb: str, attempt: Callable[[], T]) -> T:
        end = time.monotonic() + self.patience
        pause = 0.02
        while True:
            try:
                return attempt()
            except (sa.exc.SQLAlchemyError, self._fails.Error) as error:
                if not self._passes(error) or time.monotonic() + pause > end:
                    raise RunLogError(self._explained(verb, error)) from error
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    def _passes(self, error: BaseException) -> bool:
        """Whether it is worth trying again."""
        if isinstance(error, sa.exc.DBAPIError):
            error = error.orig or error
        if not isinstance(error, (self._fails.OperationalError, self._fails.InterfaceError)):
            return False
        state = getattr(error, "sqlstate", None)
        if state is not None:
            return _PASSING.fullmatch(state) is not None
        said = str(error)
        if any(words in said for words in _FOR_GOOD):
            return False
        return self._patient or any(words in said for words in _STARTING)

    def _explained(self, verb: str, error: BaseException) -> str:
        if isinstance(error, sa.exc.DBAPIError):
            error = error.orig or error
        said = " ".join(str(error).split())
        if "database" in said and "does not exist" in said and getattr(error, "sqlstate", None) is None:
            return f"there is no such database for the run {self.address}: {said}; make it with `createdb`"
        return failure(self.address, verb, error, "address, rights and server")

    def _connect(self, *, autocommit: bool = False) -> Any:
        """Give a connection of psycopg that no pool knows of."""
        lent = self._engine.raw_connection()
        connection: Any = lent.driver_connection
        lent.detach()
        connection.autocommit = autocommit
        return connection

    def _prepare(self, connection: Any, _record: object) -> None:
        connection.execute(_SETTINGS.format(schema=self._schema))
        connection.commit()

    def _drop(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _take_guard(self) -> None:
        """Become the one process that goes on with the run. One that died may seem to live for a moment."""
        self._guarding = True
        end = time.monotonic() + _DYING
        while True:
            try:
                self._patiently("open", self._keep_guard)
            except RunLogError:
                if time.monotonic() > end:
                    raise
            else:
                return
            time.sleep(0.05)

    def _keep_guard(self) -> None:
        """Take the lock, and again where its connection was lost; epochs are what is relied on."""
        if not self._guarding:
            return
        if self._guard is not None:
            with contextlib.suppress(self._fails.Error):
                self._guard.execute("SELECT 1")
                return
            self._guard.close()
            self._guard = None
        guard = self._connect(autocommit=True)
        try:
            lock = (lock_number(self._schema, "guard"),)
            if not guard.execute("SELECT pg_try_advisory_lock(%s)", lock).fetchone()[0]:
                raise _being_written(self.address)
        except BaseException:
            guard.close()
            raise
        self._guard = guard

    def _check_schema(self) -> None:
        """Raise ``RunLogError`` for a run that is missing, of another induce, or none."""

        def work(driver: Driver) -> tuple[list[Any], list[Any]]:
            found = driver.execute(
                "SELECT relname, relkind FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
                "WHERE nspname = ? AND relkind NOT IN ('i', 'S', 't')",
                (self._schema,),
            ).fetchall()
            if (schema.RUN.name, "r") not in {(name, _letter(kind)) for name, kind in found}:
                return found, []
            if driver.execute(_STRANGERS, (self._schema,) * 3).fetchone() is not None:
                raise RunLogError(
                    f"the run log {self.address} belongs to another user of the database, whose code would "
                    "run as ours: have them export it, or make us a member of their role"
                )
            return found, driver.execute("SELECT schema_version FROM run LIMIT 2").fetchall()

        with self._one_at_a_time:
            found, rows = self._patiently("open", functools.partial(self._read_once, work))
        if not found:
            raise RunLogError(f"there is no run log {self.address}; check the database and the run's name")
        if len(rows) != 1:
            raise RunLogError(
                f"{self.address} is no run log of induce, or is damaged: it has no schema version"
            )
        refuse_newer(self.address, rows[0][0], schema.SCHEMA_VERSION)
        tables = {(name, _letter(kind)) for name, kind in found} - {("writers", "r")}
        if tables != {(table, "r") for table in _TABLES}:
            raise RunLogError(f"{self.address} is no run log of induce: it has other tables or views")

    def _read_once(self, work: Callable[[Driver], T]) -> T:
        with self._transaction() as driver:
            return work(driver)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise RunLogError(f"the run log {self.address} is closed")


def _being_written(address: str) -> RunLogError:
    return RunLogError(f"{address} is being written by another process; wait for it or stop it")


def _letter(kind: str | bytes) -> str:
    """Give a value of the type "char" as a text."""
    return kind.decode() if isinstance(kind, bytes) else kind
