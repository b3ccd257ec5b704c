"""The operators of SMT-LIB's theories of strings, integers and Booleans, on columns of values.

Source: SMT-LIB, theories ``Strings`` (2020), ``Ints`` and ``Core``.
"""

from __future__ import annotations

import operator as op
from collections.abc import Callable
from typing import Any

from hypotheses.search.language import Column


def _concat(a: Column, b: Column) -> Column:
    return tuple(map(op.add, a, b))


def _length(a: Column) -> Column:
    return tuple(map(len, a))


def _at(a: Column, i: Column) -> Column:
    return tuple([s[k] if 0 <= k < len(s) else "" for s, k in zip(a, i, strict=True)])


def _substr(a: Column, i: Column, n: Column) -> Column:
    return tuple([s[k : k + m] if k >= 0 and m > 0 else "" for s, k, m in zip(a, i, n, strict=True)])


def _replace(a: Column, old: Column, new: Column) -> Column:
    return tuple([s.replace(o, n, 1) for s, o, n in zip(a, old, new, strict=True)])


def _replace_all(a: Column, old: Column, new: Column) -> Column:
    return tuple([s.replace(o, n) if o else s for s, o, n in zip(a, old, new, strict=True)])


def _indexof(a: Column, part: Column, i: Column) -> Column:
    return tuple([s.find(p, k) if k >= 0 else -1 for s, p, k in zip(a, part, i, strict=True)])


def _from_int(a: Column) -> Column:
    return tuple([str(n) if n >= 0 else "" for n in a])


def _to_int(a: Column) -> Column:
    return tuple([int(s) if s.isdigit() and s.isascii() else -1 for s in a])


def _divide(a: Column, b: Column) -> Column:
    """Division whose remainder is never negative; by zero, which the standard leaves open, it is 0."""
    return tuple([0 if y == 0 else x // y if y > 0 else -(x // -y) for x, y in zip(a, b, strict=True)])


def _modulo(a: Column, b: Column) -> Column:
    return tuple([x % abs(y) if y else x for x, y in zip(a, b, strict=True)])


def _choose(condition: Column, yes: Column, no: Column) -> Column:
    return tuple([y if c else n for c, y, n in zip(condition, yes, no, strict=True)])


def _binary(function: Callable[[Any, Any], Any]) -> Callable[[Column, Column], Column]:
    def evaluate(a: Column, b: Column) -> Column:
        return tuple(map(function, a, b))

    return evaluate


def _unary(function: Callable[[Any], Any]) -> Callable[[Column], Column]:
    def evaluate(a: Column) -> Column:
        return tuple(map(function, a))

    return evaluate


COMMUTATIVE = frozenset({"+", "*", "=", "distinct", "and", "or", "xor"})

OPERATORS: dict[tuple[str, int], Callable[..., Column]] = {
    ("str.++", 2): _concat,
    ("str.len", 1): _length,
    ("str.at", 2): _at,
    ("str.substr", 3): _substr,
    ("str.replace", 3): _replace,
    ("str.replace_all", 3): _replace_all,
    ("str.indexof", 3): _indexof,
    ("str.prefixof", 2): _binary(lambda part, s: s.startswith(part)),
    ("str.suffixof", 2): _binary(lambda part, s: s.endswith(part)),
    ("str.contains", 2): _binary(op.contains),
    ("str.<", 2): _binary(op.lt),
    ("str.<=", 2): _binary(op.le),
    ("str.from_int", 1): _from_int,
    ("str.to_int", 1): _to_int,
    ("str.is_digit", 1): _unary(lambda s: len(s) == 1 and "0" <= s <= "9"),
    ("+", 2): _binary(op.add),
    ("-", 2): _binary(op.sub),
    ("-", 1): _unary(op.neg),
    ("*", 2): _binary(op.mul),
    ("div", 2): _divide,
    ("mod", 2): _modulo,
    ("abs", 1): _unary(abs),
    ("<", 2): _binary(op.lt),
    ("<=", 2): _binary(op.le),
    (">", 2): _binary(op.gt),
    (">=", 2): _binary(op.ge),
    ("=", 2): _binary(op.eq),
    ("distinct", 2): _binary(op.ne),
    ("not", 1): _unary(op.not_),
    ("and", 2): _binary(lambda a, b: a and b),
    ("or", 2): _binary(lambda a, b: a or b),
    ("xor", 2): _binary(op.ne),
    ("=>", 2): _binary(lambda a, b: not a or b),
    ("ite", 3): _choose,
}
"""What evaluates an operator, by its name and number of arguments."""


def _occurs(a: Column, part: Column) -> bool:
    return any(map(op.contains, a, part))


def _starts_inside(a: Column, i: Column) -> bool:
    return any(0 <= k < len(s) for s, k in zip(a, i, strict=True))


def _not_all(condition: Column, _: Column) -> bool:
    return not all(condition)


NEEDS_LAST: dict[str, Callable[[Column, Column], bool]] = {
    "str.replace": _occurs,
    "str.indexof": _occurs,
    "str.substr": _starts_inside,
    "ite": _not_all,
}
"""Whether the last of three arguments matters, by the first two."""
