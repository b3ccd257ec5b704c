"""How trials move concepts in what recall found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import sqlalchemy as sa

from memory import schema
from memory.concept import Statistics
from memory.indexing import in_chunks
from memory.trials import standing

_TRIALS = ("wins", "losses", "wins_without", "losses_without")
_TRIED = (
    sa.select(schema.VERSIONS.c.entry, *(schema.CONCEPTS.c[one.name] for one in fields(Statistics)))
    .join_from(schema.VERSIONS, schema.CONCEPTS, schema.VERSIONS.c.concept == schema.CONCEPTS.c.number)
    .where(sa.or_(*(schema.CONCEPTS.c[name] > 0 for name in _TRIALS)))
)


def weigh(
    connection: sa.Connection, found: Sequence[tuple[int, float, dict[str, int]]]
) -> list[tuple[int, float, dict[str, int]]]:
    """Multiply scores with the standing of their concepts, and sort again; the untried keep theirs."""
    standings: dict[int, float] = {}
    for some in in_chunks(entry for entry, _, _ in found):
        rows = connection.execute(_TRIED.where(schema.VERSIONS.c.entry.in_(some)))
        standings |= {entry: standing(Statistics(*counters)) for entry, *counters in rows}
    weighed = [(entry, score * standings.get(entry, 1.0), ranks) for entry, score, ranks in found]
    return sorted(weighed, key=lambda one: (-one[1], -one[0]))
