"""What a search builds its expressions of: a language of typed operators."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandboxes import Program

Column = tuple[Any, ...]
"""The values of one expression, one an example. Every value is hashable: a list is held as a tuple."""

UNDEFINED = (ArithmeticError, LookupError, ValueError)
"""What an operator raises where an expression has no value in one of the examples."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A parameter of the function to be found, by its position."""

    name: str
    kind: str
    position: int
    cost: int = 1


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is the same in every example."""

    value: Any
    kind: str
    cost: int = 1


@dataclass(frozen=True, slots=True)
class Operator:
    """A typed function of a language.

    ``arguments`` and ``result`` are kinds: types or, where the language is a grammar, non-terminals.
    ``evaluate`` takes one column an argument and returns the column of results, or raises one of
    ``UNDEFINED``. ``python`` and ``phrase`` are templates of the printed forms; their placeholders
    ``_0``, ``_1`` … stand for the arguments; in a phrase, ``_1th`` is a position as an ordinal.
    ``needs_last`` says, from all columns but the last, whether the result depends on the last one at all;
    where it does not, a single last argument stands for all.
    """

    name: str
    arguments: tuple[str, ...]
    result: str
    evaluate: Callable[..., Column]
    cost: int = 1
    commutative: bool = False
    python: str = ""
    phrase: str = ""
    needs_last: Callable[..., bool] | None = None


def on_values(
    kinds: str,
    function: Callable[..., Any],
    python: str,
    phrase: str,
    *,
    cost: int = 1,
    commutative: bool = False,
) -> Operator:
    """Give the operator of the kinds ``"argument argument -> result"`` whose function takes single values."""
    arguments, result = kinds.split(" -> ")

    def evaluate(*columns: Column) -> Column:
        return tuple(map(function, *columns))

    return Operator(python, tuple(arguments.split()), result, evaluate, cost, commutative, python, phrase)


def joining(kind: str) -> Operator:
    """Give the operator that joins two sequences of a kind."""
    return on_values(f"{kind} {kind} -> {kind}", lambda x, y: x + y, "_0 + _1", "_0 followed by _1", cost=2)


def arithmetic(kind: str) -> tuple[Inverse, ...]:
    """Give the sums, differences, products and quotients of two numbers of a kind, which can be turned round.

    Of whole numbers there are no quotients: what was cut off cannot be told.
    """
    plus, minus, times, over = (
        on_values(
            f"{kind} {kind} -> {kind}", function, f"_0 {sign} _1", f"_0 {word} _1", commutative=commutes
        )
        for function, sign, word, commutes in (
            (lambda a, b: a + b, "+", "plus", True),
            (lambda a, b: a - b, "-", "minus", False),
            (lambda a, b: a * b, "*", "times", True),
            (lambda a, b: a / b, "/", "divided by", False),
        )
    )
    decimals = kind == "float"
    quotients = [Inverse(over, lambda result, b: result * b, known=1)] if decimals else []
    return (
        Inverse(plus, lambda result, a: result - a),
        Inverse(minus, lambda result, a: a - result),
        Inverse(minus, lambda result, b: result + b, known=1),
        Inverse(times, operator.truediv if decimals else _factor, nothing=True),
        *quotients,
    )


def _factor(product: Any, factor: Any) -> Any:
    quotient = product // factor
    if quotient * factor != product:
        raise ValueError(f"{product} is no multiple of {factor}")
    return quotient


def choosing(kind: str) -> Operator:
    """Give the operator that chooses between two values of a kind."""
    return on_values(
        f"bool {kind} {kind} -> {kind}",
        lambda c, x, y: x if c else y,
        "_1 if _0 else _2",
        "_1 if _0, otherwise _2",
        cost=3,
    )


@dataclass(frozen=True, slots=True)
class Inverse:
    """An operator of two arguments of one kind that can be turned round.

    ``missing`` takes a result and one argument and gives the other; raises one of ``UNDEFINED`` where there
    is none. ``known`` is the place of the argument that it takes. Where ``nothing`` is set, a result of zero
    does not tell the other argument.
    """

    operator: Operator
    missing: Callable[[Any, Any], Any]
    known: int = 0
    nothing: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """An operator applied to expressions."""

    operator: Operator
    arguments: tuple[Expression, ...]

    @property
    def cost(self) -> int:
        """The operator's cost and that of all arguments."""
        return self.operator.cost + sum(argument.cost for argument in self.arguments)

    @property
    def kind(self) -> str:
        """The kind of its results."""
        return self.operator.result


Expression = Variable | Constant | Call


@dataclass(frozen=True)
class Language:
    """Typed operators over variables and constants, and how a finished expression is printed.

    ``start`` is the kind of expression wanted. ``concatenations`` and ``conditionals`` give, by kind of
    result, the operators that join two sequences (an associative ``++``) and that choose between two
    values (condition, then, else): the search also builds these backwards, from the outputs, and so it does
    with the ``inverses``.
    ``fits`` says whether a column is small enough to be kept. ``describe`` gives the rule in words,
    ``implement`` the program, and ``define`` the text of a definition where the language has one of its own.
    ``given`` are expressions to start from as from leaves, at their own cost.

    What is built backwards fits few examples all too easily. So each branch of a choice must be right on
    ``least_cover`` of the examples, an expression costlier than ``ceiling`` is not believed, and one that is
    believed waits for a cheaper one while ``patience`` terms per unit of its cost are built.
    """

    start: str
    leaves: tuple[Variable | Constant, ...]
    operators: tuple[Operator, ...]
    describe: Callable[[Expression], str]
    implement: Callable[[Expression], Program]
    define: Callable[[Expression], str] | None = None
    given: tuple[Call, ...] = ()
    fits: Callable[[Column], bool] = field(default=lambda _: True)
    concatenations: Mapping[str, Operator] = field(default_factory=dict)
    conditionals: Mapping[str, Operator] = field(default_factory=dict)
    inverses: Mapping[str, tuple[Inverse, ...]] = field(default_factory=dict)
    least_cover: int = 1
    ceiling: int | None = None
    patience: int = 10_000


@dataclass(frozen=True, slots=True)
class Problem:
    """A task in the terms of its language: one row of argument values per example or query."""

    language: Language
    rows: tuple[tuple[Any, ...], ...]
    outputs: Column
    queries: tuple[tuple[Any, ...], ...] = ()


def evaluate(expression: Expression, rows: Sequence[Sequence[Any]]) -> Column:
    """Evaluate ``expression`` on each of ``rows``; raises one of ``UNDEFINED`` where it has no value."""
    match expression:
        case Variable(position=position):
            return tuple([row[position] for row in rows])
        case Constant(value=value):
            return (value,) * len(rows)
        case Call(operator=operator, arguments=arguments):
            return operator.evaluate(*(evaluate(argument, rows) for argument in arguments))


def holds(expression: Expression, problem: Problem) -> bool:
    """Whether an expression gives every output."""
    try:
        return evaluate(expression, problem.rows) == problem.outputs
    except UNDEFINED:
        return False


def first_wrong(expression: Expression, problem: Problem) -> int | None:
    """Give the first example on which an expression is wrong or has no value."""
    for i, (row, output) in enumerate(zip(problem.rows, problem.outputs, strict=True)):
        try:
            if evaluate(expression, [row]) != (output,):
                return i
        except UNDEFINED:
            return i
    return None


def walk(expression: Expression) -> Iterator[Expression]:
    """Yield ``expression`` and everything in it, outermost first."""
    yield expression
    if isinstance(expression, Call):
        for argument in expression.arguments:
            yield from walk(argument)
