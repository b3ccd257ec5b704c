"""What is different between the output that was wanted and the one that came, in a line of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hypotheses.equality import canonical, equal
from hypotheses.prompts.grids import Grid, as_grid, size
from hypotheses.prompts.literals import literal, plain
from sandboxes import Execution

_MAX_CELLS = 5  # cells of a grid that are named
_MAX_KEYS = 3
_AROUND = 12  # characters shown from where two strings part
_MAX_VALUE = 60  # characters of a value in a difference

_ARTICLES = {
    "int": "an int",
    "NoneType": "None",
    "ndarray": "an array",
    "OrderedDict": "a dict",
    "Counter": "a dict",
}


def describe_failure(run: Execution) -> str:
    """Say in words how a program failed to give a value at all; ``error`` is not escaped here."""
    error = run.error or "no reason given"
    match run.status:
        case "timed_out":
            return f"ran out of time: {error}"
        case "out_of_memory":
            return f"ran out of memory: {error}"
        case "killed":
            return f"was killed: {error}"
        case "bad_output":
            return f"returned something that is not data: {error}"
    return f"raised {error}"


def difference(expected: Any, actual: Any, tolerance: float | None = None, *, grid: bool = False) -> str:
    """Say where ``actual`` first differs from ``expected``; empty where both values say it best."""
    expected, actual = plain(expected), plain(actual)
    if grid:
        wanted, came = as_grid(expected), as_grid(actual)
        if wanted is not None and came is not None:
            return _grids(wanted, came)
    if isinstance(expected, str) and isinstance(actual, str):
        return _strings(expected, actual)
    if isinstance(expected, list | tuple) and isinstance(actual, list | tuple):
        return _sequences(expected, actual, tolerance)
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return _mappings(expected, actual, tolerance)
    if _kind(expected) != _kind(actual):
        return f"expected {_kind(expected)}, got {_kind(actual)}"
    return ""


def _kind(value: Any) -> str:
    name = type(value).__name__
    return "a list" if isinstance(value, list | tuple) else _ARTICLES.get(name, f"a {name}")


def _grids(expected: Grid, actual: Grid) -> str:
    if (len(expected), *map(len, expected[:1])) != (len(actual), *map(len, actual[:1])):
        return f"expected {size(expected)}, got {size(actual)}"
    cells = [
        f"row {r} column {c} must be {wanted}"
        for r, (rows, others) in enumerate(zip(expected, actual, strict=True))
        for c, (wanted, came) in enumerate(zip(rows, others, strict=True))
        if wanted != came
    ]
    more = "; ..." if len(cells) > _MAX_CELLS else ""
    total = sum(map(len, expected))
    return f"{len(cells)} of {total} cells are wrong: {'; '.join(cells[:_MAX_CELLS])}{more}"


def _strings(expected: str, actual: str) -> str:
    if expected.casefold() == actual.casefold():
        return f"only upper and lower case differ{_from(expected, actual)}"
    if "".join(expected.split()) == "".join(actual.split()):
        return f"only white space differs{_from(expected, actual)}"
    if not actual:
        return "expected some text, got none"
    return f"different{_from(expected, actual)}"


def _from(expected: str, actual: str) -> str:
    at = _first(expected, actual)
    if at == len(actual):
        return f": ends at position {at}, missing {literal(expected[at:], _MAX_VALUE)}"
    if at == len(expected):
        return f": from position {at} there is too much, {literal(actual[at:], _MAX_VALUE)}"
    wanted, came = expected[at : at + _AROUND], actual[at : at + _AROUND]
    return f" from position {at}: expected {literal(wanted)}, got {literal(came)}"


def _first(expected: str, actual: str) -> int:
    """Give the first position at which two different strings differ; by halves, for they may be long."""
    low, high = 0, min(len(expected), len(actual))
    while low < high:
        middle = (low + high + 1) // 2
        if expected[low:middle] == actual[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _sequences(expected: Sequence[Any], actual: Sequence[Any], tolerance: float | None) -> str:
    lengths = "" if len(expected) == len(actual) else f"expected {len(expected)} items, got {len(actual)}"
    if not lengths and _counted(expected) == _counted(actual):
        return "the same items in another order"
    for at, (wanted, came) in enumerate(zip(expected, actual, strict=False)):
        if not equal(came, wanted, tolerance):
            values = f"item {at} must be {literal(wanted, _MAX_VALUE)}, not {literal(came, _MAX_VALUE)}"
            return f"{lengths}; {values}" if lengths else values
    return lengths


def _counted(items: Sequence[Any]) -> Counter[object]:
    return Counter(map(canonical, items))


def _mappings(expected: Mapping[Any, Any], actual: Mapping[Any, Any], tolerance: float | None) -> str:
    came = {canonical(key): item for key, item in actual.items()}
    known = {canonical(key) for key in expected}
    missing = [key for key in expected if canonical(key) not in came]
    extra = [key for key in actual if canonical(key) not in known]
    wrong = [
        f"{literal(key, _MAX_VALUE)} must be {literal(item, _MAX_VALUE)}, "
        f"not {literal(came[canonical(key)], _MAX_VALUE)}"
        for key, item in expected.items()
        if canonical(key) in came and not equal(came[canonical(key)], item, tolerance)
    ]
    parts = [
        _list("missing keys: ", [literal(key, _MAX_VALUE) for key in missing]),
        _list("keys too many: ", [literal(key, _MAX_VALUE) for key in extra]),
        _list("", wrong),
    ]
    return "; ".join(part for part in parts if part)


def _list(what: str, items: list[str]) -> str:
    more = ", ..." if len(items) > _MAX_KEYS else ""
    return f"{what}{', '.join(items[:_MAX_KEYS])}{more}" if items else ""
