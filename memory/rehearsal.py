"""A memory to try things on: it behaves as the real one, and nothing that is done to it lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from memory.backend import Backend, failures
from memory.store import ConceptStore
from memory.writer import Writer


@contextmanager
def rehearsal(store: ConceptStore) -> Iterator[ConceptStore]:
    """Give a store that is as ``store`` is, and undo at the end all that was done to it.

    All of it is one transaction, which other writers wait for, and nobody else sees.
    """
    with store.trying() as (backend, connection):
        yield _Rehearsal(backend, connection)


class _Rehearsal(ConceptStore):
    def __init__(self, backend: Backend, connection: sa.Connection) -> None:
        super().__init__(backend, frozen=False, retrievers={})
        self._connection = connection

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with failures(self.name, "read"):
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[Writer]:
        with failures(self.name, "write"), self._connection.begin_nested():
            yield Writer(self._backend, self._connection)
