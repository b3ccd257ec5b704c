"""Which examples are shown where not all of them fit: those that differ most from each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import islice, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from hypotheses.equality import canonical
from hypotheses.prompts.literals import plain
from hypotheses.task import Example

Features = npt.NDArray[np.float64]

_KINDS = (bool, int, float, str, list, tuple, dict, set, type(None))
_LOOKED_AT = 64  # elements of a value that its features are taken from
_FEW_OUTPUTS = 12  # outputs that make classes, of which each should be shown


def choose(features: Features, costs: Sequence[int], budget: int, most: int | None = None) -> list[int]:
    """Choose rows of ``features`` greedily, farthest first, within a budget; give them in their own order.

    ``costs`` are positive. At most ``most`` are chosen. What costs more than is left is passed over.
    """
    price = np.asarray(costs, dtype=np.int64)
    distance = np.full(len(price), np.inf)
    free = np.ones(len(price), dtype=bool)
    chosen: list[int] = []
    while most is None or len(chosen) < most:
        free &= price <= budget
        if not free.any():
            break
        pick = int(np.argmax(np.where(free, distance, -1.0)))
        chosen.append(pick)
        budget -= costs[pick]
        free[pick] = False
        np.minimum(distance, ((features - features[pick]) ** 2).sum(axis=1), out=distance)
    return sorted(chosen)


def features_of(examples: Sequence[Example]) -> Features:
    """Describe each example by cheap numbers from 0 to 1: kinds, sizes, signs, order, its output's class."""
    rows = [[*_describe(one.input), *_describe(one.output)] for one in examples]
    table = np.array(rows, dtype=np.float64)
    low, high = table.min(axis=0), table.max(axis=0)
    table = (table - low) / np.where(high > low, high - low, 1.0)
    same = [float(_key(one.input) == _key(one.output)) for one in examples]
    return np.column_stack([table, np.array(same), _classes(examples)])


def _classes(examples: Sequence[Example]) -> Features:
    keys = [_key(example.output) for example in examples]
    names = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    if len(names) > _FEW_OUTPUTS:
        return np.zeros((len(keys), 1))
    return np.eye(len(names))[[names[key] for key in keys]]


def _key(value: Any) -> object:
    """Give a key of a small value; of a large one nothing but its length, which is cheap."""
    value = plain(value)
    if isinstance(value, str | bytes | list | tuple | Mapping | Set) and len(value) > _LOOKED_AT:
        return (type(value).__name__, len(value))
    try:
        return canonical(value)
    except TypeError:
        return repr(type(value))


def _describe(value: Any) -> list[float]:
    value = plain(value)
    kinds = [float(isinstance(value, kind)) for kind in _KINDS]
    if isinstance(value, bool | int | float):
        return [*kinds, 0.0, _magnitude(value), float(value < 0), 0.0, float(_is_odd(value))]
    if isinstance(value, str | bytes):
        start = value[:_LOOKED_AT]
        distinct = len(set(start)) / max(1, len(start))
        return [*kinds, np.log1p(len(value)), distinct, float(start.isdigit()), _separators(start), 0.0]
    if isinstance(value, Mapping | Set | list | tuple):
        items = list(islice(value, _LOOKED_AT))
        numbers = [item for item in items if isinstance(item, int | float)]
        mean = sum(map(_magnitude, numbers)) / max(1, len(numbers))
        distinct = len({_shallow(item) for item in items}) / max(1, len(items))
        ordered = all(a <= b for a, b in pairwise(numbers))
        width = sum(len(item) for item in items if isinstance(item, list | tuple | str | Mapping))
        return [*kinds, np.log1p(len(value)), mean, distinct, float(ordered), np.log1p(width)]
    return [*kinds, 0.0, 0.0, 0.0, 0.0, 0.0]


def _magnitude(number: float) -> float:
    if isinstance(number, int):
        return float(number.bit_length())  # of any size
    return float(np.log2(1 + abs(number))) if number - number == 0 else 1024.0


def _is_odd(number: float) -> bool:
    return isinstance(number, int) and number % 2 == 1


def _separators(text: str | bytes) -> float:
    if isinstance(text, bytes):
        return 0.0
    return sum(not char.isalnum() for char in text) / max(1, len(text))


def _shallow(item: Any) -> object:
    """Give what tells items apart well enough, without a look inside containers."""
    if isinstance(item, list | tuple | Mapping | Set):
        return len(item)
    return item if isinstance(item, str | bytes | int | float) or item is None else type(item).__name__
