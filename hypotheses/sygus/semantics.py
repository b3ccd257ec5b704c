"""What a SyGuS term means, written from the standard alone.

The search has its own, faster operators; this evaluator shares no code with them, so that it can judge them.

Source: SMT-LIB 2.6, theories Core, Ints, UnicodeStrings and FixedSizeBitVectors, with the logic QF_BV's
abbreviations. Every function is total. The standard leaves integer division by zero open; here
``(div x 0)`` is 0 and ``(mod x 0)`` is x, as in the solver cvc5. Values are bounded in size, since a short
term can have one that fills the memory.
"""

from __future__ import annotations

import operator as python
from functools import reduce
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

from hypotheses.sygus.bit_vectors import apply_bit_vector
from hypotheses.sygus.grammar import AnyConstant, Apply, Grammar, Literal, Symbol, Term, brief
from hypotheses.sygus.sexpr import LARGEST_CODE_POINT
from hypotheses.sygus.sorts import bit_vector_sort
from hypotheses.sygus.terms import bit_vector_width

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Value = bool | int | str
"""A value of sort ``Bool``, ``Int`` or ``(_ BitVec w)`` (unsigned), or ``String``."""

LONGEST_STRING = 100_000
"""The most characters of a string that an operator builds."""

LARGEST_PRODUCT = 16_384
"""The most bits of a product, about as many as Python converts to decimal digits."""


def evaluate(term: Term, environment: Mapping[str, Value], sorts: Mapping[str, str] | None = None) -> Value:
    """Evaluate a well-sorted term (see ``sort_of``) where its variables have the values of ``environment``.

    ``sorts`` are the variables' sorts, needed only for bit-vectors, whose values do not tell their width.
    Raises ``ValueError`` for a variable without a value, an unsupported operator, a string or product beyond
    ``LONGEST_STRING`` or ``LARGEST_PRODUCT``, and integers of more decimal digits than Python converts
    (``sys.get_int_max_str_digits``).
    """
    return _evaluate(term, environment, sorts or {})[0]


def _evaluate(
    term: Term, environment: Mapping[str, Value], sorts: Mapping[str, str]
) -> tuple[Value, int | None]:
    """The value of a term and, where it is a bit-vector, its width."""
    match term:
        case Literal(value=value, sort=sort):
            return value, bit_vector_width(sort)
        case Symbol(name=name):
            if name not in environment:
                raise ValueError(f"{name} has no value")
            return environment[name], bit_vector_width(sorts.get(name, ""))
        case Apply(operator=name, arguments=arguments):
            found = [_evaluate(argument, environment, sorts) for argument in arguments]
            values = [value for value, _ in found]
            if name in _FUNCTIONS:
                return _FUNCTIONS[name](*values), found[-1][1] if name == "ite" else None
            widths = [width for _, width in found if width is not None]
            result = bit_vector_sort(name, widths) if len(widths) == len(values) else None
            if result is None:
                raise ValueError(f"operator {name} is not supported for {brief(term)}")
            return apply_bit_vector(name, [int(value) for value in values], widths), bit_vector_width(result)
        case AnyConstant():
            raise ValueError("(Constant sort) stands for many constants and has no value")
    raise TypeError(f"not a term: {term!r}")


def is_term_of(term: Term, grammar: Grammar) -> bool:
    """Say whether ``grammar`` derives ``term`` from its start symbol."""
    return grammar.nonterminals[0].name in _Derivations(grammar).of(term)


