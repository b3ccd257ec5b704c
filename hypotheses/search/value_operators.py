"""The operators that the language of all values adds to those of strings and lists.

Texts are lists of strings, and tables lists of lists. Every row pairs what evaluates an operator with the
Python it is printed as; the two mean the same.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

from hypotheses.search import list_operators, string_operators
from hypotheses.search.helpers import arithmetic
from hypotheses.search.language import Operator, choosing, joining, on_values

KINDS = ("str", "list", "texts", "lists", "int", "float", "bool")

SEQUENCES = ("str", "list", "texts", "lists")

ELEMENTS = {"str": "str", "list": "int", "texts": "str", "lists": "list"}
"""The kind of the elements of a sequence."""

IMPORTS = {
    **list_operators.IMPORTS,
    **string_operators.IMPORTS,
    "combinations": "from itertools import combinations\n",
    "math": "import math\n",
}
"""What the printed Python must import for such a name; helpers come apart from these."""

MAX_LENGTH = 256
"""Sequences longer than this are not built, whatever number an operator is given."""

MAX_FACTORED = 1_000_000
"""Larger numbers are not taken apart into their divisors and prime factors, for it takes too long."""

MAX_BITS = 2_000
"""Powers of more bits than this are not computed."""


def _times(x: Any, times: int) -> Any:
    if len(x) * times > MAX_LENGTH:
        raise ValueError(f"a sequence of {len(x)} times {times} elements is too long")
    return x * times


def _power(base: int, exponent: int) -> int:
    if exponent < 0 or max(abs(base), 1).bit_length() * exponent > MAX_BITS:
        raise ValueError(f"{base} ** {exponent} is no moderate whole number")
    return int(base**exponent)


def _factorial(number: int) -> int:
    if number > 50:
        raise ValueError(f"the factorial of {number} is too large")
    return math.factorial(number)


def _flat(rows: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    return tuple([number for row in rows for number in row])


def _character(number: int) -> str:
    if not 0 <= number < 0xD800:
        raise ValueError(f"no character has the code {number}")
    return chr(number)


def _code(text: str) -> int:
    if len(text) != 1:
        raise ValueError(f"{text!r} is not one character")
    return ord(text)


def _number(text: str, base: int) -> int:
    if not 2 <= base <= 36:
        raise ValueError(f"{base} is no base")
    return int(text, base)


def _moderate(number: int) -> int:
    if number > MAX_FACTORED:
        raise ValueError(f"{number} is too large to be taken apart")
    return number


def _fibonacci(place: int) -> int:
    if place > 300:
        raise ValueError(f"the Fibonacci number at {place} is too large")
    return arithmetic.fibonacci(place)


@lru_cache(1 << 14)
def _divisors(number: int) -> tuple[int, ...]:
    return tuple(arithmetic.divisors(_moderate(number)))


@lru_cache(1 << 14)
def _prime_factors(number: int) -> tuple[int, ...]:
    return tuple(arithmetic.prime_factors(_moderate(number)))


def _quotient(x: float, y: float) -> float:
    return x / y


def _rounded(x: float, digits: int) -> float:
    if not -6 <= digits <= 12:
        raise ValueError(f"{digits} are no decimals to round to")
    return round(x, digits)


_TEXT = (
    on_values("str -> str", str.swapcase, "_0.swapcase()", "_0 with upper and lower case swapped", cost=2),
    on_values("str -> str", lambda x: "".join(sorted(x)), "''.join(sorted(_0))", "_0 sorted", cost=2),
    on_values(
        "str -> str",
        lambda x: "".join(dict.fromkeys(x)),
        "''.join(dict.fromkeys(_0))",
        "the distinct characters of _0 in order of first appearance",
        cost=2,
    ),
    on_values(
        "str str -> str", lambda x, y: x.replace(y, ""), "_0.replace(_1, '')", "_0 without every _1", cost=2
    ),
    on_values(
        "str str str -> str",
        lambda x, y, z: x.replace(y, z),
        "_0.replace(_1, _2)",
        "_0 with every _1 replaced by _2",
        cost=3,
    ),
    on_values("str int -> str", _times, "_0 * _1", "_0 repeated _1 times", cost=2),
    on_values("str int -> str", lambda x, n: x[::n], "_0[::_1]", "every _1-th character of _0", cost=2),
    on_values(
        "str str -> str",
        lambda x, y: "".join([c for c in x if c in y]),
        "''.join([char for char in _0 if char in _1])",
        "the characters of _0 that are in _1",
        cost=3,
    ),
    on_values(
        "str str -> str",
        lambda x, y: "".join([c for c in x if c not in y]),
        "''.join([char for char in _0 if char not in _1])",
        "the characters of _0 that are not in _1",
        cost=3,
    ),
    on_values(
        "int -> str", lambda n: f"{n:,}", "format(_0, ',')", "_0 with commas between thousands", cost=3
    ),
    on_values("int -> str", lambda n: f"{n:b}", "format(_0, 'b')", "_0 in binary digits", cost=3),
    on_values("int -> str", lambda n: f"{n:x}", "format(_0, 'x')", "_0 in hexadecimal digits", cost=4),
    on_values("int -> str", _character, "chr(_0)", "the character of code _0", cost=3),
    on_values("str -> int", _code, "ord(_0)", "the code of _0", cost=2),
    on_values("str int -> int", _number, "int(_0, _1)", "_0 as a number of base _1", cost=4),
    on_values("str str -> int", str.count, "_0.count(_1)", "how often _1 occurs in _0", cost=2),
    on_values("str str -> int", str.index, "_0.index(_1)", "the position of the first _1 in _0", cost=2),
    on_values("str -> bool", str.islower, "_0.islower()", "_0 is in lower case", cost=2),
    on_values("str -> bool", str.isspace, "_0.isspace()", "_0 is blank", cost=3),
    on_values("str -> bool", str.isalnum, "_0.isalnum()", "_0 is letters and digits only", cost=3),
)

_TEXTS = (
    on_values("str -> texts", lambda x: tuple(x.split()), "_0.split()", "the words of _0"),
    on_values(
        "str mark -> texts", lambda x, m: tuple(x.split(m)), "_0.split(_1)", "the parts of _0 between _1"
    ),
    on_values("str -> texts", tuple, "list(_0)", "the characters of _0", cost=2),
    on_values("texts str -> str", lambda x, m: m.join(x), "_1.join(_0)", "_0 joined by _1"),
    on_values(
        "list -> texts",
        lambda x: tuple(map(str, x)),
        "[str(number) for number in _0]",
        "the elements of _0 in digits",
        cost=2,
    ),
    on_values(
        "texts -> list",
        lambda x: tuple(map(int, x)),
        "[int(text) for text in _0]",
        "the elements of _0 as numbers",
        cost=2,
    ),
    on_values(
        "texts -> texts", lambda x: tuple(sorted(x, key=len)), "sorted(_0, key=len)", "_0 sorted by length"
    ),
    on_values("texts str -> int", lambda x, m: x.count(m), "_0.count(_1)", "how often _1 is in _0", cost=2),
    on_values("texts -> str", "".join, "''.join(_0)", "_0 joined"),
    on_values(
        "texts -> texts",
        lambda x: tuple(sorted(x, reverse=True)),
        "sorted(_0, reverse=True)",
        "_0 sorted backwards",
        cost=2,
    ),
    on_values("texts -> str", lambda x: max(x, key=len), "max(_0, key=len)", "the longest of _0"),
    on_values("texts -> str", lambda x: min(x, key=len), "min(_0, key=len)", "the shortest of _0"),
)

_NUMBERS = (
    on_values(
        "int -> list",
        lambda n: tuple(map(int, str(abs(n)))),
        "[int(digit) for digit in str(abs(_0))]",
        "the digits of _0",
        cost=2,
    ),
    on_values(
        "list -> int",
        lambda x: int("".join(map(str, x))),
        "int(''.join([str(number) for number in _0]))",
        "the number that the elements of _0 make when written side by side",
        cost=3,
    ),
    on_values(
        "str -> list",
        lambda x: tuple([int(one) for one in re.findall("[0-9]+", x)]),
        "[int(number) for number in re.findall('[0-9]+', _0)]",
        "the numbers in _0",
        cost=2,
    ),
    on_values(
        "str -> list",
        lambda x: tuple([int(c) for c in x if c in "0123456789"]),
        "[int(char) for char in _0 if char in '0123456789']",
        "the digits in _0",
        cost=3,
    ),
    on_values("int int -> int", _power, "_0 ** _1", "_0 to the power of _1", cost=2),
    on_values(
        "int int -> int",
        math.gcd,
        "math.gcd(_0, _1)",
        "the greatest common divisor of _0 and _1",
        cost=2,
        commutative=True,
    ),
    on_values(
        "int int -> int",
        math.lcm,
        "math.lcm(_0, _1)",
        "the least common multiple of _0 and _1",
        cost=3,
        commutative=True,
    ),
    on_values("int -> int", math.isqrt, "math.isqrt(_0)", "the root of _0, rounded down", cost=3),
    on_values("int -> int", _factorial, "math.factorial(_0)", "the factorial of _0", cost=3),
    on_values("int -> int", int.bit_count, "_0.bit_count()", "the number of ones in _0 in binary", cost=4),
    on_values("int int -> int", lambda a, b: a ^ b, "_0 ^ _1", "_0 xor _1", cost=3, commutative=True),
    on_values(
        "int int -> int", lambda a, b: a & b, "_0 & _1", "_0 and _1, bit by bit", cost=4, commutative=True
    ),
    on_values(
        "int int -> int", lambda a, b: a | b, "_0 | _1", "_0 or _1, bit by bit", cost=4, commutative=True
    ),
    on_values("int -> list", _divisors, "divisors(_0)", "the divisors of _0", cost=3),
    on_values(
        "int -> list",
        _prime_factors,
        "prime_factors(_0)",
        "the prime factors of _0",
        cost=3,
    ),
    on_values(
        "int -> bool", lambda n: arithmetic.is_prime(_moderate(n)), "is_prime(_0)", "_0 is prime", cost=3
    ),
    on_values("int -> int", _fibonacci, "fibonacci(_0)", "the _0-th Fibonacci number", cost=4),
    on_values("int -> bool", lambda n: n % 2 == 1, "_0 % 2 == 1", "_0 is odd", cost=2),
)

_FLOATS = (
    on_values("int -> float", lambda n: n, "_0", "_0"),
    on_values("int int -> float", _quotient, "_0 / _1", "_0 divided by _1", cost=2),
    on_values("float float -> float", lambda a, b: a + b, "_0 + _1", "_0 plus _1", commutative=True),
    on_values("float float -> float", lambda a, b: a - b, "_0 - _1", "_0 minus _1"),
    on_values("float float -> float", lambda a, b: a * b, "_0 * _1", "_0 times _1", commutative=True),
    on_values("float float -> float", _quotient, "_0 / _1", "_0 divided by _1"),
    on_values("float float -> float", min, "min(_0, _1)", "the smaller of _0 and _1"),
    on_values("float float -> float", max, "max(_0, _1)", "the larger of _0 and _1"),
    on_values("float -> float", abs, "abs(_0)", "the absolute value of _0"),
    on_values("float -> float", lambda a: -a, "-_0", "_0 negated"),
    on_values("float int -> float", _rounded, "round(_0, _1)", "_0 rounded to _1 decimals"),
    on_values("float -> int", round, "round(_0)", "_0 rounded", cost=2),
    on_values("float -> int", math.floor, "math.floor(_0)", "_0 rounded down", cost=2),
    on_values("float -> int", math.ceil, "math.ceil(_0)", "_0 rounded up", cost=2),
    on_values("float float -> bool", lambda a, b: a < b, "_0 < _1", "_0 is less than _1"),
    on_values("str -> float", float, "float(_0)", "_0 as a number", cost=2),
    on_values("float -> str", str, "str(_0)", "_0 in digits", cost=3),
    on_values(
        "float -> str", lambda x: f"{x:,}", "format(_0, ',')", "_0 with commas between thousands", cost=3
    ),
)

_TABLES = (
    on_values("lists -> list", _flat, "[number for row in _0 for number in row]", "_0 flattened", cost=2),
    on_values(
        "lists -> lists",
        lambda x: tuple(zip(*x, strict=False)),
        "[list(column) for column in zip(*_0)]",
        "_0 with rows and columns swapped",
        cost=2,
    ),
)


def _of_sequences(kind: str) -> tuple[Operator, ...]:
    """Give what texts and tables can do as every list can."""
    element = ELEMENTS[kind]
    return (
        on_values(f"{kind} -> {element}", lambda x: x[0], "_0[0]", "the first of _0"),
        on_values(f"{kind} -> {element}", lambda x: x[-1], "_0[-1]", "the last of _0"),
        on_values(f"{kind} int -> {element}", lambda x, i: x[i], "_0[_1]", "the _1th of _0"),
        on_values(f"{kind} int -> {kind}", lambda x, n: x[:n], "_0[:_1]", "_0 up to before position _1"),
        on_values(f"{kind} int -> {kind}", lambda x, n: x[n:], "_0[_1:]", "_0 from position _1 on"),
        on_values(f"{kind} int -> {kind}", lambda x, n: x[::n], "_0[::_1]", "every _1-th of _0", cost=2),
        on_values(f"{kind} -> {kind}", lambda x: x[::-1], "_0[::-1]", "_0 reversed"),
        on_values(f"{kind} -> {kind}", lambda x: tuple(sorted(x)), "sorted(_0)", "_0 sorted"),
        on_values(f"{kind} -> int", len, "len(_0)", "the length of _0"),
        joining(kind),
    )


def _once(operators: tuple[Operator, ...]) -> tuple[Operator, ...]:
    """Leave out operators that were there before: the two languages share those of numbers."""
    return tuple({(one.name, one.arguments, one.result): one for one in operators}.values())


OPERATORS = _once(
    (
        *list_operators.OPERATORS,
        *string_operators.OPERATORS,
        *(*_TEXT, *_TEXTS, *_NUMBERS, *_FLOATS, *_TABLES),
        *(*_of_sequences("texts"), *_of_sequences("lists")),
        *map(choosing, ("texts", "lists", "float")),
    )
)
"""All operators of the language."""
