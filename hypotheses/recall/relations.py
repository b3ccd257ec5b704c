"""How an output relates to its input, and what an input looks like, as tokens that tasks and programs share.

What a task's examples show without running anything, a program shows on inputs that it is tried on.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from hypotheses.equality import equal
from hypotheses.recall.grids import as_grid, look_of, relate
from sandboxes import CallStyle

_MOST_LOOKED_AT = 400
"""So many elements of a sequence are looked at."""


def arguments(value: Any, call: CallStyle) -> list[Any]:
    """Give the arguments that an input stands for."""
    if call == "positional":
        return list(value)
    return list(value.values()) if call == "keyword" else [value]


def relations(given: Any, wanted: Any, call: CallStyle = "single") -> frozenset[str]:
    """Say how the output ``wanted`` relates to the input ``given``; ``same`` where it is the input."""
    taken = arguments(given, call)
    if isinstance(wanted, np.ndarray):
        wanted = wanted.tolist()
    if len(taken) == 1:
        return frozenset(_relate(taken[0], wanted))
    return frozenset(
        f"{position}:{token}" for position, one in enumerate(taken) for token in _relate(one, wanted)
    )


def looks(given: Any, call: CallStyle = "single") -> frozenset[str]:
    """Say what an input looks like."""
    taken = arguments(given, call)
    if len(taken) == 1:
        return frozenset(_look(taken[0]))
    return frozenset(f"{position}:{token}" for position, one in enumerate(taken) for token in _look(one))


def kind_of(value: Any) -> str:
    """Name what a value is: ``grid``, ``list[int]``, ``str`` …."""
    if as_grid(value) is not None:
        return "grid"
    if isinstance(value, list | tuple):
        kinds = {type(item).__name__ for item in value[:_MOST_LOOKED_AT]}
        return f"list[{kinds.pop()}]" if len(kinds) == 1 else "list"
    return type(value).__name__


def _relate(given: Any, wanted: Any) -> Iterator[str]:
    yield f"out:{kind_of(wanted)}"
    before, after = as_grid(given), as_grid(wanted)
    if before is not None and after is not None:
        yield from relate(before, after)
        return
    if equal(given, wanted):
        yield "same"
        return
    if isinstance(wanted, bool):
        yield f"is:{wanted}"
    elif isinstance(wanted, int | float):
        yield from _number(given, wanted)
    elif isinstance(wanted, str | list | tuple):
        yield from _sequence(given, wanted[:_MOST_LOOKED_AT])


def _number(given: Any, wanted: float) -> Iterator[str]:
    if abs(wanted) <= 20:
        yield f"is:{wanted}"
    if _is_number(given):
        yield "larger" if wanted > given else "smaller"
        if type(wanted) is type(given) is int and given and not wanted % given:
            yield "multiple"
    elif isinstance(given, str | list | tuple):
        if wanted == len(given):
            yield "length"
        numbers = [item for item in given[:_MOST_LOOKED_AT] if type(item) is int]
        if numbers and len(numbers) == len(given):
            known = {
                "first": numbers[0],
                "last": numbers[-1],
                "least": min(numbers),
                "most": max(numbers),
                "sum": sum(numbers),
            }
            yield from (name for name, number in known.items() if number == wanted)
            if wanted in numbers:
                yield "element"


def _sequence(given: Any, wanted: str | list[Any] | tuple[Any, ...]) -> Iterator[str]:
    if len(wanted) <= 6:
        yield f"length:{len(wanted)}"
    if len(set(map(repr, wanted))) == len(wanted):
        yield "distinct"
    if isinstance(wanted, list) and len(wanted) > 1 and all(map(_is_number, wanted)):
        if all(a <= b for a, b in pairwise(wanted)):
            yield "ascending"
        if all(a >= b for a, b in pairwise(wanted)):
            yield "descending"
    if isinstance(wanted, str):
        yield from _text(given, wanted)
    if not isinstance(given, str | list | tuple) or isinstance(given, str) != isinstance(wanted, str):
        return
    given = given[:_MOST_LOOKED_AT] if isinstance(given, str) else list(given[:_MOST_LOOKED_AT])
    wanted = wanted if isinstance(wanted, str) else list(wanted)
    yield "length:" + (
        "same" if len(wanted) == len(given) else "less" if len(wanted) < len(given) else "more"
    )
    if len(wanted) == 2 * len(given):
        yield "length:x2"
    if wanted == given[::-1]:
        yield "reversed"
    if wanted and wanted == given[: len(wanted)]:
        yield "prefix"
    if wanted and wanted == given[-len(wanted) :]:
        yield "suffix"
    if given and wanted[: len(given)] == given:
        yield "begins-with-input"
    if given and wanted[-len(given) :] == given:
        yield "ends-with-input"
    before, after = sorted(map(repr, given)), sorted(map(repr, wanted))
    if before == after:
        yield "rearranged"
    if set(after) <= set(before):
        yield "elements:kept"
    yield from (f"first:{'same' if wanted[0] == given[0] else 'other'}" for _ in given[:1] if wanted)
    yield from (f"last:{'same' if wanted[-1] == given[-1] else 'other'}" for _ in given[:1] if wanted)


def _text(given: Any, wanted: str) -> Iterator[str]:
    for name in ("isupper", "islower", "istitle", "isdigit", "isalpha"):
        if getattr(wanted, name)():
            yield name
    yield from (f"has:{mark}" for mark in sorted(set(wanted)) if not mark.isalnum())
    if isinstance(given, str):
        if wanted.casefold() == given.casefold():
            yield "letters:case"
        if wanted in given:
            yield "part"
        if given in wanted:
            yield "contains"
        yield from (f"gone:{mark}" for mark in sorted(set(given) - set(wanted)) if not mark.isalnum())
        yield from (f"new:{mark}" for mark in sorted(set(wanted) - set(given)) if not mark.isalnum())


def _look(given: Any) -> Iterator[str]:
    yield f"in:{kind_of(given)}"
    grid = as_grid(given)
    if grid is not None:
        yield from look_of(grid)
    elif isinstance(given, str | list | tuple):
        yield f"length:about:{len(given).bit_length()}"
        if isinstance(given, str):
            yield from (f"has:{mark}" for mark in sorted(set(given[:_MOST_LOOKED_AT])) if not mark.isalnum())
            if any(map(str.isdigit, given)):
                yield "has-digits"
        elif all(map(_is_number, given)):
            if any(number < 0 for number in given):
                yield "has-negative"
            if len(set(given)) < len(given):
                yield "has-repeats"
    elif _is_number(given):
        yield "negative" if given < 0 else "positive" if given else "zero"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
