"""What changes a memory, within one transaction."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from memory import marks, schema
from memory.backend import Backend
from memory.concept import Concept, Outcome
from memory.indexing import in_chunks, index
from memory.records import Record, check, content_key, from_body, to_body
from sandboxes import MemoryStoreError

_CONCEPTS, _VERSIONS, _BODIES, _STATE = schema.CONCEPTS, schema.VERSIONS, schema.BODIES, schema.STATE
_OUTCOMES = schema.OUTCOMES


class Writer:
    """Writes into a transaction that no other writer is beside; ``stored`` are the entries of what is new."""

    def __init__(self, backend: Backend, connection: sa.Connection) -> None:
        self.connection = connection
        self._backend = backend
        self.stored = range(0)

    def tick(self) -> int:
        """Count one more task, and give the clock."""
        changed = _STATE.update().values(clock=_STATE.c.clock + 1).returning(_STATE.c.clock)
        return int(self.connection.execute(changed).scalar_one())

    def add(self, concepts: Sequence[Concept]) -> list[str]:
        """Store those that are not there yet at the present clock; give the ids of all."""
        clock = self._clock()
        ids: list[str] = []
        for some in in_chunks(concepts):
            keys = [content_key(concept) for concept in some]
            known = self._ids_by_key(keys)
            new: dict[str, Concept] = {}
            for key, concept in zip(keys, some, strict=True):
                if key not in known:
                    new.setdefault(key, concept)
            if new:
                self._insert([(key, None, _as_learned(one, key, clock)) for key, one in new.items()])
            ids += [known.get(key, key) for key in keys]
        return ids

    def update(self, concept_id: str, concept: Concept) -> int:
        """Make a concept the present version of one that is there."""
        row = self._rows([concept_id])[0]
        present = (
            sa.select(_BODIES.c.body)
            .join_from(_VERSIONS, _BODIES, _VERSIONS.c.entry == _BODIES.c.entry)
            .where(_VERSIONS.c.concept == row["number"], _VERSIONS.c.until.is_(None))
        )
        if self.connection.execute(present).scalar() == to_body(concept):
            return int(row["version"])
        self._end([row["number"]])
        version = row["version"] + 1
        changed = replace(_as_learned(concept, concept_id, self._clock()), version=version)
        self._insert([(concept_id, row["number"], changed)])
        self._set(row["number"], version=version)
        return int(version)

    def extend(self, concept_id: str, concept: Concept) -> int:
        """Add parameters, cues and notes to the present version of a concept, unless it is archived."""
        row = self._rows([concept_id])[0]
        asked = (
            sa.select(_BODIES.c.body)
            .join_from(_VERSIONS, _BODIES, _VERSIONS.c.entry == _BODIES.c.entry)
            .where(_VERSIONS.c.concept == row["number"], _VERSIONS.c.until.is_(None))
        )
        body = self.connection.execute(asked).scalar()
        if body is None:
            return int(row["version"])
        present = from_body(body)
        extended = replace(
            present,
            parameters=tuple(dict.fromkeys((*present.parameters, *concept.parameters))),
            cues=tuple(dict.fromkeys((*present.cues, *concept.cues))),
            notes=tuple(dict.fromkeys((*present.notes, *concept.notes))),
        )
        try:
            check(extended)
        except MemoryStoreError:
            return int(row["version"])  # there is no room for more
        return self.update(concept_id, extended)

    def merge(self, ids: Sequence[str], concept: Concept) -> str:
        """Put one concept in the place of several."""
        self._rows(ids)
        merged = replace(concept, came_from=tuple(dict.fromkeys([*concept.came_from, *ids])))
        [kept] = self.add([merged])
        # It may have been there before, and even be one of those that are merged.
        merged = replace(merged, came_from=tuple(one for one in merged.came_from if one != kept))
        self.update(kept, merged)
        self.archive([one for one in ids if one != kept])
        return kept

    def archive(self, ids: Sequence[str]) -> None:
        """Have concepts recalled no longer."""
        self._end([row["number"] for row in self._rows(ids)])

    def count(self, ids: Sequence[str], added: Mapping[str, int]) -> None:
        """Add to counters, by their names, of those concepts that are there."""
        numbers = [row["number"] for row in self._known(ids).values()]
        columns = _CONCEPTS.c
        values: dict[str, Any] = {name: columns[name] + number for name, number in added.items() if number}
        if not values:
            return
        if added.get("used"):
            values["last_used"] = self._clock()
        for some in in_chunks(numbers):
            self.connection.execute(_CONCEPTS.update().where(columns.number.in_(some)).values(values))

    def finish(self, outcome: Outcome) -> int:
        """Keep how a task ended, and count it."""
        row = {one.name: getattr(outcome, one.name) for one in fields(outcome)}
        newest = self.connection.execute(sa.select(sa.func.max(_OUTCOMES.c.number))).scalar()
        row |= {"number": (newest or 0) + 1, "clock": self._clock()}
        self.connection.execute(_OUTCOMES.insert(), [row])
        return self.tick()

    def mark(self, marked: Iterable[tuple[str, int]]) -> None:
        """Put marks on versions, by their entries."""
        marks.put(self._backend, self.connection, marked)

    def mark_seen(self, entry: int) -> None:
        """Note that all versions up to an entry have their marks."""
        marks.put_seen(self._backend, self.connection, entry)

    def mark_exported(self, versions: Mapping[str, int]) -> None:
        """Note up to which version concepts have been exported."""
        for row in self._rows(list(versions)):
            self._set(row["number"], exported=versions[row["id"]])

    def refuse_unless_purgeable(self, ids: Sequence[str]) -> list[int]:
        """Give the numbers of concepts that are archived and exported; refuse all if one is not."""
        rows = self._rows(ids)
        for some in in_chunks(rows):
            numbers = {row["number"]: row["id"] for row in some}
            present = sa.select(_VERSIONS.c.concept).where(
                _VERSIONS.c.concept.in_(numbers), _VERSIONS.c.until.is_(None)
            )
            for number in self.connection.scalars(present):
                raise MemoryStoreError(
                    f"concept {numbers[number]} is not archived; archive it before purging"
                )
        for row in rows:
            if row["exported"] < row["version"]:
                raise MemoryStoreError(
                    f"concept {row['id']} has not been exported as it is; export the memory before purging"
                )
        return [row["number"] for row in rows]

    def restore(self, records: Iterable[Record]) -> int:
        """Store exported versions as they were."""
        stored, latest = 0, self._clock()
        for some in in_chunks(records):
            for record in some:
                check(record.concept)
            nameless = [record.concept for record in some if not record.concept.id]
            before = self._indexed()
            self.add(nameless)
            stored += self._indexed() - before
            stored += self._restore([record for record in some if record.concept.id])
            for record in some:
                concept = record.concept
                latest = max(
                    latest, concept.provenance.clock, concept.statistics.last_used, record.until or 0
                )
        self.connection.execute(_STATE.update().values(clock=latest + 1))
        marks.put_arrived(self._backend, self.connection, latest + 1, self.stored)
        return stored

    def _restore(self, records: Sequence[Record]) -> int:
        known = self._known([record.concept.id for record in records])
        checksums = self._checksums(list(known))
        there = {(one, version) for one, versions in checksums.items() for version in versions}
        inserted: list[tuple[str, int | None, Concept]] = []
        ends: list[int | None] = []
        for record in records:
            concept = record.concept
            number = known[concept.id]["number"] if concept.id in known else None
            body = zlib.crc32(to_body(concept).encode())
            here = checksums.setdefault(concept.id, {}).setdefault(concept.version, body)
            if here != body:
                raise MemoryStoreError(
                    f"concept {concept.id} has another version {concept.version} here; "
                    "import into an empty memory, or leave that concept out"
                )
            if (concept.id, concept.version) not in there:
                there.add((concept.id, concept.version))
                inserted.append((concept.id, number, concept))
                ends.append(record.until)
        if inserted:
            self._insert(inserted, ends)
            self._order({concept_id for concept_id, _, _ in inserted})
        return len(inserted)

    def _insert(
        self,
        versions: Sequence[tuple[str, int | None, Concept]],
        ends: Sequence[int | None] | None = None,
    ) -> None:
        """Store versions of concepts, by id and number; without a number the concept is new."""
        state = self.connection.execute(sa.select(_STATE)).mappings().one()
        concept_number, entry = state["next_concept"], state["next_entry"]
        concepts: dict[str, dict[str, Any]] = {}
        rows, bodies, entries = [], [], []
        for (concept_id, known, concept), until in zip(versions, ends or [None] * len(versions), strict=True):
            number = known
            if number is None:
                if concept_id not in concepts:
                    concepts[concept_id] = _concept_row(concept_id, concept_number, concept)
                    concept_number += 1
                number = concepts[concept_id]["number"]
            body = to_body(concept)
            rows.append(
                {
                    "entry": entry,
                    "concept": number,
                    "version": concept.version,
                    "clock": concept.provenance.clock,
                    "until": until,
                    "key": content_key(concept),
                }
            )
            bodies.append({"entry": entry, "checksum": zlib.crc32(body.encode()), "body": body})
            entries.append((entry, concept))
            entry += 1
        if concepts:
            self.connection.execute(_CONCEPTS.insert(), list(concepts.values()))
        self.connection.execute(_VERSIONS.insert(), rows)
        self.connection.execute(_BODIES.insert(), bodies)
        self.connection.execute(_STATE.update().values(next_concept=concept_number, next_entry=entry))
        self.stored = range(self.stored.start if self.stored else entries[0][0], entry)
        index(self._backend, self.connection, entries)

    def _order(self, ids: Iterable[str]) -> None:
        """Have each version hold up to the next one, and the concept's newest be the newest."""
        known = self._known(list(ids))
        for row in known.values():
            mine = (
                sa.select(_VERSIONS.c.entry, _VERSIONS.c.version, _VERSIONS.c.clock, _VERSIONS.c.until)
                .where(_VERSIONS.c.concept == row["number"])
                .order_by(_VERSIONS.c.version)
            )
            versions = self.connection.execute(mine).mappings().all()
            for one, following in pairwise(versions):
                if one["until"] is None:
                    ended = _VERSIONS.update().where(_VERSIONS.c.entry == one["entry"])
                    self.connection.execute(ended.values(until=following["clock"]))
            self._set(row["number"], version=versions[-1]["version"])

    def _end(self, numbers: Sequence[int]) -> None:
        """Have the present versions of concepts hold no longer."""
        clock = self._clock()
        for some in in_chunks(numbers):
            present = _VERSIONS.update().where(_VERSIONS.c.concept.in_(some), _VERSIONS.c.until.is_(None))
            self.connection.execute(present.values(until=clock))

    def _set(self, number: int, **values: int) -> None:
        self.connection.execute(_CONCEPTS.update().where(_CONCEPTS.c.number == number).values(values))

    def _clock(self) -> int:
        return int(self.connection.execute(sa.select(_STATE.c.clock)).scalar_one())

    def _indexed(self) -> int:
        return int(self.connection.execute(sa.select(_STATE.c.indexed)).scalar_one())

    def _rows(self, ids: Sequence[str]) -> list[Mapping[Any, Any]]:
        """Give the rows of concepts, each once. Raises ``MemoryStoreError`` where one is not there."""
        known = self._known(ids)
        for one in ids:
            if one not in known:
                raise MemoryStoreError(f"the memory {self._backend.name} has no concept {one}")
        return list(known.values())

    def _known(self, ids: Sequence[str]) -> dict[str, Mapping[Any, Any]]:
        known: dict[str, Mapping[Any, Any]] = {}
        for some in in_chunks(dict.fromkeys(ids)):
            rows = self.connection.execute(sa.select(_CONCEPTS).where(_CONCEPTS.c.id.in_(some))).mappings()
            known.update((row["id"], row) for row in rows)
        return known

    def _checksums(self, ids: Sequence[str]) -> dict[str, dict[int, int]]:
        """Give the checksums of the versions of concepts, by id and version."""
        found: dict[str, dict[int, int]] = {}
        query = (
            sa.select(_CONCEPTS.c.id, _VERSIONS.c.version, _BODIES.c.checksum)
            .join_from(_VERSIONS, _BODIES, _VERSIONS.c.entry == _BODIES.c.entry)
            .join(_CONCEPTS, _VERSIONS.c.concept == _CONCEPTS.c.number)
        )
        for some in in_chunks(ids):
            for concept_id, version, checksum in self.connection.execute(
                query.where(_CONCEPTS.c.id.in_(some))
            ):
                found.setdefault(concept_id, {})[version] = checksum
        return found

    def _ids_by_key(self, keys: Sequence[str]) -> dict[str, str]:
        """Give the ids of the concepts that have or had a content; the oldest, where several have."""
        query = (
            sa.select(_VERSIONS.c.key, _CONCEPTS.c.id)
            .join_from(_VERSIONS, _CONCEPTS, _VERSIONS.c.concept == _CONCEPTS.c.number)
            .where(_VERSIONS.c.key.in_(keys))
            .order_by(_VERSIONS.c.entry.desc())
        )
        found = {row.key: row.id for row in self.connection.execute(query)}
        return found | {one: one for one in self._known(keys)}


def _as_learned(concept: Concept, concept_id: str, clock: int) -> Concept:
    return replace(concept, id=concept_id, version=1, provenance=replace(concept.provenance, clock=clock))


def _concept_row(concept_id: str, number: int, concept: Concept) -> dict[str, Any]:
    statistics = concept.statistics
    return {
        "number": number,
        "id": concept_id,
        "version": concept.version,
        "exported": 0,
        "recalled": statistics.recalled,
        "used": statistics.used,
        "wins": statistics.wins,
        "losses": statistics.losses,
        "last_used": statistics.last_used,
        "wins_without": statistics.wins_without,
        "losses_without": statistics.losses_without,
    }
