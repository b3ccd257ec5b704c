"""Grids to try programs on: scattered cells, noise, boxes, panels, mirrored tiles, lines, repeated shapes.

They are drawn, not taken from any task, and always the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache

Rows = list[list[int]]

_SIZES = (3, 3, 4, 5, 6, 7, 9, 10, 10, 11, 12, 13, 14, 15, 16, 18, 20)
_BACKGROUNDS = (0, 0, 0, 0, 0, 0, 0, 0, 7, 8, 1, 4)
"""Most grids have background 0, as those that people draw."""


class _Brush:
    """Draws one grid."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - no secret
        pick = self.random.choice
        self.height = pick(_SIZES)
        self.width = self.height if self.random.random() < 0.5 else pick(_SIZES)
        self.background = pick(_BACKGROUNDS)
        others = [colour for colour in range(10) if colour != self.background]
        self.colours = self.random.sample(others, pick((1, 1, 2, 2, 3, 4, 6)))
        self.grid = self.blank(self.height, self.width)

    def blank(self, height: int, width: int) -> Rows:
        return [[self.background] * width for _ in range(height)]

    def noise(self, height: int, width: int, share: float, colours: list[int]) -> Rows:
        return [
            [self.random.choice(colours) if self.random.random() < share else self.background for _ in row]
            for row in self.blank(height, width)
        ]

    def put(self, row: int, column: int, colour: int) -> None:
        if row < self.height and column < self.width:
            self.grid[row][column] = colour

    def scatter(self, share: float) -> None:
        for row in range(self.height):
            for column in range(self.width):
                if self.random.random() < share:
                    self.put(row, column, self.random.choice(self.colours))

    def object(self) -> None:
        """Draw a box, a frame, a blob or a line somewhere."""
        top, left = self.random.randrange(self.height), self.random.randrange(self.width)
        tall = self.random.randint(1, max(1, self.height // 2))
        wide = self.random.randint(1, max(1, self.width // 2))
        colour = self.random.choice(self.colours)
        style = self.random.choice(("box", "frame", "blob", "row", "column"))
        if style == "blob":
            tall = wide = 3
        elif style == "row":
            tall = 1
        elif style == "column":
            wide = 1
        for row in range(tall):
            for column in range(wide):
                inside = 0 < row < tall - 1 and 0 < column < wide - 1
                if (style != "frame" or not inside) and (style != "blob" or self.random.random() < 0.6):
                    self.put(top + row, left + column, colour)


def _scattered(brush: _Brush) -> Rows:
    brush.scatter(brush.random.choice((0.03, 0.08, 0.15)))
    return brush.grid


def _noisy(brush: _Brush) -> Rows:
    brush.scatter(brush.random.choice((0.3, 0.5, 0.8)))
    return brush.grid


def _objects(brush: _Brush) -> Rows:
    for _ in range(brush.random.randint(1, 5)):
        brush.object()
    return brush.grid


def _panels(brush: _Brush) -> Rows:
    """Panels of cells with lines between them."""
    tall = brush.random.choice((3, 4, 5))
    wide = tall if brush.random.random() < 0.7 else brush.random.choice((3, 4, 5, 6))
    down, across = brush.random.choice(((1, 2), (2, 1), (2, 2), (3, 3), (1, 3)))
    line = brush.random.choice((5, 1, 4, 8, 7, 0))
    rows: Rows = []
    for _ in range(down):
        panels = []
        for number in range(across):
            first = brush.random.random() < 0.3
            colour = brush.colours[0 if first else (len(rows) + number) % len(brush.colours)]
            panels.append(brush.noise(tall, wide, 0.5, [colour]))
        if rows:
            rows.append([line] * (across * (wide + 1) - 1))
        for parts in zip(*panels, strict=True):
            rows.append([cell for part in parts for cell in (line, *part)][1:])
    return rows


def _tiles(brush: _Brush) -> Rows:
    """A pattern repeated, mirrored or above another one; sometimes with a part covered."""
    tall, wide = max(1, brush.height // 2), max(1, brush.width // 2)
    tile = brush.noise(tall, wide, 0.5, brush.colours)
    other = brush.noise(tall, wide, 0.5, brush.colours[-1:])
    mirrored = [row + row[::-1] for row in tile]
    rows = brush.random.choice(([row * 2 for row in tile] * 2, tile + other, mirrored + mirrored[::-1]))
    rows = [list(row) for row in rows]
    if brush.random.random() < 0.5 and min(len(rows), len(rows[0])) > 5:
        for row in rows[1:3]:
            row[1:4] = brush.colours[:1] * 3
    return rows


def _lines(brush: _Brush) -> Rows:
    """Lines across, and cells here and there."""
    for _ in range(brush.random.randint(1, 2)):
        if brush.random.random() < 0.5:
            brush.grid[brush.random.randrange(brush.height)] = brush.colours[:1] * brush.width
        else:
            column = brush.random.randrange(brush.width)
            for row in brush.grid:
                row[column] = brush.colours[0]
    brush.scatter(0.08)
    return brush.grid


def _repeated(brush: _Brush) -> Rows:
    """One small shape in several places."""
    shape = [(row, column) for row in range(3) for column in range(3) if brush.random.random() < 0.6]
    for _ in range(brush.random.randint(2, 5)):
        top, left = (brush.random.randrange(max(1, side - 2)) for side in (brush.height, brush.width))
        colour = brush.random.choice(brush.colours)
        for row, column in shape:
            brush.put(top + row, left + column, colour)
    if brush.random.random() < 0.5:
        brush.object()
    return brush.grid


_KINDS: tuple[Callable[[_Brush], Rows], ...] = (
    _scattered, _noisy, _objects, _objects, _panels, _tiles, _lines, _repeated,
)  # fmt: skip


@cache
def grid_probes(number: int) -> tuple[Rows, ...]:
    """Give ``number`` grids; fewer are the first of more."""
    return tuple(_KINDS[seed % len(_KINDS)](_Brush(seed)) for seed in range(number))
