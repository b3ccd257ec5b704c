"""Bit-vector arithmetic on unsigned integers.

Source: SMT-LIB 2.6, theory FixedSizeBitVectors, and the abbreviations of the logic QF_BV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def apply_bit_vector(operator: str, values: Sequence[int], widths: Sequence[int]) -> int:
    """Apply an operator, with its indices where it has any, to arguments that fit it (see ``sort_of``).

    A bit-vector's value is that of its bits read as an unsigned number; a comparison gives a ``bool``.
    Raises ``ValueError`` for an unsupported operator.
    """
    width = widths[0]
    if operator.startswith("(_ "):
        name, *indices = operator[3:-1].split()
        return _indexed(name, [int(index) for index in indices], values[0], width)
    if operator in _RELATIONS:
        return _RELATIONS[operator](*values)
    if operator in _UNSIGNED:
        return _UNSIGNED[operator](*values) % (1 << width)
    signed = [_signed(value, width) for value in values]
    if operator in _SIGNED_RELATIONS:
        return _SIGNED_RELATIONS[operator](*signed)
    if operator in _SIGNED:
        return _SIGNED[operator](*signed) % (1 << width)
    match operator:
        case "concat":
            return _concat(values, widths)
        case "bvcomp":
            return int(values[0] == values[1])
        case "bvudiv":
            return values[0] // values[1] if values[1] else (1 << width) - 1
        case "bvshl":
            return (values[0] << min(values[1], width)) % (1 << width)
        case "bvlshr":
            return values[0] >> min(values[1], width)
        case "bvashr":
            return (signed[0] >> min(values[1], width)) % (1 << width)
    raise ValueError(f"operator {operator} is not supported")


def _indexed(name: str, indices: Sequence[int], value: int, width: int) -> int:
    match name:
        case "extract":
            high, low = indices
            return (value >> low) % (1 << high - low + 1)
        case "zero_extend":
            return value
        case "sign_extend":
            return _signed(value, width) % (1 << width + indices[0])
        case "rotate_left":
            return _rotate_left(value, indices[0], width)
        case "rotate_right":
            return _rotate_left(value, -indices[0], width)
        case "repeat":
            return sum(value << width * place for place in range(indices[0]))
    raise ValueError(f"operator (_ {name} …) is not supported")


def _concat(values: Sequence[int], widths: Sequence[int]) -> int:
    joined = 0
    for value, width in zip(values, widths, strict=True):
        joined = joined << width | value
    return joined


def _signed(value: int, width: int) -> int:
    return value - (1 << width) if value >> (width - 1) else value


def _rotate_left(value: int, distance: int, width: int) -> int:
    distance %= width
    return (value << distance | value >> (width - distance)) % (1 << width)


def _sdiv(dividend: int, divisor: int) -> int:
    if divisor == 0:
        return 1 if dividend < 0 else -1
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


def _srem(dividend: int, divisor: int) -> int:
    """Remainder with the sign of the dividend."""
    if divisor == 0:
        return dividend
    remainder = abs(dividend) % abs(divisor)
    return -remainder if dividend < 0 else remainder


def _smod(dividend: int, divisor: int) -> int:
    """Remainder with the sign of the divisor."""
    return dividend % divisor if divisor else dividend


_UNSIGNED: dict[str, Callable[..., int]] = {
    "bvnot": lambda x: ~x,
    "bvneg": lambda x: -x,
    "bvand": lambda x, y: x & y,
    "bvor": lambda x, y: x | y,
    "bvxor": lambda x, y: x ^ y,
    "bvnand": lambda x, y: ~(x & y),
    "bvnor": lambda x, y: ~(x | y),
    "bvxnor": lambda x, y: ~(x ^ y),
    "bvadd": lambda x, y: x + y,
    "bvsub": lambda x, y: x - y,
    "bvmul": lambda x, y: x * y,
    "bvurem": lambda x, y: x % y if y else x,
}
_SIGNED: dict[str, Callable[..., int]] = {"bvsdiv": _sdiv, "bvsrem": _srem, "bvsmod": _smod}
_RELATIONS: dict[str, Callable[..., bool]] = {
    "bvult": lambda x, y: x < y,
    "bvule": lambda x, y: x <= y,
    "bvugt": lambda x, y: x > y,
    "bvuge": lambda x, y: x >= y,
}
_SIGNED_RELATIONS: dict[str, Callable[..., bool]] = {
    "bvslt": lambda x, y: x < y,
    "bvsle": lambda x, y: x <= y,
    "bvsgt": lambda x, y: x > y,
    "bvsge": lambda x, y: x >= y,
}
