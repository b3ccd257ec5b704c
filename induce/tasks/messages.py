"""How messages quote paths and what files hold: on one printable line, and not too long."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def visible(text: str) -> str:
    """Escape what a terminal would not show, or would obey: control characters, odd spaces, surrogates."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def one_line(text: str, length: int = 400) -> str:
    """Make text from elsewhere printable, and cut it to ``length`` characters."""
    return _cut(visible(text[: length + 1]), length)


def shorten(value: Any, length: int = 40) -> str:
    """Show a value as Python writes it, cut to ``length`` characters."""
    try:
        return _cut(repr(value), length)
    except ValueError:  # an integer of more digits than Python prints
        return "a huge integer"
    except RecursionError:
        return "a deeply nested value"


def place(path: Path, line: int | None = None) -> str:
    """Name a place in a file, as compilers do: ``path:line``."""
    return visible(str(path)) + ("" if line is None else f":{line}")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
