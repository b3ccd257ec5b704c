"""Numbers in a text: read, scaled, rounded, and written another way.

Which number it is, by what it is multiplied and how it is rounded are tried in order of cost; how the result
is written is read off the outputs, and then checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hypotheses.search.helpers import numbers as helper
from hypotheses.search.helpers import source_of
from hypotheses.search.language import (
    UNDEFINED,
    Call,
    Column,
    Constant,
    Expression,
    Operator,
    Problem,
    Variable,
    evaluate,
    holds,
    joining,
    on_values,
)
from hypotheses.search.vocabulary import Vocabulary

SCALES = ("1", "100", "1000", "0.001", "0.01", "10", "0.1", "1000000", "0.000001", "-1")
STEPS = ("1", "0.5", "5", "10", "100", "1000", "0.25", "0.1", "0.01", "0.05", "25", "50", "20", "500")
MODES = ("ROUND_HALF_UP", "ROUND_FLOOR", "ROUND_CEILING", "ROUND_DOWN", "ROUND_HALF_EVEN")
MAX_READ = 10_000
"""Longer texts are not read."""

MAX_EXAMPLES = 20
"""What is found on so many examples is then tried on all."""

_PLACES = (0, 1, -1)
_STYLES = ((",", "."), (".", ","), (" ", "."), ("'", "."))
"""What separates thousands and decimals."""

_NUMBER = re.compile(r"-?[0-9](?:[0-9., ']*[0-9])?|-?[.,][0-9]+")

READ = on_values("str int -> number", helper.read_number, "read_number(_0, _1)", "the _1th number in _0")
SCALE = on_values("number str -> number", lambda x, k: x * Decimal(k), "_0 * Decimal(_1)", "_0 times _1")
ROUND = {
    mode: on_values(
        "number str -> number",
        lambda x, step, mode=mode: helper.round_number(x, step, mode),
        f"round_number(_0, _1, {mode!r})",
        f"_0 {phrase} _1",
    )
    for mode, phrase in zip(
        MODES,
        (
            "rounded to a multiple of",
            "rounded down to a multiple of",
            "rounded up to a multiple of",
            "cut off to a multiple of",
            "rounded, halves to even, to a multiple of",
        ),
        strict=True,
    )
}
JOIN = joining("str")

NUMBERS = Vocabulary(
    kinds=("str",),
    operators=(),
    constants=lambda _columns, _outputs: (),
    limit=lambda _: lambda _: True,
    sequences=("str",),
    locals=("read_number", "round_number", "write_number", "decimal", "Decimal", "re"),
    imports={"read_number": source_of(helper)},
)
"""How tasks whose values are texts are put, and how what is found is printed."""


@dataclass(frozen=True, slots=True)
class _Written:
    """The outputs, taken apart in one style: what is around the numbers, and the numbers' own texts."""

    before: str
    after: str
    texts: tuple[str, ...]
    comma: str
    point: str

    @property
    def values(self) -> tuple[Decimal, ...]:
        return tuple([Decimal(text.replace(self.comma, "").replace(self.point, ".")) for text in self.texts])

    @property
    def decimals(self) -> list[str]:
        return [text.partition(self.point)[2] for text in self.texts]


