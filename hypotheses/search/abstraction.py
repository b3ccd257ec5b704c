"""Abstractions: parts that solutions share, with holes where they differ, as operators of a language."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from hypotheses.search.language import Call, Column, Constant, Expression, Operator, Variable, walk
from hypotheses.search.printing import phrase_of, python_of
from sandboxes.values import canonical

MOST_ON_THE_WAY = 2_000
"""How long a text or list is at most that an abstraction makes on its way, and a number, in bits."""

Head = Variable | Constant | Operator
"""What an expression begins with."""


class Rule(NamedTuple):
    """What an expression of a kind may begin with, whichever task and language it comes from.

    ``name`` is an operator's name or a constant's value as JSON. All variables of a kind are one rule, for
    their names mean nothing in another task.
    """

    form: Literal["variable", "constant", "operator"]
    kind: str
    name: str = ""
    arguments: tuple[str, ...] = ()


def rule_of(head: Head) -> Rule:
    """Give the rule that makes ``head``."""
    match head:
        case Variable(kind=kind):
            return Rule("variable", kind)
        case Constant(value=value, kind=kind):
            return Rule("constant", kind, canonical(value))
        case Operator(name=name, arguments=arguments, result=result):
            return Rule("operator", result, name, arguments)


def head_of(expression: Expression) -> Head:
    """Give what ``expression`` begins with."""
    return expression.operator if isinstance(expression, Call) else expression


def hole(position: int, kind: str) -> Variable:
    """Give the hole for an argument. It costs nothing: what fills it does."""
    return Variable(f"_{position}", kind, position, 0)


@dataclass(frozen=True, slots=True)
class LearnedOperator(Operator):
    """An operator that stands for ``body``, whose variable at position ``i`` is argument ``i``."""

    body: Call = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Abstraction:
    """A part that several solutions share.

    ``body`` holds a ``hole`` for each argument. ``uses`` counts its calls in the solutions it was learned
    from; ``compression`` is how many times smaller it made them, all earlier abstractions being used already.
    """

    name: str
    body: Call
    uses: int = 0
    compression: float = 1.0

    @property
    def arguments(self) -> tuple[str, ...]:
        """The kinds of the arguments."""
        kinds = {part.position: part.kind for part in walk(self.body) if isinstance(part, Variable)}
        return tuple(kinds[position] for position in sorted(kinds))

    @property
    def result(self) -> str:
        """The kind of the result."""
        return self.body.operator.result

    def operator(self) -> LearnedOperator:
        """Give it as an operator, as costly as its body.

        Its templates are those of the body, filled; empty where an operator there has none.
        """
        run = _compiled(self.body)
        operators = [part.operator for part in walk(self.body) if isinstance(part, Call)]
        names = {part.name: part.name for part in walk(self.body) if isinstance(part, Variable)}
        return LearnedOperator(
            self.name,
            self.arguments,
            self.result,
            lambda *columns: run(columns),
            self.body.cost,
            python=ast.unparse(python_of(self.body, names)) if all(o.python for o in operators) else "",
            phrase=phrase_of(_without_places(self.body)) if all(o.phrase for o in operators) else "",
            body=self.body,
        )

    def over(self, heads: Mapping[Rule, Constant | Operator]) -> Abstraction | None:
        """Give it over the operators and constants of ``heads``; ``None`` where one is missing."""
        body = _rebound(self.body, heads)
        return replace(self, body=body) if isinstance(body, Call) else None


def _without_places(body: Expression) -> Expression:
    """Give ``body`` with constant texts that look like a template's places written so that they do not."""
    match body:
        case Constant(value=value, kind=kind) if re.search(r"_\d", written := repr(value)):
            return Variable(written.replace("_", "\\x5f"), kind, -1)
        case Call(operator=operator, arguments=arguments):
            return Call(operator, tuple(map(_without_places, arguments)))
    return body


