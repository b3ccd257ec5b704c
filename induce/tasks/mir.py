"""MIR-Bench functions as shots, one function a line.

Source: Yan et al. 2025, "MIR-Bench: Benchmarking LLM's Long-Context Intelligence via Many-Shot In-Context
Inductive Reasoning"; functions and generators of https://github.com/KaiYan289/MIR-Bench.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from induce.tasks.building import build_task, choose_shots, read_id, read_pairs
from induce.tasks.jsontext import parse_json, read_lines, top_level_keys
from induce.tasks.labelled import LabelledTask, ReadOptions
from induce.tasks.messages import place
from sandboxes import TaskFormatError

DEFAULT_SHOTS = 16


class MirShotsReader:
    """Reads ``{"id": …, "train": [{"input": {argument: …}, "output": …}, …], "test": […]}`` a line.

    Inputs are keyword arguments; the function is called ``solution``, as in the benchmark's prompts. The
    first ``shots`` training pairs are shown, 16 unless asked otherwise.
    """

    format = "mir"

    def claims(self, path: Path, head: bytes) -> bool:  # noqa: ARG002 - the protocol's
        """Whether the first line has the keys ``id`` and ``train``."""
        return top_level_keys(head) >= {"id", "train"}

    def read(self, path: Path, options: ReadOptions) -> Iterator[LabelledTask | TaskFormatError]:
        """Yield one task a line."""
        for number, line in read_lines(path):
            try:
                yield _task(parse_json(line, path, number), place(path, number), options.shots)
            except TaskFormatError as error:
                yield error


def _task(record: Any, where: str, shots: int | None) -> LabelledTask:
    if not isinstance(record, dict) or not {"id", "train", "test"} <= record.keys():
        raise TaskFormatError(f'{where}: expected an object with "id", "train" and "test"')
    train = read_pairs(record["train"], f"{where}: train")
    test = read_pairs(record["test"], f"{where}: test")
    return build_task(
        where,
        id=read_id(record["id"], where),
        examples=choose_shots(train, shots, DEFAULT_SHOTS, where),
        queries=[pair.input for pair in test],
        answers={index: pair.output for index, pair in enumerate(test)},
        call="keyword",
        family="mir",
        name="solution",
    )
