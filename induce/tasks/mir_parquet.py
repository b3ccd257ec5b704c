"""MIR-Bench as published: a parquet file with a prompt a row.

Source: Yan et al. 2025, "MIR-Bench"; columns as the README of https://github.com/KaiYan289/MIR-Bench lists
them: ``prompt, answer, idx_train, idx_test, num_shots, plen, ER_rate`` and, in places, ``tag, difficulty``.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypotheses.task import Example
from induce.tasks.building import build_task
from induce.tasks.labelled import LabelledTask, ReadOptions
from induce.tasks.messages import one_line, place, shorten
from sandboxes import TaskFormatError

_COLUMNS = ("prompt", "answer", "idx_train", "idx_test", "num_shots")
_ROWS_AT_ONCE = 16
_SHOT = re.compile(r"^Input:(.*)\nOutput:((?:.*\n)*?)(?=Input:)", re.MULTILINE)
_BARE = object()
"""Stands for a text that is no Python literal."""
_QUERY = re.compile(r"Input:(.*?)(?:Analysis:)?\Z")


class MirParquetReader:
    """Reads a row as a task with one query: the shots and the question are taken out of the prompt.

    The id is ``mir-<idx_train>-<num_shots>-<idx_test>``. ``shots`` chooses the rows with that many shots.
    Prompts print values as Python does, but strings bare: an output that is no Python literal is a string,
    and where a task has one, numbers among its outputs are strings too.
    """

    format = "mir-parquet"

    def claims(self, path: Path, head: bytes) -> bool:  # noqa: ARG002 - the protocol's
        """Whether the file is parquet."""
        return head.startswith(b"PAR1")

    def read(self, path: Path, options: ReadOptions) -> Iterator[LabelledTask | TaskFormatError]:
        """Yield one task a row, a few rows in memory at a time."""
        found: set[Any] = set()
        for number, row in enumerate(_rows(path), start=1):
            found.add(row["num_shots"])
            if options.shots in (None, row["num_shots"]):
                try:
                    yield _task(row, f"{place(path)}: row {number}")
                except TaskFormatError as error:
                    yield error
        if options.shots is not None and options.shots not in found:
            counts = ", ".join(map(str, sorted(found - {None})))
            yield TaskFormatError(
                f"{place(path)}: has prompts with {counts} shots, none with {options.shots}"
            )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - optional
        from pyarrow import parquet  # noqa: PLC0415 - optional
    except ImportError:
        raise TaskFormatError(
            f"{place(path)}: parquet needs the package pyarrow, which is not installed: "
            "pip install induce[parquet]"
        ) from None
    try:
        with parquet.ParquetFile(path) as file:
            missing = [name for name in _COLUMNS if name not in file.schema_arrow.names]
            if missing:
                raise TaskFormatError(
                    f"{place(path)}: lacks the columns {', '.join(missing)} of MIR-Bench's prompts"
                )
            rate = [name for name in ("ER_rate",) if name in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=[*_COLUMNS, *rate]):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise TaskFormatError(
            f"{place(path)}: not readable as parquet: {one_line(str(error).splitlines()[0])}"
        ) from None


def _task(row: dict[str, Any], where: str) -> LabelledTask:
    prompt = row["prompt"]
    if not isinstance(prompt, str) or not isinstance(row["answer"], str):
        raise TaskFormatError(f"{where}: expected a prompt and an answer, not {shorten(prompt)}")
    shots = list(_SHOT.finditer(prompt))
    query = _QUERY.match(prompt, shots[-1].end()) if shots else None
    if query is None:
        raise TaskFormatError(
            f"{where}: expected a prompt of shots 'Input:… Output:…' that ends with an input"
        )
    outputs = [shot[2].removesuffix("\n") for shot in shots]
    bare = any(_literal(text) is _BARE for text in outputs)
    task_id = f"mir-{row['idx_train']}-{row['num_shots']}-{row['idx_test']}"
    if row.get("ER_rate"):
        task_id += f"-{row['ER_rate']}"
    return build_task(
        where,
        id=task_id,
        examples=[
            Example(_arguments(shot[1], where), _output(text, bare))
            for shot, text in zip(shots, outputs, strict=True)
        ],
        queries=[_arguments(query[1], where)],
        answers={0: _output(row["answer"], bare)},
        call="keyword",
        family="mir",
        name="solution",
    )


def _literal(text: str) -> Any:
    """Read a Python literal, ``_BARE`` where the text is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's remarks on text that is nearly a literal
            value = ast.literal_eval(text.strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _BARE
    return _BARE if value is ... else value


def _arguments(text: str, where: str) -> Any:
    value = _literal(text)
    if value is _BARE:
        raise TaskFormatError(f"{where}: expected a Python dict of arguments, not {shorten(text)}")
    return value


def _output(text: str, bare: bool) -> Any:
    value = _literal(text)
    if value is _BARE or (bare and isinstance(value, int | float | complex)):
        return text
    return value
