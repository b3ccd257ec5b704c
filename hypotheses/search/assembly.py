"""Working backwards from the outputs: joining pieces with ``++``, choosing between cases with ``ite``.

Enumeration alone reaches ``a ++ ", " ++ b`` only after everything as costly. Here an output is cut into
pieces that enumeration has already found (the inverse of ``++``, as in FlashFill: Gulwani 2011), and
expressions right on some of the examples are joined into a decision list (divide and conquer, as in
Alur, Radhakrishna and Udupa 2017, "Scaling Enumerative Program Synthesis via Divide and Conquer").
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count, islice
from sys import getsizeof
from typing import Any

from hypotheses.search.enumeration import Entry, expression_of
from hypotheses.search.language import UNDEFINED, Call, Column, Expression, Inverse, Language, Operator
from hypotheses.search.storage import SAMPLED, charge, size_of_new

MAX_KNOWN = 200_000
"""How many expressions are remembered for what they make together with another."""

LEAST_TELLING = 3
"""In so many examples a product must not be zero, to be taken apart."""

MAX_SLICED = 200
"""Outputs longer than this are not cut into pieces."""

MAX_EDGES = 12_000
"""How many pieces may be tried for one sequence; a quarter of it for one branch of a choice."""

MAX_CASES = 4
"""How many branches a decision list may have."""

MAX_CONDITIONS = 64
"""How many conditions, cheapest first, a decision list is built of."""


KNOWN_SIZE = 300
"""About how many bytes it takes to know an expression by a set of examples or by its column."""

PIECE_SIZE = 350
"""About how many bytes a piece takes, kept and, while a sequence is put together, grouped."""

VALUE_SIZE = 8
"""How many bytes each of its values adds to that."""


@dataclass(frozen=True, slots=True)
class Found:
    """An expression with its cost."""

    cost: int
    expression: Expression


class Assembly:
    """Builds expressions of the start kind that give ``outputs``, out of the entries it is shown.

    Sets of examples are bit masks. ``work`` counts the pieces tried. What is kept counts in with the storage
    of the search.
    """

    def __init__(self, language: Language, outputs: Column) -> None:
        self.outputs = outputs
        self.everything = (1 << len(outputs)) - 1
        self.work = 0
        self._join = language.concatenations.get(language.start)
        self._choose = language.conditionals.get(language.start)
        self._partial: dict[int, tuple[int, Entry]] = {}
        self._pieces: list[tuple[int, int, Entry]] = []
        self._conditions: dict[int, tuple[int, Entry]] = {}
        self._inverses = language.inverses.get(language.start, ())
        self._known: dict[Column, tuple[int, Entry]] = {}
        self._known_there: dict[Column, tuple[int, Entry]] = {}
        telling = [i for i, output in enumerate(outputs) if output]
        self._telling = telling if len(telling) < len(outputs) else None
        self._met: Found | None = None
        self._slices = [_slices(output) if self._join else frozenset() for output in outputs]
        self._least = min(language.least_cover, len(outputs))
        self._ceiling = language.ceiling
        self._news = False
        self._leaves: dict[int, tuple[Found | None, int]] = {}
        self._stop = 0
        self._sliced = sum(map(_size_of, self._slices))
        charge(self)

    @property
    def size(self) -> float:
        """About how many bytes it takes up beside the entries themselves."""
        known = len(self._partial) + len(self._conditions) + len(self._known) + len(self._leaves)
        pieces = len(self._pieces) * (PIECE_SIZE + VALUE_SIZE * len(self.outputs))
        return self._sliced + KNOWN_SIZE * known + pieces

    @property
    def ahead(self) -> float:
        """Nothing to speak of: what comes to be kept was stored by an enumeration, which looked ahead."""
        return 0.0

    @property
    def condition_kind(self) -> str | None:
        """The kind of the conditions it wants to be shown, if any."""
        return self._choose.arguments[0] if self._choose else None

    def show(self, cost: int, entries: Iterable[Entry]) -> Entry | None:
        """Take in expressions of the start kind; return the first that already gives every output."""
        outputs, slices, everything = self.outputs, self._slices, self.everything
        for entry in entries:
            right = whole = 0
            bit = 1
            for value, output, parts in zip(entry[0], outputs, slices, strict=True):
                if value == output:
                    right |= bit
                    whole |= bit
                elif value in parts:
                    right |= bit
                bit <<= 1
            if whole == everything:
                return entry
            if self._inverses:
                self._meet(cost, entry)
            if whole and (whole not in self._partial or cost < self._partial[whole][0]):
                self._partial[whole] = (cost, entry)
                self._news = True
            if right and self._join and (right == everything or self._choose) and any(entry[0]):
                self._pieces.append((right, cost, entry))
                self._news = True
        return None

    def _meet(self, cost: int, entry: Entry) -> None:
        """Remember an expression, and see what it makes the outputs of together with one seen before."""
        column = entry[0]
        if len(self._known) < MAX_KNOWN:
            self._known.setdefault(column, (cost, entry))
            if self._telling is not None:
                self._known_there.setdefault(self._there(column), (cost, entry))
        for inverse in self._inverses:
            if self._met is None or cost + inverse.operator.cost < self._met.cost:
                with suppress(*UNDEFINED):
                    self._complete(inverse, cost, entry)

    def _complete(self, inverse: Inverse, cost: int, entry: Entry) -> None:
        """See whether the other argument was seen before; raises one of ``UNDEFINED`` where there is none."""
        outputs, column, known = self.outputs, entry[0], self._known
        if inverse.nothing and self._telling is not None:
            if len(self._telling) < LEAST_TELLING:
                return
            outputs, column, known = self._there(outputs), self._there(column), self._known_there
        other = known.get(tuple(map(inverse.missing, outputs, column)))
        if other is None:
            return
        pair = (entry, other[1]) if inverse.known == 0 else (other[1], entry)
        found = Found(
            cost + other[0] + inverse.operator.cost, Call(inverse.operator, tuple(map(expression_of, pair)))
        )
        right = inverse.operator.evaluate(pair[0][0], pair[1][0]) == self.outputs
        if right and (self._met is None or found.cost < self._met.cost):
            self._met, self._news = found, True

    def _there(self, column: Column) -> Column:
        """Give the part of a column where the output is not zero."""
        return tuple([column[i] for i in self._telling or ()])

    def show_conditions(self, cost: int, entries: Iterable[Entry]) -> None:
        """Take in conditions."""
        for entry in entries:
            mask = sum(1 << i for i, truth in enumerate(entry[0]) if truth)
            if 0 < mask < self.everything and mask not in self._conditions:
                self._conditions[mask] = (cost, entry)
                self._news = True

    def assemble(self, work: int) -> Found | None:
        """Give the cheapest expression with the fewest cases that the expressions shown so far make up.

        Tries about ``work`` pieces at most.
        """
        if not self._news:
            return None
        self._stop = self.work + work
        best = self._met if self._met and self._believed(self._met) else None
        for cases in range(1, (MAX_CASES if self._choose else 1) + 1):
            found = self._decide(self.everything, cases)
            if found and self._believed(found):
                best = found if best is None or found.cost < best.cost else best
                break
        self._news = self.work >= self._stop
        return best

    def _believed(self, found: Found) -> bool:
        return self._ceiling is None or found.cost <= self._ceiling

    def _decide(self, mask: int, cases: int) -> Found | None:
        """Find the cheapest decision list with at most ``cases`` cases that is right on ``mask``."""
        best = self._leaf(mask)
        if best or cases == 1 or self._choose is None:
            return best
        for condition, (cost, entry) in islice(self._conditions.items(), MAX_CONDITIONS):
            if self.work >= self._stop:
                break
            yes, no = mask & condition, mask & ~condition
            if not (yes and no):
                continue
            for single, rest in ((yes, no), (no, yes)):
                leaf = self._leaf(single)
                other = self._decide(rest, cases - 1) if leaf else None
                if leaf and other:
                    total = self._choose.cost + cost + leaf.cost + other.cost
                    if best is None or total < best.cost:
                        branches = (leaf, other) if single == yes else (other, leaf)
                        arguments = (expression_of(entry), *(branch.expression for branch in branches))
                        best = Found(total, Call(self._choose, arguments))
        return best

    def _leaf(self, mask: int) -> Found | None:
        """Find an expression without a choice that is right on ``mask``."""
        if mask.bit_count() < self._least:
            return None
        known, size = self._leaves.get(mask, (None, 0))
        grown = len(self._pieces) + len(self._partial)
        if grown > (2 * size if known and mask != self.everything else size) and self.work < self._stop:
            known = self._partial_for(mask) or self._concatenate(mask)
            self._leaves[mask] = (known, grown)
        return known

    def _partial_for(self, mask: int) -> Found | None:
        """Find the cheapest expression shown that is right on ``mask``."""
        costs = [
            (cost, i, entry)
            for i, (whole, (cost, entry)) in enumerate(self._partial.items())
            if whole & mask == mask
        ]
        if not costs:
            return None
        cost, _, entry = min(costs)
        return Found(cost, expression_of(entry))

    def _concatenate(self, mask: int) -> Found | None:
        """Find the cheapest pieces that make up every output of ``mask``: Dijkstra over positions."""
        if self._join is None or not self._pieces:
            return None
        outputs = [output for i, output in enumerate(self.outputs) if mask >> i & 1]
        pieces = self._pieces_for(mask)
        goal = tuple(map(len, outputs))
        start = (0,) * len(outputs)
        order = count()
        queue: list[tuple[int, int, tuple[int, ...]]] = [(0, next(order), start)]
        best: dict[tuple[int, ...], int] = {start: 0}
        came: dict[tuple[int, ...], tuple[tuple[int, ...], Entry]] = {}
        edges, most = 0, MAX_EDGES if mask == self.everything else MAX_EDGES // 4
        while queue and edges < most:
            cost, _, position = heappop(queue)
            if cost > best[position]:
                continue
            if position == goal:
                self.work += edges
                return Found(cost - self._join.cost, _chain(self._join, came, goal))
            first, begin = outputs[0], position[0]
            for end in range(begin, len(first) + 1):
                for piece_cost, values, entry in pieces.get(first[begin:end], ()):
                    edges += 1
                    if all(o[p : p + len(v)] == v for o, p, v in zip(outputs, position, values, strict=True)):
                        reached = tuple([p + len(v) for p, v in zip(position, values, strict=True)])
                        total = cost + piece_cost + self._join.cost
                        if total < best.get(reached, total + 1):
                            best[reached] = total
                            came[reached] = (position, entry)
                            heappush(queue, (total, next(order), reached))
        self.work += edges
        return None

    def _pieces_for(self, mask: int) -> dict[Any, list[tuple[int, Column, Entry]]]:
        """Group the pieces that fit ``mask`` by their first value there, one for each behaviour."""
        seen: set[Column] = set()
        grouped: dict[Any, list[tuple[int, Column, Entry]]] = {}
        indices = [i for i in range(len(self.outputs)) if mask >> i & 1]
        for fits, cost, entry in self._pieces:
            if fits & mask == mask:
                values = tuple([entry[0][i] for i in indices])
                if values not in seen and any(values):
                    seen.add(values)
                    grouped.setdefault(values[0], []).append((cost, values, entry))
        self.work += len(self._pieces)
        return grouped


def _chain(
    join: Operator, came: dict[tuple[int, ...], tuple[tuple[int, ...], Entry]], position: tuple[int, ...]
) -> Expression:
    """Join the pieces on the way to ``position``, nested to the right."""
    position, entry = came[position]
    expression = expression_of(entry)
    while position in came:
        position, entry = came[position]
        expression = Call(join, (expression_of(entry), expression))
    return expression


def _slices(output: Any) -> frozenset[Any]:
    """All contiguous parts of ``output``, where it is a sequence of moderate length."""
    if not isinstance(output, str | tuple) or len(output) > MAX_SLICED:
        return frozenset()
    length = len(output)
    return frozenset(output[i:j] for i in range(length) for j in range(i, length + 1)) | {output[:0]}


def _size_of(parts: frozenset[Any]) -> float:
    """Estimate the bytes of a set of parts from every 64th of them."""
    measured = list(islice(parts, 0, None, SAMPLED))
    return getsizeof(parts) + (size_of_new(measured) / len(measured) * len(parts) if measured else 0.0)
