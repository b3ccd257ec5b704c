"""A task's own grammar as a language to search: every expression is a term of the grammar."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from hypotheses.search.arguments import rows_of
from hypotheses.search.language import (
    Call,
    Column,
    Constant,
    Expression,
    Language,
    Operator,
    Problem,
    Variable,
)
from hypotheses.search.sygus_operators import COMMUTATIVE, NEEDS_LAST, OPERATORS
from hypotheses.search.sygus_python import names_of, program_of
from hypotheses.sygus.grammar import AnyConstant, Apply, Grammar, Literal, Symbol, Term, to_sexpr
from hypotheses.sygus.sorts import parameter_sorts
from hypotheses.task import Task

_COSTS = {"str.++": 2, "ite": 3}
"""Joins and choices are found backwards from the outputs; forwards they may come late."""


def sygus_problem(task: Task) -> Problem | None:
    """Put ``task`` into the terms of its grammar; ``None`` where it uses sorts or operators not searched."""
    names = names_of(task.signature)
    if task.grammar is None or names is None or task.signature.call.startswith("grid"):
        return None
    sorts = parameter_sorts(task)
    builder = _Builder(task, task.grammar, sorts)
    try:
        start = builder.kind(task.grammar.nonterminals[0].name)
    except KeyError:
        return None
    rows, outputs, queries = rows_of(task)
    returns = task.grammar.nonterminals[0].sort
    parameters = " ".join(f"({p.name} {sorts[p.name]})" for p in task.signature.parameters)

    def describe(expression: Expression) -> str:
        return f"(define-fun {task.signature.name} ({parameters}) {returns} {to_sexpr(term_of(expression))})"

    language = Language(
        start=start,
        leaves=tuple(builder.leaves),
        operators=tuple(builder.operators),
        describe=describe,
        implement=lambda expression: program_of(term_of(expression), task.signature, names),
        fits=_size_limit(
            [*rows, outputs, [leaf.value for leaf in builder.leaves if isinstance(leaf, Constant)]]
        ),
        concatenations=_joins(builder.operators, "str.++", 0),
        conditionals=_joins(builder.operators, "ite", 1),
    )
    return Problem(language, rows, outputs, queries)


def term_of(expression: Expression) -> Term:
    """Give the expression as a term of SyGuS-IF."""
    match expression:
        case Variable(name=name):
            return Symbol(name)
        case Constant(value=value):
            return Literal(value, {bool: "Bool", int: "Int", str: "String"}[type(value)])
        case Call(operator=operator, arguments=arguments):
            return Apply(operator.name, tuple(map(term_of, arguments)))


@dataclass
class _Builder:
    """Collects leaves and operators, one kind a non-terminal."""

    task: Task
    grammar: Grammar
    sorts: dict[str, str]
    leaves: list[Variable | Constant] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    _done: set[str] = field(default_factory=set)

    def kind(self, name: str) -> str:
        """Add non-terminal ``name``, and return its kind: its own name, or that of what it only renames.

        Raises ``KeyError`` for an operator that is not searched.
        """
        productions = self._productions(name)
        renamed = self.grammar.by_name[name].productions
        if len(renamed) == 1 and isinstance(renamed[0], Symbol) and renamed[0].name in self.grammar.by_name:
            return self.kind(renamed[0].name)
        if name not in self._done:
            self._done.add(name)
            for production in productions:
                self._add(production, name)
        return name

    def _productions(self, name: str) -> list[Term]:
        """List what ``name`` may become, following productions that only name another non-terminal."""
        names, productions = [name], dict[Term, None]()
        for reached in names:
            for production in self.grammar.by_name[reached].productions:
                if isinstance(production, Symbol) and production.name in self.grammar.by_name:
                    if production.name not in names:
                        names.append(production.name)
                else:
                    productions[production] = None
        return list(productions)

    def _add(self, production: Term, kind: str) -> None:
        match production:
            case Literal(value=value):
                self.leaves.append(Constant(value, kind))
            case AnyConstant(sort=sort):
                self.leaves += [Constant(value, kind) for value in _constants(self.task, sort)]
            case Symbol(name=name):
                names = [parameter.name for parameter in self.task.signature.parameters]
                self.leaves.append(Variable(name, kind, names.index(name)))
            case Apply(operator=name, arguments=arguments):
                evaluate = OPERATORS[name, len(arguments)]
                kinds = tuple(self._argument(argument) for argument in arguments)
                commutative = name in COMMUTATIVE and len(set(kinds)) == 1
                self.operators.append(
                    Operator(
                        name,
                        kinds,
                        kind,
                        evaluate,
                        _COSTS.get(name, 1),
                        commutative,
                        needs_last=NEEDS_LAST.get(name),
                    )
                )

    def _argument(self, argument: Term) -> str:
        """Give the kind of an argument; a term nested in a production gets a kind of its own."""
        if isinstance(argument, Symbol) and argument.name in self.grammar.by_name:
            return self.kind(argument.name)
        kind = to_sexpr(argument)
        if kind not in self._done:
            self._done.add(kind)
            self._add(argument, kind)
        return kind


def _joins(operators: Iterable[Operator], name: str, first: int) -> dict[str, Operator]:
    """The operators called ``name`` whose arguments from ``first`` on are of the kind of their result."""
    return {
        operator.result: operator
        for operator in operators
        if operator.name == name and set(operator.arguments[first:]) == {operator.result}
    }


def _constants(task: Task, sort: str) -> list[Any]:
    """The constants tried for ``(Constant sort)``: punctuation of the examples, and small numbers."""
    if sort == "Bool":
        return [False, True]
    if sort == "Int":
        return [0, 1, 2, 3, -1]
    texts = [text for example in task.examples for text in (repr(example.input), repr(example.output))]
    common = set.intersection(*(set(text) for text in texts)) if texts else set()
    return ["", *sorted(character for character in common if not character.isalnum())]


def _size_limit(columns: Iterable[Iterable[Any]]) -> Callable[[Column], bool]:
    """Say which columns are kept: those whose strings and integers are not far larger than the task's own."""
    longest, largest = 8, 8
    for value in (value for column in columns for value in column):
        if isinstance(value, str):
            longest = max(longest, len(value))
            numerals = map(int, re.findall(r"[0-9]{1,18}", value))
            largest = max([largest, len(value), *numerals])
        else:
            largest = max(largest, abs(value))
    longest, largest = 2 * longest, 2 * largest

    def fits(column: Column) -> bool:
        if isinstance(column[0], str):
            return max(map(len, column)) <= longest
        return bool(-largest <= min(column) and max(column) <= largest)

    return fits
