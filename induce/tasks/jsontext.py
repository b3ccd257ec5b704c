"""JSON as task files hold it: read strictly, refused in one line that says where."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from induce.tasks.messages import place, shorten
from sandboxes import TaskFormatError

LARGEST_FILE = 256 * 2**20
"""How many bytes a file that is read as a whole may have."""

LONGEST_LINE = 64 * 2**20
"""How many bytes a line may have, of a file that is read line by line."""

_COLON = re.compile(r"\s*:")


class _RefusedError(ValueError):
    """JSON that Python's parser would accept although it loses or invents something."""


def parse_json(text: bytes, path: Path, line: int | None = None) -> Any:
    """Parse one JSON text; ``line`` is its line in ``path``, ``None`` where it is the whole file.

    Stricter than ``json.loads``: a key that appears twice in an object is refused, for one of its values
    would be lost. ``NaN`` and ``Infinity`` are accepted, as benchmarks made with Python hold them.

    Raises ``TaskFormatError`` that names the path and the line.
    """
    try:
        return json.loads(text.decode("utf-8-sig"), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        problem = f"expected UTF-8 text, found the byte 0x{text[error.start]:02x} (is this a binary file?)"
        line = (line or 1) + text.count(b"\n", 0, error.start)
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg} (column {error.colno})"
        problem += "" if line is None else "; each line holds one whole task"
        line = (line or 1) + error.lineno - 1
    except _RefusedError as error:
        problem = str(error)
    except ValueError:  # raised by int() beyond sys.get_int_max_str_digits()
        problem = "holds an integer of more digits than Python reads; write it as a string"
    except RecursionError:
        problem = "nested too deeply"
    raise TaskFormatError(f"{place(path, line)}: {problem}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _RefusedError(f"the key {shorten(key)} appears twice in one object")
            seen.add(key)
    return found


def read_bytes(path: Path) -> bytes:
    """Read a whole file. Raises ``TaskFormatError`` where that is not possible, or it is too large."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise unreadable(path, error) from None
    if len(content) > LARGEST_FILE:
        raise TaskFormatError(
            f"{place(path)}: has more than {LARGEST_FILE // 2**20} MiB; split it into several files"
        )
    return content


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file that are not blank, numbered from 1, one at a time.

    Raises ``TaskFormatError`` where the file cannot be read, or a line is too long.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), b""), start=1):
                if len(line) > LONGEST_LINE:
                    raise TaskFormatError(
                        f"{place(path, number)}: has more than {LONGEST_LINE // 2**20} MiB; "
                        "each line holds one whole task"
                    )
                if line.strip():
                    yield number, line
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: OSError) -> TaskFormatError:
    """Put the system's refusal into one line."""
    return TaskFormatError(f"{place(path)}: cannot be read: {error.strerror or error}")


def top_level_keys(head: bytes) -> frozenset[str]:
    """Find the keys of the JSON object that ``head`` starts with, as far as ``head`` reaches.

    A file is recognised by these. Empty where ``head`` does not start with an object.
    """
    text = head.decode("utf-8-sig", errors="replace").lstrip()
    if not text.startswith("{"):
        return frozenset()
    keys = set()
    depth = 0
    position = 0
    while position < len(text):
        character = text[position]
        if character == '"':
            end = _end_of_string(text, position)
            if depth == 1 and _COLON.match(text, end):
                keys.add(text[position + 1 : end - 1])
            position = end
            continue
        if character in "{[":
            depth += 1
        elif character in "}]":
            depth -= 1
            if depth == 0:
                break
        position += 1
    return frozenset(keys)


def _end_of_string(text: str, start: int) -> int:
    position = start + 1
    while position < len(text) and text[position] != '"':
        position += 2 if text[position] == "\\" else 1
    return position + 1
