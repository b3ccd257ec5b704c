"""The memory itself: concepts in a database, found again by what they say and what they are for."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import sqlalchemy as sa

from memory import schema
from memory.backend import Backend, Visible, failures
from memory.concept import Concept, Outcome, Statistics
from memory.indexing import in_chunks, unindex
from memory.migrating import prepare
from memory.postgresql import PostgreSQLBackend
from memory.query import Recalled, RecallQuery
from memory.records import Record, check, from_body
from memory.retrieval import DEPTH, RETRIEVERS, Look, Retriever, fuse
from memory.sqlite import SQLiteBackend
from memory.steps import Held
from memory.weighing import weigh
from memory.writer import Writer
from sandboxes import MemoryStoreError

if TYPE_CHECKING:
    from memory.embedding import Embedder
    from memory.vectors import Vectors

_T = TypeVar("_T")
_RECORDS = (
    sa.select(
        schema.CONCEPTS,
        schema.VERSIONS.c.entry,
        schema.VERSIONS.c.version.label("this_version"),
        schema.VERSIONS.c.clock,
        schema.VERSIONS.c.until,
        schema.VERSIONS.c.key,
        schema.BODIES.c.checksum,
        schema.BODIES.c.body,
    )
    .join_from(schema.VERSIONS, schema.CONCEPTS, schema.VERSIONS.c.concept == schema.CONCEPTS.c.number)
    .join(schema.BODIES, schema.BODIES.c.entry == schema.VERSIONS.c.entry)
)
_PAGE = 500


class ConceptStore:
    """A ``Memory`` in a file or on a server. Make one with ``ConceptStore.open``; close it after use.

    What a method stored is stored for good when it returns, and wholly or not at all. Any thread may use a
    store, and any number of processes may open the same one. Every failure is a ``MemoryStoreError``.

    The store counts the tasks that were done (``tick``). What is learned carries that clock, and a query
    with a clock sees the memory as it was before: other versions, and what has been archived since,
    included. Counters are the exception: they are always the present ones.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        frozen: bool,
        retrievers: Mapping[str, Retriever],
        vectors: Vectors | None = None,
    ) -> None:
        self._backend = backend
        self._vectors = vectors
        self._retrievers = dict(retrievers)
        self._frozen = frozen
        self._closed = False

    @classmethod
    def open(
        cls,
        where: str | Path,
        *,
        frozen: bool = False,
        retrievers: Mapping[str, Retriever] = RETRIEVERS,
        embedder: Embedder | None = None,
    ) -> Self:
        """Open the memory in a file, or at a URL (``sqlite:///…``, ``postgresql+psycopg://…``).

        One that is not there is created, one of an older schema migrated; a frozen one must be there, and
        is only read.

        With an ``embedder``, what is stored from now on gets a vector, and is found by it too (``dense``);
        ``embed`` gives one to what was there before.
        """
        backend = _backend(where, frozen)
        try:
            with failures(backend.name, "open"):
                prepare(backend, frozen=frozen)
        except BaseException:
            backend.engine.dispose()
            raise
        vectors = None
        if embedder is not None:
            from memory.vectors import Vectors  # noqa: PLC0415  numpy is slow to load

            vectors = Vectors(backend.name, embedder)
        return cls(backend, frozen=frozen, retrievers=retrievers, vectors=vectors)

    @property
    def name(self) -> str:
        """Where the memory is, as messages call it."""
        return self._backend.name

    @property
    def frozen(self) -> bool:
        """Whether it is only read."""
        return self._frozen

    @property
    def clock(self) -> int:
        """How many tasks have been done."""
        with self._reading() as connection:
            return int(connection.execute(sa.select(schema.STATE.c.clock)).scalar_one())

    def tick(self) -> int:
        """Count one more task as done, and give the clock, which all that was learned so far precedes."""
        with self._writing() as writer:
            return writer.tick()

    def finish(self, outcome: Outcome) -> int:
        """Keep how a task ended, and tick; give the clock."""
        with self._writing() as writer:
            return writer.finish(outcome)

    def add(self, concepts: Sequence[Concept]) -> list[str]:
        """Store new concepts, and give the ids of all.

        One whose name, description, program and term are there already keeps its id, and all else that the
        store has of it; so does one that was archived or merged. The clock of each is the store's.
        """
        for concept in concepts:
            check(concept)
        with self._writing() as writer:
            return writer.add(concepts)

    def bring(self, concepts: Sequence[Concept]) -> list[str]:
        """Store concepts from elsewhere as ``add`` does, and tick: they may be recalled from now on."""
        for concept in concepts:
            check(concept)
        with self._writing() as writer:
            ids = writer.add(concepts)
            writer.tick()
            return ids

    def restore(self, records: Iterable[Record]) -> int:
        """Store exported versions as they were, with ids, counters and clocks; give how many were new.

        All or none: an error that ``records`` raises leaves the memory as it was. Afterwards the clock is
        later than anything that came. Records without an id are added as new concepts.
        """
        with self._writing() as writer:
            return writer.restore(records)

    def update(self, concept_id: str, concept: Concept) -> int:
        """Make ``concept`` the present version of one that is there, and give the version's number.

        An archived concept comes back by it. Without a change there is no new version.
        """
        check(concept)
        with self._writing() as writer:
            return writer.update(concept_id, concept)

    def extend(self, concept_id: str, concept: Concept) -> int:
        """Add what a concept says beyond the present version of one that is there; give the version's number.

        Parameters, cues and notes are added to whatever is there by now. One that was archived stays so.
        """
        check(concept)
        with self._writing() as writer:
            return writer.extend(concept_id, concept)

    def merge(self, ids: Sequence[str], concept: Concept) -> str:
        """Put one concept in the place of several, which it points to and which are archived; give its id."""
        check(concept)
        with self._writing() as writer:
            return writer.merge(ids, concept)

    def archive(self, ids: Sequence[str]) -> None:
        """Have concepts recalled no longer. They stay in the store.

        A query with a clock sees them up to the next ``tick``, as it does not see before it what is learned.
        """
        with self._writing() as writer:
            writer.archive(ids)

    def purge(self, ids: Sequence[str]) -> None:
        """Delete archived concepts, if all of their versions have been exported."""
        with self._writing() as writer:
            connection = writer.connection
            numbers = writer.refuse_unless_purgeable(ids)
            for numbers_of_some in in_chunks(numbers):
                some = schema.VERSIONS.c.concept.in_(numbers_of_some)
                rows = connection.execute(_RECORDS.where(some)).mappings().all()
                unindex(
                    self._backend, connection, [(row["entry"], self._record(row).concept) for row in rows]
                )
                entries = sa.select(schema.VERSIONS.c.entry).where(some)
                connection.execute(schema.POSTINGS.delete().where(schema.POSTINGS.c.entry.in_(entries)))
                connection.execute(schema.BODIES.delete().where(schema.BODIES.c.entry.in_(entries)))
                connection.execute(schema.VECTORS.delete().where(schema.VECTORS.c.entry.in_(entries)))
                connection.execute(schema.VERSIONS.delete().where(some))
                connection.execute(
                    schema.CONCEPTS.delete().where(schema.CONCEPTS.c.number.in_(numbers_of_some))
                )

    def embed(self, most: int | None = None) -> int:
        """Embed present concepts that the store's embedder has not embedded yet, up to ``most``.

        Gives how many were. What was embedded stays so if the embedder fails, or the process dies.
        """
        return self._embed(most, schema.VERSIONS.c.entry > 0)

    def mark_exported(self, versions: Mapping[str, int]) -> None:
        """Note up to which version concepts have been exported, by their ids."""
        with self._writing() as writer:
            writer.mark_exported(versions)

    def count(
        self,
        ids: Sequence[str],
        *,
        recalled: int = 0,
        used: int = 0,
        wins: int = 0,
        losses: int = 0,
        wins_without: int = 0,
        losses_without: int = 0,
    ) -> None:
        """Add to the counters of concepts. What is used was last used now."""
        added = {"recalled": recalled, "used": used, "wins": wins, "losses": losses}
        with self._writing() as writer:
            writer.count(ids, added | {"wins_without": wins_without, "losses_without": losses_without})

    def outcomes(self) -> Iterator[Outcome]:
        """Yield how the tasks ended that were done with ``finish``, in their order."""
        last = 0
        table = schema.OUTCOMES
        while True:
            page = sa.select(table).where(table.c.number > last).order_by(table.c.number).limit(_PAGE)
            with self._reading() as connection:
                rows = connection.execute(page).mappings().all()
            for row in rows:
                yield Outcome(**{name: value for name, value in row.items() if name != "number"})
            if len(rows) < _PAGE:
                return
            last = rows[-1]["number"]

    def get(self, concept_id: str, version: int | None = None) -> Concept:
        """Give a concept, archived or not, as it is or was in a version."""
        query = _RECORDS.where(
            schema.CONCEPTS.c.id == concept_id,
            schema.VERSIONS.c.version == (schema.CONCEPTS.c.version if version is None else version),
        )
        with self._reading() as connection:
            row = connection.execute(query).mappings().first()
            if row is None:
                what = f"concept {concept_id}" + ("" if version is None else f" of version {version}")
                raise MemoryStoreError(f"the memory {self.name} has no {what}")
            return self._record(row).concept

    def find_id(self, beginning: str) -> str:
        """Give the one id that begins so, archived or not. Raises ``MemoryStoreError`` unless it is one."""
        fits = schema.CONCEPTS.c.id.startswith(beginning, autoescape=True)
        with self._reading() as connection:
            found = list(connection.scalars(sa.select(schema.CONCEPTS.c.id).where(fits).limit(2)))
        if beginning in found:
            return beginning
        if len(found) != 1:
            how = "several concepts whose ids begin" if found else "no concept whose id begins"
            raise MemoryStoreError(
                f"the memory {self.name} has {how} with {beginning!r}: see `induce memory list`"
            )
        return str(found[0])

    def versions(self, concept_id: str) -> list[Concept]:
        """Give all versions of a concept, the first one first."""
        query = _RECORDS.where(schema.CONCEPTS.c.id == concept_id).order_by(schema.VERSIONS.c.version)
        with self._reading() as connection:
            found = [self._record(row).concept for row in connection.execute(query).mappings()]
        if not found:
            raise MemoryStoreError(f"the memory {self.name} has no concept {concept_id}")
        return found

    def concepts(self, *, archived: bool = False, newest_first: bool = False) -> Iterator[Concept]:
        """Yield the present concepts, or the archived and merged ones, in the order they were stored in."""
        newest = schema.VERSIONS.c.version == schema.CONCEPTS.c.version
        held = schema.VERSIONS.c.until.is_not(None) if archived else schema.VERSIONS.c.until.is_(None)
        for record in self._records(newest, held, descending=newest_first):
            yield record.concept

    def records(self) -> Iterator[Record]:
        """Yield every version of every concept, archived ones included, with all that ``restore`` needs."""
        return self._records()

    def recall(self, query: RecallQuery, most: int = 8) -> list[Recalled]:
        """Give up to ``most`` concepts that fit a query, the most relevant first; what harms comes last."""
        asked = None if self._vectors is None else self._vectors.query(query)
        with self._reading() as connection:
            indexed = int(connection.execute(sa.select(schema.STATE.c.indexed)).scalar_one())
            look = Look(self._backend, connection, Visible(query.clock), indexed, max(DEPTH, most))
            found = {name: find(look, query) for name, find in self._retrievers.items()}
            if self._vectors is not None and asked is not None:
                found["dense"] = self._vectors.find(look, asked, found)
            best = weigh(connection, fuse(found))[:most]
            entries = [entry for entry, _, _ in best]
            rows = connection.execute(_RECORDS.where(schema.VERSIONS.c.entry.in_(entries))).mappings()
            by_entry = {row["entry"]: self._record(row).concept for row in rows}
        return [Recalled(by_entry[entry], score, ranks) for entry, score, ranks in best]

    def held(self, entries: Sequence[int]) -> list[Held]:
        """Give those of some versions, by their entries, that are present, in the order of these."""
        found: list[Held] = []
        with self._reading() as connection:
            for some in in_chunks(sorted(entries)):
                query = _RECORDS.where(schema.VERSIONS.c.entry.in_(some), schema.VERSIONS.c.until.is_(None))
                rows = connection.execute(query.order_by(schema.VERSIONS.c.entry)).mappings()
                found += [Held(row["entry"], row["number"], self._record(row).concept) for row in rows]
        return found

    def look(self, reading: Callable[[sa.Connection], _T]) -> _T:
        """Read something in one snapshot."""
        with self._reading() as connection:
            return reading(connection)

    def change(self, writing: Callable[[Writer], _T]) -> _T:
        """Write something in one transaction."""
        with self._writing() as writer:
            return writing(writer)

    @contextmanager
    def trying(self) -> Iterator[tuple[Backend, sa.Connection]]:
        """Give a connection that nobody else writes beside; what was written by it is undone at the end."""
        with self._writing() as writer:
            connection = writer.connection
            with connection.begin_nested() as tried:
                yield self._backend, connection
                tried.rollback()

    def check(self) -> None:
        """Read everything and have the database check itself. Raises ``MemoryStoreError`` for damage."""
        with self._reading() as connection:
            self._backend.check(connection)
        for _ in self._records():
            pass

    def __len__(self) -> int:
        """How many concepts can be recalled."""
        held = schema.VERSIONS.c.until.is_(None)
        with self._reading() as connection:
            return connection.execute(sa.select(sa.func.count()).where(held)).scalar_one()

    def close(self) -> None:
        """Close all connections. Closing twice does no harm."""
        self._closed = True
        self._backend.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _records(self, *conditions: sa.ColumnElement[bool], descending: bool = False) -> Iterator[Record]:
        """Yield versions page by page, so that no snapshot is held while the caller works."""
        entry = schema.VERSIONS.c.entry
        last = 2**62 if descending else 0
        while True:
            page = _RECORDS.where(entry < last if descending else entry > last, *conditions)
            page = page.order_by(entry.desc() if descending else entry).limit(_PAGE)
            with self._reading() as connection:
                rows = connection.execute(page).mappings().all()
                found = [self._record(row) for row in rows]
            yield from found
            if len(rows) < _PAGE:
                return
            last = rows[-1]["entry"]

    def _embed(self, most: int | None, *conditions: sa.ColumnElement[bool]) -> int:
        """Embed versions batch by batch, in no transaction: an embedder may take its time."""
        from memory.vectors import BATCH  # noqa: PLC0415  numpy is slow to load

        vectors = self._vectors
        if vectors is None:
            raise MemoryStoreError(f"the memory {self.name} has no embedder; open it with embedder=…")
        done = last = 0
        while (size := BATCH if most is None else min(BATCH, most - done)) > 0:
            page = _RECORDS.where(schema.VERSIONS.c.entry > last, vectors.lacking(), *conditions)
            with self._reading() as connection:
                rows = connection.execute(page.order_by(schema.VERSIONS.c.entry).limit(size)).mappings().all()
            if not rows:
                break
            embedded = vectors.embed([self._record(row).concept for row in rows])
            entries = [row["entry"] for row in rows]
            with self._writing() as writer:
                done += vectors.keep(writer.connection, entries, embedded)
            last = entries[-1]
        return done

    def _embed_stored(self, stored: range) -> None:
        """Embed what was just stored, which stays stored if that fails."""
        try:
            self._embed(None, schema.VERSIONS.c.entry.between(stored[0], stored[-1]))
        except MemoryStoreError as error:
            warnings.warn(
                f"stored, but not embedded, and so not found by vectors until `embed` is called: {error}",
                RuntimeWarning,
                stacklevel=5,
            )

    def _record(self, row: Mapping[Any, Any]) -> Record:
        """Make a version of its row. Raises ``MemoryStoreError`` where it is not as it was written."""
        try:
            if zlib.crc32(row["body"].encode()) != row["checksum"]:
                raise ValueError("its checksum is another")
            concept = from_body(row["body"])
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise MemoryStoreError(
                f"the memory {self.name} is damaged: concept {row['id']}, version {row['this_version']}: "
                f"{error}; go back to a copy, or import its last export into a new one"
            ) from error
        kept = replace(
            concept,
            id=row["id"],
            version=row["this_version"],
            provenance=replace(concept.provenance, clock=row["clock"]),
            statistics=Statistics(**{one.name: row[one.name] for one in fields(Statistics)}),
        )
        return Record(kept, row["until"])

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        self._refuse_if_closed()
        with failures(self.name, "read"), self._backend.reading() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Writer]:
        self._refuse_if_closed()
        if self._frozen:
            raise MemoryStoreError(f"the memory {self.name} is frozen; open it without frozen=True to write")
        with failures(self.name, "write"), self._backend.writing() as connection:
            writer = Writer(self._backend, connection)
            yield writer
        if self._vectors is not None and writer.stored:
            self._embed_stored(writer.stored)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise MemoryStoreError(f"the memory {self.name} is closed; open it again")


def _backend(where: str | Path, frozen: bool) -> Backend:
    if isinstance(where, str) and "://" in where:
        try:
            url = sa.make_url(where)
        except sa.exc.ArgumentError as error:
            raise MemoryStoreError(f"{where} is no address of a memory: {error}") from error
        if url.drivername == "postgresql+psycopg":
            return _postgresql(url)
        if url.drivername != "sqlite" or not url.database:
            raise MemoryStoreError(
                f"no memory is kept at {url.render_as_string()}; name a file, or sqlite:///FILE, "
                "or postgresql+psycopg://USER@HOST/DATABASE"
            )
        where = url.database
    path = Path(where)
    if frozen and not path.is_file():
        raise MemoryStoreError(
            f"there is no memory {path} to open frozen; learn or import something into it first"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MemoryStoreError(f"cannot make the folder of the memory {path}: {error.strerror}") from error
    return SQLiteBackend(path, frozen=frozen)


def _postgresql(url: sa.URL) -> Backend:
    try:
        return PostgreSQLBackend(url)
    except ImportError as error:
        raise MemoryStoreError(
            "PostgreSQL is spoken to by psycopg, which is missing: pip install 'induce[postgres]'"
        ) from error
