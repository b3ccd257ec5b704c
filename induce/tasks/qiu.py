"""List Functions, ACRE and MiniSCAN as Qiu et al. publish them, one task a line.

Source: Qiu et al. 2023, "Phenomenal Yet Puzzling: Testing Inductive Reasoning Capabilities of Language Models
with Hypothesis Refinement"; files of https://github.com/linlu-qiu/lm-inductive-reasoning.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypotheses.task import Example
from induce.tasks.building import build_task, read_id, read_pairs
from induce.tasks.jsontext import parse_json, read_lines, top_level_keys
from induce.tasks.labelled import LabelledTask, ReadOptions
from induce.tasks.messages import place, shorten
from sandboxes import TaskFormatError


class QiuReader:
    """Reads ``{"idx": 0, "train": [{"input": …, "output": …}, …], "test": […]}`` a line; the id is ``idx``.

    The family is told by the values: lists written as strings are List Functions, lists of strings are ACRE,
    plain strings are MiniSCAN.
    """

    format = "qiu"

    def claims(self, path: Path, head: bytes) -> bool:  # noqa: ARG002 - the protocol's
        """Whether the first line has the keys ``idx`` and ``train``."""
        return top_level_keys(head) >= {"idx", "train"}

    def read(self, path: Path, options: ReadOptions) -> Iterator[LabelledTask | TaskFormatError]:  # noqa: ARG002 - the protocol's
        """Yield one task a line."""
        for number, line in read_lines(path):
            try:
                yield _task(parse_json(line, path, number), path, number)
            except TaskFormatError as error:
                yield error


def _task(record: Any, path: Path, number: int) -> LabelledTask:
    where = place(path, number)
    if not isinstance(record, dict) or not {"idx", "train", "test"} <= record.keys():
        raise TaskFormatError(f'{where}: expected an object with "idx", "train" and "test"')
    train = read_pairs(record["train"], f"{where}: train")
    test = read_pairs(record["test"], f"{where}: test")
    family = _family(train)
    if family == "list-functions":
        train, test = (
            [Example(_list(pair.input, path, number), _list(pair.output, path, number)) for pair in pairs]
            for pairs in (train, test)
        )
    return build_task(
        where,
        id=read_id(record["idx"], where),
        examples=train,
        queries=[pair.input for pair in test],
        answers={index: pair.output for index, pair in enumerate(test)},
        call="single",
        family=family,
        name="fn",
    )


def _family(pairs: list[Example]) -> str:
    if all(isinstance(pair.input, list) for pair in pairs):
        return "acre"
    if all(isinstance(pair.input, str) and pair.input.lstrip().startswith("[") for pair in pairs):
        return "list-functions"
    return "miniscan"


def _list(text: Any, path: Path, number: int) -> list[int]:
    """List Functions writes its lists as strings; they are JSON."""
    value = None
    if isinstance(text, str):
        with suppress(TaskFormatError):
            value = parse_json(text.encode("utf-8", "replace"), path, number)
    if not isinstance(value, list) or not all(type(element) is int for element in value):
        raise TaskFormatError(
            f"{place(path, number)}: expected a list of integers written as a string, not {shorten(text)}"
        )
    return value
