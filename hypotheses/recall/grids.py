"""What grids look like, and how one grid relates to another, as tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Grid = npt.NDArray[np.int64]

COLOURS = 10
"""Cells are colours from 0 to 9; a rectangle of other numbers is no grid."""

_CELLS = frozenset(range(COLOURS))

LARGEST = 64
"""A grid has at most so many rows and columns; what is larger is a value like any other."""

_MOST_NAMED = 12
"""Up to here an output's rows and columns are named by their number."""

_SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75)


def as_grid(value: Any) -> Grid | None:
    """Read a rectangle of colours, be it of lists, tuples or an array; ``None`` where it is none.

    Numbers are read as they are compared: 3.0 is the colour 3, and ``True`` is no colour.
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not (isinstance(value, list | tuple) and 0 < len(value) <= LARGEST):
        return None
    rows = [row.tolist() if isinstance(row, np.ndarray) else row for row in value]
    if not all(isinstance(row, list | tuple) and len(row) <= LARGEST for row in rows):
        return None
    if len({len(row) for row in rows}) != 1 or not rows[0]:
        return None
    for row in rows:
        if not {int, float}.issuperset(map(type, row)) or not all(cell in _CELLS for cell in row):
            return None
    return np.array(rows, np.int64)


def look_of(grid: Grid) -> Iterator[str]:
    """Say what a grid looks like."""
    rows, columns = grid.shape
    counts = _counts(grid)
    background = int(counts.argmax())
    yield from (f"rows:{rows}", f"columns:{columns}", f"background:{background}")
    yield from (f"rows:about:{_scale(rows)}", f"columns:about:{_scale(columns)}")
    yield "shape:square" if rows == columns else "shape:wide" if columns > rows else "shape:tall"
    yield f"colours:{min(np.count_nonzero(counts), 6)}"
    yield f"background:share:{_share(counts[background] / grid.size)}"
    yield from _symmetries(grid)
    for colour in np.flatnonzero(counts):
        yield f"has:{colour}"
        if counts[colour] == 1:
            yield f"single:{colour}"
        if colour != background:
            line = grid == colour
            for name, axis in (("row", 1), ("column", 0)):
                if line.all(axis).any():
                    yield from (f"{name}-of", f"{name}-of:{colour}")


def relate(given: Grid, wanted: Grid) -> Iterator[str]:
    """Say what is true of the grid ``wanted`` and how it relates to ``given``."""
    yield from _size("rows", wanted.shape[0], *given.shape)
    yield from _size("columns", wanted.shape[1], *given.shape[::-1])
    if wanted.shape[0] == wanted.shape[1]:
        yield "shape:square"
    yield from _colours(_counts(given), _counts(wanted))
    yield from _symmetries(wanted)
    yield from _arrangement(given, wanted)
    if given.shape == wanted.shape:
        yield "shape:same"
        yield from _changes(given, wanted)


def _size(name: str, wanted: int, given: int, other: int) -> Iterator[str]:
    if wanted <= _MOST_NAMED:
        yield f"{name}:{wanted}"
    if wanted == other:
        yield f"{name}:crossed"
    if wanted == given:
        yield f"{name}:same"
        return
    yield f"{name}:fewer" if wanted < given else f"{name}:more"
    if wanted == given * given:
        yield f"{name}:squared"
    for k in (2, 3, 4, 5):
        if wanted == given * k:
            yield f"{name}:x{k}"
        if wanted * k == given:
            yield f"{name}:/{k}"
        if wanted * k + k - 1 == given:  # panels with lines between them
            yield f"{name}:panels:{k}"


def _colours(given: Grid, wanted: Grid) -> Iterator[str]:
    before, after = given > 0, wanted > 0
    for colour in np.flatnonzero(after):
        yield f"has:{colour}"
    for colour in np.flatnonzero(after & ~before):
        yield f"new:{colour}"
    for colour in np.flatnonzero(before & ~after):
        yield f"gone:{colour}"
    gained, lost = (after & ~before).any(), (before & ~after).any()
    yield f"palette:{'other' if gained and lost else 'more' if gained else 'fewer' if lost else 'same'}"
    yield f"colours:{min(np.count_nonzero(after), 5)}"
    if given.argmax() == wanted.argmax():
        yield "background:same"
    yield f"background:share:{_share(wanted.max() / wanted.sum())}"
    if (given == wanted).all():
        yield "counts:same"


def _symmetries(grid: Grid) -> Iterator[str]:
    if (grid == grid[::-1]).all():
        yield "symmetric:up-down"
    if (grid == grid[:, ::-1]).all():
        yield "symmetric:left-right"
    if grid.shape[0] == grid.shape[1] and (grid == grid.T).all():
        yield "symmetric:diagonal"
    if (grid == grid[:1]).all():
        yield "rows:alike"
    if (grid == grid[:, :1]).all():
        yield "columns:alike"


def _arrangement(given: Grid, wanted: Grid) -> Iterator[str]:
    """Say whether the one is the other turned, cut out, repeated or enlarged."""
    turned = {
        "flipped:up-down": given[::-1],
        "flipped:left-right": given[:, ::-1],
        "turned:180": given[::-1, ::-1],
        "turned:90": np.rot90(given, 3),
        "turned:270": np.rot90(given),
        "flipped:diagonal": given.T,
    }
    for name, image in turned.items():
        if np.array_equal(image, wanted):
            yield name
    if wanted.size < given.size and _is_part(wanted, given):
        yield "part"
    if wanted.size > given.size:
        if _is_part(given, wanted):
            yield "contains"
        down, across = wanted.shape[0] // given.shape[0], wanted.shape[1] // given.shape[1]
        if np.array_equal(np.tile(given, (down, across)), wanted):
            yield "tiled"
        if np.array_equal(np.kron(given, np.ones((down, across), np.int64)), wanted):
            yield "enlarged"


def _is_part(small: Grid, large: Grid) -> bool:
    if small.shape[0] > large.shape[0] or small.shape[1] > large.shape[1]:
        return False
    windows = np.lib.stride_tricks.sliding_window_view(large, small.shape)
    return bool((windows == small).all((2, 3)).any())


def _changes(given: Grid, wanted: Grid) -> Iterator[str]:
    changed = given != wanted
    count = np.count_nonzero(changed)
    if not count:
        yield "same"
        return
    yield f"changed:{_share(count / given.size)}"
    rows, columns = changed.any(1), changed.any(0)
    yield f"changed:rows:{_share(rows.mean())}"
    yield f"changed:columns:{_share(columns.mean())}"
    if rows[0] or rows[-1] or columns[0] or columns[-1]:
        yield "changed:border"
    if rows.sum() == 1 or columns.sum() == 1:
        yield "changed:line"
    pairs = set(zip(given[changed].tolist(), wanted[changed].tolist(), strict=True))
    froms, tos = {a for a, _ in pairs}, {b for _, b in pairs}
    yield from (f"from:{a}:to:{b}" for a, b in pairs)
    yield from (f"from:{a}" for a in froms)
    yield from (f"to:{b}" for b in tos)
    yield from (f"from:number:{min(len(froms), 3)}", f"to:number:{min(len(tos), 3)}")
    background = int(_counts(given).argmax())
    if froms == {background}:
        yield "only:adds"
    if tos == {background}:
        yield "only:removes"
    if background not in froms:
        yield "background:kept"
    if len(set(zip(given.flat, wanted.flat, strict=True))) == np.count_nonzero(_counts(given)):
        yield "recoloured"


def _counts(grid: Grid) -> Grid:
    return np.bincount(grid.ravel(), minlength=COLOURS)


def _share(share: float) -> int:
    return sum(share > limit for limit in _SHARES)


def _scale(length: int) -> int:
    return int(2 * math.log2(length))
