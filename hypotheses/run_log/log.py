"""The log itself: create it, write to it, read from it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from hypotheses.budget import Cost
from hypotheses.hypothesis import Completion, Entry, Judged, Proposal, Solution, Trace
from hypotheses.models.chat import ChatRequest, Message
from hypotheses.run_log import completions as completion_rows
from hypotheses.run_log import migration, schema
from hypotheses.run_log.completions import RecordedRequest
from hypotheses.run_log.records import (
    TaskWriter,
    driver_of,
    now,
    read_hypothesis,
    read_judged,
    read_solution,
)
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

    It is a ``CompletionStore``: completions are kept as they come, and what is recorded of a task later
    refers to them. While a log is open for writing it is locked, so that two processes cannot go on with
    one run at once; the threads of one process may share it. Every failure to read or write is a
    ``RunLogError`` that names the file.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, engine: sa.Engine, lock: int | None
    ) -> None:
        self.path = path
        self._engine = engine
        self._lock = lock
        # Completions come one request at a time, so they have a connection that is always at hand.
        self._connection: sqlite3.Connection | None = connection
        self._one_at_a_time = threading.Lock()

    @classmethod
    def create(cls, path: str | Path, info: RunInfo) -> Self:
        """Start a new run. Refuses a path that exists, so that no run is ever overwritten."""
        path = Path(path)
        with _failures(path, "start"), contextlib.ExitStack() as on_error:
            _refuse_existing(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = _take_lock(path)
            on_error.callback(os.close, lock)
            _refuse_existing(path)
            _write_new(path, info)
            log = cls(path, _connect(path, read_only=False), _engine(path, read_only=False), lock)
            on_error.pop_all()
        return log

    @classmethod
    def open(cls, path: str | Path, *, read_only: bool = True) -> Self:
        """Open a run that exists, to read it or, with ``read_only=False``, to go on with it.

        The log of an older version is migrated in place, at once or not at all, where it is opened for
        writing; to be read it is migrated in memory, and the file stays as it is.
        """
        path = Path(path)
        with contextlib.ExitStack() as on_error, _damage(path):
            lock = None
            if not read_only:
                lock = _lock_existing(path)
                on_error.callback(os.close, lock)
            _refuse_missing(path)
            connection = _connect(path, read_only)
            on_error.callback(connection.close)
            engine = _engine(path, read_only)
            if _check_schema(path, connection) != schema.SCHEMA_VERSION:
                if read_only:
                    connection = _copy_in_memory(connection)
                    on_error.callback(connection.close)
                    engine = _engine_of(connection)
                _migrate(path, connection)
            on_error.pop_all()
        return cls(path, connection, engine, lock)

    @classmethod
    def delete(cls, path: str | Path) -> int:
        """Delete a run, and what SQLite keeps beside it; give the number of bytes freed.

        Raises ``RunLogError``, and deletes nothing, where it is being written or is no run log.
        """
        path = Path(path)
        # The lock last: nobody may come in between.
        files = [path.with_name(path.name + end) for end in ("", "-wal", "-shm", "-lock")]
        freed = sum(file.stat().st_size for file in files if file.exists())
        with _damage(path):
            lock = _lock_existing(path)
        try:
            with _failures(path, "delete"):
                for file in files:
                    file.unlink(missing_ok=True)
        finally:
            os.close(lock)
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
            values = {"entered": now(), "environment": schema.to_json(asdict(environment))}
            with self._writing() as connection:
                connection.execute(schema.ENVIRONMENTS.insert().values(values))
        return environment in (known[-1:] or [environment])

    @property
    def environments(self) -> list[Environment]:
        """What programs ran in, first to last; more than one where the run was resumed in another."""
        with self._reading() as connection:
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
        """Record a finished task in one transaction.

        Of completions that were kept before, by key and sample, only the use is recorded.
        """
        self._refuse_if_read_only()
        with self._writing() as connection:
            TaskWriter(connection, task.id).write(trace, solution)

    def keep(self, request: ChatRequest, completions: Sequence[Completion]) -> None:
        """Keep the completions of a request: when this returns they survive the death of the process.

        Those that are kept already, by key and sample, stay as they are. Those without a key (a foreign
        transcript's) are left for ``record``. Any thread may call this.

        Raises ``ValueError`` where prompt or temperature of a completion are not the request's.
        """
        self._refuse_if_read_only()
        with self._at_hand("write") as connection, connection:
            completion_rows.keep(connection, request, completions)

    def recall(self, key: str, first: int, n: int) -> list[Completion]:
        """Give those of the samples ``first`` … ``first + n - 1`` that are kept, by sample.

        Any thread may call this.
        """
        with self._at_hand("read") as connection:
            return completion_rows.recall(connection, key, first, n)

    def spent(self, *, unfinished: bool = True) -> Cost:
        """Give what the completions of the run cost together.

        ``unfinished=False`` leaves out what was kept for tasks that are not finished: whoever goes on with
        them recalls it, and counts it then. The parts of a completion are left out, for the whole costs what
        they cost.
        """
        with self._at_hand("read") as connection:
            return completion_rows.spent(connection, unfinished=unfinished)

    def requests(
        self,
        *,
        key: str | None = None,
        task_id: str | None = None,
        messages: Sequence[Message] | None = None,
    ) -> Iterator[RecordedRequest]:
        """Yield the requests with a key, or only those with this one, for this task, with these messages."""
        with self._reading() as connection:
            driver = driver_of(connection)
            yield from completion_rows.find_requests(driver, key=key, task_id=task_id, messages=messages)

    def completions(self, task_id: str) -> Iterator[tuple[int, Completion]]:
        """Yield the completions for a task, with their prompts, each after the round it belongs to.

        First those that its solution was made from, as they were recorded; then those that were kept for
        the task and not used: all of them, if it is not finished.
        """
        with self._reading() as connection:
            driver = driver_of(connection)
            for read in (completion_rows.used, completion_rows.unused):
                for _, round_, completion in read(driver, task_id):
                    yield round_, completion

    def trace(self, task_id: str) -> Trace:
        """Give all that happened on a finished task; an empty trace for any other.

        Programs are those of the candidates: one without a completion was written by the proposer.
        """
        by_id: dict[int | None, Completion | None] = {None: None}
        in_order = []
        entries: dict[int, Entry] = {}
        hypotheses = (
            sa.select(schema.HYPOTHESES)
            .where(schema.HYPOTHESES.c.task_id == task_id)
            .order_by(schema.HYPOTHESES.c.id)
        )
        with self._reading() as connection:
            for id_, round_, completion in completion_rows.used(driver_of(connection), task_id):
                by_id[id_] = completion
                in_order.append((round_, completion))
            for row in connection.execute(hypotheses).mappings():
                proposal = Proposal(read_hypothesis(row), completion=by_id[row["completion_id"]])
                entries[row["id"]] = Entry(row["round"], row["sample"], proposal, ())
            for row in connection.execute(_judged(task_id)).mappings():
                entry = entries[row["hypothesis_id"]]
                judged = read_judged(row, by_id[row["candidate_completion_id"]])
                entries[row["hypothesis_id"]] = replace(entry, judged=(*entry.judged, judged))
        return Trace(tuple(entries.values()), tuple(in_order))

    def solution(self, task_id: str) -> Solution | None:
        """Give the solution of a task; ``None`` where it is not finished."""
        query = _SOLUTIONS.where(schema.SOLUTIONS.c.task_id == task_id)
        with self._reading() as connection:
            row = connection.execute(query).mappings().first()
            return None if row is None else read_solution(row)

    def solutions(self) -> Iterator[Solution]:
        """Yield the solutions in the order in which they were recorded, one at a time from the file."""
        query = _SOLUTIONS.order_by(schema.SOLUTIONS.c.id)
        with self._reading() as connection:
            rows = connection.execution_options(yield_per=100).execute(query).mappings()
            for row in rows:
                yield read_solution(row)

    def task_ids(self) -> list[str]:
        """Give the ids of the finished tasks in the order in which they were recorded."""
        query = sa.select(schema.SOLUTIONS.c.task_id).order_by(schema.SOLUTIONS.c.id)
        with self._reading() as connection:
            return list(connection.scalars(query))

    def judged(self, task_id: str) -> Iterator[Judged]:
        """Yield every candidate of a task with its verdict, by round and sample, without completions."""
        with self._reading() as connection:
            for row in connection.execute(_judged(task_id)).mappings():
                yield read_judged(row)

    def close(self) -> None:
        """Close the file and give the lock back. Closing twice does no harm."""
        self._disconnect()
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

    def _disconnect(self) -> None:
        with self._one_at_a_time:
            self._engine.dispose()
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with _failures(self.path, "read"), _rows(self.path), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._one_at_a_time, _failures(self.path, "write"), self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def _at_hand(self, verb: str) -> Iterator[sqlite3.Connection]:
        """Give the connection for short work, to one thread at a time."""
        with self._one_at_a_time, _failures(self.path, verb):
            if self._connection is None:
                raise RunLogError(f"the run log {self.path} is closed")
            if verb == "write":
                yield self._connection
                return
            with _rows(self.path):
                yield self._connection


_SOLUTIONS = (
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
        schema.VERDICTS.c.program_key,
        schema.VERDICTS.c.executions,
        schema.VERDICTS.c.query_executions,
        schema.VERDICTS.c.correct,
    )
    .join_from(schema.SOLUTIONS, schema.CANDIDATES, isouter=True)
    .join(schema.HYPOTHESES, schema.CANDIDATES.c.hypothesis_id == schema.HYPOTHESES.c.id, isouter=True)
    .join(schema.VERDICTS, schema.CANDIDATES.c.verdict_id == schema.VERDICTS.c.id, isouter=True)
    .join(schema.PROGRAMS, schema.VERDICTS.c.program_key == schema.PROGRAMS.c.key, isouter=True)
)


def _judged(task_id: str) -> sa.Select[Any]:
    return (
        sa.select(
            schema.HYPOTHESES,
            schema.PROGRAMS,
            schema.VERDICTS,
            schema.CANDIDATES.c.hypothesis_id,
            schema.CANDIDATES.c.completion_id.label("candidate_completion_id"),
        )
        .join_from(
            schema.CANDIDATES,
            schema.HYPOTHESES,
            schema.CANDIDATES.c.hypothesis_id == schema.HYPOTHESES.c.id,
        )
        .join(schema.VERDICTS, schema.CANDIDATES.c.verdict_id == schema.VERDICTS.c.id)
        .join(schema.PROGRAMS, schema.VERDICTS.c.program_key == schema.PROGRAMS.c.key, isouter=True)
        .where(schema.HYPOTHESES.c.task_id == task_id)
        .order_by(schema.CANDIDATES.c.id)
    )


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise RunLogError(
            f"{path} exists already; if it is a run, go on with `induce resume {path}`, "
            "else name another file"
        )


def _refuse_missing(path: Path) -> None:
    if not path.is_file():
        raise RunLogError(f"there is no run log {path}; `induce runs list` shows those there are")


def _write_new(path: Path, info: RunInfo) -> None:
    """Write a log without tasks, and give it its name only when it is whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    engine = _engine(draft, read_only=False)
    try:
        with engine.begin() as connection:
            for statement in schema.statements():
                connection.exec_driver_sql(statement)
            values = asdict(info) | {"schema_version": schema.SCHEMA_VERSION, "created": now()}
            values |= {key: schema.to_json(values[key]) for key in ("source_options", "settings")}
            connection.execute(schema.RUN.insert().values(values))
        engine.dispose()
        draft.rename(path)
    finally:
        engine.dispose()
        draft.unlink(missing_ok=True)


def _connect(path: Path, read_only: bool) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    connection = sqlite3.connect(uri, uri=True, timeout=30, check_same_thread=False)
    try:
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA trusted_schema=OFF")  # a log may come from somebody else
    except BaseException:
        connection.close()
        raise
    return connection


def _engine(path: Path, read_only: bool) -> sa.Engine:
    def connect() -> sqlite3.Connection:
        return _connect(path, read_only)

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.QueuePool)


