"""How tasks and values look in a terminal: values as Python writes them, grids in colour.

Everything here returns Rich renderables; nothing prints. Without colour (``NO_COLOR``, or output that is no
terminal) a grid is drawn in digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text

from hypotheses.task import Example, Task
from induce.tasks.building import is_grid
from induce.tasks.messages import visible
from sandboxes import CallStyle

__all__ = [
    "ARC_COLOURS",
    "Grid",
    "render_examples",
    "render_grid",
    "render_predictions",
    "render_task",
    "render_value",
    "visible",
]

ARC_COLOURS = (
    "#000000", "#0074d9", "#ff4136", "#2ecc40", "#ffdc00",
    "#aaaaaa", "#f012be", "#ff851b", "#7fdbff", "#870c25",
)  # fmt: skip
"""The colours of the cells 0 to 9, as ARC's own testing interface draws them."""

_ARROW = "  →  "
_INDENT = 2


def render_task(task: Task, answers: Mapping[int, Any] | None = None) -> RenderableType:
    """Show a task: what is to be found, the examples and the queries, with the answers that are given."""
    head = Text.assemble(
        (visible(task.id), "bold"), "  ", (visible(task.family), "dim"), "  ", visible(str(task.signature))
    )
    description = [Text(visible(task.description), style="italic")] if task.description else []
    known = answers or {}
    queries = _rows(
        "query",
        task.queries,
        [[known[index]] if index in known else [] for index in range(len(task.queries))],
        task.signature.call,
    )
    return Group(head, *description, render_examples(task.examples, task.signature.call), queries)


def render_examples(examples: Sequence[Example], call: CallStyle = "single") -> RenderableType:
    """Show inputs beside their outputs."""
    return _rows("example", [e.input for e in examples], [[e.output] for e in examples], call)


def render_predictions(task: Task, predictions: Sequence[Sequence[Any]]) -> RenderableType:
    """Show each query beside its predicted values, best first; a question mark where there is none.

    ``predictions`` holds the values for each query, as ``Solution.predictions`` does.
    """
    pairs = zip_longest(task.queries, predictions[: len(task.queries)], fillvalue=())
    return _rows("query", task.queries, [list(values) for _, values in pairs], task.signature.call)


def render_value(value: Any, call: CallStyle | None = None) -> Text | Grid:
    """Show a value as Python writes it, with special characters of strings visible.

    ``call`` says how to read an input: as ``name=value`` pairs, as arguments in their order, or as a grid.
    Without it, a rectangle of the integers 0 to 9 is taken for a grid.
    """
    value = _as_list(value)
    match call:
        case "keyword" if isinstance(value, dict):
            return Text(", ".join(f"{visible(str(name))}={_literal(item)}" for name, item in value.items()))
        case "positional" if isinstance(value, list | tuple):
            return Text(", ".join(map(_literal, value)))
        case "grid_list" | "grid_ndarray" if is_grid(value):
            return Grid(value)
        case None if is_grid(value) and _is_coloured(value):
            return Grid(value)
    return Text(_literal(value))


def render_grid(grid: Sequence[Sequence[int]]) -> Grid:
    """Draw a grid in ARC's colours, two columns a cell, or half as large where it would not fit.

    Raises ``ValueError`` where ``grid`` is not a rectangle of integers.
    """
    rows = _as_list(grid)
    if not is_grid(rows):
        raise ValueError(f"a grid is a non-empty rectangle of integers, not {_literal(grid)}")
    return Grid(rows)


