"""A memory put in order, in the background: what is double is merged, what is of no use archived.

A round visits each present concept once, those too that it makes, and a call goes on where the last one
ended. Steps are planned outside of transactions. Each is taken in one, which also notes how far the round has
come, and only if nothing has changed that it was planned with: so several processes, or one that is killed
and started again, take the same steps as one alone. What is merged or archived stays in the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from memory import marks
from memory.concept import Concept
from memory.likeness import apart_cue, kept_apart_from, marks_of, says_otherwise
from memory.records import check
from memory.steps import Change, Held, Step, following, take, where
from memory.store import ConceptStore
from memory.trials import value_of
from memory.uniting import has_room, united
from memory.writer import Writer
from sandboxes import MemoryStoreError, Program

if TYPE_CHECKING:
    from memory.anti_unification import Generalised

UNUSED_FOR = 500
"""A concept that was never used is archived when it has been there for so many tasks."""

UNUSED_RECALLS = 50
"""It is archived earlier when it has been recalled so many times."""

LEAST_TRIALS = 3
"""With how many tasks, and without it as many, a concept must have been tried to be archived as harmful."""

LIBRARY = "library"
"""The kind of concepts that hold what many solutions share."""

MOST_KIN = 32
"""How many programs are generalised together at most."""

MOST_RIVALS = 4
"""From how many others the cues of a concept keep it apart at most."""

MOST_NAMESAKES = 50
"""A name, or cues, that more concepts have than this tells nothing, so they are not kept apart for it."""

_PAGE = 100
_STALE = 1_000


Generalise = Callable[[Sequence[Program]], "Generalised | None"]


@dataclass(frozen=True, slots=True)
class Consolidated:
    """What a call has done: how many concepts it looked at, and to how many it did what.

    ``merged`` were duplicates of others, ``generalised`` went into a program with parameters, ``separated``
    got cues that tell them apart, ``archived`` were of no use. ``complete`` is whether the round is at its
    end: what is there now has been looked at, and the next call begins anew.
    """

    examined: int = 0
    merged: int = 0
    generalised: int = 0
    separated: int = 0
    archived: int = 0
    complete: bool = False

    @property
    def changed(self) -> int:
        """How many concepts are not as they were."""
        return self.merged + self.generalised + self.separated + self.archived


def consolidate(
    store: ConceptStore,
    *,
    most: int = 1_000,
    unused_for: int = UNUSED_FOR,
    unused_recalls: int = UNUSED_RECALLS,
    generalise: Generalise | None = None,
) -> Consolidated:
    """Look at up to ``most`` concepts, and put in order what they show.

    - Duplicates become one, the oldest, with the counters, cues, notes and features of all.
    - Programs that differ in literals alone become one with parameters, if ``generalise`` finds it.
    - Concepts of the same name or cues that say otherwise, and come from other families or fare otherwise,
      each get a cue that tells them apart.
    - What harms is archived, and what was never used after ``unused_recalls`` recalls or ``unused_for``
      tasks, counted from when it came if it was imported.

    Before that new concepts are marked with what they are found again by, at most ``most`` in a call too.
    """
    marked, all_marked = _mark(store, most)
    if not all_marked:
        return Consolidated(examined=marked)
    planner = _Planner(store, unused_for, unused_recalls, generalise or _default_generalise())
    return _visit(store, planner, most)


def _default_generalise() -> Generalise:
    from memory.anti_unification import generalise  # noqa: PLC0415  only where concepts are put in order

    return generalise


def _mark(store: ConceptStore, most: int) -> tuple[int, bool]:
    """Mark versions that have no marks yet; give how many, and whether that were all."""
    done = 0
    while True:
        last = store.look(marks.seen)
        entries = store.look(partial(following, entry=last, most=max(1, min(_PAGE, most - done))))
        if not entries or done >= most:
            return done, not entries
        found = [(mark, one.entry) for one in store.held(entries) for mark in marks_of(one.concept)]
        store.change(partial(_put_marks, found=found, last=entries[-1]))
        done += len(entries)


def _put_marks(writer: Writer, found: Sequence[tuple[str, int]], last: int) -> None:
    writer.mark(found)
    writer.mark_seen(last)


def _visit(store: ConceptStore, planner: _Planner, most: int) -> Consolidated:
    done: Counter[str] = Counter()
    examined, last, size = 0, 0, _PAGE
    for _ in range(most + _STALE):
        at, clock = store.look(where)
        if at < last:  # another process has brought the round to its end
            return _told(examined, done, complete=True)
        last = at
        entries = store.look(partial(following, entry=at, most=max(1, min(size, most - examined))))
        if not entries:
            if at == 0 or store.change(partial(take, step=Step(at, 0))):
                return _told(examined, done, complete=True)
            continue
        if examined >= most:
            break
        page = store.held(entries)
        if not page:
            continue
        planner.turn_to(page, clock)
        visited, what, changes = planner.first_changes(page)
        if store.change(partial(take, step=Step(at, page[visited - 1].entry, changes))):
            examined += visited
            done[what] += sum(map(_size, changes))
        size = min(_PAGE, 2 * visited)  # what follows the first change is read again
    return _told(examined, done)


def _told(examined: int, done: Counter[str], *, complete: bool = False) -> Consolidated:
    return Consolidated(
        examined, done["merged"], done["generalised"], done["separated"], done["archived"], complete
    )


def _size(change: Change) -> int:
    return len(change.absorbed) or 1


class _Planner:
    """Says what is to be done about concepts, from what the memory holds besides them."""

    def __init__(
        self, store: ConceptStore, unused_for: int, unused_recalls: int, generalise: Generalise
    ) -> None:
        self._store = store
        self._unused_for = unused_for
        self._unused_recalls = unused_recalls
        self._generalise = generalise
        self._clock = 0
        self._alike: Mapping[str, Sequence[int]] = {}
        self._held: dict[str, list[Held]] = {}
        self._useless: set[int] = set()
        self._unlike: set[frozenset[int]] = set()
        """Versions that were compared already, and cannot be generalised."""

    def turn_to(self, page: Sequence[Held], clock: int) -> None:
        """Look up what concerns the concepts of a page."""
        self._clock = clock
        wanted = {mark for one in page for mark in marks_of(one.concept)}
        self._held.clear()
        self._alike = self._store.look(partial(marks.sharing, marks=wanted))
        self._useless = self._find_useless(page)

    def first_changes(self, page: Sequence[Held]) -> tuple[int, str, tuple[Change, ...]]:
        """Give how many concepts of a page were visited up to the first changes, and these by their name."""
        ways = {
            "merged": self._merge,
            "archived": self._archive,
            "generalised": self._generalise_kin,
            "separated": self._separate,
        }
        for number, one in enumerate(page, start=1):
            for what, plan in ways.items():
                if changes := plan(one):
                    return number, what, tuple(changes)
        return len(page), "merged", ()

    def _merge(self, one: Held) -> Sequence[Change]:
        found = self._sharing(one, "same")
        return self._put_together([found]) if len(found) > 1 else ()

    def _archive(self, one: Held) -> Sequence[Change]:
        return [Change(one)] if one.entry in self._useless else ()

    def _generalise_kin(self, one: Held) -> Sequence[Change]:
        kin = self._sharing(one, "kin")
        useless = self._find_useless(kin) if len(kin) > 1 else set()
        # In an order that depends little on which came first, so that the groups seldom do.
        kin = sorted(
            (held for held in kin if held.entry not in useless),
            key=lambda held: (marks_of(held.concept).same, held.concept.id),
        )[:MOST_KIN]
        entries = frozenset(held.entry for held in kin)
        if len(kin) < 2 or entries in self._unlike:
            return ()
        changes = self._put_together([group for group in self._groups(kin) if len(group) > 1], general=True)
        if not changes:
            self._unlike.add(entries)
        return changes

    def _groups(self, kin: Sequence[Held]) -> list[list[Held]]:
        """Divide kin into groups with a common generalisation, each as large as those before leave it."""
        groups: list[list[Held]] = []
        left = list(kin)
        while left:
            if self._common(left):
                return [*groups, left]
            group: list[Held] = []
            for one in left:
                if not group or self._common([*group, one]):
                    group.append(one)
            groups.append(group)
            left = [one for one in left if one not in group]
        return groups

    def _common(self, group: Sequence[Held]) -> Generalised | None:
        programs = [one.concept.program for one in group if one.concept.program is not None]
        values = [value_of(one.concept.statistics) for one in group]
        if max(value.low for value in values) > min(value.high for value in values):
            return None  # some help and some do not: that is worth knowing apart
        return self._generalise(programs)

    def _put_together(self, groups: Sequence[Sequence[Held]], *, general: bool = False) -> list[Change]:
        changes = []
        for group in groups:
            kept, *absorbed = oldest_first = sorted(group, key=lambda held: held.number)
            concepts = [held.concept for held in oldest_first]
            if general:
                common = self._common(oldest_first)
                if common is None:
                    continue
                concept = united(concepts, common.program, common.parameters, _bound(concepts, common))
            else:
                concept = united(concepts)
            if _may_be_kept(concept):
                changes.append(Change(kept, concept, marks_of(concept), tuple(absorbed)))
        return changes

    def _separate(self, one: Held) -> Sequence[Change]:
        changed: dict[int, Held] = {}
        for rival in self._rivals(one):
            for mine, other in ((one, rival), (rival, one)):
                mine = changed.get(mine.entry, mine)  # noqa: PLW2901
                named = kept_apart_from(mine.concept)
                known = {other.concept.id, *other.concept.came_from}
                cue = apart_cue(mine.concept, other.concept)
                if len(named) < MOST_RIVALS and known.isdisjoint(named) and has_room(mine.concept, cue):
                    concept = replace(mine.concept, cues=(*mine.concept.cues, cue))
                    changed[mine.entry] = replace(mine, concept=concept)
        return [Change(held, held.concept, marks_of(held.concept)) for held in changed.values()]

    def _rivals(self, one: Held) -> list[Held]:
        found = {
            held.entry: held for way in ("name", "cues") for held in self._sharing(one, way, MOST_NAMESAKES)
        }
        rivals = [
            held
            for held in found.values()
            if held.entry != one.entry
            and says_otherwise(one.concept, held.concept)
            and _fare_otherwise(one, held)
        ]
        return sorted(rivals, key=lambda held: held.concept.id)[: 2 * MOST_RIVALS]

    def _sharing(self, one: Held, way: str, most: int = marks.MOST_ALIKE) -> list[Held]:
        """Give the present concepts that share a mark with one, itself included; one alone if too many do."""
        mark: str = getattr(marks_of(one.concept), way)
        entries = {one.entry, *self._alike.get(mark, ())}
        if not 1 < len(entries) <= most + 1:
            return [one]
        if mark not in self._held:
            found = self._store.held(list(entries))
            self._held[mark] = [held for held in found if getattr(marks_of(held.concept), way) == mark]
        return self._held[mark]

    def _find_useless(self, some: Iterable[Held]) -> set[int]:
        useless, old = set(), {}
        for one in some:
            if one.concept.kind == LIBRARY:  # it goes into every search of its family, and wins none itself
                continue
            fared = one.concept.statistics
            value = value_of(fared)
            tried = min(fared.wins + fared.losses, fared.wins_without + fared.losses_without)
            if value.high < 0 and tried >= LEAST_TRIALS:
                useless.add(one.entry)
            elif not fared.used and value.low <= 0:
                if fared.recalled >= self._unused_recalls:
                    useless.add(one.entry)
                elif self._clock - one.concept.provenance.clock >= self._unused_for:
                    old[one.entry] = one
        arrived = self._store.look(partial(marks.arrived, entries=list(old))) if old else {}
        return useless | {entry for entry in old if self._clock - arrived.get(entry, 0) >= self._unused_for}


def _fare_otherwise(one: Held, other: Held) -> bool:
    families = {one.concept.provenance.family, other.concept.provenance.family}
    mine, others = value_of(one.concept.statistics), value_of(other.concept.statistics)
    return (len(families) > 1 and "" not in families) or mine.low > others.high or others.low > mine.high


def _bound(concepts: Sequence[Concept], common: Generalised) -> list[str]:
    """Say which values make each of the programs of the common one."""
    names = [parameter.partition(":")[0].strip() for parameter in common.parameters]
    notes = []
    for concept, values in zip(concepts, common.bindings, strict=False):
        bound = ", ".join(f"{name} = {value!r}" for name, value in zip(names, values, strict=False))
        notes.append(f"{' '.join(concept.name.split())[:80]}: {bound[:300]}")
    return notes


def _may_be_kept(concept: Concept) -> bool:
    try:
        check(concept)
    except MemoryStoreError:
        return False
    return True
