"""A step of consolidation: planned outside of any transaction, taken in one, unless something has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import sqlalchemy as sa

from memory import schema
from memory.concept import Concept, Statistics
from memory.indexing import in_chunks
from memory.likeness import Marks
from memory.writer import Writer

_CONCEPTS, _VERSIONS, _STATE = schema.CONCEPTS, schema.VERSIONS, schema.STATE
_COUNTERS = tuple(one.name for one in fields(Statistics))


@dataclass(frozen=True, slots=True)
class Held:
    """A concept as it is present, in a version by its entry. ``number`` is smaller for what is older."""

    entry: int
    number: int
    concept: Concept


@dataclass(frozen=True, slots=True)
class Change:
    """``concept``, which has ``marks``, becomes the present version of ``held``; ``None`` archives that.

    What is ``absorbed`` is archived, and its counters are added to those of ``held``.
    """

    held: Held
    concept: Concept | None = None
    marks: Marks | None = None
    absorbed: tuple[Held, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """Changes, planned where the round stood at the entry ``at``, which bring it on to the entry ``to``."""

    at: int
    to: int
    changes: tuple[Change, ...] = ()


def where(connection: sa.Connection) -> tuple[int, int]:
    """Give the entry up to which the round has come, and the clock."""
    at, clock = connection.execute(sa.select(_STATE.c.consolidated, _STATE.c.clock)).one()
    return int(at), int(clock)


def following(connection: sa.Connection, entry: int, most: int) -> list[int]:
    """Give the present versions after an entry."""
    query = sa.select(_VERSIONS.c.entry).where(_VERSIONS.c.until.is_(None), _VERSIONS.c.entry > entry)
    return list(connection.scalars(query.order_by(_VERSIONS.c.entry).limit(most)))


def take(writer: Writer, step: Step) -> bool:
    """Take a step, or give ``False`` where somebody else has moved the round on or changed a concept."""
    if where(writer.connection)[0] != step.at or not all(_holds(writer, change) for change in step.changes):
        return False
    for change in step.changes:
        _apply(writer, change)
    writer.connection.execute(_STATE.update().values(consolidated=step.to))
    return True


def _holds(writer: Writer, change: Change) -> bool:
    entries = [one.entry for one in (change.held, *change.absorbed)]
    present = 0
    for some in in_chunks(entries):
        query = sa.select(sa.func.count()).where(_VERSIONS.c.entry.in_(some), _VERSIONS.c.until.is_(None))
        present += writer.connection.execute(query).scalar_one()
    if change.concept is not None:
        return present == len(entries)
    # It is archived for its counters, so they count as well.
    query = sa.select(*(_CONCEPTS.c[name] for name in _COUNTERS))
    row = writer.connection.execute(query.where(_CONCEPTS.c.number == change.held.number)).first()
    return present == 1 and row is not None and Statistics(*row) == change.held.concept.statistics


def _apply(writer: Writer, change: Change) -> None:
    kept = change.held.concept.id
    if change.concept is None:
        writer.archive([kept])
        return
    _add_counters(writer, change.held.number, [one.number for one in change.absorbed])
    writer.archive([one.concept.id for one in change.absorbed])
    writer.update(kept, change.concept)
    entry = writer.connection.execute(
        sa.select(_VERSIONS.c.entry).where(
            _VERSIONS.c.concept == change.held.number, _VERSIONS.c.until.is_(None)
        )
    ).scalar_one()
    writer.mark((mark, entry) for mark in change.marks or ())


def _add_counters(writer: Writer, kept: int, absorbed: Sequence[int]) -> None:
    sums = dict.fromkeys(_COUNTERS, 0)
    for some in in_chunks(absorbed):
        query = sa.select(*(_CONCEPTS.c[name] for name in _COUNTERS)).where(_CONCEPTS.c.number.in_(some))
        for row in writer.connection.execute(query):
            for name, value in zip(_COUNTERS, row, strict=True):
                sums[name] = max(sums[name], value) if name == "last_used" else sums[name] + value
    last = sums.pop("last_used")
    values = {name: _CONCEPTS.c[name] + value for name, value in sums.items() if value}
    mine = _CONCEPTS.update().where(_CONCEPTS.c.number == kept)
    if values:
        writer.connection.execute(mine.values(values))
    writer.connection.execute(mine.where(_CONCEPTS.c.last_used < last).values(last_used=last))
