"""Remembered solutions of other tasks, tried as they are and with a part changed.

What changes is a constant, a variable or an operator, or two of the constants, or any one part for a cheap
expression: so a solution with ``3`` in it helps where ``4`` is wanted. Costs one term for each attempt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import combinations, islice, product

from hypotheses.search.abstraction import Rule, head_of, rule_of
from hypotheses.search.arguments import kind_of
from hypotheses.search.comprehensions import Comprehension, comprehend
from hypotheses.search.engine import diverse
from hypotheses.search.enumeration import Entry, Enumeration, expression_of
from hypotheses.search.language import (
    UNDEFINED,
    Call,
    Column,
    Constant,
    Expression,
    Language,
    Operator,
    Problem,
    Variable,
    evaluate,
    holds,
)
from hypotheses.search.library_text import read_term

MOST_ITEMS = 400
"""A loop in a remembered solution has no value where it would run over more elements."""

MOST_PARTS = 150
"""A remembered solution of more parts is left out."""

MOST_CHANGED = 30
"""So many of the remembered have a part changed; all are tried as they are."""

PAIRS = 400
"""How many pairs of constants are tried in one of them."""

CHEAP_TERMS = 3_000
"""How many cheap expressions are built to be put into them."""

MOST_TERMS = 60_000
"""How many terms all that takes at most."""

SLICE = 500

STEP_SECONDS = 0.02
"""After so long, at most an attempt later, there is a chance to stop."""

_KINDS_OF = {"mark": ("str",), "float": ("float", "int")}
"""What the values of a kind are, where that is not its own name."""

Path = tuple[int, ...]
"""Which argument of which argument; ``BODY`` goes into a comprehension's body."""

BODY = -1


class Remembered:
    """Solutions as ``write_term`` writes them, those of the most similar tasks first."""

    def __init__(self, terms: Sequence[str]) -> None:
        self.terms = tuple(dict.fromkeys(terms))
        self._origins: dict[Expression, str] = {}

    def origin_of(self, expression: Expression) -> str:
        """Give the remembered solution that one was made of; empty where it was found without any."""
        return self._origins.get(expression, "")

    def note(self, expression: Expression, origin: str) -> None:
        """Keep what a solution was made of."""
        self._origins.setdefault(expression, origin)


class ReuseEngine:
    """Searches for a solution of ``problem`` among those that are remembered.

    What cannot be said in the problem's language is left out. ``terms`` counts the attempts.
    """

    def __init__(self, problem: Problem, remembered: Remembered) -> None:
        self.problem = problem
        self.terms = 0
        self.exhausted = False
        self.pending: Expression | None = None
        self._origins = remembered
        self._paused = time.monotonic()
        chosen = diverse(problem)
        self._few = replace(
            problem,
            rows=tuple(problem.rows[i] for i in chosen),
            outputs=tuple(problem.outputs[i] for i in chosen),
        )
        self._first = replace(self._few, rows=self._few.rows[:1], outputs=self._few.outputs[:1])
        fits = problem.language.fits
        operators = {rule: limited(one, fits) for rule, one in operators_of(problem.language).items()}
        # What is put in the place of an operator is limited as well.
        swapped = tuple(limited(one, fits) for one in problem.language.operators)
        self._language = replace(problem.language, operators=swapped)
        known: dict[Expression, str] = {}
        for text in remembered.terms:
            with suppress(LookupError, ValueError, TypeError):  # a constant may be of no kind of the language
                expression = bound(read_term(text, operators), problem.language)
                if expression is not None and sum(1 for _ in parts_of(expression)) <= MOST_PARTS:
                    known.setdefault(expression, text)
        self._remembered = [(text, expression) for expression, text in known.items()]

    def steps(self) -> Iterator[Expression | None]:
        """Yield solutions, and ``None`` after every other slice of work."""
        for candidates in (self._as_they_are(), self._changed(), self._filled()):
            for origin, expression in candidates:
                if expression is not None:
                    self._origins.note(expression, origin)
                yield expression
                if self.terms >= MOST_TERMS:
                    return
        self.exhausted = True

    def _solves(self, expression: Expression) -> bool:
        return all(holds(expression, some) for some in (self._first, self._few, self.problem))

    def _is_time(self) -> bool:
        """Whether a slice of work is over: so many attempts, or so long a time."""
        now = time.monotonic()
        if self.terms % SLICE and now - self._paused < STEP_SECONDS:
            return False
        self._paused = now
        return True

    def _as_they_are(self) -> Iterator[tuple[str, Expression | None]]:
        for origin, expression in self._remembered:
            self.terms += 1
            if self._solves(expression):
                yield origin, expression
            elif self._is_time():
                yield "", None
        yield "", None

    def _changed(self) -> Iterator[tuple[str, Expression | None]]:
        for origin, expression in self._remembered[:MOST_CHANGED]:
            for changed in changes(expression, self._language):
                self.terms += 1
                if self._solves(changed):
                    yield origin, changed
                elif self._is_time():
                    yield "", None

    def _filled(self) -> Iterator[tuple[str, Expression | None]]:
        """Put cheap expressions in the place of each part."""
        if not self._remembered:
            return
        rows, outputs = self._few.rows, self._few.outputs
        cheap = self._cheap(rows)
        for origin, expression in self._remembered[:MOST_CHANGED]:
            for path, part in parts_of(expression):
                if not path or BODY in path:
                    continue
                hole = _Hole(expression, path, rows)
                for entry in cheap.get(rule_of(head_of(part)).kind, ()):
                    self.terms += 1
                    if self._is_time():
                        yield "", None
                    if hole.gives(entry[0], outputs):
                        whole = replaced(expression, path, expression_of(entry))
                        if holds(whole, self.problem):
                            yield origin, whole

    def _cheap(self, rows: Sequence[tuple[object, ...]]) -> dict[str, list[Entry]]:
        """Give the cheapest expressions of each kind, each with its values."""
        language = self.problem.language  # what it enumerates it limits itself
        enumeration = Enumeration(language, rows)
        kinds = {one.kind for one in (*language.leaves, *language.given)}
        kinds |= {one.result for one in language.operators}
        found: dict[str, list[Entry]] = {kind: [] for kind in kinds}
        for level in enumeration.steps():
            for kind in kinds:
                found[kind] += enumeration.fresh(kind, level)
            if enumeration.built >= CHEAP_TERMS:
                break
        self.terms += enumeration.built
        return found