def _migrate(path: Path, connection: sqlite3.Connection) -> None:
    try:
        migration.migrate(connection)
    except sqlite3.Error as error:
        raise RunLogError(
            f"cannot bring the run log {path} to this induce's schema: {_cause(error)}; it is as it was: "
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
    if version > schema.SCHEMA_VERSION:
        raise RunLogError(
            f"{path} has schema version {version} and this induce reads {schema.SCHEMA_VERSION} and older; "
            "read it with the induce that wrote it"
        )
    if not migration.fits(version, found):
        raise RunLogError(f"{path} is no run log of induce: it has other tables, views or triggers")
    return version


def _lock_existing(path: Path) -> int:
    """Lock a run log for writing. A file that is none of ours gets no lock beside it."""
    _refuse_missing(path)
    with contextlib.closing(_connect(path, read_only=True)) as connection:
        _check_schema(path, connection)
    with _failures(path, "open"):
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


@contextlib.contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise RunLogError(f"{path} is no run log of induce, or is damaged: {_cause(error)}") from error


@contextlib.contextmanager
def _rows(path: Path) -> Iterator[None]:
    """Turn what reading a row that we never wrote raises into our error."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RunLogError(f"{path} is damaged: {_cause(error)}") from error


def _cause(error: BaseException) -> str:
    if isinstance(error, sa.exc.DBAPIError) and error.orig is not None:
        return str(error.orig)
    return (error.strerror if isinstance(error, OSError) else None) or str(error).splitlines()[0]
