"""What databases do each in their own way: connections, transactions, and who may write."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar

import sqlalchemy as sa

from sandboxes import RunLogError

T = TypeVar("T")


class Rows(Protocol):
    """What a query found."""

    def fetchone(self) -> Any:
        """Give the next row; ``None`` where there is none."""

    def fetchall(self) -> list[Any]:
        """Give all rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Driver(Protocol):
    """A connection, as near to the database as can be: an SQL toolkit would cost more than the writing.

    Parameters are written ``?``. Texts are given as ``to_column`` makes them, and read by ``from_column``.
    """

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Rows:
        """Run a statement."""
        ...

    def insert(self, sql: str, values: Sequence[Any], /) -> int | None:
        """Insert a row; give its id, or ``None`` where it was left out because of a conflict."""
        ...

    def insert_many(self, into: str, rows: Sequence[Sequence[Any]]) -> list[int]:
        """Insert rows into a table with these columns (``table (a, b)``); give their ids."""
        ...

    def add_many(self, into: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert those rows that are not there yet."""
        ...

    def lock(self, name: str, *, shared: bool = False) -> None:
        """Wait for a lock, which one transaction has alone or several share, and have it to the end."""
        ...


class Database(ABC):
    """A database that holds one run.

    ``address`` opens it again, without any password; ``name`` is the run's alone.
    """

    def __init__(self, address: str, name: str, *, writable: bool) -> None:
        self.address = address
        self.name = name
        self.writable = writable

    @classmethod
    @abstractmethod
    def create(cls, address: str, run: Mapping[str, Any]) -> Self:
        """Make a new database for a run that begins with this row; refuse one that exists."""

    @classmethod
    @abstractmethod
    def open(cls, address: str, *, read_only: bool) -> Self:
        """Open the database of a run, for writing as the only one that does."""

    @classmethod
    @abstractmethod
    def open_beside(cls, address: str) -> Self:
        """Open the database of a run for a few words, whoever writes it."""

    @classmethod
    @abstractmethod
    def delete(cls, address: str) -> int:
        """Delete a run that nobody writes; give the number of bytes freed."""

    @classmethod
    @abstractmethod
    def is_being_written(cls, address: str) -> bool:
        """Whether a process has the run open to go on with it."""

    @abstractmethod
    def read(self, work: Callable[[sa.Connection], T]) -> T:
        """Do work on one state of the run; any number of threads may."""

    @abstractmethod
    def at_hand(self, work: Callable[[Driver], T]) -> T:
        """Do short reading on a connection that is always there, one thread at a time."""

    @abstractmethod
    def write(self, work: Callable[[Driver], T], check: Callable[[Driver], None]) -> T:
        """Do work in one transaction, once for all, and only where ``check`` passes in it.

        The work may be begun several times, and is done once.
        """

    @abstractmethod
    def begin(self, work: Callable[[Driver], T]) -> T:
        """Do work in one transaction while no other writer is in one."""

    @abstractmethod
    def driver(self, connection: sa.Connection) -> Driver:
        """Give what is below a connection."""

    @abstractmethod
    def close(self) -> None:
        """Close all connections. Closing twice does no harm."""


@contextlib.contextmanager
def failures(address: str, verb: str, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn a database's errors into ours, which name the run and the cure."""
    try:
        yield
    except errors as error:
        raise RunLogError(failure(address, verb, error)) from error


def failure(address: str, verb: str, error: BaseException, cure: str = "folder, rights and disk") -> str:
    """Say what could not be done, why, and what to do."""
    return (
        f"cannot {verb} the run log {address}: {cause_of(error)}; what was recorded before is safe: "
        f"mend the cause, then `induce resume {address}`"
        if verb == "write"
        else f"cannot {verb} the run log {address}: {cause_of(error)}; check its {cure}"
    )


def cause_of(error: BaseException) -> str:
    """Give the first line of what a database or the system said."""
    if isinstance(error, sa.exc.DBAPIError) and error.orig is not None:
        error = error.orig
    said = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return said.splitlines()[0]


def write_new(driver: Driver, statements: Sequence[str], run: Mapping[str, Any]) -> None:
    """Write a log without tasks."""
    for statement in statements:
        driver.execute(statement)
    places = ", ".join("?" * len(run))
    driver.execute(f"INSERT INTO run ({', '.join(run)}) VALUES ({places})", list(run.values()))  # noqa: S608


def refuse_existing(address: str, *, there: bool) -> None:
    """Raise ``RunLogError`` where something would be overwritten."""
    if there:
        raise RunLogError(
            f"{address} exists already; if it is a run, go on with `induce resume {address}`, "
            "else name another file"
        )


def refuse_newer(address: str, version: int, present: int) -> None:
    """Raise ``RunLogError`` where a log is of a later induce."""
    if version > present:
        raise RunLogError(
            f"{address} has schema version {version} and this induce reads {present} and older; "
            "read it with the induce that wrote it"
        )