class _Hole:
    """A part of an expression, as what the whole gives for the part's values."""

    def __init__(self, expression: Expression, path: Path, rows: Sequence[Sequence[object]]) -> None:
        self._levels: list[tuple[Operator, list[Column | None], int]] = []
        self._dead = False
        here = expression
        for index in path:
            assert isinstance(here, Call)  # noqa: S101 - for the type checker
            columns: list[Column | None] = []
            for position, argument in enumerate(here.arguments):
                column = None
                if position != index:
                    try:
                        column = evaluate(argument, rows)
                    except UNDEFINED:
                        self._dead = True
                columns.append(column)
            self._levels.append((here.operator, columns, index))
            here = here.arguments[index]
        self._levels.reverse()

    def gives(self, column: Column, outputs: Column) -> bool:
        """Whether the whole gives ``outputs`` where the part has these values."""
        if self._dead:
            return False
        try:
            for operator, columns, index in self._levels:
                columns[index] = column
                column = operator.evaluate(*columns)
        except UNDEFINED:
            return False
        return column == outputs


def limited(operator: Operator, fits: Callable[[Column], bool]) -> Operator:
    """Give an operator that has no value where its result is too large: who wrote a term is not known.

    A loop has none either where it would run long.
    """
    run = operator.evaluate
    sequences = operator.sequences if isinstance(operator, Comprehension) else 0

    def evaluate_limited(*columns: Column) -> Column:
        for column in columns[:sequences]:
            if any((value if isinstance(value, int) else len(value)) > MOST_ITEMS for value in column):
                raise ValueError("the loop is too long")
        column = run(*columns)
        if column and not fits(column):
            raise ValueError("the result is too large")
        return column

    return replace(operator, evaluate=evaluate_limited)


def operators_of(language: Language) -> Mapping[Rule, Operator]:
    """Give all operators of a language, those that are found backwards included."""
    inverses = [one.operator for some in language.inverses.values() for one in some]
    backwards = (*language.concatenations.values(), *language.conditionals.values(), *inverses)
    return {rule_of(one): one for one in (*backwards, *language.operators)}


def bound(expression: Expression, language: Language) -> Expression | None:
    """Give a remembered expression over a language's own variables; ``None`` where it has none that fit.

    Where the language is a task's grammar it must have the constants, too.
    """
    variables: dict[tuple[str, int], Variable] = {}
    by_kind: dict[str, list[Variable]] = {}
    constants: dict[Rule, Constant] = {}
    for leaf in language.leaves:
        if isinstance(leaf, Variable):
            variables[leaf.kind, leaf.position] = leaf
            by_kind.setdefault(leaf.kind, []).append(leaf)
        else:
            constants[rule_of(leaf)] = leaf

    def over(part: Expression) -> Expression:
        match part:
            case Variable(kind=kind, position=position):
                return variables.get((kind, position)) or by_kind[kind][0]
            case Constant():
                if language.define is not None:
                    alike = [one for rule, one in constants.items() if rule.kind == part.kind]
                    return constants.get(rule_of(part)) or alike[0]
                if kind_of((part.value,)) not in _KINDS_OF.get(part.kind, (part.kind,)):
                    raise LookupError("the constant is of another kind")
                if not language.fits((part.value,)):
                    raise LookupError("the constant is too large")
                return constants.get(rule_of(part)) or part
            case Call(operator=operator, arguments=arguments):
                if isinstance(operator, Comprehension):
                    operator = limited(operator, language.fits)
                return Call(operator, tuple(map(over, arguments)))

    try:
        found = over(expression)
    except LookupError:
        return None
    return found if rule_of(head_of(found)).kind == language.start else None


