"""Reading, rounding and writing numbers."""

import decimal
import re
from decimal import Decimal


def read_number(text: str, place: int = 0) -> Decimal:
    """One of the numbers in a text, by its place; commas between its digits are for thousands."""
    numbers = re.findall(r"-?(?:[0-9][0-9,]*(?:[.][0-9]*)?|[.][0-9]+)", text)
    return Decimal(numbers[place].replace(",", ""))


def round_number(number: Decimal, step: str, mode: str) -> Decimal:
    """The multiple of a step that is nearest, or next in a direction."""
    return (number / Decimal(step)).to_integral_value(mode) * Decimal(step)


def write_number(
    number: Decimal,
    least: int = 0,
    most: int | None = None,
    digits: int = 1,
    comma: str = "",
    point: str = ".",
) -> str:
    """A number with so many decimals at least and at most, and so many digits before them at least."""
    if most is not None:
        number = round_number(number, f"1e-{most}", decimal.ROUND_HALF_UP)
    whole, _, decimals = f"{abs(number):,f}".partition(".")
    decimals = decimals.rstrip("0").ljust(least, "0")
    sign = "-" if number < 0 else ""
    return sign + whole.replace(",", comma).zfill(digits) + (point + decimals if decimals else "")
