"""PROSE Transformation.Text: text transformations, a folder each.

Source: https://github.com/microsoft/prose-benchmarks, ``Transformation.Text``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypotheses.task import Example
from induce.tasks.building import build_task, choose_shots
from induce.tasks.jsontext import parse_json, read_bytes, top_level_keys
from induce.tasks.labelled import LabelledTask, ReadOptions
from induce.tasks.messages import place, shorten
from sandboxes import TaskFormatError

DEFAULT_SHOTS = 3


class ProseReader:
    """Reads ``{"Examples": [{"Input": [cell, …], "Output": text}, …]}``; the id is the folder's name.

    The first ``shots`` rows are examples, 3 unless asked otherwise (though one row at least is then left to
    answer); the rest are queries with answers. A cell or an output of ``null`` is ``None``, a value like any
    other. One input column is passed as it is, several as arguments in their order.
    """

    format = "prose"

    def claims(self, path: Path, head: bytes) -> bool:  # noqa: ARG002 - the protocol's
        """Whether the file holds an object with the key ``Examples``."""
        return "Examples" in top_level_keys(head)

    def read(self, path: Path, options: ReadOptions) -> Iterator[LabelledTask | TaskFormatError]:
        """Yield the file's one task."""
        record = parse_json(read_bytes(path), path)
        try:
            yield _task(record, path, options.shots)
        except TaskFormatError as error:
            yield error


def _task(record: Any, path: Path, shots: int | None) -> LabelledTask:
    rows = record.get("Examples") if isinstance(record, dict) else None
    if not isinstance(rows, list) or not rows:
        raise TaskFormatError(f'{place(path)}: expected an object with a list of rows under "Examples"')
    pairs = [_pair(row, f"{place(path)}: row {number}") for number, row in enumerate(rows, start=1)]
    single = all(len(pair.input) == 1 for pair in pairs)
    if single:
        pairs = [Example(pair.input[0], pair.output) for pair in pairs]
    examples = choose_shots(pairs, shots, max(1, min(DEFAULT_SHOTS, len(pairs) - 1)), place(path))
    rest = pairs[len(examples) :]
    return build_task(
        place(path),
        id=path.absolute().parent.name,
        examples=examples,
        queries=[pair.input for pair in rest],
        answers={index: pair.output for index, pair in enumerate(rest)},
        call="single" if single else "positional",
        family="prose",
    )


def _pair(row: Any, where: str) -> Example:
    if not isinstance(row, dict) or not {"Input", "Output"} <= row.keys():
        raise TaskFormatError(f'{where}: expected an object with "Input" and "Output"')
    cells = row["Input"]
    if not isinstance(cells, list) or not cells or not all(isinstance(cell, str | None) for cell in cells):
        raise TaskFormatError(f"{where}: Input: expected a list of strings or nulls, not {shorten(cells)}")
    if not isinstance(row["Output"], str | None):
        raise TaskFormatError(f"{where}: Output: expected a string or null, not {shorten(row['Output'])}")
    return Example(cells, row["Output"])
