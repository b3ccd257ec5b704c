"""Inputs as rows of arguments, one value a parameter."""

from __future__ import annotations

from typing import Any

from hypotheses.task import Signature, Task

Row = tuple[Any, ...]

MAX_BITS = 14_000
"""Larger numbers are no values here: Python does not even print them, unless it is told to."""


def row_of(signature: Signature, value: Any) -> Row:
    """Spread one input over the parameters, as the call style says; lists are given as tuples."""
    match signature.call:
        case "keyword":
            values = [value[parameter.name] for parameter in signature.parameters]
        case "positional":
            values = list(value)
        case _:
            values = [value]
    return tuple(map(frozen, values))


def frozen(value: Any) -> Any:
    """Give ``value`` with every list as a tuple."""
    return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value


def rows_of(task: Task) -> tuple[tuple[Row, ...], tuple[Any, ...], tuple[Row, ...]]:
    """Give the task's examples as rows and outputs, and its queries as rows."""
    rows = tuple(row_of(task.signature, example.input) for example in task.examples)
    outputs = tuple(frozen(example.output) for example in task.examples)
    return rows, outputs, tuple(row_of(task.signature, query) for query in task.queries)


def kind_of(values: tuple[Any, ...]) -> str | None:
    """Give the kind that all ``values`` share; ``None`` where there is none.

    Kinds are ``str``, ``bool``, ``int``, ``float`` (and ints among them), ``list`` (of ints), ``texts``
    (lists of str) and ``lists`` (of lists of ints); an empty list is of any of these.
    """
    kinds = {_kind(value) for value in values}
    if "empty" in kinds and kinds <= {"empty", "list", "texts", "lists"} and len(kinds) > 1:
        kinds.discard("empty")
    if kinds == {"int", "float"}:
        return "float"
    kind = kinds.pop() if len(kinds) == 1 else None
    return "list" if kind == "empty" else kind


def _kind(value: Any) -> str | None:
    if type(value) is int and value.bit_length() > MAX_BITS:
        return None
    if not isinstance(value, tuple):
        return {str: "str", int: "int", bool: "bool", float: "float"}.get(type(value))
    if not value:
        return "empty"
    return {"int": "list", "str": "texts", "list": "lists"}.get(str(kind_of(value)))
