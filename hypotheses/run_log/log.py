"""The log itself: create it, write to it, read from it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from hypotheses.hypothesis import Judged, Solution, Trace
from hypotheses.run_log import schema
from hypotheses.run_log.records import TaskWriter, now, read_judged, read_solution
from hypotheses.task import Task
from sandboxes import Environment, RunLogError


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a run was started with: enough to check, resume and score it.

    ``source`` and ``source_options`` say where the tasks came from, ``content_hash`` what they were and
    ``tasks`` how many; ``proposer_hash`` is the content of a transcript, empty for other proposers.
    """

    source: str
    source_options: Mapping[str, Any]
    content_hash: str
    tasks: int
    proposer: str
    proposer_hash: str
    settings: Mapping[str, Any]
    induce_version: str
    created: str = ""


class RunLog:
    """One run's log. Make one with ``RunLog.create``, reopen it with ``RunLog.open``; close it after use.

    While a log is open for writing it is locked, so that two processes cannot go on with one run at once.
    Every failure to read or write is a ``RunLogError`` that names the file.
    """

    def __init__(self, path: Path, engine: sa.Engine, lock: int | None) -> None:
        self.path = path
        self._engine = engine
        self._lock = lock

    @classmethod
    def create(cls, path: str | Path, info: RunInfo) -> Self:
        """Start a new run. Refuses a path that exists, so that no run is ever overwritten."""
        path = Path(path)
        with _failures(path, "start"):
            _refuse_existing(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = _take_lock(path)
            try:
                _refuse_existing(path)
                _write_new(path, info)
            except BaseException:
                os.close(lock)
                raise
        return cls(path, _engine(path, read_only=False), lock)

    @classmethod
    def open(cls, path: str | Path, *, read_only: bool = True) -> Self:
        """Open a run that exists, to read it or, with ``read_only=False``, to go on with it."""
        path = Path(path)
        if not path.is_file():
            raise RunLogError(f"there is no run log {path}; `induce runs list` shows those there are")
        lock = None
        if not read_only:
            cls.open(path).close()  # a file that is none of ours gets no lock beside it
            with _failures(path, "open"):
                lock = _take_lock(path)
        log = cls(path, _engine(path, read_only), lock)
        try:
            with log._engine.connect() as connection:
                _check_schema(path, connection)
            if not read_only:
                with log._engine.begin() as connection:
                    schema.create(connection)
        except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
            log.close()
            raise RunLogError(f"{path} is no run log of induce, or is damaged: {_cause(error)}") from error
        except RunLogError:
            log.close()
            raise
        return log

    @classmethod
    def delete(cls, path: str | Path) -> int:
        """Delete a run, and what SQLite keeps beside it; give the number of bytes freed.

        Raises ``RunLogError``, and deletes nothing, where it is being written or is no run log.
        """
        log = cls.open(path, read_only=False)
        freed = 0
        try:
            log._engine.dispose()
            with _failures(log.path, "delete"):
                for end in ("", "-wal", "-shm", "-lock"):  # the lock last: nobody may come in between
                    file = log.path.with_name(log.path.name + end)
                    if file.exists():
                        freed += file.stat().st_size
                        file.unlink()
        finally:
            log.close()
        return freed

    @property
    def info(self) -> RunInfo:
        """What the run was started with."""
        with self._reading() as connection:
            row = dict(connection.execute(sa.select(schema.RUN)).mappings().one())
        del row["schema_version"]
        row["source_options"] = json.loads(row["source_options"])
        row["settings"] = json.loads(row["settings"])
        return RunInfo(**row)

    def enter(self, environment: Environment) -> bool:
        """Record what programs run in from now on; give whether it is what they ran in so far."""
        self._refuse_if_read_only()
        known = self.environments
        if environment not in known[-1:]:
            values = {"entered": now(), "environment": json.dumps(asdict(environment))}
            with _failures(self.path, "write"), self._engine.begin() as connection:
                connection.execute(schema.ENVIRONMENTS.insert().values(values))
        return environment in (known[-1:] or [environment])

    @property
    def environments(self) -> list[Environment]:
        """What programs ran in, first to last; more than one where the run was resumed in another."""
        with self._reading() as connection:
            if not sa.inspect(connection).has_table(schema.ENVIRONMENTS.name):
                return []
            query = sa.select(schema.ENVIRONMENTS.c.environment).order_by(schema.ENVIRONMENTS.c.id)
            return [Environment(**json.loads(text)) for text in connection.scalars(query)]

    def finished(self, task_id: str) -> bool:
        """Whether the task has its solution in the log."""
        query = sa.select(schema.SOLUTIONS.c.id).where(schema.SOLUTIONS.c.task_id == task_id)
        with self._reading() as connection:
            return connection.execute(query).first() is not None

    def count(self) -> dict[str, int]:
        """Give the number of finished tasks by outcome."""
        query = sa.select(schema.SOLUTIONS.c.outcome, sa.func.count().label("number")).group_by(
            schema.SOLUTIONS.c.outcome
        )
        with self._reading() as connection:
            return {row.outcome: row.number for row in connection.execute(query)}

    def record(self, task: Task, trace: Trace, solution: Solution) -> None:
        """Record a finished task in one transaction."""
        self._refuse_if_read_only()
        with _failures(self.path, "write"), self._engine.begin() as connection:
            TaskWriter(connection, task.id).write(trace, solution)

    def solutions(self) -> Iterator[Solution]:
        """Yield the solutions in the order in which they were recorded, one at a time from the file."""
        query = (
            sa.select(
                schema.SOLUTIONS,
                schema.HYPOTHESES.c.text,
                schema.HYPOTHESES.c.parents,
                schema.HYPOTHESES.c.proposer,
                schema.HYPOTHESES.c.round,
                schema.HYPOTHESES.c.sample,
                schema.PROGRAMS.c.source,
                schema.PROGRAMS.c.entry_point,
                schema.PROGRAMS.c.call,
                schema.VERDICTS.c.executions,
                schema.VERDICTS.c.query_executions,
                schema.VERDICTS.c.correct,
            )
            .join_from(schema.SOLUTIONS, schema.CANDIDATES, isouter=True)
            .join(
                schema.HYPOTHESES, schema.CANDIDATES.c.hypothesis_id == schema.HYPOTHESES.c.id, isouter=True
            )
            .join(schema.VERDICTS, schema.CANDIDATES.c.verdict_id == schema.VERDICTS.c.id, isouter=True)
            .join(schema.PROGRAMS, schema.VERDICTS.c.program_key == schema.PROGRAMS.c.key, isouter=True)
            .order_by(schema.SOLUTIONS.c.id)
        )
        with self._reading() as connection:
            rows = connection.execution_options(yield_per=100).execute(query).mappings()
            for row in rows:
                yield read_solution(row)

    def judged(self, task_id: str) -> Iterator[Judged]:
        """Yield every candidate of a task with its verdict, by round and sample."""
        query = (
            sa.select(schema.HYPOTHESES, schema.PROGRAMS, schema.VERDICTS)
            .join_from(
                schema.CANDIDATES,
                schema.HYPOTHESES,
                schema.CANDIDATES.c.hypothesis_id == schema.HYPOTHESES.c.id,
            )
            .join(schema.VERDICTS, schema.CANDIDATES.c.verdict_id == schema.VERDICTS.c.id)
            .join(schema.PROGRAMS, schema.VERDICTS.c.program_key == schema.PROGRAMS.c.key)
            .where(schema.HYPOTHESES.c.task_id == task_id)
            .order_by(schema.CANDIDATES.c.id)
        )
        with self._reading() as connection:
            for row in connection.execute(query).mappings():
                yield read_judged(row)

    def close(self) -> None:
        """Close the file and give the lock back. Closing twice does no harm."""
        self._engine.dispose()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _refuse_if_read_only(self) -> None:
        if self._lock is None:
            raise RunLogError(f"the run log {self.path} is not open for writing")

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with _failures(self.path, "read"), self._engine.connect() as connection:
            try:
                yield connection
            except (ValueError, TypeError, KeyError) as error:
                raise RunLogError(f"{self.path} is damaged: {_cause(error)}") from error


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise RunLogError(
            f"{path} exists already; if it is a run, go on with `induce resume {path}`, "
            "else name another file"
        )


def _write_new(path: Path, info: RunInfo) -> None:
    """Write a log without tasks, and give it its name only when it is whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    engine = _engine(draft, read_only=False)
    try:
        with engine.begin() as connection:
            schema.create(connection)
            values = asdict(info) | {"schema_version": schema.SCHEMA_VERSION, "created": now()}
            values |= {key: json.dumps(values[key]) for key in ("source_options", "settings")}
            connection.execute(schema.RUN.insert().values(values))
        engine.dispose()
        draft.rename(path)
    finally:
        engine.dispose()
        draft.unlink(missing_ok=True)


def _engine(path: Path, read_only: bool) -> sa.Engine:
    def connect() -> sqlite3.Connection:
        uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        connection = sqlite3.connect(uri, uri=True, timeout=30, check_same_thread=False)
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA trusted_schema=OFF")  # a log may come from somebody else
        return connection

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.QueuePool)


def _check_schema(path: Path, connection: sa.Connection) -> None:
    """Raise ``RunLogError`` for another version's log, and for any other database."""
    query = "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
    found = {(kind, name) for kind, name in connection.exec_driver_sql(query)}
    if ("table", schema.RUN.name) not in found:
        raise RunLogError(f"{path} is no run log of induce")
    version = connection.execute(sa.select(schema.RUN.c.schema_version)).scalar_one()
    if version != schema.SCHEMA_VERSION:
        raise RunLogError(
            f"{path} has schema version {version} and this induce reads {schema.SCHEMA_VERSION}; "
            "read it with the induce that wrote it"
        )
    if not schema.OBJECTS - schema.LATER <= found <= schema.OBJECTS:
        raise RunLogError(f"{path} is no run log of induce: it has other tables, views or triggers")


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
def _failures(path: Path, verb: str) -> Iterator[None]:
    try:
        yield
    except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise RunLogError(
            f"cannot {verb} the run log {path}: {_cause(error)}; what was recorded before is safe: "
            f"mend the cause, then `induce resume {path}`"
            if verb == "write"
            else f"cannot {verb} the run log {path}: {_cause(error)}; check its folder, rights and disk"
        ) from error


def _cause(error: BaseException) -> str:
    if isinstance(error, sa.exc.DBAPIError) and error.orig is not None:
        return str(error.orig)
    return (error.strerror if isinstance(error, OSError) else None) or str(error).splitlines()[0]