class NumberEngine:
    """Searches for a way to write the outputs of ``problem`` as numbers that are in its inputs.

    ``terms`` counts the columns of numbers tried; ``exhausted`` is set at the end.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._rows, self._outputs = problem.rows[:MAX_EXAMPLES], problem.outputs[:MAX_EXAMPLES]
        self.terms = 0
        self.exhausted = False
        self.pending: Expression | None = None

    def steps(self) -> Iterator[Expression | None]:
        """Yield the cheapest solution, if there is one, and ``None`` in between."""
        short = all(len(text) <= MAX_READ for row in self._rows for text in row)
        styles = [style for style in _taken_apart(self._outputs) if short and not self._copied(style.texts)]
        if styles:
            best: tuple[int, Expression] | None = None
            for cost, expression, column in self._numbers():
                for style in styles:
                    if best is not None and cost >= best[0]:
                        continue
                    writer = _writer(style, column)
                    if writer is not None:
                        best = (cost, _around(style, Call(writer, (expression,))))
                yield None
            if best is not None and holds(best[1], self.problem):
                yield best[1]
        self.exhausted = True

    def _copied(self, texts: Sequence[str]) -> bool:
        """Whether each number stands in its input as it is: then it may be none at all, but a code."""
        return all(
            any(isinstance(value, str) and text in value for value in row)
            for row, text in zip(self._rows, texts, strict=True)
        )

    def _numbers(self) -> Iterator[tuple[int, Expression, Column]]:
        """Yield columns of numbers with their costs: as they are read, scaled, and rounded."""
        variables = [leaf for leaf in self.problem.language.leaves if isinstance(leaf, Variable)]
        for variable in variables:
            for far, place in enumerate(_PLACES):
                read = Call(READ, (variable, Constant(place, "int")))
                for near, scale in enumerate(SCALES):
                    scaled = read if scale == "1" else Call(SCALE, (read, Constant(scale, "str")))
                    cost = 40 * far + (20 + near if scale != "1" else 0)
                    if (column := self._column(scaled)) is None:
                        break
                    yield cost, scaled, column
                    for worse, mode in enumerate(MODES):
                        for rarer, step in enumerate(STEPS):
                            rounded = Call(ROUND[mode], (scaled, Constant(step, "str")))
                            if (column := self._column(rounded)) is not None:
                                yield cost + 15 + 15 * worse + rarer, rounded, column

    def _column(self, expression: Expression) -> Column | None:
        self.terms += 1
        try:
            return evaluate(expression, self._rows)
        except UNDEFINED:
            return None


def _taken_apart(outputs: Column) -> Iterator[_Written]:
    """Yield the ways to read the outputs as one number each, with the same text around it."""
    found = [list(_NUMBER.finditer(output)) for output in outputs]
    if any(len(numbers) != 1 for numbers in found):
        return
    numbers = [one[0] for one in found]
    around = {(output[: n.start()], output[n.end() :]) for output, n in zip(outputs, numbers, strict=True)}
    if len(around) != 1:
        return
    before, after = around.pop()
    texts = tuple([number[0] for number in numbers])
    for comma, point in _STYLES:
        grouped = re.compile(
            rf"-?(?:[0-9]*|[0-9]{{1,3}}(?:{re.escape(comma)}[0-9]{{3}})+)(?:{re.escape(point)}[0-9]+)?"
        )
        if all(grouped.fullmatch(text) for text in texts):
            yield _Written(before, after, texts, comma, point)


def _writer(style: _Written, column: Column) -> Operator | None:
    """Give what writes the numbers of ``column`` as the outputs are written; ``None`` where nothing does."""
    decimals = style.decimals
    longest = max(map(len, decimals))
    exact = tuple(column) == style.values
    padded = [len(one) for one in decimals if one.endswith("0")]
    fixed = len({len(one) for one in decimals}) == 1
    least = longest if fixed else max(padded, default=0)
    most = None if exact and not fixed else longest
    whole = [text.lstrip("-").partition(style.point)[0] for text in style.texts]
    digits = max([len(one) for one in whole if one.startswith("0") and len(one) > 1], default=1)
    options: dict[str, Any] = {}
    if least:
        options["least"] = least
    if most is not None:
        options["most"] = most
    if digits != 1:
        options["digits"] = digits
    if any(style.comma in one for one in whole):
        options["comma"] = style.comma
    if style.point != "." and longest:
        options["point"] = style.point
    write = helper.write_number
    try:
        written = [write(number, **options) for number in column]
    except UNDEFINED:
        return None
    if tuple(written) != style.texts:
        return None
    given = "".join(f", {name}={value!r}" for name, value in options.items())
    words = _in_words(options)
    return on_values(
        "number -> str", lambda number: write(number, **options), f"write_number(_0{given})", f"_0{words}"
    )


def _in_words(options: dict[str, Any]) -> str:
    least, most = options.get("least", 0), options.get("most")
    words = []
    if least == most and most is not None:
        words.append(f"{most} decimals")
    else:
        words += [f"at least {least} decimals"] if least else []
        words += [f"at most {most} decimals"] if most is not None else []
    if "digits" in options:
        words.append(f"{options['digits']} digits before them")
    if "comma" in options:
        words.append(f"{options['comma']!r} between thousands")
    if "point" in options:
        words.append(f"{options['point']!r} before the decimals")
    return f" with {', '.join(words)}" if words else ""


def _around(style: _Written, number: Expression) -> Expression:
    """Put the text around a number."""
    whole = number
    if style.after:
        whole = Call(JOIN, (whole, Constant(style.after, "str")))
    if style.before:
        whole = Call(JOIN, (Constant(style.before, "str"), whole))
    return whole
