"""Outputs that are lists of always the same length, one entry by one: sum and difference, name and age."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Self

from hypotheses.search.arguments import frozen
from hypotheses.search.deduction import DeductionEngine
from hypotheses.search.language import Call, Column, Expression, Operator, Problem
from hypotheses.search.values import VALUES
from hypotheses.task import Example, Task

MAX_ENTRIES = 6

SLICE = 20_000
"""How many terms one entry is searched with before the next one's turn."""


class RecordEngine:
    """Searches for each entry of the outputs on its own. ``terms`` counts the work of all of them."""

    def __init__(self, problem: Problem, entries: list[Problem]) -> None:
        self.problem = problem
        self.terms = 0
        self.exhausted = False
        self._engines = [DeductionEngine(entry) for entry in entries]
        self._found: dict[int, Expression] = {}

    @classmethod
    def of(cls, task: Task, extended: Callable[[Problem], Problem] = lambda problem: problem) -> Self | None:
        """Give the engine for ``task``, its entries' problems ``extended``.

        ``None`` where its outputs are no lists of one length.
        """
        outputs = [frozen(example.output) for example in task.examples]
        lengths = {len(output) if isinstance(output, tuple) else 0 for output in outputs}
        if len(lengths) != 1 or not 2 <= max(lengths) <= MAX_ENTRIES:
            return None
        entries = []
        for place in range(max(lengths)):
            examples = tuple(
                Example(example.input, output[place])
                for example, output in zip(task.examples, outputs, strict=True)
            )
            entry = VALUES.problem(replace(task, examples=examples))
            if entry is None:
                return None
            entries.append(extended(entry))
        language = replace(entries[0].language, start="record")
        return cls(replace(entries[0], language=language, outputs=tuple(outputs)), entries)

    @property
    def pending(self) -> Expression | None:
        """The record, where every entry is found or waits for a cheaper one."""
        entries = [self._found.get(place, engine.pending) for place, engine in enumerate(self._engines)]
        whole = [entry for entry in entries if entry is not None]
        return _record(whole) if len(whole) == len(entries) else None

    def steps(self) -> Iterator[Expression | None]:
        """Yield the solution once every entry has one, and ``None`` after every other slice of work."""
        searches = [engine.steps() for engine in self._engines]
        while len(self._found) < len(searches):
            for place, (engine, search) in enumerate(zip(self._engines, searches, strict=True)):
                until = engine.terms + SLICE
                while place not in self._found and engine.terms < until:
                    before = engine.terms
                    try:
                        solution = next(search)
                    except StopIteration:
                        self.exhausted = engine.exhausted
                        return
                    self.terms += engine.terms - before
                    if solution is not None:
                        self._found[place] = solution
                    yield None
        yield _record([self._found[place] for place in range(len(searches))])


def _record(entries: list[Expression]) -> Expression:
    """Give the list of these entries."""
    places = [f"_{place}" for place in range(len(entries))]

    def evaluate(*columns: Column) -> Column:
        return tuple(zip(*columns, strict=True))

    operator = Operator(
        "list",
        tuple(entry.kind for entry in entries),
        "record",
        evaluate,
        python=f"[{', '.join(places)}]",
        phrase=f"the list of {', '.join(places[:-1])} and {places[-1]}",
    )
    return Call(operator, tuple(entries))
