"""The families of values, each with worked examples of its own."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template
from typing import Any, Literal

from hypotheses.prompts.literals import callable_name, plain
from hypotheses.task import Example, Signature, Task, infer_signature
from sandboxes.guest import values

Family = Literal["grid", "string", "list", "table", "graph"]

_LOOKED_AT = 5  # examples that decide the family
_GRAPH_WORDS = frozenset(("edges", "adjacency", "adjacency_list", "adj", "graph", "neighbors", "neighbours"))


@dataclass(frozen=True, slots=True)
class Worked:
    """A worked example: a task of our own with its rule and its program."""

    task: Task
    rule: str
    program: str


@dataclass(frozen=True, slots=True)
class _Sheet:
    about: str
    tasks: tuple[dict[str, Any], ...]


def about(family: Family) -> str:
    """Say in a sentence what the values of a family are."""
    return _read(family).about


def worked_examples(family: Family, signature: Signature, count: int) -> tuple[Worked, ...]:
    """Give the first ``count`` worked examples; grids are passed as those of the task are.

    Their function has another name than the task's, or small models take its rule for the task's own.
    """
    name = "g" if callable_name(signature) != "g" else "h"
    worked = []
    for number, sheet in enumerate(_read(family).tasks[:count]):
        pairs = [values.loads(text) for text in sheet["examples"]]
        examples = tuple(Example(given, wanted) for given, wanted in pairs)
        call = signature.call if family == "grid" else "single"
        task = Task(f"worked {number}", examples, (), infer_signature(examples, call, name=name))
        program = sheet["program_on_lists" if call == "grid_list" else "program"]
        worked.append(Worked(task, sheet["rule"], Template(program).substitute(name=name).strip("\n")))
    return tuple(worked)


def family_of(task: Task) -> Family:
    """Say which family the values of a task belong to, from its signature and its first examples."""
    if task.signature.call in ("grid_list", "grid_ndarray"):
        return "grid"
    examples = task.examples[:_LOOKED_AT]
    arguments = [argument for example in examples for argument in _arguments(task.signature, example.input)]
    if any(_is_graph(name, value) for name, value in arguments):
        return "graph"
    if any(_is_table(value) for _, value in arguments):
        return "table"
    if any(isinstance(value, str) for _, value in arguments):
        return "string"
    return "string" if any(isinstance(example.output, str) for example in examples) else "list"


def _arguments(signature: Signature, value: Any) -> Iterator[tuple[str, Any]]:
    """Give the arguments of a call with their names."""
    names = [parameter.name for parameter in signature.parameters]
    if signature.call == "keyword" and isinstance(value, Mapping):
        yield from ((str(key), plain(item)) for key, item in value.items())
    elif signature.call == "positional" and isinstance(value, list | tuple):
        yield from zip(names, map(plain, value), strict=False)
    else:
        yield (names[0] if names else ""), plain(value)


def _is_graph(name: str, value: Any) -> bool:
    if isinstance(value, Mapping):
        if any(isinstance(key, str) and key.lower() in _GRAPH_WORDS for key in value):
            return True
        adjacent = list(value.values())
        return bool(adjacent) and all(
            isinstance(nodes, list | tuple | set | frozenset) and all(_is_key(node, value) for node in nodes)
            for nodes in adjacent
        )
    return name.lower() in _GRAPH_WORDS and isinstance(value, list | tuple)


def _is_key(node: Any, mapping: Mapping[Any, Any]) -> bool:
    """Whether a value is a key, or the text of one, as JSON makes of a node that is a number."""
    if not isinstance(node, str | int):
        return False
    return node in mapping or str(node) in mapping


def _is_table(value: Any) -> bool:
    if not isinstance(value, list | tuple) or not value:
        return False
    rows = value[:_LOOKED_AT]
    if all(isinstance(row, Mapping) and row for row in rows):
        return len({tuple(sorted(map(str, row))) for row in rows}) == 1
    if len(rows) > 1 and all(isinstance(row, list | tuple) and len(row) > 1 for row in rows):
        kinds = {type(cell) for row in rows for cell in row}
        return len({len(row) for row in rows}) == 1 and str in kinds and len(kinds) > 1
    return False


@cache
def _read(family: Family) -> _Sheet:
    file = resources.files("hypotheses.prompts") / "worked" / f"{family}.toml"
    sheet = tomllib.loads(file.read_text(encoding="utf-8"))
    return _Sheet(sheet["about"], tuple(sheet["tasks"]))
