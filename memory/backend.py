"""What databases do each in their own way: connections, and the index of words."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from memory.words import Texts
from sandboxes import MemoryStoreError


class Backend(ABC):
    """A database that a memory is kept in. ``name`` is how messages call it."""

    def __init__(self, name: str, engine: sa.Engine) -> None:
        self.name = name
        self.engine = engine

    @abstractmethod
    def reading(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """Give a connection that sees one state of the memory."""

    @abstractmethod
    def writing(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """Give a connection in a transaction that is the only one that writes."""

    @abstractmethod
    def run_many(
        self, connection: sa.Connection, statement: str, rows: Sequence[tuple[int | str, ...]]
    ) -> None:
        """Run a statement, its parameters written ``?``, for each row: faster than the toolkit would."""

    @abstractmethod
    def index(self, connection: sa.Connection, rows: Sequence[tuple[int, Texts]]) -> None:
        """Put the words of versions into the index."""

    @abstractmethod
    def unindex(self, connection: sa.Connection, rows: Sequence[tuple[int, Texts]]) -> None:
        """Take versions, with the words that they were put in with, out of the index."""

    @abstractmethod
    def match(
        self,
        connection: sa.Connection,
        words: Mapping[str, float],
        visible: Visible,
        postings: int,
        most: int,
    ) -> list[int]:
        """Give up to ``most`` visible versions with any of the words, each after its weight, the best first.

        Of more than ``postings`` that have one, the newest are ranked.
        """

    @abstractmethod
    def check(self, connection: sa.Connection) -> None:
        """Raise ``MemoryStoreError`` or a database's error where the database is damaged."""


class Visible:
    """Which versions hold at a clock: an SQL condition on ``v``, and its parameters."""

    def __init__(self, clock: int | None) -> None:
        self.sql = "v.until IS NULL"
        self.parameters: Mapping[str, Any] = {}
        if clock is not None:
            self.sql = "v.clock < :clock AND (v.until IS NULL OR v.until >= :clock)"
            self.parameters = {"clock": clock}


@contextlib.contextmanager
def failures(name: str, verb: str) -> Iterator[None]:
    """Turn a database's errors into ours, which name the memory and the cure."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, OSError) as error:
        cause = cause_of(error)
        raise MemoryStoreError(f"cannot {verb} the memory {name}: {cause}; {_cure(cause, verb)}") from error


def cause_of(error: BaseException) -> str:
    """Give the first line of what a database or the system said."""
    if isinstance(error, sa.exc.DBAPIError) and error.orig is not None:
        error = error.orig
    said = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return said.splitlines()[0]


def _cure(cause: str, verb: str) -> str:
    if "malformed" in cause or "not a database" in cause or "corrupt" in cause:
        return "it is damaged: go back to a copy, or import its last export into a new one"
    if "locked" in cause:
        return "another process has been writing for long: wait for it or stop it, then try again"
    if "full" in cause or "disk I/O" in cause or "No space" in cause:
        return "what was stored before is safe: free space on its disk, then try again"
    if verb == "write":
        return (
            "nothing of this was stored, and what was stored before is safe: mend the cause, then try again"
        )
    return "check its address, folder and rights"
