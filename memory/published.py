"""Concepts that others have published, read from their files.

ArcMemo (Ho et al. 2025): concepts in YAML, and lessons, a situation and a suggestion each, in JSON by puzzle.
Libraries of programs: JSON, one line with ``id`` and ``program`` each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memory.concept import Concept, Provenance
from memory.records import check
from memory.transfer import read_lines, read_yaml_list, reading
from sandboxes import CallStyle, MemoryStoreError, Program

_PARAMETER = re.compile(r"(?P<name>.+?) \((?:type: )(?P<type>.+)\)", re.DOTALL)


def read_arc_memo(path: str | Path) -> list[Concept]:
    """Read ArcMemo's concepts; its type definitions, and lists of mere names, are left out."""
    path = Path(path)
    found = []
    for where, one in read_yaml_list(path):
        if isinstance(one, dict) and "concept" in one:
            found.append(_arc_memo_concept(where, path.name, one))
        elif not isinstance(one, str) and not (
            isinstance(one, dict) and set(one) == {"lower usage concepts"}
        ):
            raise MemoryStoreError(f"{where}: this is no concept; begin it with `- concept:`")
    return found


def read_lessons(path: str | Path) -> list[Concept]:
    """Read ArcMemo's lessons: the situation becomes the cue."""
    path = Path(path)
    with reading(path):
        text = path.read_text(encoding="utf-8")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MemoryStoreError(f"{path}: this is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise MemoryStoreError(f"{path}: lessons are an object from puzzle to a list of lessons")
    found = []
    for task, lessons in values.items():
        for number, lesson in enumerate(_items(f"{path}: puzzle {task}", "lessons", lessons), start=1):
            where = f"{path}: puzzle {task}, lesson {number}"
            situation, suggestion = (_field(where, lesson, key) for key in ("situation", "suggestion"))
            concept = Concept(
                f"lesson {number} of {task}",
                suggestion,
                cues=(situation,),
                kind="lesson",
                provenance=Provenance(family="arc", task=task, source=path.name),
            )
            found.append(_checked(where, concept))
    return found


def read_programs(
    path: str | Path, *, entry_point: str = "transform", call: CallStyle = "grid_list"
) -> list[Concept]:
    """Read a library of programs, each of which has the function ``entry_point``."""
    path = Path(path)
    found = []
    for where, values in read_lines(path):
        name, source = _field(where, values, "id"), _field(where, values, "program")
        if not re.search(rf"^def {re.escape(entry_point)}\b", source, re.MULTILINE):
            raise MemoryStoreError(
                f"{where}: the program has no function {entry_point}; name the one to call"
            )
        concept = Concept(
            f"program {name}",
            "",
            program=Program(source, entry_point, call),
            kind="program",
            provenance=Provenance(family="arc", source=path.name),
        )
        found.append(_checked(where, concept))
    return found


def _arc_memo_concept(where: str, source: str, values: dict[str, Any]) -> Concept:
    parameters = tuple(_parameter(one) for one in _texts(where, values, "parameters"))
    gives = _field(where, values, "output_typing", "")
    types = ", ".join(one.partition(": ")[2] or one for one in parameters)
    concept = Concept(
        _field(where, values, "concept"),
        _field(where, values, "description", ""),
        parameters,
        _texts(where, values, "cues"),
        kind="routine" if gives or parameters else "structure",
        notes=_texts(where, values, "implementation"),
        signature=f"({types}) -> {gives}" if gives else "",
        provenance=Provenance(family="arc", source=source),
    )
    return _checked(where, concept)


def _parameter(text: str) -> str:
    """Make "count: int" of "count (type: int)"."""
    match = _PARAMETER.fullmatch(text)
    return f"{match['name']}: {match['type']}" if match else text


def _texts(where: str, values: dict[str, Any], field: str) -> tuple[str, ...]:
    """Give texts; YAML takes one with a colon for a mapping, which is undone."""
    found = []
    for one in _items(where, field, values.get(field) or []):
        if isinstance(one, dict) and all(isinstance(part, str) for pair in one.items() for part in pair):
            found += [f"{key}: {value}" for key, value in one.items()]
        elif isinstance(one, str):
            found.append(one)
        else:
            raise MemoryStoreError(f"{where}: each of {field} is a text; put it in quotes")
    return tuple(found)


def _items(where: str, field: str, value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise MemoryStoreError(f"{where}: {field} is a list; write one entry for each")
    return value


def _field(where: str, values: Any, field: str, default: str | None = None) -> str:
    value = values.get(field, default) if isinstance(values, dict) else None
    if not isinstance(value, str):
        raise MemoryStoreError(f"{where}: the text {field!r} is missing, or is no text; add it, in quotes")
    return value


def _checked(where: str, concept: Concept) -> Concept:
    try:
        check(concept)
    except MemoryStoreError as error:
        raise MemoryStoreError(f"{where}: {error}") from error
    return concept
