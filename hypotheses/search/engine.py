"""The engine: enumeration forwards, assembly backwards, on few examples first and verified on all.

The examples that enumeration sees grow only when an expression right on those seen is wrong on another
(counterexample-guided inductive synthesis: Solar-Lezama et al. 2006).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from hypotheses.search.assembly import Assembly, Found
from hypotheses.search.enumeration import Enumeration, expression_of
from hypotheses.search.language import UNDEFINED, Column, Expression, Problem, evaluate, first_wrong

FIRST_EXAMPLES = 5
"""How many distinct examples enumeration starts with."""

ASSEMBLE_EVERY = 20_000
"""How many terms are built at least between two attempts to assemble a solution."""

MAX_WORK = 250_000
"""How many pieces one such attempt tries at most, so that a deadline is kept."""


class Engine:
    """Searches for expressions that solve ``problem``.

    ``terms`` counts the work: expressions evaluated and pieces tried. ``exhausted`` is set at the end
    where every expression of the language was covered. ``pending`` is a solution that was assembled and
    is still waiting for a cheaper one.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.terms = 0
        self.exhausted = False
        self.pending: Expression | None = None

    def steps(self) -> Iterator[Expression | None]:
        """Yield a solution where one is found, and ``None`` after every other slice of work.

        Ends when nothing is left to try.
        """
        chosen = diverse(self.problem)
        while True:
            wrong = None
            for candidate in self._candidates(chosen):
                wrong = first_wrong(candidate, self.problem) if candidate else None
                if wrong is not None:
                    chosen = [*chosen, wrong]
                    break
                yield candidate
            if wrong is None:
                return

    def _candidates(self, chosen: list[int]) -> Iterator[Expression | None]:
        """Yield expressions right on the ``chosen`` examples, and ``None`` in between.

        An expression that turns out wrong elsewhere is yielded at once, for its counterexample.
        """
        language = self.problem.language
        enumeration = Enumeration(language, [self.problem.rows[i] for i in chosen])
        assembly = Assembly(language, tuple(self.problem.outputs[i] for i in chosen))
        before = self.terms
        best: Found | None = None
        assemble_at = wait_until = 0
        for level in enumeration.steps():
            if whole := assembly.show(level, enumeration.fresh(language.start, level)):
                yield expression_of(whole)
                best = None
            if assembly.condition_kind:
                assembly.show_conditions(level, enumeration.fresh(assembly.condition_kind, level))
            self.terms = before + enumeration.built + assembly.work
            if enumeration.built >= assemble_at:
                pause = max(ASSEMBLE_EVERY, enumeration.built // 4)
                assemble_at = enumeration.built + pause
                found = assembly.assemble(min(pause, MAX_WORK))
                if found and (best is None or found.cost < best.cost):
                    if first_wrong(found.expression, self.problem) is not None:
                        yield found.expression
                    wait_until = (
                        wait_until if best else 2 * enumeration.built + language.patience * found.cost
                    )
                    best = found
                    self.pending = found.expression
            self.terms = before + enumeration.built + assembly.work
            if best and (level > best.cost or enumeration.built >= wait_until):
                yield best.expression
            yield None
        if found := best or assembly.assemble(ASSEMBLE_EVERY):
            yield found.expression
        self.exhausted = not enumeration.too_large


def diverse(problem: Problem) -> list[int]:
    """Pick a few examples that differ: the shortest and longest inputs and outputs, then the first ones."""
    indices = range(len(problem.rows))

    def size(i: int) -> tuple[int, int]:
        return len(repr(problem.rows[i])), len(repr(problem.outputs[i]))

    by_input = sorted(indices, key=size)
    by_output = sorted(indices, key=lambda i: size(i)[::-1])
    picked = [by_input[0], by_input[-1], by_output[0], by_output[-1], *indices]
    return list(dict.fromkeys(picked))[:FIRST_EXAMPLES]


def alternatives(
    problem: Problem, solution: Expression, terms: int
) -> Iterator[tuple[Expression | None, int]]:
    """Yield expressions that satisfy the examples but answer the queries unlike ``solution`` or each other.

    Builds about ``terms`` expressions, none where there are no queries, or the outputs are put together of
    parts. With every item, ``None`` after a
    slice of work without one, comes the number built so far.
    """
    language = problem.language
    makes = {one.kind for one in (*language.leaves, *language.given)} | {
        one.result for one in language.operators
    }
    if not problem.queries or language.start not in makes:
        return
    examples = len(problem.rows)
    enumeration = Enumeration(problem.language, [*problem.rows, *problem.queries])
    answers: set[Column] = set()
    with suppress(*UNDEFINED):
        answers.add(evaluate(solution, problem.queries))
    for level in enumeration.steps():
        for entry in enumeration.fresh(problem.language.start, level):
            column = entry[0]
            if column[:examples] == problem.outputs and column[examples:] not in answers:
                answers.add(column[examples:])
                yield expression_of(entry), enumeration.built
        if enumeration.built >= terms:
            return
        yield None, enumeration.built
