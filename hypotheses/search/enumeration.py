"""Bottom-up enumeration: every expression of a language in order of cost, one for each behaviour.

Two expressions with equal values on all examples are observationally equivalent; only the cheaper is kept
(Albarghouthi, Gulwani and Kincaid 2013, "Recursive Program Synthesis"; Udupa et al. 2013, "TRANSIT").
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product
from sys import getsizeof
from typing import Any

from hypotheses.search.language import UNDEFINED, Call, Column, Expression, Language, Operator, evaluate
from hypotheses.search.storage import SAMPLED, charge, size_of_new

Entry = tuple[Any, ...]
"""A stored expression: ``(column, leaf)`` or ``(column, operator, entry, …)``.

A plain tuple, since there are millions of them.
"""

SLICE = 8192
"""About how many expressions are built between two steps."""

POINTER = 9
"""How many bytes an item of a long list takes up in it, what is kept free behind it included."""


def expression_of(entry: Entry) -> Expression:
    """Give the expression that a stored entry stands for."""
    _, head, *arguments = entry
    return Call(head, tuple(map(expression_of, arguments))) if arguments else head


class Enumeration:
    """All expressions of ``language`` by cost, tried on ``rows``.

    ``built`` counts the expressions covered, ``stored`` those that behaved in a new way, ``too_large``
    those dropped because their values outgrew the language's limits. What is stored counts in with the
    storage of the search.
    """

    def __init__(self, language: Language, rows: Sequence[Sequence[Any]]) -> None:
        self.language = language
        self.rows = rows
        self.built = 0
        self.stored = 0
        self.too_large = 0
        self._banks: defaultdict[str, defaultdict[int, list[Entry]]] = defaultdict(lambda: defaultdict(list))
        self._given: dict[tuple[str, int], int] = {}
        self._seen: defaultdict[str, set[Column]] = defaultdict(set)
        self._entries = 0.0
        charge(self)

    @property
    def size(self) -> float:
        """About how many bytes the stored expressions take up, with the tables that they stand in."""
        # A table that grows is there twice for a moment.
        return self._entries + sum(2 * getsizeof(seen) for seen in self._seen.values())

    @property
    def ahead(self) -> float:
        """About how many bytes more the next step may take."""
        return SLICE * self.size / self.stored if self.stored else 0.0

    def fresh(self, kind: str, cost: int) -> list[Entry]:
        """Give the stored expressions of one kind and cost that no earlier call gave."""
        entries = self._banks[kind][cost]
        given = self._given.get((kind, cost), 0)
        self._given[kind, cost] = len(entries)
        return entries[given:]

    def steps(self) -> Iterator[int]:
        """Enumerate, yielding the cost reached after every slice of work and at the end of every level.

        Ends when every costlier expression behaves like a stored one.
        """
        leaves = max((leaf.cost for leaf in (*self.language.leaves, *self.language.given)), default=0)
        operator = max((operator.cost for operator in self.language.operators), default=0)
        arity = max((len(operator.arguments) for operator in self.language.operators), default=0)
        level, last = 1, 0
        while level <= max(leaves, operator + arity * last):
            before = self.stored
            self._add_leaves(level)
            for operator_ in self.language.operators:
                for _ in self._apply(operator_, level):
                    yield level
            if self.stored > before:
                last = level
            yield level
            level += 1

    def _add_leaves(self, level: int) -> None:
        for leaf in (*self.language.leaves, *self.language.given):
            if leaf.cost == level:
                self.built += 1
                try:
                    column = evaluate(leaf, self.rows)
                except UNDEFINED:
                    continue
                if column not in self._seen[leaf.kind]:
                    self._seen[leaf.kind].add(column)
                    self._banks[leaf.kind][level].append((column, leaf))
                    self._entries += size_of_new(column)
                    self.stored += 1

    def _apply(self, operator: Operator, level: int) -> Iterator[None]:
        """Apply ``operator`` to all stored arguments whose costs make ``level`` together with its own."""
        banks = [self._banks[kind] for kind in operator.arguments]
        found = self._banks[operator.result][level]
        apply = {1: self._apply_one, 2: self._apply_two}.get(len(banks), self._apply_many)
        for costs in _splits(level - operator.cost, [[c for c in bank if bank[c]] for bank in banks]):
            if operator.commutative and costs[0] > costs[1]:
                continue
            before = len(found)
            for built in apply(operator, [bank[c] for bank, c in zip(banks, costs, strict=True)], found):
                self.built += built
                self.stored += len(found) - before
                self._entries += _size_of(found, before)
                before = len(found)
                yield

    def _apply_one(
        self, operator: Operator, arguments: list[list[Entry]], found: list[Entry]
    ) -> Iterator[int]:
        seen, run, fits = self._seen[operator.result], operator.evaluate, self.language.fits
        for some in _sliced(arguments[0], 0):
            for entry in some:
                try:
                    column = run(entry[0])
                except UNDEFINED:
                    continue
                if column not in seen:
                    if fits(column):
                        seen.add(column)
                        found.append((column, operator, entry))
                    else:
                        self.too_large += 1
            yield len(some)

    def _apply_two(
        self, operator: Operator, arguments: list[list[Entry]], found: list[Entry]
    ) -> Iterator[int]:
        seen, run, fits = self._seen[operator.result], operator.evaluate, self.language.fits
        firsts, seconds = arguments
        triangle = operator.commutative and firsts is seconds
        built = 0
        for i, first in enumerate(firsts):
            left = first[0]
            for partners in _sliced(seconds, i if triangle else 0):
                for second in partners:
                    try:
                        column = run(left, second[0])
                    except UNDEFINED:
                        continue
                    if column not in seen:
                        if fits(column):
                            seen.add(column)
                            found.append((column, operator, first, second))
                        else:
                            self.too_large += 1
                built += len(partners)
                if built >= SLICE:
                    yield built
                    built = 0
        yield built

    def _apply_many(
        self, operator: Operator, arguments: list[list[Entry]], found: list[Entry]
    ) -> Iterator[int]:
        seen, run, fits = self._seen[operator.result], operator.evaluate, self.language.fits
        *fronts, lasts = arguments
        needs_last = operator.needs_last
        built = 0
        for front in product(*fronts):
            columns = [entry[0] for entry in front]
            every = needs_last is None or needs_last(*columns)
            for tried in _sliced(lasts, 0) if every else [lasts[:1]]:
                for last in tried:
                    try:
                        column = run(*columns, last[0])
                    except UNDEFINED:
                        continue
                    if column not in seen:
                        if fits(column):
                            seen.add(column)
                            found.append((column, operator, *front, last))
                        else:
                            self.too_large += 1
                built += len(tried) if every else len(lasts)
                if built >= SLICE:
                    yield built
                    built = 0
        yield built


def _sliced(entries: list[Entry], start: int) -> Iterator[list[Entry]]:
    """Yield the entries from ``start`` on, in slices."""
    if not start and len(entries) <= SLICE:
        yield entries
        return
    for begin in range(start, len(entries), SLICE):
        yield entries[begin : begin + SLICE]


def _size_of(entries: list[Entry], start: int) -> float:
    """Estimate the bytes of the entries from ``start`` on, from the first of them and every 64th."""
    measured = entries[start::SAMPLED]
    total = 0
    for entry in measured:
        column, _, *arguments = entry
        columns = [argument[0] for argument in arguments]
        total += POINTER + getsizeof(entry) + getsizeof(column) + size_of_new(column, columns)
    return total / len(measured) * (len(entries) - start) if measured else 0.0


def _splits(total: int, choices: list[list[int]]) -> Iterator[tuple[int, ...]]:
    """Yield every way to pick one number of each list so that they add up to ``total``, in order."""
    if not choices:
        return
    if len(choices) == 1:
        if total in choices[0]:
            yield (total,)
        return
    for first in sorted(choices[0]):
        if first < total:
            for rest in _splits(total - first, choices[1:]):
                yield (first, *rest)
