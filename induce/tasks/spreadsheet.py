"""A spreadsheet saved as CSV or TSV: a row is an example, the last column is what is wanted."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from io import StringIO
from keyword import iskeyword
from pathlib import Path
from typing import Any

from hypotheses.task import Example
from induce.tasks.building import build_task
from induce.tasks.jsontext import read_bytes
from induce.tasks.labelled import LabelledTask, ReadOptions
from induce.tasks.messages import one_line, place, shorten
from sandboxes import TaskFormatError

_DELIMITERS = ",;\t"
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class SpreadsheetReader:
    """Reads a header row and rows of cells; the id is the file's stem.

    The last column, or the one named by ``output_column``, holds the outputs; a row whose output is empty is
    a query. Cells are strings, but a column is read as numbers where every cell of it that is not empty is
    one (an empty cell is then ``None``); ``007`` and ``+1 555`` are no numbers.
    """

    format = "spreadsheet"

    def claims(self, path: Path, head: bytes) -> bool:  # noqa: ARG002 - the protocol's
        """Whether the file's name ends in ``.csv`` or ``.tsv``."""
        return path.suffix.lower() in (".csv", ".tsv")

    def read(self, path: Path, options: ReadOptions) -> Iterator[LabelledTask | TaskFormatError]:
        """Yield the file's one task."""
        header, rows = _table(path)
        try:
            yield _task(path, header, rows, options.output_column)
        except TaskFormatError as error:
            yield error


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Read the header and the rows, all of one length. Rows without any content are passed over."""
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TaskFormatError(
            f"{place(path, line)}: expected UTF-8 text, found the byte 0x{content[error.start]:02x}; "
            "save the spreadsheet as CSV in UTF-8"
        ) from None
    reader = csv.reader(StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    rows: list[list[str]] = []
    try:
        for row in reader:
            if not any(row):
                continue
            if rows and len(row) != len(rows[0]):
                raise TaskFormatError(
                    f"{place(path, reader.line_num)}: has {len(row)} cells "
                    f"where the header has {len(rows[0])}"
                )
            rows.append(row)
    except csv.Error as error:
        raise TaskFormatError(
            f"{place(path, reader.line_num)}: not a table: {one_line(str(error))}"
        ) from None
    if not rows:
        raise TaskFormatError(f"{place(path)}: is empty; expected a header row and rows of cells")
    header = [name.strip() for name in rows[0]]
    if len(header) < 2:
        raise TaskFormatError(
            f"{place(path, 1)}: has one column {shorten(header[0])}; "
            "expected input columns and one with the outputs, separated by comma, semicolon or tab"
        )
    return header, rows[1:]


def _delimiter(text: str) -> str:
    """Take the delimiter that splits the header into the most cells; a comma where none does."""
    header = StringIO(text.lstrip("\r\n"), newline="")

    def cells(mark: str) -> int:
        header.seek(0)
        try:
            return len(next(csv.reader(header, delimiter=mark), []))
        except csv.Error:  # told, with its line, when the table is read
            return 0

    return max(_DELIMITERS, key=cells)


def _task(path: Path, header: list[str], rows: list[list[str]], output_column: str | None) -> LabelledTask:
    target = _output_index(path, header, output_column)
    columns = [_column([row[index] for row in rows]) for index in range(len(header))]
    inputs = [column for index, column in enumerate(columns) if index != target]
    names = _parameter_names([name for index, name in enumerate(header) if index != target])
    single = len(inputs) == 1
    examples = []
    queries = []
    for number, row in enumerate(rows):
        value = inputs[0][number] if single else [column[number] for column in inputs]
        if row[target] == "":
            queries.append(value)
        else:
            examples.append(Example(value, columns[target][number]))
    return build_task(
        place(path),
        id=path.stem,
        examples=examples,
        queries=queries,
        answers={},
        call="single" if single else "positional",
        family="spreadsheet",
        names=names,
    )


def _output_index(path: Path, header: list[str], output_column: str | None) -> int:
    if output_column is None:
        return len(header) - 1
    if header.count(output_column) != 1:
        known = one_line(", ".join(map(repr, header)))
        raise TaskFormatError(
            f"{place(path, 1)}: has no single column {shorten(output_column)}; its columns are {known}"
        )
    return header.index(output_column)


def _column(cells: Sequence[str]) -> list[Any]:
    """Read a column as integers, else as floats, else as the strings it holds."""
    filled = [cell for cell in cells if cell != ""]
    for pattern, number in ((_INTEGER, int), (_FLOAT, float)):
        if filled and all(pattern.fullmatch(cell) for cell in filled):
            try:
                values = [number(cell) if cell else None for cell in cells]
            except ValueError:  # an integer of more digits than Python reads
                break
            if math.inf not in values and -math.inf not in values:
                return values
    return list(cells)


def _parameter_names(headings: Sequence[str]) -> list[str]:
    """Make distinct names of headings: ``Full name`` becomes ``full_name``, a second ``full_name_2``."""
    names: dict[str, None] = {}
    uses: Counter[str] = Counter()
    for index, heading in enumerate(headings, start=1):
        name = re.sub(r"\W+", "_", heading.lower()).strip("_")
        if not name.isidentifier() or iskeyword(name):
            name = f"x{index}"
        distinct = name
        while distinct in names:
            uses[name] += 1
            distinct = f"{name}_{uses[name] + 1}"
        names[distinct] = None
    return list(names)
