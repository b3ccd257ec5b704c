"""The operators of SMT-LIB's theory of bit-vectors, on columns of unsigned integers, and as Python.

Source: SMT-LIB 2.6, theory ``FixedSizeBitVectors``, and the abbreviations of the logic QF_BV.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypotheses.search.language import Column

COMMUTATIVE = frozenset({"bvand", "bvor", "bvxor", "bvnand", "bvnor", "bvxnor", "bvadd", "bvmul", "bvcomp"})

HELPERS = {
    "bv_udiv": '''\
def bv_udiv(a, b, width):
    """Division of unsigned numbers; by zero it is all ones (SMT-LIB bvudiv)."""
    return a // b if b else (1 << width) - 1
''',
    "bv_urem": '''\
def bv_urem(a, b):
    """The remainder of unsigned numbers; by zero it is the number itself (SMT-LIB bvurem)."""
    return a % b if b else a
''',
    "bv_shl": '''\
def bv_shl(a, b, width):
    """Shift to the left; what leaves the width is lost (SMT-LIB bvshl)."""
    return (a << b) & ((1 << width) - 1) if b < width else 0
''',
    "bv_ashr": '''\
def bv_ashr(a, b, width):
    """Shift to the right, repeating the sign bit (SMT-LIB bvashr)."""
    return (bv_signed(a, width) >> min(b, width)) & ((1 << width) - 1)
''',
    "bv_signed": '''\
def bv_signed(a, width):
    """The number that bits write in two's complement."""
    return a - (1 << width) if a >> (width - 1) else a
''',
    "bv_sdiv": '''\
def bv_sdiv(a, b, width):
    """Division of signed numbers, towards zero (SMT-LIB bvsdiv)."""
    x, y = bv_signed(a, width), bv_signed(b, width)
    quotient = abs(x) // abs(y) if y else -1 if x >= 0 else 1
    return (-quotient if y and (x < 0) != (y < 0) else quotient) & ((1 << width) - 1)
''',
    "bv_srem": '''\
def bv_srem(a, b, width):
    """The remainder with the sign of the dividend (SMT-LIB bvsrem)."""
    x, y = bv_signed(a, width), bv_signed(b, width)
    remainder = abs(x) % abs(y) if y else abs(x)
    return (-remainder if x < 0 else remainder) & ((1 << width) - 1)
''',
    "bv_smod": '''\
def bv_smod(a, b, width):
    """The remainder with the sign of the divisor (SMT-LIB bvsmod)."""
    x, y = bv_signed(a, width), bv_signed(b, width)
    return (x % y if y else x) & ((1 << width) - 1)
''',
    "bv_rotate_left": '''\
def bv_rotate_left(a, distance, width):
    """Turn the bits round to the left (SMT-LIB rotate_left)."""
    return (a << distance | a >> (width - distance)) & ((1 << width) - 1)
