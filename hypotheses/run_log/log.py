"""The log itself: create it, write to it, read from it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import sqlalchemy as sa

from hypotheses.budget import Cost
from hypotheses.hypothesis import Completion, Entry, Judged, Proposal, Solution, Trace
from hypotheses.models.chat import ChatRequest, Message
from hypotheses.run_log import completions as completion_rows
from hypotheses.run_log import events as event_rows
from hypotheses.run_log import fencing, schema
from hypotheses.run_log.completions import RecordedRequest
from hypotheses.run_log.database import Database, Driver, cause_of
from hypotheses.run_log.events import Event
from hypotheses.run_log.moment import now
from hypotheses.run_log.postgresql import PostgreSQLDatabase
from hypotheses.run_log.postgresql_address import is_address
from hypotheses.run_log.records import TaskWriter, read_hypothesis, read_judged, read_solution
from hypotheses.run_log.sqlite import SQLiteDatabase
from hypotheses.task import Task
from sandboxes import Environment, RunLogError

T = TypeVar("T")
_PAGE = 100
_IDS_AT_ONCE = 500


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

    Its address is the path of a file, or ``postgresql+psycopg://USER@HOST/DATABASE#RUN``.

    It is a ``CompletionStore``: completions are kept as they come, and what is recorded of a task later
    refers to them. While a log is open for writing it is locked, so that two processes cannot go on with
    one run at once; the threads of one process may share it, and, on a server, processes that ``join`` it.
    Every failure to read or write is a ``RunLogError`` that names the run. Whatever fails on a server because
    the connection was lost is tried again for a minute, and done once.
    """

    def __init__(self, database: Database, epoch: int) -> None:
        self._database = database
        self._epoch = epoch

    @classmethod
    def create(cls, address: str | Path, info: RunInfo) -> Self:
        """Start a new run. Refuses an address where something is, so that no run is ever overwritten."""
        values = asdict(info) | {"schema_version": schema.SCHEMA_VERSION, "created": now()}
        for name in ("source_options", "settings"):
            values[name] = schema.to_json(values[name])
        row = {name: schema.to_column(one) if isinstance(one, str) else one for name, one in values.items()}
        return cls._begun(_kind_of(address).create(str(address), row))

    @classmethod
    def open(cls, address: str | Path, *, read_only: bool = True) -> Self:
        """Open a run that exists, to read it or, with ``read_only=False``, to go on with it.

        Whoever goes on with it begins a new epoch: what writers of earlier ones try to write is refused.

        The log of an older version is migrated in place, at once or not at all, where it is opened for
        writing; to be read it is migrated in memory, and the file stays as it is.
        """
        database = _kind_of(address).open(str(address), read_only=read_only)
        if not read_only:
            return cls._begun(database)
        return cls._of(database, lambda: database.at_hand(fencing.newest_epoch))

    @classmethod
    def join(cls, address: str | Path, epoch: int) -> Self:
        """Open a run to write in an epoch that another process began.

        On a server any number may do so at a time; a file is written by one alone, which so takes it over
        from whoever has closed it. Raises ``FencedError`` where that epoch is over.
        """
        database: Database
        if _kind_of(address) is PostgreSQLDatabase:
            database = PostgreSQLDatabase.join(str(address))
        else:
            database = SQLiteDatabase.open(str(address), read_only=False)

        def check() -> int:
            database.at_hand(lambda driver: fencing.check_epoch(driver, epoch, database.address))
            return epoch

        return cls._of(database, check)

    @classmethod
    def delete(cls, address: str | Path) -> int:
        """Delete a run, and what its database keeps beside it; give the number of bytes freed.

        Raises ``RunLogError``, and deletes nothing, where it is being written or is no run log.
        """
        return _kind_of(address).delete(str(address))

    @classmethod
    def signal(cls, address: str | Path, what: str) -> None:
        """Leave a word (``cancel``) for whoever writes the run, if anybody does."""
        with contextlib.closing(_kind_of(address).open_beside(str(address))) as database:
            database.write(lambda driver: event_rows.leave_word(driver, what), lambda _: None)

    @classmethod
    def is_being_written(cls, address: str | Path) -> bool:
        """Whether a process has the run open to go on with it. Begins no epoch."""
        return _kind_of(address).is_being_written(str(address))

    @property
    def address(self) -> str:
        """What opens this run again: its path, or its URL, without any password."""
        return self._database.address

    @property
    def name(self) -> str:
        """The file's name, or the run's in its database."""
        return self._database.name

    @property
    def path(self) -> Path:
        """The run's file. Raises ``RunLogError`` where it is in none."""
        if not isinstance(self._database, SQLiteDatabase):
            raise RunLogError(f"the run {self.address} is on a server, in no file; use its address")
        return self._database.path

    @property
    def epoch(self) -> int:
        """The epoch that this log writes in; of one opened to be read, the newest when it was opened."""
        return self._epoch

    @property
    def info(self) -> RunInfo:
        """What the run was started with."""

        def work(connection: sa.Connection) -> RunInfo:
            row = dict(connection.execute(sa.select(schema.RUN)).mappings().one())
            del row["schema_version"]
            row["source_options"] = json.loads(row["source_options"])
            row["settings"] = json.loads(row["settings"])
            return RunInfo(**row)

        return self._read(work)

    def enter(self, environment: Environment) -> bool:
        """Record what programs run in from now on; give whether it is what they ran in so far."""
        self._refuse_if_read_only()
        row = (now(), schema.to_column(schema.to_json(asdict(environment))))

        def work(driver: Driver) -> bool:
            driver.lock("environments")
            query = "SELECT environment FROM environments ORDER BY id DESC LIMIT 1"
            known = [Environment(**json.loads(schema.from_column(text))) for (text,) in driver.execute(query)]
            if environment not in known:
                driver.insert("INSERT INTO environments (entered, environment) VALUES (?, ?)", row)
            return environment in (known or [environment])

        with _rows(self.address):
            return self._write(work)

    @property
    def environments(self) -> list[Environment]:
        """What programs ran in, first to last; more than one where the run was resumed in another."""
        query = sa.select(schema.ENVIRONMENTS.c.environment).order_by(schema.ENVIRONMENTS.c.id)

        def work(connection: sa.Connection) -> list[Environment]:
            return [Environment(**json.loads(text)) for text in connection.scalars(query)]

        return self._read(work)

    def lease(self, task_ids: Sequence[str], holder: str, *, shared: bool = False) -> list[int]:
        """Lease tasks to ``holder``; give a token for each, which ``record`` then asks for.

        Earlier leases of these tasks are over, unless this one is to be ``shared`` with them: for a second
        copy of what takes long.
        """
        self._refuse_if_read_only()
        return self._write(lambda driver: fencing.grant(driver, self._epoch, task_ids, holder, shared=shared))

    def finished(self, task_id: str) -> bool:
        """Whether the task has its solution in the log."""
        return bool(self.finished_among([task_id]))

    def finished_among(self, task_ids: Sequence[str]) -> set[str]:
        """Give those of the tasks that have their solution in the log."""

        def work(connection: sa.Connection) -> set[str]:
            found: set[str] = set()
            for start in range(0, len(task_ids), _IDS_AT_ONCE):
                some = task_ids[start : start + _IDS_AT_ONCE]
                query = sa.select(schema.SOLUTIONS.c.task_id).where(schema.SOLUTIONS.c.task_id.in_(some))
                found.update(connection.scalars(query))
            return found

        return self._read(work)

    def count(self) -> dict[str, int]:
        """Give the number of finished tasks by outcome."""
        query = sa.select(schema.SOLUTIONS.c.outcome, sa.func.count().label("number")).group_by(
            schema.SOLUTIONS.c.outcome
        )
        return self._read(lambda connection: {row.outcome: row.number for row in connection.execute(query)})

    def record(self, task: Task, trace: Trace, solution: Solution, token: int | None = None) -> bool:
        """Record a finished task in one transaction; give whether this solution is the one recorded.

        Of completions that were kept before, by key and sample, only the use is recorded. With the ``token``
        of a lease, a task that was finished otherwise stays as it is, and the same may be recorded again.

        Raises ``FencedError`` where the task has been leased to another since.
        """
        self._refuse_if_read_only()

        def work(driver: Driver) -> bool:
            if token is not None:
                if under := fencing.recorded_under(driver, task.id):
                    return token in under
                fencing.check_token(driver, self._epoch, task.id, token, self.address)
            TaskWriter(driver, task.id).write(trace, solution, token)
            return True

        return self._write(work)

    def keep(self, request: ChatRequest, completions: Sequence[Completion]) -> None:
        """Keep the completions of a request: when this returns they survive the death of the process.

        Those that are kept already, by key and sample, stay as they are. Those without a key (a foreign
        transcript's) are left for ``record``. Any thread may call this.

        Raises ``ValueError`` where prompt or temperature of a completion are not the request's.
        """
        self._refuse_if_read_only()
        self._write(lambda driver: completion_rows.keep(driver, request, completions))

    def recall(self, key: str, first: int, n: int) -> list[Completion]:
        """Give those of the samples ``first`` … ``first + n - 1`` that are kept, by sample.

        Any thread may call this.
        """
        return self._at_hand(lambda driver: completion_rows.recall(driver, key, first, n))

    def spent(self, *, unfinished: bool = True) -> Cost:
        """Give what the completions of the run cost together.

        ``unfinished=False`` leaves out what was kept for tasks that are not finished: whoever goes on with
        them recalls it, and counts it then. The parts of a completion are left out, for the whole costs what
        they cost.
        """
        return self._at_hand(lambda driver: completion_rows.spent(driver, unfinished=unfinished))

    def note(self, events: Sequence[Event]) -> None:
        """Add events to the run's timeline."""
        self._refuse_if_read_only()
        if events:
            self._write(lambda driver: event_rows.write(driver, events))

    def events(self, task_id: str | None = None) -> Iterator[Event]:
        """Yield the run's timeline, or what of it is about a task, as it was noted."""
        return self._pages(lambda connection, after: event_rows.read(connection, task_id, after, _PAGE))

    def signals(self, after: int = 0) -> list[tuple[int, str]]:
        """Give the words that were left for the writer after the one with this number, with their numbers."""
        return self._at_hand(lambda driver: event_rows.words(driver, after))

    def requests(
        self,
        *,
        key: str | None = None,
        task_id: str | None = None,
        messages: Sequence[Message] | None = None,
    ) -> Iterator[RecordedRequest]:
        """Yield the requests with a key, or only those with this one, for this task, with these messages."""

        def page(driver: Driver, after: int) -> list[tuple[int, RecordedRequest]]:
            return completion_rows.find_requests(
                driver, key=key, task_id=task_id, messages=messages, after=after, most=_PAGE
            )

        return self._pages(page)

    def completions(self, task_id: str) -> Iterator[tuple[int, Completion]]:
        """Yield the completions for a task, with their prompts, each after the round it belongs to.

        First those that its solution was made from, as they were recorded; then those that were kept for
        the task and not used: all of them, if it is not finished.
        """

        def work(connection: sa.Connection) -> list[tuple[int, Completion]]:
            driver = self._database.driver(connection)
            return [
                (round_, completion)
                for read in (completion_rows.used, completion_rows.unused)
                for _, round_, completion in read(driver, task_id)
            ]

        yield from self._read(work)

    def trace(self, task_id: str) -> Trace:
        """Give all that happened on a finished task; an empty trace for any other.

        Programs are those of the candidates: one without a completion was written by the proposer.
        """
        hypotheses = (
            sa.select(schema.HYPOTHESES)
            .where(schema.HYPOTHESES.c.task_id == task_id)
            .order_by(schema.HYPOTHESES.c.id)
        )

        def work(connection: sa.Connection) -> Trace:
            by_id: dict[int | None, Completion | None] = {None: None}
            in_order = []
            entries: dict[int, Entry] = {}
            for id_, round_, completion in completion_rows.used(self._database.driver(connection), task_id):
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

        return self._read(work)

    def solution(self, task_id: str) -> Solution | None:
        """Give the solution of a task; ``None`` where it is not finished."""
        query = _SOLUTIONS.where(schema.SOLUTIONS.c.task_id == task_id)

        def work(connection: sa.Connection) -> Solution | None:
            row = connection.execute(query).mappings().first()
            return None if row is None else read_solution(row)

        return self._read(work)

    def solutions(self) -> Iterator[Solution]:
        """Yield the solutions in the order in which they were recorded, some at a time from the database."""
        number = schema.SOLUTIONS.c.id
        after = 0
        while True:
            query = _SOLUTIONS.where(number > after).order_by(number).limit(_PAGE)

            def work(connection: sa.Connection, query: sa.Select[Any] = query) -> list[tuple[int, Solution]]:
                return [(row["id"], read_solution(row)) for row in connection.execute(query).mappings()]

            found = self._read(work)
            yield from (solution for _, solution in found)
            if len(found) < _PAGE:
                return
            after = found[-1][0]

    def task_ids(self) -> list[str]:
        """Give the ids of the finished tasks in the order in which they were recorded."""
        query = sa.select(schema.SOLUTIONS.c.task_id).order_by(schema.SOLUTIONS.c.id)
        return self._read(lambda connection: list(connection.scalars(query)))

    def judged(self, task_id: str) -> Iterator[Judged]:
        """Yield every candidate of a task with its verdict, by round and sample, without completions."""
        query = _judged(task_id)
        yield from self._read(
            lambda connection: [read_judged(row) for row in connection.execute(query).mappings()]
        )

    def close(self) -> None:
        """Close the database and give the lock back. Closing twice does no harm."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @classmethod
    def _begun(cls, database: Database) -> Self:
        return cls._of(database, lambda: database.begin(fencing.begin_epoch))

    @classmethod
    def _of(cls, database: Database, find_epoch: Callable[[], int]) -> Self:
        """Give the log of a database, which is closed where it has no fitting epoch."""
        try:
            return cls(database, find_epoch())
        except BaseException:
            database.close()
            raise

    def _refuse_if_read_only(self) -> None:
        if not self._database.writable:
            raise RunLogError(f"the run log {self.address} is not open for writing")

    def _read(self, work: Callable[[sa.Connection], T]) -> T:
        with _rows(self.address):
            return self._database.read(work)

    def _at_hand(self, work: Callable[[Driver], T]) -> T:
        with _rows(self.address):
            return self._database.at_hand(work)

    def _write(self, work: Callable[[Driver], T]) -> T:
        """Do work in one transaction of this log's epoch."""
        return self._database.write(
            work, lambda driver: fencing.check_epoch(driver, self._epoch, self.address)
        )

    def _pages(self, read: Callable[[Driver, int], list[tuple[int, T]]]) -> Iterator[T]:
        """Yield what is read page by page, each after the number of the last."""
        after = 0
        while True:

            def work(connection: sa.Connection, after: int = after) -> list[tuple[int, T]]:
                return read(self._database.driver(connection), after)

            found = self._read(work)
            yield from (one for _, one in found)
            if len(found) < _PAGE:
                return
            after = found[-1][0]


def _kind_of(address: str | Path) -> type[SQLiteDatabase] | type[PostgreSQLDatabase]:
    return PostgreSQLDatabase if is_address(str(address)) else SQLiteDatabase


@contextlib.contextmanager
def _rows(address: str) -> Iterator[None]:
    """Turn what reading a row that we never wrote raises into our error."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RunLogError(f"{address} is damaged: {cause_of(error)}") from error


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
