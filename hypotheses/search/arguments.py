"""Inputs as rows of arguments, one value a parameter."""

from __future__ import annotations

from typing import Any

from hypotheses.task import Signature, Task

Row = tuple[Any, ...]


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
    """Give the kind that all ``values`` share: ``str``, ``int``, ``bool`` or ``list`` (of int)."""
    kinds = {_kind(value) for value in values}
    return kinds.pop() if len(kinds) == 1 else None


def _kind(value: Any) -> str | None:
    if isinstance(value, tuple):
        return "list" if all(type(item) is int for item in value) else None
    return {str: "str", int: "int", bool: "bool"}.get(type(value))
