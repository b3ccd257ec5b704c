"""A guess at how outputs are made: by a comprehension over a sequence, whose body is then searched for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypotheses.search import tables
from hypotheses.search.assembly import Assembly
from hypotheses.search.comprehensions import Ending, Items, Source, endings
from hypotheses.search.enumeration import Entry, Enumeration, expression_of
from hypotheses.search.language import (
    UNDEFINED,
    Call,
    Column,
    Constant,
    Expression,
    Language,
    Problem,
    Variable,
    first_wrong,
    on_values,
)

MAX_ELEMENTS = 64
"""With about so many elements a body is searched; what is found is checked on all."""

LEAST_EXAMPLES = 3
"""Bodies are searched with the elements of so many examples at least …"""

MOST_ELEMENTS = 300
"""… as long as they have no more elements than this."""

MAX_SUMMARIES = 10
"""How many summaries of its elements one guess offers."""

SUMMARY_COST = 3
"""What the body of such a summary may cost."""

ASSEMBLE_EVERY = 4_000
"""How many terms are built at least between two attempts to assemble a body."""

ASSEMBLE_WORK = 30_000
"""How many pieces one such attempt tries at most."""

DEDUCED = ("map", "filter")
"""Endings that tell what a body gives for each element."""

SUMMARIES = ("map", "filter", "count", "sum", "join", "first", "any", "all")
"""Endings whose results may be of use to the search of the whole."""

MAX_RESTARTS = 4
"""How many examples are added, one by one, on which a comprehension turned out wrong."""

MAX_STORED = 60_000
"""How many expressions the search of one body keeps."""

_JOINED = on_values("texts str -> str", lambda x, m: m.join(x), "_1.join(_0)", "_0 joined by _1")


@dataclass(frozen=True)
class Goal:
    """What a comprehension must give in every example, and what is then made of it."""

    kind: str
    column: Column
    separator: str | None = None

    def finish(self, comprehension: Expression) -> Expression:
        """Give the expression of the whole."""
        if self.separator is None:
            return comprehension
        return Call(_JOINED, (comprehension, Constant(self.separator, "str")))


@dataclass(frozen=True)
class _Sample:
    """The elements of a few examples: the distinct rows that a body is searched on.

    ``places`` tells for each of the ``chosen`` examples which rows its ``elements`` have.
    """

    chosen: list[int]
    elements: list[Sequence[Any]]
    rows: list[tuple[Any, ...]]
    places: list[list[int]]

    def combined(self, ending: Ending, column: Column) -> Iterator[Any]:
        """Yield what an ending makes of a body's column in each example; raises one of ``UNDEFINED``."""
        for where, items in zip(self.places, self.elements, strict=True):
            yield ending.combine(items, [column[place] for place in where])

    def reaches(self, ending: Ending, column: Column, goal: Goal) -> bool:
        """Whether an ending makes the goal of a body with this column."""
        try:
            wanted = (goal.column[i] for i in self.chosen)
            return all(a == b for a, b in zip(self.combined(ending, column), wanted, strict=True))
        except UNDEFINED:
            return False


