"""In which ways concepts may be alike: each has a mark for each, and those that share one are compared."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from memory.concept import Concept
from memory.forms import program_form, skeleton
from memory.words import words
from sandboxes import Program

_OWN_CUE = re.compile(r"(?:only for tasks .*; )?contradicts: .* \(([A-Za-z0-9_-]{1,64})\)", re.DOTALL)


class Marks(NamedTuple):
    """Hashes of what concepts may share; one that is empty is shared with none."""

    same: str
    """Of duplicates: the same program up to formatting and local names, or else the same words."""

    kin: str
    """The same program but for its literals, and the same way to call it."""

    name: str
    cues: str


def marks_of(concept: Concept) -> Marks:
    """Give the marks of a concept."""
    program, kind = concept.program, plain(concept.kind)
    cues = said_cues(concept)
    if program is not None:
        form, bare = _forms(program)
        call = [program.call, None if program.packages is None else sorted(program.packages), concept.term]
        same: list[Any] = ["program", *call, form]
        kin: list[Any] = [*call, bare, kind, concept.signature] if bare else []
    else:
        texts = plain(concept.description), sorted({plain(cue) for cue in cues} - {""}), kind, concept.term
        says = texts[0] or texts[1] or concept.term
        same, kin = ["words", *texts, "" if says else plain(concept.name)], []
    told = sorted({word for cue in cues for word in words(cue)})
    return Marks(
        _mark("same", same), _mark("kin", kin), _mark("name", [plain(concept.name)]), _mark("cues", told)
    )


def plain(text: str) -> str:
    """Give a text without what case and white space add to it."""
    return " ".join(text.casefold().split())


def says_otherwise(one: Concept, other: Concept) -> bool:
    """Tell whether two concepts are described differently, or do different things."""
    if plain(one.description) != plain(other.description) or one.term != other.term:
        return True
    if one.program is None or other.program is None:
        return one.program is not other.program
    return _forms(one.program)[0] != _forms(other.program)[0]


def said_cues(concept: Concept) -> list[str]:
    """Give the cues of a concept, without those that consolidation put there to keep it apart."""
    return [cue for cue in concept.cues if not _OWN_CUE.fullmatch(cue)]


def kept_apart_from(concept: Concept) -> list[str]:
    """Give the ids of those that a concept's cues keep it apart from."""
    return [found[1] for cue in concept.cues if (found := _OWN_CUE.fullmatch(cue))]


def apart_cue(concept: Concept, other: Concept) -> str:
    """Write the cue that keeps a concept apart from another: what its tasks alone have, or their family."""
    own = [one for one in concept.features if one not in other.features and len(one) <= 60][:3]
    family = concept.provenance.family
    only = ", ".join(own)
    if only:
        only = f"only for tasks with {only}; "
    elif family and family != other.provenance.family:
        only = f"only for tasks of {family[:60]}; "
    return f"{only}contradicts: {' '.join(other.name.split())[:80]} ({other.id})"


def _mark(way: str, content: Iterable[Any]) -> str:
    found = list(content)
    if not found:
        return ""
    return f"mark:{way}:{_hash(json.dumps(found))}"


@lru_cache(maxsize=4_000)
def _forms(program: Program) -> tuple[str, str]:
    return _hash(program_form(program)), _hash(skeleton(program))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32] if text else ""