def changes(expression: Expression, language: Language) -> Iterator[Expression]:
    """Yield an expression with one leaf, one operator or two constants changed for others of their kinds."""
    parts = list(parts_of(expression))
    leaves = [(path, part) for path, part in parts if isinstance(part, Variable | Constant)]
    for path, leaf in leaves:
        for other in _other_leaves(leaf, language, BODY in path):
            yield from _one(expression, path, other)
    for path, part in parts:
        if isinstance(part, Call) and not isinstance(part.operator, Comprehension):
            for operator in language.operators:
                alike = (operator.arguments, operator.result) == (part.operator.arguments, part.kind)
                if alike and operator.name != part.operator.name:
                    yield from _one(expression, path, Call(operator, part.arguments))
    constants = [(path, leaf) for path, leaf in leaves if isinstance(leaf, Constant)]
    pairs = (
        (two, others)
        for two in combinations(constants, 2)
        for others in product(*(_other_leaves(leaf, language, BODY in path) for path, leaf in two))
    )
    for ((first, _), (second, _)), (one, other) in islice(pairs, PAIRS):
        for half in _one(expression, first, one):
            yield from _one(half, second, other)


def _other_leaves(part: Variable | Constant, language: Language, inside: bool) -> list[Variable | Constant]:
    """Give what may stand for a leaf; inside a body, where variables are the loop's, constants only."""
    kind = part.kind
    found: list[Variable | Constant] = [
        leaf
        for leaf in language.leaves
        if leaf.kind == kind and not _same(leaf, part) and not (inside and isinstance(leaf, Variable))
    ]
    if inside and isinstance(part, Variable):
        return []
    if language.define is None and isinstance(part, Constant) and type(part.value) is int:
        known = {leaf.value for leaf in found if isinstance(leaf, Constant)} | {part.value}
        near = dict.fromkeys((part.value + 1, part.value - 1, *range(11)))
        found += [Constant(number, kind, 2) for number in near if number not in known]
    return found


def _same(one: Variable | Constant, other: Variable | Constant) -> bool:
    """Whether two leaves of a kind mean the same, whatever they cost; ``True`` is not 1."""
    if isinstance(one, Variable) or isinstance(other, Variable):
        return isinstance(one, Variable) and isinstance(other, Variable) and one.position == other.position
    return rule_of(one) == rule_of(other)


def parts_of(expression: Expression, path: Path = ()) -> Iterator[tuple[Path, Expression]]:
    """Yield an expression and all in it, bodies of comprehensions included, each with where it stands."""
    yield path, expression
    if isinstance(expression, Call):
        if isinstance(expression.operator, Comprehension):
            yield from parts_of(expression.operator.body, (*path, BODY))
        for index, argument in enumerate(expression.arguments):
            yield from parts_of(argument, (*path, index))


def _one(expression: Expression, path: Path, part: Expression) -> Iterator[Expression]:
    with suppress(LookupError, ValueError):
        yield replaced(expression, path, part)


def replaced(expression: Expression, path: Path, part: Expression) -> Expression:
    """Put ``part`` where ``path`` leads. Raises ``ValueError`` where a comprehension cannot have it."""
    if not path:
        return part
    if not isinstance(expression, Call):
        raise LookupError(path)  # noqa: TRY004 - a path that leads nowhere
    index, *rest = path
    operator, arguments = expression.operator, expression.arguments
    if index == BODY:
        if not isinstance(operator, Comprehension):
            raise LookupError(path)
        body = replaced(operator.body, tuple(rest), part)
        kinds = operator.arguments[: operator.sequences]
        ending = (operator.ending.name, operator.ending.body)
        return comprehend(kinds, operator.loop.iterable, ending, body, arguments)
    changed = replaced(arguments[index], tuple(rest), part)
    outer = isinstance(operator, Comprehension) and index >= operator.sequences
    if outer and not isinstance(changed, Variable):
        raise ValueError("what a body takes from outside is a variable")
    return Call(operator, (*arguments[:index], changed, *arguments[index + 1 :]))