class Guess:
    """The guess that an output is made by running over ``source``; where it is ``wide``, arguments in sight.

    ``items`` are the elements in every example, of which only a few are kept. ``terms`` counts the work.
    ``summaries`` are comprehensions with cheap bodies, found on the way.
    """

    def __init__(
        self, problem: Problem, source: Source, items: list[Sequence[Items]], goals: list[Goal], wide: bool
    ) -> None:
        self.terms = 0
        self.summaries: list[Call] = []
        self._problem = problem
        self._source = source
        self._goals = goals
        self._wide = wide
        self._single = len(source.loop.variables) == 1
        self._endings = [one for one in endings(source.kind) if self._single or not one.whole]
        self._deduced = [
            (ending, goal)
            for ending in self._endings
            for goal in goals
            if goal.kind == ending.result
            and ending.name in DEDUCED
            and all(
                self._share(ending, goal, i, self._elements(one)) is not None for i, one in enumerate(items)
            )
        ]
        few = _few([len(one) for one in items])
        self._items = {i: items[i] for i in few}
        self._summarised: set[tuple[str, Column]] = set()
        self._steps = self._search()

    @property
    def cost(self) -> int:
        """The source's cost, and what it costs to have the arguments in sight."""
        return self._source.cost + self._wide

    @property
    def promising(self) -> bool:
        """Whether there is an output of which it tells what becomes of each element."""
        return bool(self._deduced)

    def run(self, terms: int) -> Iterator[Expression | None]:
        """Search for so many terms, yielding solutions, and ``None`` in between."""
        until = self.terms + terms
        while self.terms < until:
            try:
                yield next(self._steps)
            except StopIteration:
                return

    def learned(self) -> Iterator[Expression]:
        """Yield what tables that are learned from all examples make of the elements."""
        if self._wide or not self._single:
            return
        (variable,) = self._source.loop.variables
        elements = [self._elements(items) for items in self._source.items(self._problem.rows)]
        for ending, goal in self._deduced:
            if ending.name == "map" and {variable.kind, ending.body} <= {"str", "int"}:
                pairs = [list(zip(a, b, strict=True)) for a, b in zip(elements, goal.column, strict=True)]
                if (translation := tables.translation(pairs)) is not None:
                    operator = tables.translating(translation, variable.kind, ending.body)
                    yield from self._finished(ending, goal, Call(operator, (variable,)))
            elif ending.name == "filter" and goal.kind == "str":
                texts = ["".join(one) for one in elements]
                if (condition := _membership(variable, texts, goal.column)) is not None:
                    yield from self._finished(ending, goal, condition)
        for ending in self._endings:
            for goal in self._goals:
                if ending.name == "sum" and ending.body == goal.kind == "int" and variable.kind != "list":
                    weights = tables.weights([Counter(one) for one in elements], goal.column)
                    if weights is not None:
                        operator = tables.weighing(weights, variable.kind)
                        yield from self._finished(ending, goal, Call(operator, (variable,)))

    def _search(self) -> Iterator[Expression | None]:
        """Search the body on few examples, and again with another where what it makes is wrong there."""
        chosen = list(self._items)
        for _ in range(MAX_RESTARTS):
            wrong = yield from self._until_wrong(chosen)
            if wrong is None:
                return
            chosen = [wrong, *chosen]
            self._items[wrong] = self._source.items([self._problem.rows[wrong]])[0]
        for candidate in self._candidates(self._sample(chosen)):
            if candidate is None or first_wrong(candidate, self._problem) is None:
                yield candidate

    def _until_wrong(self, chosen: list[int]) -> Generator[Expression | None, None, int | None]:
        """Yield what is right on all examples; return another example on which something was wrong."""
        for candidate in self._candidates(self._sample(chosen)):
            wrong = None if candidate is None else first_wrong(candidate, self._problem)
            if wrong is None:
                yield candidate
            elif wrong not in chosen:
                return wrong
        return None

    def _sample(self, chosen: list[int]) -> _Sample:
        index: dict[tuple[Any, ...], int] = {}
        places = []
        for i in chosen:
            around = self._problem.rows[i] if self._wide else ()
            places.append([index.setdefault((*item, *around), len(index)) for item in self._items[i]])
        return _Sample(chosen, [self._elements(self._items[i]) for i in chosen], list(index), places)

    def _elements(self, items: Sequence[Items]) -> Sequence[Any]:
        return [item[0] for item in items] if self._single else items

    def _candidates(self, sample: _Sample) -> Iterator[Expression | None]:
        """Yield comprehensions that are right on the sample, and ``None`` in between."""
        if not sample.rows:
            return
        told = self._told(sample)
        language = self._language([(ending.body, column) for ending, _, column in told])
        searches = [
            (ending, goal, Assembly(replace(language, start=ending.body), column))
            for ending, goal, column in told
        ]
        tried = self._tried()
        kinds = sorted({one[0].body for one in searches} | {one[0].body for one in tried})
        enumeration = Enumeration(language, sample.rows)
        before, assemble_at = self.terms, ASSEMBLE_EVERY
        for level in enumeration.steps():
            self.terms = before + enumeration.built
            for kind in kinds:
                fresh = enumeration.fresh(kind, level)
                for ending, goal, assembly in searches:
                    if ending.body == kind and (entry := assembly.show(level, fresh)):
                        yield from self._finished(ending, goal, expression_of(entry))
                    if assembly.condition_kind == kind:
                        assembly.show_conditions(level, fresh)
                yield from self._try([one for one in tried if one[0].body == kind], fresh, level, sample)
            if enumeration.built >= assemble_at:
                assemble_at = enumeration.built + max(ASSEMBLE_EVERY, enumeration.built // 2)
                for ending, goal, assembly in searches:
                    if ending.body != "bool" and (made := assembly.assemble(ASSEMBLE_WORK)):
                        yield from self._finished(ending, goal, made.expression)
            yield None
            if enumeration.stored > MAX_STORED:
                return

    def _told(self, sample: _Sample) -> list[tuple[Ending, Goal, Column]]:
        """Give the body's column for each ending and goal that tell it."""
        found = []
        for ending, goal in self._deduced:
            known: dict[int, Any] = {}
            pairs = [
                (place, value)
                for i, where, elements in zip(sample.chosen, sample.places, sample.elements, strict=True)
                for place, value in zip(where, self._share(ending, goal, i, elements) or (), strict=True)
            ]
            if all(known.setdefault(place, value) == value for place, value in pairs):
                found.append((ending, goal, tuple([known[place] for place in range(len(sample.rows))])))
        return found

    def _tried(self) -> list[tuple[Ending, Goal | None]]:
        """Give the endings that are tried on every body: towards a goal, or as a summary."""
        found: list[tuple[Ending, Goal | None]] = []
        for ending in self._endings:
            towards = [] if ending.name in DEDUCED else [g for g in self._goals if g.kind == ending.result]
            found += [(ending, goal) for goal in towards]
            if not towards and not self._wide and ending.name in SUMMARIES:
                found.append((ending, None))
        return found

    def _try(
        self,
        tried: list[tuple[Ending, Goal | None]],
        entries: list[Entry],
        level: int,
        sample: _Sample,
    ) -> Iterator[Expression]:
        """Yield what reaches a goal, and keep what may be of use to the whole."""
        for entry in entries:
            for ending, goal in tried:
                if goal is not None:
                    if sample.reaches(ending, entry[0], goal):
                        yield from self._finished(ending, goal, expression_of(entry))
                elif level <= SUMMARY_COST and len(entry) > 2 and len(self._summarised) < MAX_SUMMARIES:
                    self._summarise(ending, entry, sample)

    def _summarise(self, ending: Ending, entry: Entry, sample: _Sample) -> None:
        """Keep what an ending makes of a body, if it is new and not always the same."""
        try:
            made = tuple(sample.combined(ending, entry[0]))
        except UNDEFINED:
            return
        if len(set(made)) > 1 and (ending.result, made) not in self._summarised:
            whole = self._source.comprehension(ending, expression_of(entry))
            if whole is not None:
                self._summarised.add((ending.result, made))
                self.summaries.append(whole)

    def _finished(self, ending: Ending, goal: Goal, body: Expression) -> Iterator[Expression]:
        whole = self._source.comprehension(ending, body)
        if whole is not None:
            yield goal.finish(whole)

    def _share(self, ending: Ending, goal: Goal, i: int, elements: Sequence[Any]) -> Sequence[Any] | None:
        """Say what becomes of each element in an example; ``None`` where the goal is not made so.

        Of a filter: whether it is kept, as often as the output has it, and in its order.
        """
        output = goal.column[i]
        if ending.name == "map":
            return list(output) if len(output) == len(elements) else None
        held = set(output)
        kept = [element in held for element in elements]
        left = [element for element, stays in zip(elements, kept, strict=True) if stays]
        return kept if left == list(output) else None

    def _language(self, told: list[tuple[str, Column]]) -> Language:
        """Give the language of the body: the loop's variables, and where it is wide, the task's own.

        What the body must often give becomes a constant.
        """
        language, bound = self._problem.language, len(self._source.loop.variables)
        leaves: list[Variable | Constant] = list(self._source.loop.variables)
        for leaf in language.leaves:
            if isinstance(leaf, Constant):
                leaves.append(leaf)
            elif self._wide:
                leaves.append(Variable(leaf.name, leaf.kind, leaf.position + bound, leaf.cost + 1))
        known = {(leaf.kind, leaf.value) for leaf in leaves if isinstance(leaf, Constant)}
        for kind, column in told:
            if kind in {"str", "int"}:
                for value, times in Counter(column).most_common(3):
                    if 4 * times >= len(column) and (kind, value) not in known:
                        leaves.append(Constant(value, kind, 2))
                        known.add((kind, value))
        return replace(language, leaves=tuple(leaves))


def _few(sizes: Sequence[int]) -> list[int]:
    """Pick examples with few elements, but some; none where all have very many."""
    order = sorted(range(len(sizes)), key=lambda i: (not sizes[i], sizes[i]))
    chosen: list[int] = []
    total = 0
    for i in order[len(order) // 4 :] + order[: len(order) // 4]:
        most = MAX_ELEMENTS if len(chosen) >= LEAST_EXAMPLES else MOST_ELEMENTS
        if total + sizes[i] <= most:
            chosen.append(i)
            total += sizes[i]
    return chosen


def _membership(variable: Variable, elements: list[str], outputs: Column) -> Expression | None:
    """Give the condition that a character is one of those that a filter keeps, or none that it drops."""
    found = tables.kept(elements, outputs)
    if found is None:
        return None
    stays, characters = found
    member = on_values(
        "str str -> bool",
        (lambda c, these: c in these) if stays else (lambda c, these: c not in these),
        "_0 in _1" if stays else "_0 not in _1",
        "_0 is in _1" if stays else "_0 is not in _1",
    )
    return Call(member, (variable, Constant(characters, "str", 1 + len(characters))))
