"""Whether experience helps: how a memory has grown, what of it comes back, and how tasks ended with time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from memory.concept import Concept, Outcome
from memory.records import Record
from memory.trials import Value, value_of

PARTS = 10
"""Into how many equal parts the time of a memory is divided, by its clock."""


@dataclass(frozen=True, slots=True)
class Part:
    """The tasks done in a part of the time: how many, how many solved, with what work and seconds in all."""

    tasks: int = 0
    solved: int = 0
    work: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float | None:
        """The share solved, or nothing where there were no tasks."""
        return self.solved / self.tasks if self.tasks else None


def growth(records: Iterable[Record], clock: int, parts: int = PARTS) -> list[int]:
    """Count the concepts learned in each part of the time up to a clock, by when their first version was."""
    first: dict[str, int] = {}
    for record in records:
        concept = record.concept
        learned = concept.provenance.clock
        first[concept.id] = min(first.get(concept.id, learned), learned)
    counted = [0] * parts
    for learned in first.values():
        counted[_part(learned, 0, clock, parts)] += 1
    return counted


def progress(outcomes: Iterable[Outcome], parts: int = PARTS) -> dict[str, list[Part]]:
    """Give how tasks ended in each part of the time, from the first task to the last: all, and by family.

    All of them are under the empty name, which stands first; families follow by the number of their tasks.
    """
    found = list(outcomes)
    if not found:
        return {}
    begin, end = found[0].clock, found[-1].clock + 1
    divided: dict[str, list[list[Outcome]]] = {}
    for outcome in found:
        for family in dict.fromkeys(("", outcome.family)):
            line = divided.setdefault(family, [[] for _ in range(parts)])
            line[_part(outcome.clock, begin, end, parts)].append(outcome)
    largest = sorted(divided, key=lambda family: (family != "", -sum(map(len, divided[family])), family))
    return {family: [_sum(some) for some in divided[family]] for family in largest}


def whole(parts: Sequence[Part]) -> Part:
    """Give what parts are together."""
    return Part(
        sum(part.tasks for part in parts),
        sum(part.solved for part in parts),
        sum(part.work for part in parts),
        sum(part.seconds for part in parts),
    )


def most_valuable(concepts: Iterable[Concept], most: int = 10) -> list[tuple[Concept, Value]]:
    """Give the concepts that were tried, with and without, and are worth most, the best first."""
    tried = [
        (concept, value_of(concept.statistics))
        for concept in concepts
        if concept.statistics.wins + concept.statistics.losses
        and concept.statistics.wins_without + concept.statistics.losses_without
    ]
    return sorted(tried, key=lambda one: (-one[1].gain, one[0].id))[:most]


def _part(clock: int, begin: int, end: int, parts: int) -> int:
    return min(parts - 1, (clock - begin) * parts // max(1, end - begin))


def _sum(outcomes: Sequence[Outcome]) -> Part:
    return Part(
        len(outcomes),
        sum(one.solved for one in outcomes),
        sum(one.work for one in outcomes),
        sum(one.seconds for one in outcomes),
    )
