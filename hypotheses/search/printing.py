"""Printing expressions of the project's own languages: as Python, and in words."""

from __future__ import annotations

import ast
import re

from hypotheses.search.language import Call, Constant, Expression, Variable
from hypotheses.search.python_code import fill, literal


def python_of(expression: Expression, names: dict[str, str]) -> ast.expr:
    """Write an expression as Python; ``names`` are the variables' identifiers."""
    match expression:
        case Variable(name=name):
            return fill(names[name])
        case Constant(value=value):
            return literal(value)
        case Call(operator=operator, arguments=arguments):
            parts = [python_of(argument, names) for argument in arguments]
            return fill(operator.python, *parts, taken=names.values())


def sentence_of(expression: Expression) -> str:
    """Write an expression as an English sentence, by its operators' phrases."""
    truth = isinstance(expression, Call) and expression.operator.result == "bool"
    return f"The output is {'whether ' if truth else ''}{phrase_of(expression)}."


def phrase_of(expression: Expression) -> str:
    """Write an expression as an English phrase."""
    match expression:
        case Variable(name=name):
            return name
        case Constant(value=value):
            return ast.unparse(literal(value))
        case Call(operator=operator, arguments=arguments):
            infix = _SUM.match(operator.phrase)

            def part(argument: Expression) -> str:
                phrase = phrase_of(argument)
                inner = isinstance(argument, Call) and _SUM.match(argument.operator.phrase)
                return f"({phrase})" if infix and inner else phrase

            return re.sub(
                r"_(\d)(th)?",
                lambda place: (_ordinal if place[2] else part)(arguments[int(place[1])]),
                operator.phrase,
            )


_SUM = re.compile(r"_\d (plus|minus|times|divided by|xor) _\d")


def _ordinal(position: Expression) -> str:
    """Write a position, which counts from 0 and, where negative, from the end, as an ordinal."""
    if not isinstance(position, Constant):
        return f"({phrase_of(position)})-th (from 0)"
    names = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
    if 0 <= position.value < len(names):
        return names[position.value]
    if position.value == -1:
        return "last"
    if -len(names) <= position.value < 0:
        return f"{names[-position.value - 1]}-last"
    return f"{position.value}-th (from 0)"
