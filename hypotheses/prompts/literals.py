"""Values and calls as Python writes them, on one line, the same for equal values whatever the hash seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import islice
from typing import Any

from hypotheses.prompts.fences import disarm_literal
from hypotheses.task import Signature

_MIN_LIMIT = 40
_LARGEST_INT = 10**1000  # beyond, in hexadecimal: Python refuses to write very long ones in decimal


def literal(value: Any, limit: int | None = None) -> str:
    """Write a value on one line; beyond about ``limit`` characters the middle of what is long is left out."""
    return disarm_literal(_write(value, limit))


def call(signature: Signature, value: Any, limit: int | None = None) -> str:
    """Write the call of the function on one input: ``f([1, 2])``, ``f('a', 1)``, ``f(p=1, q=2)``."""
    name = callable_name(signature)
    if signature.call == "positional" and isinstance(value, list | tuple):
        arguments = [literal(item, limit) for item in value]
    elif signature.call == "keyword" and isinstance(value, Mapping):
        if not all(isinstance(key, str) and key.isidentifier() for key in value):
            return f"{name}(**{literal(value, limit)})"
        arguments = [f"{key}={literal(item, limit)}" for key, item in value.items()]
    else:
        arguments = [literal(value, limit)]
    return f"{name}({', '.join(arguments)})"


def callable_name(signature: Signature) -> str:
    """Give the function's name, or ``f`` where that is no name and could hold anything."""
    return signature.name if signature.name.isidentifier() else "f"


def plain(value: Any) -> Any:
    """Turn a numpy array or scalar into what Python has for it."""
    return value.tolist() if type(value).__module__ == "numpy" else value


def _write(value: Any, limit: int | None) -> str:
    value = plain(value)
    match value:
        case str() | bytes():
            return _write_text(value, limit)
        case bool() | None:
            return repr(value)
        case int():
            text = str(value) if -_LARGEST_INT < value < _LARGEST_INT else hex(value)
            return text if limit is None or len(text) <= limit else _without_middle(text, "digits", limit)
        case float():
            return repr(float(value)) if value - value == 0 else f"float('{float(value)!r}')"
        case tuple():
            inner = _write_items(value, limit)
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        case Mapping():
            pairs = [_Pair(key, item) for key, item in value.items()]
            return "{" + _write_items(pairs, limit) + "}"
        case Set():
            return _write_set(value, limit)
        case Sequence():
            return f"[{_write_items(value, limit)}]"
        case _Pair(key, item):
            return f"{_write(key, limit)}: {_write(item, limit)}"
    return repr(value) if limit is None else repr(value)[:limit]


class _Pair:
    """A key of a dict with its item."""

    __match_args__ = ("key", "item")
    __slots__ = ("item", "key")

    def __init__(self, key: Any, item: Any) -> None:
        self.key, self.item = key, item


def _write_text(value: str | bytes, limit: int | None) -> str:
    if limit is None or len(value) <= limit:
        return repr(value)
    head, tail = value[: limit // 2], value[len(value) - limit // 2 :]
    left_out = len(value) - len(head) - len(tail)
    unit = "characters" if isinstance(value, str) else "bytes"
    return f"{head!r} ... {left_out:,} {unit} left out ... {tail!r}"


def _without_middle(text: str, unit: str, limit: int) -> str:
    head, tail = text[: limit // 2], text[len(text) - limit // 2 :]
    return f"{head} ... {len(text) - len(head) - len(tail):,} {unit} left out ... {tail}"


def _write_set(value: Set[Any], limit: int | None) -> str:
    if not value:
        return "set()" if not isinstance(value, frozenset) else "frozenset()"
    written = sorted((_write(item, limit) for item in value), key=lambda text: (len(text), text))
    inner = "{" + _join([_Written(text) for text in written], limit) + "}"
    return f"frozenset({inner})" if isinstance(value, frozenset) else inner


class _Written(str):
    """An item that is written already."""

    __slots__ = ()


def _write_items(items: Sequence[Any], limit: int | None) -> str:
    if limit is None:
        return ", ".join(_write(item, None) for item in items)
    return _join(items, limit)


def _join(items: Sequence[Any], limit: int | None) -> str:
    """Write items until there is no room, then the first and the last with a note of how many are missing."""
    inner = None if limit is None else max(_MIN_LIMIT, limit // 2)
    if limit is None:
        return ", ".join(_item(item, inner) for item in items)
    written = _fitting(items, limit, inner)
    if len(written) == len(items):
        return ", ".join(written)
    head = _fitting(items, limit // 2, inner) or [_item(items[0], inner)]
    rest = range(len(items) - 1, len(head) - 1, -1)
    tail = _fitting((items[index] for index in rest), limit // 2, inner)[::-1]
    left_out = len(items) - len(head) - len(tail)
    note = [f"... {left_out:,} items left out ..."] if left_out else []
    return ", ".join([*head, *note, *tail])


def _fitting(items: Iterable[Any], limit: int, inner: int | None) -> list[str]:
    written: list[str] = []
    size = 0
    for item in islice(items, limit):
        text = _item(item, inner)
        size += len(text) + 2
        if size > limit + 2:
            break
        written.append(text)
    return written


def _item(item: Any, limit: int | None) -> str:
    return str(item) if type(item) is _Written else _write(item, limit)
