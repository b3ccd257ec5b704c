"""Grids as text, in four encodings, and back."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from hypotheses.prompts.literals import plain
from hypotheses.prompts.options import GridEncoding

Grid = list[list[int]]

COLOURS = ("black", "blue", "red", "green", "yellow", "grey", "magenta", "orange", "azure", "brown")
"""The names of the colours 0 to 9."""

EXPLANATIONS: dict[GridEncoding, str] = {
    "digits": "Grids are shown a line a row, with a number for each cell.",
    "colours": "Grids are shown a line a row, with a colour for each cell: "
    + ", ".join(f"{name} is {number}" for number, name in enumerate(COLOURS))
    + ".",
    "objects": "Grids are shown as a background and objects, which are connected cells of one colour.",
    "runs": "Grids are shown a line a row, as runs of equal cells: 0x3 is three cells of colour 0.",
}

_MAX_CELLS = 100_000
_WORDS = {name: number for number, name in enumerate(COLOURS)} | {"gray": 5, "pink": 6, "maroon": 9}
_RUN = re.compile(r"(-?\d{1,19})x(\d{1,4})")
_NUMBER = re.compile(r"-?\d{1,19}")
_HEAD = re.compile(r"(\d{1,4}) rows?, (\d{1,4}) columns?, background (-?\d{1,19})")
_OBJECT = re.compile(r"colour (-?\d{1,19}): (.*)")
_CELLS = re.compile(r"row (\d{1,4}) columns? ([\d, -]+?)(?:;|$)")


def as_grid(value: Any) -> Grid | None:
    """Give a value as a rectangular grid of whole numbers; ``None`` where it is none."""
    value = plain(value)
    if not isinstance(value, list | tuple) or not all(isinstance(row, list | tuple) for row in value):
        return None
    if len({len(row) for row in value}) > 1 or not all({int}.issuperset(map(type, row)) for row in value):
        return None
    return [list(row) for row in value]


def size(grid: Grid) -> str:
    """Say how large a grid is: ``3 rows of 4``."""
    rows, columns = len(grid), len(grid[0]) if grid else 0
    return f"{rows} row{'' if rows == 1 else 's'} of {columns}"


def write_grid(grid: Grid, encoding: GridEncoding, limit: int | None = None) -> str:
    """Write a grid, a line a row; beyond ``limit`` characters lines in the middle are left out."""
    lines = _WRITERS[encoding](grid)
    if limit is None or sum(map(len, lines)) + len(lines) <= limit:
        return "\n".join(lines)
    each = max(20, limit // 2)
    head, tail = _lines_within(lines, each), _lines_within(lines[::-1], each)[::-1]
    left_out = len(lines) - len(head) - len(tail)
    return "\n".join([*head, f"... {left_out:,} lines left out ...", *tail])


def read_grid(text: str) -> Grid:
    """Read the last grid in ``text``, whatever its encoding. Raises ``ValueError`` where there is none."""
    objects = _read_objects(text)
    if objects is not None:
        return objects
    blocks: list[list[list[int | str]]] = [[]]
    for one in text.splitlines():
        row = _read_row(one)
        if row is None:
            blocks.append([])
        else:
            blocks[-1].append(row)
    for found in reversed(blocks):
        if found and len({len(row) for row in found}) == 1:
            return _split_digits(found)
    raise ValueError("no grid in the answer")


def _write_digits(grid: Grid) -> list[str]:
    return [" ".join(map(str, row)) for row in grid]


def _write_colours(grid: Grid) -> list[str]:
    return [
        " ".join(COLOURS[cell] if 0 <= cell < len(COLOURS) else str(cell) for cell in row) for row in grid
    ]


def _write_runs(grid: Grid) -> list[str]:
    lines = []
    for row in grid:
        runs: list[list[int]] = []
        for cell in row:
            if runs and runs[-1][0] == cell:
                runs[-1][1] += 1
            else:
                runs.append([cell, 1])
        lines.append(" ".join(f"{cell}x{length}" for cell, length in runs))
    return lines


def _write_objects(grid: Grid) -> list[str]:
    counts = Counter(cell for row in grid for cell in row)
    background = min(counts, key=lambda cell: (-counts[cell], cell)) if counts else 0
    columns = len(grid[0]) if grid else 0
    lines = [f"{_many(len(grid), 'row')}, {_many(columns, 'column')}, background {background}"]
    seen: set[tuple[int, int]] = set()
    for row in range(len(grid)):
        for column in range(columns):
            if grid[row][column] != background and (row, column) not in seen:
                cells = _connected(grid, row, column)
                seen |= cells
                lines.append(f"colour {grid[row][column]}: {_write_cells(cells)}")
    return lines


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _connected(grid: Grid, row: int, column: int) -> set[tuple[int, int]]:
    """Give the cells of one colour that hang together with this one, by edge or corner."""
    colour, found, open_ = grid[row][column], {(row, column)}, [(row, column)]
    while open_:
        at, of = open_.pop()
        for r in range(max(0, at - 1), min(len(grid), at + 2)):
            for c in range(max(0, of - 1), min(len(grid[0]), of + 2)):
                if grid[r][c] == colour and (r, c) not in found:
                    found.add((r, c))
                    open_.append((r, c))
    return found


def _write_cells(cells: set[tuple[int, int]]) -> str:
    rows: dict[int, list[list[int]]] = {}
    for row, column in sorted(cells):
        spans = rows.setdefault(row, [])
        if spans and spans[-1][1] == column - 1:
            spans[-1][1] = column
        else:
            spans.append([column, column])
    return "; ".join(
        f"row {row} columns "
        + ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
        for row, spans in rows.items()
    )


_WRITERS: dict[GridEncoding, Callable[[Grid], list[str]]] = {
    "digits": _write_digits,
    "colours": _write_colours,
    "objects": _write_objects,
    "runs": _write_runs,
}


def _lines_within(lines: list[str], limit: int) -> list[str]:
    taken: list[str] = []
    used = 0
    for one in lines:
        used += len(one) + 1
        if used > limit and taken:
            break
        taken.append(one[:limit])
    return taken


def _read_row(text: str) -> list[int | str] | None:
    """Read one line as a row; a word of digits stays as it is, for it may be one cell or many."""
    row: list[int | str] = []
    for word in text.strip().strip("|[]").replace(",", " ").replace("|", " ").split():
        run = _RUN.fullmatch(word)
        if run:
            if int(run[2]) > _MAX_CELLS:
                return None
            row += [int(run[1])] * int(run[2])
        elif word.lower() in _WORDS:
            row.append(_WORDS[word.lower()])
        elif word.isascii() and (_NUMBER.fullmatch(word) or word.isdigit()):
            row.append(word)
        else:
            return None
        if len(row) > _MAX_CELLS:
            return None
    return row or None


def _split_digits(rows: list[list[int | str]]) -> Grid:
    """Take lines of digits without spaces apart, cell by cell."""
    packed = all(len(row) == 1 and isinstance(row[0], str) and row[0].isdigit() for row in rows)
    if packed and len({len(cast("str", row[0])) for row in rows}) == 1:
        return [[int(digit) for digit in cast("str", row[0])] for row in rows]
    return [[int(cell) for cell in row] for row in rows]


def _read_objects(text: str) -> Grid | None:
    heads = list(_HEAD.finditer(text))
    if not heads:
        return None
    rows, columns, background = map(int, heads[-1].groups())
    if rows * columns > _MAX_CELLS:
        raise ValueError("the grid in the answer is too large")
    grid = [[background] * columns for _ in range(rows)]
    for one in _OBJECT.finditer(text, heads[-1].end()):
        for row, spans in _CELLS.findall(one[2]):
            for span in spans.split(","):
                first, _, last = span.strip().partition("-")
                _paint(grid, int(one[1]), int(row), first, last or first)
    return grid


def _paint(grid: Grid, colour: int, row: int, first: str, last: str) -> None:
    if not (first.isdigit() and last.isdigit()):
        raise ValueError("an object of the grid has cells that are no numbers")
    if row >= len(grid) or not int(first) <= int(last) < len(grid[row]):
        raise ValueError("an object of the grid lies outside it")
    for column in range(int(first), int(last) + 1):
        grid[row][column] = colour