@dataclass(frozen=True)
class Grid:
    """A drawn grid. Half as large, a character stands for two cells above each other, or is a digit."""

    cells: Sequence[Sequence[int]]

    @property
    def size(self) -> str:
        """Rows by columns, as in ``3x5``."""
        return f"{len(self.cells)}x{len(self.cells[0])}"

    def width(self, *, small: bool) -> int:
        """How many columns of the terminal it takes."""
        if _is_coloured(self.cells):
            return len(self.cells[0]) * (1 if small else 2)
        return len(self.cells[0]) * (self._digits + 1)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self.width(small=True), self.width(small=False))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        small = self.width(small=False) > options.max_width
        if console.color_system is None or console.no_color or not _is_coloured(self.cells):
            lines = self._in_digits(small=small)
        else:
            lines = self._half_blocks() if small else self._blocks()
        for line in lines:
            line.overflow = "fold"
            yield line

    @property
    def _digits(self) -> int:
        return max(len(str(cell)) for row in self.cells for cell in row)

    def _in_digits(self, *, small: bool) -> Iterator[Text]:
        between = "" if small and _is_coloured(self.cells) else " "
        for row in self.cells:
            yield Text(between.join(str(cell).rjust(self._digits) for cell in row))

    def _blocks(self) -> Iterator[Text]:
        for row in self.cells:
            yield Text.assemble(*(("  ", Style(bgcolor=ARC_COLOURS[cell])) for cell in row))

    def _half_blocks(self) -> Iterator[Text]:
        for upper, lower in zip_longest(self.cells[::2], self.cells[1::2]):
            below = [ARC_COLOURS[cell] for cell in lower] if lower else [None] * len(upper)
            styles = [
                Style(color=ARC_COLOURS[cell], bgcolor=colour)
                for cell, colour in zip(upper, below, strict=True)
            ]
            yield Text.assemble(*(("▀", style) for style in styles))


@dataclass(frozen=True)
class _GridRow:
    """An input grid beside its outputs; below each other where the terminal is too narrow."""

    label: str
    parts: Sequence[Text | Grid]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        given, *wanted = [part.size if isinstance(part, Grid) else "?" for part in self.parts]
        yield Text(f"{self.label}  {given} → {' or '.join(wanted) or '?'}", style="dim")
        room = options.max_width - _INDENT - len(_ARROW) * (len(self.parts) - 1)
        for small in (False, True):
            widths = [
                part.width(small=small) if isinstance(part, Grid) else part.cell_len for part in self.parts
            ]
            if sum(widths) <= room:
                yield Padding(self._beside(widths), (0, 0, 0, _INDENT), expand=False)
                return
        for part in self.parts:
            yield Padding(part, (0, 0, 1, _INDENT), expand=False)

    def _beside(self, widths: Sequence[int]) -> Table:
        table = Table.grid()
        cells: list[RenderableType] = []
        for index, (part, width) in enumerate(zip(self.parts, widths, strict=True)):
            if index:
                table.add_column(width=len(_ARROW))
                cells.append(_ARROW if index == 1 else "  or ")
            table.add_column(width=width)
            cells.append(part)
        table.add_row(*cells)
        return table


def _rows(
    noun: str, inputs: Sequence[Any], outputs: Sequence[Sequence[Any]], call: CallStyle
) -> RenderableType:
    """Show inputs beside none, one or several outputs each."""
    if call in ("grid_list", "grid_ndarray"):
        return Group(
            *(
                _GridRow(f"{noun} {number}", [render_value(value, call) for value in (given, *wanted)])
                for number, (given, wanted) in enumerate(zip(inputs, outputs, strict=True), start=1)
            )
        )
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for number, (given, wanted) in enumerate(zip(inputs, outputs, strict=True), start=1):
        first, *others = [Text(_literal(value)) for value in wanted] or [Text("?", style="dim")]
        table.add_row(f"{noun} {number}", render_value(given, call), _ARROW.strip(), first)
        for other in others:
            table.add_row("", "", "or", other)
    return table


def _is_coloured(cells: Sequence[Sequence[int]]) -> bool:
    return all(0 <= cell < len(ARC_COLOURS) for row in cells for cell in row)


def _as_list(value: Any) -> Any:
    """Turn a numpy array into lists."""
    return value.tolist() if hasattr(value, "tolist") else value


def _literal(value: Any) -> str:
    try:
        return repr(_as_list(value))
    except ValueError:  # an integer beyond sys.get_int_max_str_digits()
        return "<a value with a huge integer>"