class _Derivations:
    """Which non-terminals derive a term, worked out from the leaves upwards."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._found: dict[Term, frozenset[str]] = {}

    def of(self, term: Term) -> frozenset[str]:
        if term not in self._found:
            self._found[term] = self._derive(term)
        return self._found[term]

    def _derive(self, term: Term) -> frozenset[str]:
        rules = [(n.name, p) for n in self._grammar.nonterminals for p in n.productions]
        names = {name for name, production in rules if self._fits(production, term)}
        chains = [
            (name, p.name) for name, p in rules if isinstance(p, Symbol) and p.name in self._grammar.by_name
        ]
        while more := {name for name, derived in chains if derived in names} - names:
            names |= more
        return frozenset(names)

    def _fits(self, production: Term, term: Term) -> bool:
        """Whether the production derives the term in more than a renaming of non-terminals."""
        match production, term:
            case AnyConstant(sort=sort), Literal(sort=found):
                return sort == found
            case Apply(operator=wanted, arguments=parts), Apply(operator=found, arguments=arguments):
                return (
                    wanted == found
                    and len(parts) == len(arguments)
                    and all(map(self._derives, parts, arguments))
                )
            case Apply(operator="-", arguments=(part,)), Literal(value=int() as value, sort="Int") if (
                value < 0
            ):
                return self._derives(part, Literal(-value, "Int"))  # (- 1) is read as a literal
            case Symbol(name=name), _ if name in self._grammar.by_name:
                return False
        return production == term

    def _derives(self, part: Term, term: Term) -> bool:
        if isinstance(part, Symbol) and part.name in self._grammar.by_name:
            return part.name in self.of(term)
        return self._fits(part, term)


def _left_associative(function: Callable[..., Value]) -> Callable[..., Value]:
    return lambda *values: reduce(function, values)


def _chainable(relation: Callable[..., bool]) -> Callable[..., bool]:
    return lambda *values: all(relation(left, right) for left, right in pairwise(values))


def _distinct(*values: Value) -> bool:
    return len(set(values)) == len(values)


def _implies(*values: bool) -> bool:
    return values[-1] or not all(values[:-1])


def _subtract(first: int, *others: int) -> int:
    return first - sum(others) if others else -first


def _multiply(*factors: int) -> int:
    if sum(factor.bit_length() for factor in factors) > LARGEST_PRODUCT:
        raise ValueError(f"a product may have more than {LARGEST_PRODUCT} bits")
    return prod(factors)


def _div(dividend: int, divisor: int) -> int:
    """Round so that the remainder is never negative."""
    if divisor == 0:
        return 0
    return dividend // divisor if divisor > 0 else -(dividend // -divisor)


def _mod(dividend: int, divisor: int) -> int:
    return dividend % abs(divisor) if divisor else dividend


def _at(text: str, position: int) -> str:
    return _substr(text, position, 1)


def _substr(text: str, start: int, length: int) -> str:
    if not 0 <= start < len(text) or length <= 0:
        return ""
    return text[start : start + length]


def _index_of(text: str, part: str, start: int) -> int:
    return text.find(part, start) if 0 <= start <= len(text) else -1


def _concatenate(*parts: str) -> str:
    _check_length(sum(map(len, parts)))
    return "".join(parts)


def _replace(text: str, part: str, by: str) -> str:
    _check_length(len(text) + len(by))
    return text.replace(part, by, 1)


def _replace_all(text: str, part: str, by: str) -> str:
    if not part:
        return text
    _check_length(len(text) + text.count(part) * (len(by) - len(part)))
    return text.replace(part, by)


def _check_length(length: int) -> None:
    """Refuse to build a long string, before it is built."""
    if length > LONGEST_STRING:
        raise ValueError(f"a string of up to {length} characters; at most {LONGEST_STRING} are supported")


def _from_int(number: int) -> str:
    return str(number) if number >= 0 else ""


def _to_int(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else -1


def _to_code(text: str) -> int:
    return ord(text) if len(text) == 1 else -1


def _from_code(code: int) -> str:
    return chr(code) if 0 <= code <= LARGEST_CODE_POINT else ""


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "=": _chainable(python.eq),
    "distinct": _distinct,
    "ite": lambda condition, then, otherwise: then if condition else otherwise,
    "not": python.not_,
    "and": lambda *values: all(values),
    "or": lambda *values: any(values),
    "xor": _left_associative(python.ne),
    "=>": _implies,
    "+": lambda *values: sum(values),
    "-": _subtract,
    "*": _multiply,
    "div": _left_associative(_div),
    "mod": _mod,
    "abs": abs,
    "<": _chainable(python.lt),
    "<=": _chainable(python.le),
    ">": _chainable(python.gt),
    ">=": _chainable(python.ge),
    "str.++": _concatenate,
    "str.len": len,
    "str.at": _at,
    "str.substr": _substr,
    "str.prefixof": lambda part, text: text.startswith(part),
    "str.suffixof": lambda part, text: text.endswith(part),
    "str.contains": lambda text, part: part in text,
    "str.indexof": _index_of,
    "str.replace": _replace,
    "str.replace_all": _replace_all,
    "str.from_int": _from_int,
    "str.to_int": _to_int,
    "str.<": _chainable(python.lt),  # Python, too, compares code points
    "str.<=": _chainable(python.le),
    "str.is_digit": lambda text: len(text) == 1 and text in "0123456789",
    "str.to_code": _to_code,
    "str.from_code": _from_code,
}
