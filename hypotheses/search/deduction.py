"""What is done with each element, deduced from what becomes of the whole.

Where an output is as long as a sequence that the inputs give, each element of the one may be made of an
element of the other; where it is a part of it in order, each element is kept or dropped; and so on. Each such
guess is a smaller problem, with more examples, that is searched like any other (Feser, Chaudhuri and Dillig
2015, "Synthesizing data structure transformations from input-output examples"). What summaries of cheap
bodies come out on the way are offered to the search of the whole, as if they were arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b

from hypotheses.search.comprehensions import Items, Source, sources_of
from hypotheses.search.engine import Engine
from hypotheses.search.enumeration import Enumeration, expression_of
from hypotheses.search.guess import Goal, Guess
from hypotheses.search.language import (
    UNDEFINED,
    Call,
    Column,
    Constant,
    Expression,
    Problem,
    Variable,
    evaluate,
    holds,
    walk,
)
from hypotheses.search.value_operators import ELEMENTS

FIRST_TERMS = 20_000
"""How many terms the search of the whole builds before the first guess."""

ROUND_TERMS = 40_000
"""How many terms the body of a guess gets in the first round, halved as often as the guess costs; each
further round gives twice as many."""

WHOLE_TERMS = 120_000
"""How many the search of the whole gets in the first round."""

LEAST_TERMS = 200

PROMISING = 3
"""How many times as many a guess gets that tells what becomes of each element."""

SEQUENCE_TERMS = 6_000
"""How many terms are built in search of sequences to run over."""

MAX_SOURCES = 40
"""How many ways to run over a sequence are tried."""

MAX_EXAMPLES = 256
"""Guesses are made on so many examples; what they find is checked on all."""

MAX_FEATURES = 120
"""How many summaries are offered to the search of the whole."""


class DeductionEngine:
    """Searches for a solution of ``problem`` by guesses at what is done with each element.

    ``terms`` counts the work: expressions evaluated, for the whole and for bodies.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.terms = 0
        self.exhausted = False
        self.pending: Expression | None = None
        self._whole = Engine(problem)
        self._elements: set[tuple[str, bytes]] = set()
        self._features: dict[tuple[str, Column], Call] = {}

    def steps(self) -> Iterator[Expression | None]:
        """Yield solutions, and ``None`` after every other slice of work."""
        whole = self._whole.steps()
        sequences = any(isinstance(value, str | tuple) for value in self.problem.rows[0])
        yield from self._run_whole(whole, FIRST_TERMS if sequences else WHOLE_TERMS)
        guesses: list[Guess] = []
        for guess in self._guesses():
            guesses.append(guess)
            yield from self._run_guess(guess, ROUND_TERMS)
            for found in guess.learned():
                yield found if holds(found, self.problem) else None
        if self._features:
            language = replace(self.problem.language, given=tuple(self._features.values()))
            self._whole = Engine(replace(self.problem, language=language))
            whole = self._whole.steps()
        before, times = -1, 1
        while self.terms > before:
            before = self.terms
            yield from self._run_whole(whole, times * WHOLE_TERMS)
            times *= 2
            for guess in guesses:
                yield from self._run_guess(guess, times * ROUND_TERMS)
        self.exhausted = self._whole.exhausted

    def _run_whole(self, steps: Iterator[Expression | None], terms: int) -> Iterator[Expression | None]:
        until = self._whole.terms + terms
        while self._whole.terms < until:
            before = self._whole.terms
            try:
                found = next(steps)
            except StopIteration:
                return
            finally:
                self.terms += self._whole.terms - before
                self.pending = self._whole.pending
            yield found

    def _run_guess(self, guess: Guess, terms: int) -> Iterator[Expression | None]:
        before = guess.terms
        share = max(LEAST_TERMS, (PROMISING if guess.promising else 1) * terms >> guess.cost)
        for found in guess.run(share):
            self.terms += guess.terms - before
            before = guess.terms
            yield found if found is not None and holds(found, self.problem) else None
        self.terms += guess.terms - before
        for expression in guess.summaries:
            if len(self._features) < MAX_FEATURES:
                yield None
                try:
                    column = evaluate(expression, self.problem.rows[:MAX_EXAMPLES])
                except UNDEFINED:
                    continue
                if len(set(column)) > 1 and self.problem.language.fits(column):
                    self._features.setdefault((expression.kind, column), expression)
        guess.summaries.clear()

    def _guesses(self) -> Iterator[Guess]:
        """Yield guesses, the cheapest sequences first."""
        problem = self.problem
        problem = replace(problem, rows=problem.rows[:MAX_EXAMPLES], outputs=problem.outputs[:MAX_EXAMPLES])
        goals = _goals(problem)
        for source in sources_of(self._sequences(), MAX_SOURCES):
            try:
                items = source.items(problem.rows)
            except UNDEFINED:
                continue
            if any(items) and self._is_new(source, items):
                for wide in (False, True):
                    yield Guess(problem, source, items, goals, wide)

    def _is_new(self, source: Source, items: list[Sequence[Items]]) -> bool:
        """Whether no cheaper source runs over the same elements."""
        key = (source.loop.iterable, blake2b(repr(items).encode(errors="surrogatepass")).digest())
        known = key in self._elements
        self._elements.add(key)
        return not known

    def _sequences(self) -> list[tuple[str, Expression]]:
        """Give the cheapest sequences that the arguments make, and the arguments to count up to."""
        enumeration = Enumeration(self.problem.language, self.problem.rows[:6])
        found: list[tuple[str, Expression]] = []
        for level in enumeration.steps():
            for kind in ELEMENTS:
                for entry in enumeration.fresh(kind, level):
                    expression = expression_of(entry)
                    varies = any(isinstance(part, Variable) for part in walk(expression))
                    if varies and any(len(value) > 1 for value in entry[0]):
                        found.append((kind, expression))
            if enumeration.built >= SEQUENCE_TERMS:
                break
        self.terms += enumeration.built
        leaves = [leaf for leaf in self.problem.language.leaves if isinstance(leaf, Variable)]
        return found + [("int", leaf) for leaf in leaves if leaf.kind == "int"]


def _goals(problem: Problem) -> list[Goal]:
    """Give the outputs themselves, and where they are texts, their parts."""
    kind, outputs = problem.language.start, problem.outputs
    goals = [Goal(kind, outputs)]
    if kind == "str":
        for mark in ("", " ", ", ", ",", "-", "\n", *sorted(_marks(problem) - set(" ,-\n"))):
            if mark == "" or any(mark in output for output in outputs):
                parts = [output.split(mark) if mark else list(output) for output in outputs]
                goals.append(Goal("texts", tuple(map(tuple, parts)), mark))
    return goals


def _marks(problem: Problem) -> set[str]:
    leaves = problem.language.leaves
    return {leaf.value for leaf in leaves if isinstance(leaf, Constant) and leaf.kind == "mark"}
