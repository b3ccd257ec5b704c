"""A task's own grammar as a language to search: every expression is a term of the grammar."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypotheses.search import bit_vector_operators
from hypotheses.search.arguments import rows_of
from hypotheses.search.guide import Guide
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
from hypotheses.search.sygus_words import sentence_of_term
from hypotheses.sygus.grammar import AnyConstant, Apply, Grammar, Literal, Symbol, Term, to_sexpr
from hypotheses.sygus.sorts import parameter_sorts, sort_of
from hypotheses.sygus.terms import bit_vector_width
from hypotheses.task import Task

_LATER = {"str.++": 1, "ite": 2}
"""Joins and choices are found backwards from the outputs; forwards they may come later by this much."""

PATIENCE = 10_000
"""How many terms per unit of its cost an expression that was built backwards waits for a cheaper one."""


def sygus_problem(task: Task, guide: Guide | None = None) -> Problem | None:
    """Put ``task`` into the terms of its grammar; ``None`` where it uses sorts or operators not searched.

    ``guide`` makes the costs of its rules, instead of the project's own.
    """
    names = names_of(task.signature)
    if task.grammar is None or task.signature.call.startswith("grid"):
        return None
    sorts = parameter_sorts(task)
    builder = _Builder(task, task.grammar, sorts, guide)
    try:
        start = builder.kind(task.grammar.nonterminals[0].name)
    except KeyError:
        return None
    rows, outputs, queries = rows_of(task)
    returns = task.grammar.nonterminals[0].sort
    parameters = " ".join(f"({p.name} {sorts[p.name]})" for p in task.signature.parameters)

    def term(expression: Expression) -> Term:
        return term_of(expression, builder.kind_sorts)

    def define(expression: Expression) -> str:
        return f"(define-fun {task.signature.name} ({parameters}) {returns} {to_sexpr(term(expression))})"

    language = Language(
        start=start,
        leaves=tuple(builder.leaves),
        operators=tuple(builder.operators),
        describe=lambda expression: sentence_of_term(term(expression)),
        implement=lambda expression: program_of(term(expression), task.signature, names, sorts),
        define=define,
        fits=_size_limit(
            [*rows, outputs, [leaf.value for leaf in builder.leaves if isinstance(leaf, Constant)]],
            max((bit_vector_width(sort) or 0 for sort in builder.kind_sorts.values()), default=0),
        ),
        concatenations=_joins(builder.operators, "str.++", 0),
        conditionals=_joins(builder.operators, "ite", 1),
        patience=round(PATIENCE / builder.unit),
    )
    return Problem(language, rows, outputs, queries)


def term_of(expression: Expression, sorts: Mapping[str, str] | None = None) -> Term:
    """Give the expression as a term of SyGuS-IF; ``sorts`` are those of its kinds.

    Without them integers are of sort ``Int``, and never bit-vectors.
    """
    match expression:
        case Variable(name=name):
            return Symbol(name)
        case Constant(value=value, kind=kind):
            plain = {bool: "Bool", int: "Int", str: "String"}[type(value)]
            return Literal(value, plain if sorts is None else sorts[kind])
        case Call(operator=operator, arguments=arguments):
            return Apply(operator.name, tuple(term_of(argument, sorts) for argument in arguments))


@dataclass
class _Builder:
    """Collects leaves and operators, one kind a non-terminal."""

    task: Task
    grammar: Grammar
    sorts: dict[str, str]
    guide: Guide | None = None
    leaves: list[Variable | Constant] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    kind_sorts: dict[str, str] = field(default_factory=dict)
    """The sort of each kind."""

    def kind(self, name: str) -> str:
        """Add non-terminal ``name``, and return its kind: its own name, or that of what it only renames.

        Raises ``KeyError`` for an operator that is not searched.
        """
        productions = self._productions(name)
        renamed = self.grammar.by_name[name].productions
        if len(renamed) == 1 and isinstance(renamed[0], Symbol) and renamed[0].name in self.grammar.by_name:
            return self.kind(renamed[0].name)
        if name not in self.kind_sorts:
            self.kind_sorts[name] = self.grammar.by_name[name].sort
            costs = self.guide.costs(productions) if self.guide else [1] * len(productions)
            for production, cost in zip(productions, costs, strict=True):
                self._add(production, name, cost)
        return name

    @property
    def unit(self) -> float:
        """What an operator or a leaf costs on the average, where without a guide it is 1."""
        if self.guide is None:
            return 1.0
        costs = [leaf.cost for leaf in self.leaves] + [operator.cost for operator in self.operators]
        return max(1.0, sum(costs) / len(costs)) if costs else 1.0

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

    def _add(self, production: Term, kind: str, cost: int = 1) -> None:
        match production:
            case Literal(value=value):
                self.leaves.append(Constant(value, kind, cost))
            case AnyConstant(sort=sort):
                self.leaves += [Constant(value, kind, cost) for value in _constants(self.task, sort)]
            case Symbol(name=name):
                names = [parameter.name for parameter in self.task.signature.parameters]
                self.leaves.append(Variable(name, kind, names.index(name), cost))
            case Apply(operator=name, arguments=arguments):
                kinds = tuple(self._argument(argument) for argument in arguments)
                evaluate = self._evaluator(name, [self.kind_sorts[argument] for argument in kinds])
                commutes = name in COMMUTATIVE or name in bit_vector_operators.COMMUTATIVE
                commutative = commutes and len(kinds) == 2 and len(set(kinds)) == 1
                self.operators.append(
                    Operator(
                        name,
                        kinds,
                        kind,
                        evaluate,
                        cost + _LATER.get(name, 0),
                        commutative,
                        needs_last=NEEDS_LAST.get(name),
                    )
                )

    def _argument(self, argument: Term) -> str:
        """Give the kind of an argument; a term nested in a production gets a kind of its own."""
        if isinstance(argument, Symbol) and argument.name in self.grammar.by_name:
            return self.kind(argument.name)
        kind = to_sexpr(argument)
        if kind not in self.kind_sorts:
            named = {one.name: one.sort for one in self.grammar.nonterminals}
            self.kind_sorts[kind] = sort_of(argument, self.sorts | named)
            self._add(argument, kind)
        return kind

    def _evaluator(self, name: str, sorts: list[str]) -> Callable[..., Column]:
        """Give what evaluates an operator. Raises ``KeyError`` for one that is not searched."""
        if (name, len(sorts)) in OPERATORS:
            return OPERATORS[name, len(sorts)]
        widths = [width for sort in sorts if (width := bit_vector_width(sort)) is not None]
        found = None
        if len(widths) == len(sorts) and len(sorts) <= 2:
            found = bit_vector_operators.column_operator(name, widths)
        if found is None:
            raise KeyError(name)
        return found


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
    if width := bit_vector_width(sort):
        return sorted({number for number in (0, 1, 2, 3, (1 << width) - 1) if number < 1 << width})
    texts = [text for example in task.examples for text in (repr(example.input), repr(example.output))]
    common = set.intersection(*(set(text) for text in texts)) if texts else set()
    return ["", *sorted(character for character in common if not character.isalnum())]


def _size_limit(columns: Iterable[Iterable[Any]], width: int) -> Callable[[Column], bool]:
    """Say which columns are kept: those whose strings and integers are not far larger than the task's own.

    Bit-vectors, of up to ``width`` bits, have a size anyway.
    """
    longest, largest = 8, max(8, 1 << width)
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
