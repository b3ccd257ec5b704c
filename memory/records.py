"""How concepts become text, and text becomes them again: in a store's rows and in files alike."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, get_args

from memory.concept import Concept, Provenance, Statistics
from memory.words import LONGEST_TOKEN
from sandboxes import CallStyle, MemoryStoreError, Program

MOST_CHARACTERS: Mapping[str, int] = {
    "name": 1_000,
    "description": 20_000,
    "parameters": 20_000,
    "cues": 20_000,
    "notes": 20_000,
    "kind": 1_000,
    "signature": 1_000,
    "features": 100_000,
    "term": 100_000,
    "program": 100_000,
}
"""How long a field may be, in characters; those with several entries, all together."""

MOST_FEATURES = 2_000
MOST_ENTRIES = 10_000

_ID = re.compile(r"[A-Za-z0-9_-]{0,64}")
_TEXTS = ("name", "description", "kind", "term", "signature", "id")
_LISTS = ("parameters", "cues", "notes", "features", "came_from")
_PROVENANCE = tuple(one.name for one in fields(Provenance))
_STATISTICS = tuple(one.name for one in fields(Statistics))
_KNOWN = {*_TEXTS, *_LISTS, "program", "version", "provenance", "statistics", "until"}


@dataclass(frozen=True, slots=True)
class Record:
    """A version of a concept, and the clock until which it held: ``None`` for what holds still."""

    concept: Concept
    until: int | None = None


def content_key(concept: Concept) -> str:
    """Give the hash of what makes a concept that concept: name, description, program and term."""
    program = concept.program.key if concept.program else ""
    content = json.dumps([concept.name, concept.description, program, concept.term])
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def to_body(concept: Concept) -> str:
    """Give all of a version that its store has no column for, as JSON."""
    kept = replace(
        concept,
        id="",
        version=1,
        statistics=Statistics(),
        provenance=replace(concept.provenance, clock=0),
    )
    return json.dumps(to_dict(Record(kept)), ensure_ascii=False, separators=(",", ":"))


def from_body(body: str) -> Concept:
    """Make a concept of what ``to_body`` gave. Raises ``ValueError`` or ``TypeError`` for anything else."""
    return from_dict(json.loads(body)).concept


def to_dict(record: Record) -> dict[str, Any]:
    """Give a version as JSON and YAML have it: without what is empty."""
    concept = record.concept
    provenance = {name: getattr(concept.provenance, name) for name in _PROVENANCE}
    if concept.provenance.time is not None:
        provenance["time"] = concept.provenance.time.isoformat()
    values: dict[str, Any] = {
        "name": concept.name,
        "description": concept.description,
        "parameters": list(concept.parameters),
        "cues": list(concept.cues),
        "program": _program_dict(concept.program) if concept.program else None,
        "kind": concept.kind,
        "notes": list(concept.notes),
        "term": concept.term,
        "features": list(concept.features),
        "signature": concept.signature,
        "id": concept.id,
        "version": concept.version if concept.version != 1 else None,
        "came_from": list(concept.came_from),
        "provenance": {key: value for key, value in provenance.items() if value},
        "statistics": {
            key: value
            for key, value in ((name, getattr(concept.statistics, name)) for name in _STATISTICS)
            if value
        },
    }
    kept = {key: value for key, value in values.items() if value or key in ("name", "description")}
    return kept if record.until is None else kept | {"until": record.until}


def from_dict(values: Any) -> Record:
    """Make a version of what ``to_dict`` gave, or of what somebody wrote by hand.

    Raises ``ValueError`` or ``TypeError`` that says what is wrong.
    """
    if not isinstance(values, dict):
        raise TypeError(f"a concept is a mapping with a name and a description, not {_short(values)}")
    _refuse_unknown(values, _KNOWN, "a concept")
    if "name" not in values or "description" not in values:
        raise ValueError("a concept needs a name and a description")
    taken: dict[str, Any] = {key: _text(values[key], key) for key in _TEXTS if key in values}
    taken |= {key: _list(values[key], key) for key in _LISTS if key in values}
    if values.get("program") is not None:
        taken["program"] = _program(values["program"])
    if "version" in values:
        taken["version"] = _count(values["version"], "version", 1, 2**31)
    if not _ID.fullmatch(taken.get("id", "")):
        raise ValueError(
            f"an id is up to 64 letters, digits, - and _, not {_short(taken['id'])}; or leave it out"
        )
    if "provenance" in values:
        taken["provenance"] = _provenance(values["provenance"])
    if "statistics" in values:
        given = _mapping(values["statistics"], "statistics")
        _refuse_unknown(given, _STATISTICS, "statistics")
        taken["statistics"] = Statistics(**{key: _count(value, key) for key, value in given.items()})
    until = values.get("until")
    return Record(Concept(**taken), None if until is None else _count(until, "until"))


def check(concept: Concept) -> None:
    """Refuse what no store keeps. Raises ``MemoryStoreError``."""
    label = f"the concept {_short(concept.name)}"
    if not concept.name.strip():
        raise MemoryStoreError(f"{label} has no name; give it one")
    for field, most in MOST_CHARACTERS.items():
        length = _length(getattr(concept, field))
        if length > most:
            raise MemoryStoreError(
                f"{label} has {length:,} characters in its {field}, of {most:,} at most; shorten or split it"
            )
    for field in ("parameters", "cues", "notes", "came_from"):
        if len(getattr(concept, field)) > MOST_ENTRIES:
            raise MemoryStoreError(f"{label} has more than {MOST_ENTRIES:,} {field}; keep the telling ones")
    if len(concept.features) > MOST_FEATURES or any(len(one) > LONGEST_TOKEN for one in concept.features):
        raise MemoryStoreError(
            f"{label} has more than {MOST_FEATURES:,} features, or one of more than {LONGEST_TOKEN} "
            "characters; keep the telling ones"
        )
    try:
        to_body(concept).encode()
    except UnicodeEncodeError as error:
        raise MemoryStoreError(
            f"{label} holds a lone surrogate, which is no Unicode; replace it in the text: "
            "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
        ) from error


def _length(value: Any) -> int:
    if isinstance(value, Program):
        return len(value.source)
    if isinstance(value, tuple):
        return sum(map(len, value))
    return len(value) if value else 0


def _program_dict(program: Program) -> dict[str, Any]:
    values: dict[str, Any] = {"source": program.source, "entry_point": program.entry_point}
    if program.call != "single":
        values["call"] = program.call
    if program.packages is not None:
        values["packages"] = sorted(program.packages)
    return values


def _program(values: Any) -> Program:
    given = _mapping(values, "program")
    _refuse_unknown(given, {"source", "entry_point", "call", "packages"}, "a program")
    if "source" not in given or "entry_point" not in given:
        raise ValueError("a program needs its source and its entry_point, the function to call")
    call = given.get("call", "single")
    if call not in get_args(CallStyle):
        raise ValueError(f"a program's call is one of {', '.join(get_args(CallStyle))}, not {_short(call)}")
    packages = frozenset(_list(given["packages"], "packages")) if "packages" in given else None
    return Program(
        _text(given["source"], "source"), _text(given["entry_point"], "entry_point"), call, packages
    )


def _provenance(values: Any) -> Provenance:
    given = dict(_mapping(values, "provenance"))
    _refuse_unknown(given, _PROVENANCE, "provenance")
    time = given.pop("time", None)
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            raise ValueError(f"time is a moment such as 2025-01-31T12:00:00+00:00, not {time!r}") from None
    elif time is not None and not isinstance(time, datetime):
        raise ValueError(f"time is a moment such as 2025-01-31T12:00:00+00:00, not {_short(time)}")
    clock = _count(given.pop("clock", 0), "clock")
    return Provenance(**{key: _text(value, key) for key, value in given.items()}, clock=clock, time=time)


def _refuse_unknown(values: Mapping[Any, Any], known: Collection[str], what: str) -> None:
    for key in values:
        if key not in known:
            raise ValueError(f"{what} has no field {_short(key)}; it may have {', '.join(sorted(known))}")


def _mapping(value: Any, field: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{field} is a mapping, not {_short(value)}")
    return value


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{field} is a text, not {_short(value)}; put it in quotes")
    return value


def _list(value: Any, field: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{field} is a list of texts, not {_short(value)}")
    return tuple(_text(one, f"each of {field}") for one in value)


def _count(value: Any, field: str, least: int = 0, most: int = 2**62) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < most:
        raise ValueError(f"{field} is a whole number from {least} to below {most}, not {_short(value)}")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
