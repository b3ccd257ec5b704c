"""A library, or one solution, as JSON, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from hypotheses.search.abstraction import Abstraction, Rule, hole, is_well_kinded, rule_of
from hypotheses.search.comprehensions import Comprehension, comprehend
from hypotheses.search.language import Call, Column, Constant, Expression, Operator, Variable, walk
from sandboxes.values import decode, encode

_MOST_USES = 10**12
"""Larger counts are none of ours, and no number of a float's."""


_MOST_PARTS = 40
"""So many parts the body of a loop or of an abstraction has at most."""

_MOST_REPEATED = 12
_MOST_ABSTRACTIONS = 100


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Hole(_Strict):
    hole: int = Field(ge=0)
    kind: str


class _Constant(_Strict):
    constant: JsonValue
    kind: str


class _Loop(_Strict):
    """What makes a comprehension: the loop, its ending with the kind of its body, and the body."""

    over: str
    ending: tuple[str, str]
    sequences: int = Field(ge=1, le=2)
    body: _Call | _Constant | _Hole


class _Call(_Strict):
    operator: str
    arguments: list[_Call | _Constant | _Hole]
    takes: list[str]
    result: str
    loop: _Loop | None = None


class _Term(_Strict):
    term: _Call | _Constant | _Hole


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
    uses: int = Field(ge=0, le=_MOST_USES)


class _Library(_Strict):
    abstractions: list[_Abstraction] = Field(max_length=_MOST_ABSTRACTIONS)
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

    def find(rule: Rule) -> Operator:
        return known.get(rule) or _by_name(rule)

    try:
        stored = _Library.model_validate_json(text)
        abstractions = tuple(_abstraction(one, find) for one in stored.abstractions)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the text"
        raise ValueError(f"not a library of abstractions: {place}: {first['msg']}") from None
    except (ValueError, LookupError, RecursionError) as error:
        raise ValueError(f"not a library of abstractions: {error}") from None
    counts = {Rule(one.form, one.kind, one.name, tuple(one.takes)): one.uses for one in stored.counts}
    return abstractions, counts


def write_term(expression: Expression) -> str:
    """Write a solution as JSON; its variables are known by their positions alone."""
    return _Term(term=_part(expression)).model_dump_json(exclude_none=True)


def read_term(text: str | bytes, operators: Mapping[Rule, Operator]) -> Expression:
    """Read what ``write_term`` wrote, over these operators; its variables are holes.

    Raises ``LookupError`` where an operator is missing, ``ValueError`` for what is no term.
    """
    return _read_term(text, operators.__getitem__)


def read_expression(text: str | bytes) -> Expression:
    """Read what ``write_term`` wrote, to learn from: its operators are but names.

    Raises ``ValueError`` for what is no term.
    """
    try:
        return _read_term(text, _by_name)
    except LookupError as error:
        raise ValueError(f"not a term: {error}") from None


def _read_term(text: str | bytes, find: Callable[[Rule], Operator]) -> Expression:
    try:
        found = _expression(_Term.model_validate_json(text).term, find)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"not a term: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except RecursionError:
        raise ValueError("not a term: it is nested too deeply") from None
    if not is_well_kinded(found):
        raise ValueError("not a term: an operator is given an argument of another kind than it takes")
    return found


def _call(call: Call) -> _Call:
    operator, loop = call.operator, None
    if isinstance(operator, Comprehension):
        loop = _Loop(
            over=operator.loop.iterable,
            ending=(operator.ending.name, operator.ending.body),
            sequences=operator.sequences,
            body=_part(operator.body),
        )
    return _Call(
        loop=loop,
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


def _abstraction(stored: _Abstraction, find: Callable[[Rule], Operator]) -> Abstraction:
    body = _call_of(stored.body, find)
    parts = list(walk(body))
    if len(parts) > _MOST_PARTS or len(parts) - len(set(parts)) > _MOST_REPEATED:
        raise ValueError(f"{stored.name} has more than {_MOST_PARTS} parts, or too many that are the same")
    holes = {part for part in walk(body) if isinstance(part, Variable)}
    if not is_well_kinded(body):
        raise ValueError(f"{stored.name} gives an operator an argument of another kind than it takes")
    if not holes or sorted(one.position for one in holes) != list(range(len(holes))):
        raise ValueError(f"{stored.name} needs holes 0, 1 and so on, each of one kind")
    return Abstraction(stored.name, body, stored.uses, stored.compression)


def _expression(stored: _Call | _Constant | _Hole, find: Callable[[Rule], Operator]) -> Expression:
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
            return _call_of(stored, find)


def _call_of(stored: _Call, find: Callable[[Rule], Operator]) -> Call:
    rule = Rule("operator", stored.result, stored.operator, tuple(stored.takes))
    arguments = tuple(_expression(argument, find) for argument in stored.arguments)
    if (loop := stored.loop) is not None:
        body, kinds = _expression(loop.body, find), stored.takes[: loop.sequences]
        if any(isinstance(part, Call) and isinstance(part.operator, Comprehension) for part in walk(body)):
            raise ValueError("a loop in the body of a loop is none of the search's")
        if not is_well_kinded(body) or sum(1 for _ in walk(body)) > _MOST_PARTS:
            raise ValueError("the body of a loop does not fit together, or is too large")
        if all(part.operator.python for part in walk(body) if isinstance(part, Call)):
            return comprehend(kinds, loop.over, loop.ending, body, arguments)
    return Call(find(rule), arguments)


def _by_name(rule: Rule) -> Operator:
    """Give an operator that cannot be evaluated before a language is extended that has it."""

    def evaluate(*_: Column) -> Column:
        raise TypeError(
            f"operator {rule.name} is known by name alone: give it to Library.from_json, "
            "or extend a language that has it"
        )

    return Operator(rule.name, rule.arguments, rule.kind, evaluate)
