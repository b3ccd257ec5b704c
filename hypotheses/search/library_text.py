"""A library as JSON, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from hypotheses.search.abstraction import Abstraction, Rule, hole, is_well_kinded, rule_of
from hypotheses.search.language import Call, Column, Constant, Expression, Operator, Variable, walk
from sandboxes.values import decode, encode


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Hole(_Strict):
    hole: int = Field(ge=0)
    kind: str


class _Constant(_Strict):
    constant: JsonValue
    kind: str


class _Call(_Strict):
    operator: str
    arguments: list[_Call | _Constant | _Hole]
    takes: list[str]
    result: str


class _Abstraction(_Strict):
    name: str
    body: _Call
    uses: int = Field(ge=0)
    compression: float = Field(ge=0, allow_inf_nan=False)


class _Count(_Strict):
    form: Literal["variable", "constant", "operator"]
    kind: str
    name: str = ""
    takes: list[str] = []
    uses: int = Field(ge=0)


class _Library(_Strict):
    abstractions: list[_Abstraction]
    counts: list[_Count]


def write(abstractions: Iterable[Abstraction], counts: Mapping[Rule, int]) -> str:
    """Write a library's parts as JSON."""
    stored = _Library(
        abstractions=[
            _Abstraction(name=one.name, body=_call(one.body), uses=one.uses, compression=one.compression)
            for one in abstractions
        ],
        counts=[
            _Count(form=rule.form, kind=rule.kind, name=rule.name, takes=list(rule.arguments), uses=uses)
            for rule, uses in counts.items()
        ],
    )
    return stored.model_dump_json()


def read(
    text: str | bytes, operators: Iterable[Operator] = ()
) -> tuple[tuple[Abstraction, ...], dict[Rule, int]]:
    """Read a library's parts; operators that are not among ``operators`` are but names.

    Raises ``ValueError`` for what is no library.
    """
    known = {rule_of(operator): operator for operator in operators}
    try:
        stored = _Library.model_validate_json(text)
        abstractions = tuple(_abstraction(one, known) for one in stored.abstractions)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the text"
        raise ValueError(f"not a library of abstractions: {place}: {first['msg']}") from None
    except ValueError as error:
        raise ValueError(f"not a library of abstractions: {error}") from None
    counts = {Rule(one.form, one.kind, one.name, tuple(one.takes)): one.uses for one in stored.counts}
    return abstractions, counts


def _call(call: Call) -> _Call:
    operator = call.operator
    return _Call(
        operator=operator.name,
        arguments=[_part(argument) for argument in call.arguments],
        takes=list(operator.arguments),
        result=operator.result,
    )


def _part(expression: Expression) -> _Call | _Constant | _Hole:
    match expression:
        case Variable(kind=kind, position=position):
            return _Hole(hole=position, kind=kind)
        case Constant(value=value, kind=kind):
            return _Constant(constant=encode(value), kind=kind)
        case Call():
            return _call(expression)


def _abstraction(stored: _Abstraction, known: Mapping[Rule, Operator]) -> Abstraction:
    body = _call_of(stored.body, known)
    holes = {part for part in walk(body) if isinstance(part, Variable)}
    if not is_well_kinded(body):
        raise ValueError(f"{stored.name} gives an operator an argument of another kind than it takes")
    if not holes or sorted(one.position for one in holes) != list(range(len(holes))):
        raise ValueError(f"{stored.name} needs holes 0, 1 and so on, each of one kind")
    return Abstraction(stored.name, body, stored.uses, stored.compression)


def _expression(stored: _Call | _Constant | _Hole, known: Mapping[Rule, Operator]) -> Expression:
    match stored:
        case _Hole():
            return hole(stored.hole, stored.kind)
        case _Constant():
            value = decode(stored.constant)
            try:
                hash(value)
            except TypeError:
                raise ValueError(f"{json.dumps(stored.constant)} is no constant of a language") from None
            return Constant(value, stored.kind)
        case _Call():
            return _call_of(stored, known)


def _call_of(stored: _Call, known: Mapping[Rule, Operator]) -> Call:
    rule = Rule("operator", stored.result, stored.operator, tuple(stored.takes))
    arguments = tuple(_expression(argument, known) for argument in stored.arguments)
    return Call(known.get(rule) or _by_name(rule), arguments)


def _by_name(rule: Rule) -> Operator:
    """Give an operator that cannot be evaluated before a language is extended that has it."""

    def evaluate(*_: Column) -> Column:
        raise TypeError(
            f"operator {rule.name} is known by name alone: give it to Library.from_json, "
            "or extend a language that has it"
        )

    return Operator(rule.name, rule.arguments, rule.kind, evaluate)
