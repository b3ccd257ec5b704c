"""When an output counts as the expected one.

Tuple = list, ndarray = nested list, numpy scalar = Python scalar; bool ≠ int; int = float only for equal
values; floats exact unless the task sets a tolerance; nan = nan; dicts and sets by content; strings exact.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence, Set
from contextlib import suppress
from typing import Any


def canonical(value: Any) -> Hashable:
    """Give a key that two values share exactly when they are equal without a tolerance.

    Raises ``TypeError`` for what is not data.
    """
    value = _plain(value)
    match value:
        case None | str() | bytes():
            return value
        case bool():
            return ("bool", value)  # hash(True) == hash(1), and True is not 1 here
        case int():
            return value
        case float():
            if math.isnan(value):
                return ("nan",)
            return int(value) if value.is_integer() else value
        case complex():
            return (
                ("complex", canonical(value.real), canonical(value.imag))
                if value.imag
                else canonical(value.real)
            )
        case list() | tuple():
            return ("list", *map(canonical, value))
        case Mapping():
            return ("dict", frozenset((canonical(key), canonical(item)) for key, item in value.items()))
        case Set():
            return ("set", frozenset(map(canonical, value)))
    raise TypeError(f"{type(value).__name__} is not data")


def equal(actual: Any, expected: Any, tolerance: float | None = None) -> bool:
    """Whether ``actual`` counts as ``expected``.

    ``tolerance``, where given, is the absolute and relative error allowed between two numbers of which one
    is a float; inside a set or as a key of a dict numbers stay exact.
    """
    if tolerance is None:
        return canonical(actual) == canonical(expected)
    actual, expected = _plain(actual), _plain(expected)
    if isinstance(actual, Sequence | Mapping) and not isinstance(actual, str | bytes):
        if isinstance(actual, Mapping):
            if not isinstance(expected, Mapping):
                return False
            items, wanted = (
                {canonical(key): item for key, item in one.items()} for one in (actual, expected)
            )
            return items.keys() == wanted.keys() and all(
                equal(item, wanted[key], tolerance) for key, item in items.items()
            )
        return (
            isinstance(expected, list | tuple)
            and len(actual) == len(expected)
            and all(equal(a, e, tolerance) for a, e in zip(actual, expected, strict=True))
        )
    if _is_number(actual) and _is_number(expected) and float in (type(actual), type(expected)):
        with suppress(OverflowError):  # an integer beyond all floats is close to none
            if math.isnan(actual) or math.isnan(expected):
                return math.isnan(actual) and math.isnan(expected)
            return math.isclose(actual, expected, rel_tol=tolerance, abs_tol=tolerance)
    return canonical(actual) == canonical(expected)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """Turn a numpy array or scalar into what Python has for it, without importing numpy to find out."""
    return value.tolist() if type(value).__module__ == "numpy" else value
