"""One concept of several: what they say and are found by is united, as far as a concept may hold it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from memory.concept import Concept
from memory.likeness import plain
from memory.records import MOST_CHARACTERS, MOST_FEATURES
from sandboxes import Program


def united(
    concepts: Sequence[Concept],
    program: Program | None = None,
    parameters: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Concept:
    """Unite concepts, the oldest first, under its name; with another program, parameters and notes, if any.

    Other descriptions than the first one's become notes. Of several kinds and signatures it is the first in
    the order of texts, so that it does not matter which concept is the oldest.
    """
    first, *others = concepts
    names = {_name(parameter) for parameter in parameters}
    described = [one.description for one in others if plain(one.description) != plain(first.description)]
    return replace(
        first,
        program=program or first.program,
        parameters=_joined(
            "parameters",
            [*parameters, *(one for part in concepts for one in part.parameters if _name(one) not in names)],
        ),
        cues=_joined("cues", (cue for one in concepts for cue in one.cues)),
        notes=_joined("notes", [*(note for one in concepts for note in one.notes), *notes, *described]),
        features=_joined("features", (token for one in concepts for token in one.features), MOST_FEATURES),
        kind=min((one.kind for one in concepts if one.kind), default=""),
        signature=min((one.signature for one in concepts if one.signature), default=""),
        came_from=tuple(
            dict.fromkeys(
                one for one in (*first.came_from, *(other.id for other in others)) if one and one != first.id
            )
        ),
    )


def has_room(concept: Concept, cue: str) -> bool:
    """Tell whether a concept may have one more cue."""
    return sum(map(len, concept.cues)) + len(cue) <= MOST_CHARACTERS["cues"]


def _joined(field: str, texts: Iterable[str], most: int | None = None) -> tuple[str, ...]:
    """Give as many texts as there is room for, of those that differ in case and space alone the first."""
    kept: dict[Hashable, str] = {}
    left = MOST_CHARACTERS[field]
    for text in texts:
        key = text if field == "features" else plain(text)
        if key and key not in kept and len(text) <= left and (most is None or len(kept) < most):
            kept[key] = text
            left -= len(text)
    return tuple(kept.values())


def _name(parameter: str) -> str:
    return parameter.partition(":")[0].strip()