''',
}
"""Functions with SMT-LIB's exact meaning, put before a program that needs them."""

NEEDS = dict.fromkeys(("bv_ashr", "bv_sdiv", "bv_srem", "bv_smod"), ("bv_signed",))
"""Which helpers a helper calls."""

_PLAIN = {
    "bvand": "_0 & _1",
    "bvor": "_0 | _1",
    "bvxor": "_0 ^ _1",
    "bvnot": "_0 ^ _mask",
    "bvneg": "-_0 & _mask",
    "bvnand": "(_0 & _1) ^ _mask",
    "bvnor": "(_0 | _1) ^ _mask",
    "bvxnor": "_0 ^ _1 ^ _mask",
    "bvadd": "_0 + _1 & _mask",
    "bvsub": "_0 - _1 & _mask",
    "bvmul": "_0 * _1 & _mask",
    "bvlshr": "_0 >> _1",
    "bvult": "_0 < _1",
    "bvule": "_0 <= _1",
    "bvugt": "_0 > _1",
    "bvuge": "_0 >= _1",
    "bvcomp": "int(_0 == _1)",
    "bvurem": "bv_urem(_0, _1)",
}
_WITH_WIDTH = {
    "bvudiv": "bv_udiv(_0, _1, {width})",
    "bvshl": "bv_shl(_0, _1, {width})",
    "bvashr": "bv_ashr(_0, _1, {width})",
    "bvsdiv": "bv_sdiv(_0, _1, {width})",
    "bvsrem": "bv_srem(_0, _1, {width})",
    "bvsmod": "bv_smod(_0, _1, {width})",
    "bvslt": "bv_signed(_0, {width}) < bv_signed(_1, {width})",
    "bvsle": "bv_signed(_0, {width}) <= bv_signed(_1, {width})",
    "bvsgt": "bv_signed(_0, {width}) > bv_signed(_1, {width})",
    "bvsge": "bv_signed(_0, {width}) >= bv_signed(_1, {width})",
}


def python_template(operator: str, widths: Sequence[int], shift: int | None = None) -> str | None:
    """Give an operator's Python, in which ``_mask`` stands for all ones; ``None`` where it is unknown.

    ``shift`` is the value of the second argument where that is a constant.
    """
    width = widths[0]
    if operator == "bvshl" and shift is not None and shift < width:
        return "_0 << _1 & _mask"
    if operator in _PLAIN:
        return _PLAIN[operator]
    if operator in _WITH_WIDTH:
        return _WITH_WIDTH[operator].format(width=width)
    name, indices = _indices(operator)
    match name, indices:
        case "concat", []:
            return f"_0 << {widths[1]} | _1" if len(widths) == 2 else None
        case "extract", [high, low]:
            shifted = f"_0 >> {low}" if low else "_0"
            return shifted if high == width - 1 else f"{shifted} & {(1 << high - low + 1) - 1}"
        case "zero_extend", [_]:
            return "_0"
        case "sign_extend", [more]:
            return f"bv_signed(_0, {width}) & {(1 << width + more) - 1}"
        case "rotate_left", [distance]:
            return f"bv_rotate_left(_0, {distance % width}, {width})"
        case "rotate_right", [distance]:
            return f"bv_rotate_left(_0, {-distance % width}, {width})"
    return None


def column_operator(operator: str, widths: Sequence[int]) -> Callable[..., Column] | None:
    """Give what evaluates an operator on columns of these widths; ``None`` where it is unknown."""
    width = widths[0]
    if python_template(operator, widths) is None:
        return None
    mask, top = (1 << width) - 1, 1 << (width - 1)
    if operator in _BITWISE:
        return _pairwise(_BITWISE[operator])
    if operator in _WRAPPING:
        return _wrapping(_WRAPPING[operator], mask)
    if operator in _SIGNED:
        return _signed(_SIGNED[operator], mask, top)
    if operator in _SIGNED_RELATIONS:
        # Flipping the sign bit orders two's complement as unsigned numbers are ordered.
        relation = _SIGNED_RELATIONS[operator]
        return lambda a, b: tuple([relation(x ^ top, y ^ top) for x, y in zip(a, b, strict=True)])
    return _others(operator, widths)


def _others(operator: str, widths: Sequence[int]) -> Callable[..., Column] | None:
    width = widths[0]
    mask, top = (1 << width) - 1, 1 << (width - 1)
    name, indices = _indices(operator)
    match name, indices:
        case "bvudiv", []:
            return lambda a, b: tuple([x // y if y else mask for x, y in zip(a, b, strict=True)])
        case "bvshl", []:
            return lambda a, b: tuple(
                [(x << y) & mask if y < width else 0 for x, y in zip(a, b, strict=True)]
            )
        case "bvlshr", []:
            return lambda a, b: tuple([x >> y if y < width else 0 for x, y in zip(a, b, strict=True)])
        case "bvashr", []:
            return lambda a, b: tuple(
                [((x ^ top) - top >> min(y, width)) & mask for x, y in zip(a, b, strict=True)]
            )
        case "concat", []:
            right = widths[1]
            return lambda a, b: tuple([x << right | y for x, y in zip(a, b, strict=True)])
        case "extract", [high, low]:
            part = (1 << high - low + 1) - 1
            return lambda a: tuple([x >> low & part for x in a])
        case "zero_extend", [_]:
            return lambda a: a
        case "sign_extend", [more]:
            wide = (1 << width + more) - 1
            return lambda a: tuple([(x ^ top) - top & wide for x in a])
        case "rotate_left" | "rotate_right", [distance]:
            left = (distance if name == "rotate_left" else -distance) % width
            return lambda a: tuple([(x << left | x >> width - left) & mask for x in a])
    return None


def _indices(operator: str) -> tuple[str, list[int]]:
    """Split ``(_ extract 7 0)`` into its name and its indices."""
    if not operator.startswith("(_ "):
        return operator, []
    name, *indices = operator[3:-1].split()
    return name, [int(index) for index in indices]


def _pairwise(function: Callable[[int, int], int]) -> Callable[..., Column]:
    return lambda a, b: tuple(map(function, a, b))


def _wrapping(function: Callable[..., int], mask: int) -> Callable[..., Column]:
    return lambda *columns: tuple([value & mask for value in map(function, *columns)])


def _signed(function: Callable[[int, int], int], mask: int, top: int) -> Callable[..., Column]:
    return lambda a, b: tuple(
        [function((x ^ top) - top, (y ^ top) - top) & mask for x, y in zip(a, b, strict=True)]
    )


def _quotient(x: int, y: int) -> int:
    if y == 0:
        return -1 if x >= 0 else 1
    return abs(x) // abs(y) if (x < 0) == (y < 0) else -(abs(x) // abs(y))


def _remainder(x: int, y: int) -> int:
    size = abs(x) % abs(y) if y else abs(x)
    return -size if x < 0 else size


_BITWISE: dict[str, Callable[[int, int], int]] = {
    "bvand": lambda x, y: x & y,
    "bvor": lambda x, y: x | y,
    "bvxor": lambda x, y: x ^ y,
    "bvurem": lambda x, y: x % y if y else x,
    "bvult": lambda x, y: x < y,
    "bvule": lambda x, y: x <= y,
    "bvugt": lambda x, y: x > y,
    "bvuge": lambda x, y: x >= y,
    "bvcomp": lambda x, y: int(x == y),
}
_WRAPPING: dict[str, Callable[..., int]] = {
    "bvnot": lambda x: ~x,
    "bvneg": lambda x: -x,
    "bvnand": lambda x, y: ~(x & y),
    "bvnor": lambda x, y: ~(x | y),
    "bvxnor": lambda x, y: ~(x ^ y),
    "bvadd": lambda x, y: x + y,
    "bvsub": lambda x, y: x - y,
    "bvmul": lambda x, y: x * y,
}
_SIGNED: dict[str, Callable[[int, int], int]] = {
    "bvsdiv": _quotient,
    "bvsrem": _remainder,
    "bvsmod": lambda x, y: x % y if y else x,
}
_SIGNED_RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "bvslt": lambda x, y: x < y,
    "bvsle": lambda x, y: x <= y,
    "bvsgt": lambda x, y: x > y,
    "bvsge": lambda x, y: x >= y,
}