def _compiled(body: Expression) -> Callable[[tuple[Column, ...]], Column]:
    """Give what evaluates ``body`` on the columns of its arguments: it runs once for every term built."""
    match body:
        case Variable(position=position):
            return lambda columns: columns[position]
        case Constant(value=value):
            return lambda columns: (value,) * len(columns[0])
        case Call(operator=operator, arguments=arguments):
            evaluate, parts = operator.evaluate, [_compiled(argument) for argument in arguments]
            return lambda columns: evaluate(*[_small(part(columns)) for part in parts])


def _small(column: Column) -> Column:
    """Give what is made on the way, where it is not too large to go on with."""
    for value in column:
        if isinstance(value, str | tuple) and len(value) > MOST_ON_THE_WAY:
            raise ValueError("what is made on the way is too large")
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, int) and one.bit_length() > MOST_ON_THE_WAY:
                raise ValueError("a number on the way is too large")
    return column


def inline(expression: Expression) -> Expression:
    """Replace the calls of learned operators by their bodies: the result is in the original language."""
    if not isinstance(expression, Call):
        return expression
    arguments = tuple(map(inline, expression.arguments))
    if isinstance(expression.operator, LearnedOperator):
        return inline(_filled(expression.operator.body, arguments))
    return Call(expression.operator, arguments)


def _filled(body: Expression, arguments: Sequence[Expression]) -> Expression:
    match body:
        case Variable(position=position):
            return arguments[position]
        case Call(operator=operator, arguments=parts):
            return Call(operator, tuple(_filled(part, arguments) for part in parts))
    return body


def is_well_kinded(expression: Expression) -> bool:
    """Whether every argument is of the kind that its operator takes."""
    return all(
        tuple(rule_of(head_of(argument)).kind for argument in part.arguments) == part.operator.arguments
        for part in walk(expression)
        if isinstance(part, Call)
    )


def size(expression: Expression) -> int:
    """Count operators, variables and constants."""
    return sum(1 for _ in walk(expression))


def rewrite(expression: Expression, operators: Sequence[LearnedOperator]) -> Expression:
    """Give the smallest expression that ``inline`` turns into ``expression`` again."""
    known: dict[Expression, Expression] = {}

    def smallest(part: Expression) -> Expression:
        if part not in known:
            known[part] = min(ways(part), key=size)
        return known[part]

    def ways(part: Expression) -> Iterator[Expression]:
        if not isinstance(part, Call):
            yield part
            return
        yield Call(part.operator, tuple(map(smallest, part.arguments)))
        for operator in operators:
            fillings: dict[int, Expression] = {}
            if _matches(operator.body, part, fillings):
                filled = [smallest(fillings[position]) for position in range(len(operator.arguments))]
                yield Call(operator, tuple(filled))

    return smallest(expression)


def _matches(body: Expression, part: Expression, fillings: dict[int, Expression]) -> bool:
    """Whether ``part`` is ``body`` with its holes filled; ``fillings`` are collected on the way."""
    if isinstance(body, Variable):
        fits = rule_of(head_of(part)).kind == body.kind
        return fits and fillings.setdefault(body.position, part) == part
    if rule_of(head_of(body)) != rule_of(head_of(part)):
        return False
    if not (isinstance(body, Call) and isinstance(part, Call)):
        return True
    return all(_matches(b, p, fillings) for b, p in zip(body.arguments, part.arguments, strict=True))


def _rebound(body: Expression, heads: Mapping[Rule, Constant | Operator]) -> Expression | None:
    """Give ``body`` with the operators and constants of ``heads`` instead; ``None`` where one is missing."""
    if isinstance(body, Variable):
        return body
    head = heads.get(rule_of(head_of(body)))
    if not (isinstance(body, Call) and isinstance(head, Operator)):
        return head if isinstance(head, Constant) else None
    arguments = [part for argument in body.arguments if (part := _rebound(argument, heads)) is not None]
    return Call(head, tuple(arguments)) if len(arguments) == len(body.arguments) else None
