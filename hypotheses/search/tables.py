"""Tables learned from the examples: what becomes of each element, which are kept, what each counts for.

A table says nothing of what it has not seen. So it is believed only where half of the examples already tells
what the other half does; weights, where there are more examples than unknowns.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hypotheses.search.language import Operator, on_values

Pairs = Sequence[Sequence[tuple[Any, Any]]]
"""For each example, its elements with what became of each."""

LEAST_EXAMPLES = 6
"""Fewer examples than this teach no table."""

SPARE_EXAMPLES = 4
"""How many examples more than unknowns there must be where a table is solved for."""

MAX_ENTRIES = 128


def translation(pairs: Pairs) -> dict[Any, Any] | None:
    """Give the table that translates every element; ``None`` where there is none to be believed."""
    whole = _table(pairs)
    if whole is None or len(pairs) < LEAST_EXAMPLES or not 2 <= len(whole) <= MAX_ENTRIES:
        return None
    half = _table(pairs[::2]) or {}
    others = [pair for example in pairs[1::2] for pair in example]
    if not others or len(whole) * 2 > sum(map(len, pairs)):
        return None
    stays = keeps_the_rest(whole)
    told = sum(half.get(key, key if stays else None) == value for key, value in others)
    return whole if told >= 0.95 * len(others) else None


def keeps_the_rest(table: Mapping[Any, Any]) -> bool:
    """Whether a table leaves so many of its elements as they are that it will leave others so, too."""
    same = sum(key == value and type(key) is type(value) for key, value in table.items())
    return bool(4 * same >= len(table))


def _table(pairs: Pairs) -> dict[Any, Any] | None:
    table: dict[Any, Any] = {}
    for example in pairs:
        for key, value in example:
            if table.setdefault(key, value) != value:
                return None
    return table


def translating(table: Mapping[Any, Any], element: str, result: str) -> Operator:
    """Give the operator that looks an element up."""
    stays = keeps_the_rest(table)
    entries = {key: table[key] for key in sorted(table) if not stays or table[key] != key}
    python = f"{entries!r}.get(_0, _0)" if stays else f"{entries!r}[_0]"
    look = (lambda key: entries.get(key, key)) if stays else entries.__getitem__
    words = _no_places(", ".join(f"{key!r} to {value!r}" for key, value in entries.items()))
    rest = ", all else as it is" if stays else ""
    return on_values(
        f"{element} -> {result}", look, python, f"_0 translated ({words}{rest})", cost=2 + len(entries)
    )


def _no_places(words: str) -> str:
    """Write underscores before digits so that a phrase does not take them for places."""
    return re.sub(r"_(?=\d)", r"\\x5f", words)


def weights(counts: Sequence[Counter[Any]], totals: Sequence[int]) -> dict[Any, int] | None:
    """Give what each element counts for, so that every example adds up; ``None`` unless that is certain.

    Solves a linear system, with more examples than unknowns, for whole numbers; each element must be in two
    examples at least. Of numbers there are always others than those seen, so they get no weights.
    """
    seen = Counter(key for one in counts for key in one)
    if min(seen.values(), default=0) < 2 or any(isinstance(key, int) for key in seen):
        return None
    keys = sorted(seen)
    if not 2 <= len(keys) <= MAX_ENTRIES or len(totals) < len(keys) + SPARE_EXAMPLES:
        return None
    matrix = np.array([[one[key] for key in keys] for one in counts], float)
    if max(map(abs, totals)) > 1 << 53:
        return None
    found, _, rank, _ = np.linalg.lstsq(matrix, np.array(totals, float), rcond=None)
    if rank < len(keys):
        return None
    whole = [round(float(one)) for one in found]
    if any(
        sum(one[key] * weight for key, weight in zip(keys, whole, strict=True)) != total
        for one, total in zip(counts, totals, strict=True)
    ):
        return None
    return dict(zip(keys, whole, strict=True))


def weighing(table: Mapping[Any, int], element: str) -> Operator:
    """Give the operator that says what an element counts for; for one that was never seen, nothing."""
    entries = {key: weight for key, weight in table.items() if weight}
    words = _no_places(", ".join(f"{weight} for {key!r}" for key, weight in entries.items()))
    return on_values(
        f"{element} -> int",
        lambda key: entries.get(key, 0),
        f"{entries!r}.get(_0, 0)",
        f"what _0 counts for ({words})",
        cost=2 + len(entries),
    )


def kept(elements: Sequence[str], outputs: Sequence[str]) -> tuple[bool, str] | None:
    """Say which characters a filter keeps: whether those listed are the kept ones, and the list.

    ``None`` where no set of characters makes ``outputs`` of ``elements``, or it is not to be believed.
    """
    staying, going = set("".join(outputs)), set("".join(elements)) - set("".join(outputs))
    if not staying or not going or len(outputs) < LEAST_EXAMPLES or not _filters(elements, outputs, going):
        return None
    gone_before = set("".join(elements[::2])) - set("".join(outputs[::2]))
    stayed_before = set("".join(outputs[::2]))
    if len(going) <= len(staying):
        believed = _filters(elements[1::2], outputs[1::2], gone_before)
        return (False, "".join(sorted(going))) if believed else None
    later = ["".join([c for c in text if c in stayed_before]) for text in elements[1::2]]
    return (True, "".join(sorted(staying))) if later == list(outputs[1::2]) else None


def _filters(elements: Sequence[str], outputs: Sequence[str], going: set[str]) -> bool:
    left = tuple(["".join([c for c in text if c not in going]) for text in elements])
    return left == tuple(outputs)
