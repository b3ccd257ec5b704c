"""The operators of the language of lists of integers. A list is held as a tuple.

Every row pairs what evaluates an operator with the Python it is printed as; the two mean the same. Positions
are Python's: they count from 0, and negative ones from the end.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from math import prod

from hypotheses.search.language import choosing, joining, on_values

List = tuple[int, ...]

IMPORTS = {
    "accumulate": "from itertools import accumulate\n",
    "pairwise": "from itertools import pairwise\n",
    "prod": "from math import prod\n",
}
"""What the printed Python must import for such a name."""

MAX_LENGTH = 256
"""Lists longer than this are not built, whatever number an operator is given."""


def _moderate(length: int) -> int:
    if length > MAX_LENGTH:
        raise ValueError(f"a list of {length} elements is too long")
    return length


def _repeat(x: List, times: int) -> List:
    _moderate(len(x) * times)
    return x * times


def _range(start: int, stop: int) -> List:
    _moderate(stop - start)
    return tuple(range(start, stop))


def _count_down(start: int, stop: int) -> List:
    _moderate(start - stop)
    return tuple(range(start, stop, -1))


def _repeat_each(x: List, times: int) -> List:
    _moderate(len(x) * times)
    return tuple([item for item in x for _ in range(times)])


KINDS = ("list", "int", "bool")

_PARTS = (
    on_values("list -> int", lambda x: x[0], "_0[0]", "the first element of _0"),
    on_values("list -> int", lambda x: x[-1], "_0[-1]", "the last element of _0"),
    on_values("list int -> int", lambda x, i: x[i], "_0[_1]", "the _1th element of _0"),
    on_values(
        "list int int -> list",
        lambda x, i, j: x[i:j],
        "_0[_1:_2]",
        "_0 from position _1 up to before position _2",
    ),
    on_values("list int -> list", lambda x, n: x[:n], "_0[:_1]", "_0 up to before position _1"),
    on_values("list int -> list", lambda x, n: x[n:], "_0[_1:]", "_0 from position _1 on"),
    on_values(
        "list int -> list",
        lambda x, i: x[i : i + 1],
        "_0[_1:_1 + 1]",
        "a list of the _1th element of _0 alone",
        cost=2,
    ),
    on_values(
        "list int -> list",
        lambda x, n: x[::n],
        "_0[::_1]",
        "every element of _0 in steps of _1, from the first on",
    ),
    on_values(
        "list int -> list",
        lambda x, i: x[:i] + x[i + 1 :],
        "_0[:_1] + _0[_1 + 1:]",
        "_0 without its _1th element",
        cost=2,
    ),
    on_values(
        "list int int -> list",
        lambda x, i, v: (*x[:i], v, *x[i:]),
        "_0[:_1] + [_2] + _0[_1:]",
        "_0 with _2 inserted before position _1",
        cost=2,
    ),
    on_values(
        "list int int -> list",
        lambda x, i, v: (*x[:i], v, *x[i + 1 :]),
        "_0[:_1] + [_2] + _0[_1 + 1:]",
        "_0 with its _1th element replaced by _2",
        cost=2,
    ),
)

_ORDER = (
    on_values("list -> list", lambda x: x[::-1], "_0[::-1]", "_0 reversed"),
    on_values("list -> list", lambda x: tuple(sorted(x)), "sorted(_0)", "_0 sorted"),
    on_values(
        "list -> list",
        lambda x: tuple(sorted(x, reverse=True)),
        "sorted(_0, reverse=True)",
        "_0 sorted from the largest to the smallest",
    ),
    on_values(
        "list -> list",
        lambda x: tuple(dict.fromkeys(x)),
        "list(dict.fromkeys(_0))",
        "the distinct elements of _0 in order of first appearance",
    ),
)

_FILTERS = (
    on_values(
        "list -> list",
        lambda x: tuple([v for v in x if v % 2 == 0]),
        "[item for item in _0 if item % 2 == 0]",
        "the even elements of _0",
    ),
    on_values(
        "list -> list",
        lambda x: tuple([v for v in x if v % 2 == 1]),
        "[item for item in _0 if item % 2 == 1]",
        "the odd elements of _0",
    ),
    on_values(
        "list int -> list",
        lambda x, k: tuple([v for v in x if v > k]),
        "[item for item in _0 if item > _1]",
        "the elements of _0 greater than _1",
    ),
    on_values(
        "list int -> list",
        lambda x, k: tuple([v for v in x if v < k]),
        "[item for item in _0 if item < _1]",
        "the elements of _0 less than _1",
    ),
    on_values(
        "list int -> list",
        lambda x, k: tuple([v for v in x if v == k]),
        "[item for item in _0 if item == _1]",
        "the elements of _0 equal to _1",
    ),
    on_values(
        "list int -> list",
        lambda x, k: tuple([v for v in x if v != k]),
        "[item for item in _0 if item != _1]",
        "the elements of _0 other than _1",
    ),
    on_values(
        "list int -> list",
        lambda x, k: tuple([v for v in x if v % k == 0]),
        "[item for item in _0 if item % _1 == 0]",
        "the elements of _0 divisible by _1",
    ),
    on_values(
        "list int -> list",
        lambda x, k: tuple([v for v in x if x.count(v) == k]),
        "[item for item in _0 if _0.count(item) == _1]",
        "the elements of _0 that occur in it exactly _1 times",
        cost=2,
    ),
    on_values(
        "list int -> list",
        lambda x, k: tuple([v for v in x if x.count(v) > k]),
        "[item for item in _0 if _0.count(item) > _1]",
        "the elements of _0 that occur in it more than _1 times",
        cost=2,
    ),
    on_values(
        "list list -> list",
        lambda x, y: tuple([v for v in x if v in y]),
        "[item for item in _0 if item in _1]",
        "the elements of _0 that are in _1",
    ),
    on_values(
        "list list -> list",
        lambda x, y: tuple([v for v in x if v not in y]),
        "[item for item in _0 if item not in _1]",
        "the elements of _0 that are not in _1",
    ),
    on_values(
        "list -> list",
        lambda x: tuple([v for i, v in enumerate(x) if v > i]),
        "[item for index, item in enumerate(_0) if item > index]",
        "the elements of _0 greater than their position",
        cost=2,
    ),
    on_values(
        "list -> list",
        lambda x: tuple([v for i, v in enumerate(x) if v == i]),
        "[item for index, item in enumerate(_0) if item == index]",
        "the elements of _0 equal to their position",
        cost=2,
    ),
    on_values(
        "list -> list",
        lambda x: tuple([b for a, b in pairwise(x) if b > a]),
        "[b for a, b in pairwise(_0) if b > a]",
        "the elements of _0 greater than the one before them",
        cost=2,
    ),
)

_MAPS = (
    on_values(
        "list int -> list",
        lambda x, k: tuple([v + k for v in x]),
        "[item + _1 for item in _0]",
        "_0 with _1 added to each element",
    ),
    on_values(
        "list int -> list",
        lambda x, k: tuple([v - k for v in x]),
        "[item - _1 for item in _0]",
        "_0 with _1 subtracted from each element",
    ),
    on_values(
        "list int -> list",
        lambda x, k: tuple([k - v for v in x]),
        "[_1 - item for item in _0]",
        "_1 minus each element of _0",
    ),
    on_values(
        "list int -> list",
        lambda x, k: tuple([v * k for v in x]),
        "[item * _1 for item in _0]",
        "_0 with each element multiplied by _1",
    ),
    on_values(
        "list int -> list",
        lambda x, k: tuple([v // k for v in x]),
        "[item // _1 for item in _0]",
        "_0 with each element divided by _1 and rounded down",
    ),
    on_values(
        "list int -> list",
        lambda x, k: tuple([v % k for v in x]),
        "[item % _1 for item in _0]",
        "the remainders of the elements of _0 divided by _1",
    ),
    on_values(
        "list -> list",
        lambda x: tuple([-v for v in x]),
        "[-item for item in _0]",
        "_0 with each element negated",
    ),
    on_values(
        "list -> list",
        lambda x: tuple([abs(v) for v in x]),
        "[abs(item) for item in _0]",
        "the absolute values of the elements of _0",
    ),
    on_values(
        "list -> list",
        lambda x: tuple([v * v for v in x]),
        "[item * item for item in _0]",
        "the squares of the elements of _0",
    ),
    on_values(
        "list int -> list",
        lambda x, k: tuple([max(v, k) for v in x]),
        "[max(item, _1) for item in _0]",
        "_0 with each element raised to at least _1",
    ),
    on_values(
        "list int -> list",
        lambda x, k: tuple([min(v, k) for v in x]),
        "[min(item, _1) for item in _0]",
        "_0 with each element lowered to at most _1",
    ),
    on_values(
        "list -> list",
        lambda x: tuple([v + i for i, v in enumerate(x)]),
        "[item + index for index, item in enumerate(_0)]",
        "_0 with its position added to each element",
        cost=2,
    ),
    on_values(
        "list -> list",
        lambda x: tuple([v * i for i, v in enumerate(x)]),
        "[item * index for index, item in enumerate(_0)]",
        "_0 with each element multiplied by its position",
        cost=2,
    ),
    on_values(
        "list int int -> list",
        lambda x, a, b: tuple([b if v == a else v for v in x]),
        "[_2 if item == _1 else item for item in _0]",
        "_0 with every _1 replaced by _2",
        cost=2,
    ),
    on_values(
        "list -> list",
        lambda x: tuple([x.count(v) for v in x]),
        "[_0.count(item) for item in _0]",
        "how often each element of _0 occurs in it",
        cost=2,
    ),
    on_values(
        "list list -> list",
        lambda x, y: tuple([a + b for a, b in zip(x, y, strict=False)]),
        "[a + b for a, b in zip(_0, _1)]",
        "the sums of the elements of _0 and _1 pair by pair",
        cost=2,
    ),
    on_values(
        "list list -> list",
        lambda x, y: tuple([a - b for a, b in zip(x, y, strict=False)]),
        "[a - b for a, b in zip(_0, _1)]",
        "the differences of the elements of _0 and _1 pair by pair",
        cost=2,
    ),
    on_values(
        "list list -> list",
        lambda x, y: tuple([a * b for a, b in zip(x, y, strict=False)]),
        "[a * b for a, b in zip(_0, _1)]",
        "the products of the elements of _0 and _1 pair by pair",
        cost=2,
    ),
    on_values(
        "list list -> list",
        lambda x, y: tuple([v for pair in zip(x, y, strict=False) for v in pair]),
        "[item for pair in zip(_0, _1) for item in pair]",
        "the elements of _0 and _1 in turn",
        cost=2,
    ),
    on_values(
        "list -> list",
        lambda x: tuple([b - a for a, b in pairwise(x)]),
        "[b - a for a, b in pairwise(_0)]",
        "the differences between neighbours in _0",
        cost=2,
    ),
    on_values(
        "list -> list", lambda x: tuple(accumulate(x)), "list(accumulate(_0))", "the cumulative sums of _0"
    ),
    on_values(
        "list -> list",
        lambda x: tuple(accumulate(x, max)),
        "list(accumulate(_0, max))",
        "the running maxima of _0",
        cost=2,
    ),
)

_BUILDERS = (
    on_values("int -> list", lambda n: (n,), "[_0]", "a list of _0 alone"),
    on_values("list int -> list", _repeat, "_0 * _1", "_0 repeated _1 times", cost=2),
    on_values(
        "list int -> list",
        _repeat_each,
        "[item for item in _0 for index in range(_1)]",
        "_0 with each element repeated _1 times",
        cost=2,
    ),
    on_values(
        "list -> list",
        lambda x: tuple([v for v in x for _ in range(_moderate(v))]),
        "[item for item in _0 for index in range(item)]",
        "_0 with each element repeated as often as its value says",
        cost=2,
    ),
    on_values(
        "int int -> list", _range, "list(range(_0, _1))", "the integers from _0 up to before _1", cost=2
    ),
    on_values(
        "int int -> list",
        _count_down,
        "list(range(_0, _1, -1))",
        "the integers from _0 down to after _1",
        cost=3,
    ),
)

_SUMMARIES = (
    on_values("list -> int", len, "len(_0)", "the length of _0"),
    on_values("list -> int", sum, "sum(_0)", "the sum of _0"),
    on_values("list -> int", max, "max(_0)", "the largest element of _0"),
    on_values("list -> int", min, "min(_0)", "the smallest element of _0"),
    on_values("list -> int", prod, "prod(_0)", "the product of _0", cost=2),
    on_values("list int -> int", lambda x, k: x.count(k), "_0.count(_1)", "how often _1 occurs in _0"),
    on_values(
        "list int -> int", lambda x, k: x.index(k), "_0.index(_1)", "the position of the first _1 in _0"
    ),
    on_values(
        "list -> int",
        lambda x: max(x, key=x.count),
        "max(_0, key=_0.count)",
        "the most frequent element of _0",
        cost=2,
    ),
)

_NUMBERS = (
    on_values("int int -> int", lambda a, b: a * b, "_0 * _1", "_0 times _1", commutative=True),
    on_values("int int -> int", lambda a, b: a + b, "_0 + _1", "_0 plus _1", commutative=True),
    on_values("int int -> int", lambda a, b: a - b, "_0 - _1", "_0 minus _1"),
    on_values("int int -> int", lambda a, b: a // b, "_0 // _1", "_0 divided by _1 and rounded down"),
    on_values("int int -> int", lambda a, b: a % b, "_0 % _1", "the remainder of _0 divided by _1"),
    on_values("int int -> int", max, "max(_0, _1)", "the larger of _0 and _1", commutative=True),
    on_values("int int -> int", min, "min(_0, _1)", "the smaller of _0 and _1", commutative=True),
    on_values("int -> int", abs, "abs(_0)", "the absolute value of _0"),
)

_CONDITIONS = (
    on_values("int int -> bool", lambda a, b: a == b, "_0 == _1", "_0 equals _1", commutative=True),
    on_values("int int -> bool", lambda a, b: a < b, "_0 < _1", "_0 is less than _1"),
    on_values("int -> bool", lambda a: a % 2 == 0, "_0 % 2 == 0", "_0 is even"),
    on_values("int list -> bool", lambda a, x: a in x, "_0 in _1", "_0 is in _1"),
    on_values("list list -> bool", lambda x, y: x == y, "_0 == _1", "_0 equals _1", commutative=True),
    on_values("bool -> bool", lambda a: not a, "not _0", "it is not so that _0"),
    on_values("bool bool -> bool", lambda a, b: a and b, "_0 and _1", "both _0 and _1", commutative=True),
    on_values("bool bool -> bool", lambda a, b: a or b, "_0 or _1", "_0 or _1", commutative=True),
)

OPERATORS = (
    *_PARTS,
    *_ORDER,
    *_BUILDERS,
    *_FILTERS,
    *_MAPS,
    *_SUMMARIES,
    *_NUMBERS,
    *_CONDITIONS,
    joining("list"),
    *map(choosing, KINDS),
)
"""All operators of the language."""
