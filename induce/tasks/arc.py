"""ARC tasks as JSON, one task a file: ARC itself, 1D-ARC, Mini-ARC, ConceptARC and many more.

Source: the file format of https://github.com/fchollet/ARC-AGI, "Task file format".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypotheses.task import Example
from induce.tasks.building import build_task, check_grid
from induce.tasks.jsontext import parse_json, read_bytes, top_level_keys
from induce.tasks.labelled import LabelledTask, ReadOptions
from induce.tasks.messages import place, shorten
from sandboxes import TaskFormatError

COLOURS = 10
"""ARC's cells are integers from 0 to 9."""


class ArcReader:
    """Reads ``{"train": [{"input": grid, "output": grid}, …], "test": […]}``; the id is the file's stem."""

    format = "arc"

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether the file, named ``*.json``, holds an object with ``train`` and without Qiu's ``idx``."""
        keys = top_level_keys(head)
        return path.suffix.lower() == ".json" and "train" in keys and "idx" not in keys

    def read(self, path: Path, options: ReadOptions) -> Iterator[LabelledTask | TaskFormatError]:  # noqa: ARG002 - the protocol's
        """Yield the file's one task."""
        record = parse_json(read_bytes(path), path)
        try:
            yield arc_task(path.stem, record, place(path))
        except TaskFormatError as error:
            yield error


def arc_task(id: str, record: Any, where: str) -> LabelledTask:  # noqa: A002 - the field's name
    """Build a task from ARC's ``{"train": …, "test": …}``. A test pair without output has no known answer.

    Raises ``TaskFormatError`` that names the pair and the row of what does not fit.
    """
    if not isinstance(record, dict):
        raise TaskFormatError(f'{where}: expected an object with "train" and "test", not {shorten(record)}')
    for key in ("train", "test"):
        if not isinstance(record.get(key), list):
            raise TaskFormatError(f"{where}: expected a list of pairs under {key!r}")
    examples = []
    for number, pair in enumerate(record["train"], start=1):
        examples.append(
            Example(
                _grid(pair, "input", f"{where}: train pair {number}"),
                _grid(pair, "output", f"{where}: train pair {number}"),
            )
        )
    queries = []
    answers = {}
    for index, pair in enumerate(record["test"]):
        queries.append(_grid(pair, "input", f"{where}: test pair {index + 1}"))
        if "output" in pair:
            answers[index] = _grid(pair, "output", f"{where}: test pair {index + 1}")
    return build_task(
        where, id=id, examples=examples, queries=queries, answers=answers,
        call="grid_ndarray", family="arc", name="transform",
    )  # fmt: skip


def _grid(pair: Any, key: str, where: str) -> list[list[int]]:
    if not isinstance(pair, dict) or key not in pair:
        raise TaskFormatError(f"{where}: expected an object with {key!r}")
    grid: list[list[int]] = pair[key]
    check_grid(grid, f"{where}, {key}", colours=COLOURS)
    return grid
