"""The language of all values: texts, numbers, lists of them, and what is done with each of their elements."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from hypotheses.search import lists, strings
from hypotheses.search.helpers import arithmetic, source_of
from hypotheses.search.language import Column, Constant
from hypotheses.search.value_operators import IMPORTS, KINDS, OPERATORS, SEQUENCES
from hypotheses.search.vocabulary import Vocabulary

MAX_LENGTH = 400
"""Longer texts and lists are not kept."""

MAX_SAMPLED = 32
"""In so many examples frequent texts are looked for."""

MAX_FREQUENT = 4
"""So many frequent texts of an argument become constants."""


def _constants(columns: Sequence[Column], outputs: Column) -> Iterator[Constant]:
    """Those of the languages of texts and lists, as far as their kinds are there, and a few of our own."""
    found: dict[tuple[str, Any], Constant] = {}
    texts = [column for column in columns if isinstance(column[0], str)]
    written = outputs if isinstance(outputs[0], str) else ("",) * len(outputs)
    numbers = outputs if _whole(outputs) else ((),) * len(outputs)
    for one in chain(lists.LISTS.constants(columns, numbers), strings.STRINGS.constants(texts, written)):
        found.setdefault((one.kind, one.value), one)
    words = [value for column in (*columns, outputs) for value in column if isinstance(value, tuple)]
    held = Counter(c for one in _texts(words) for c in sorted(set(one)) if not c.isalnum())
    for mark, _ in held.most_common(4):
        found.setdefault(("mark", mark), Constant(mark, "mark", 2))
    if texts or any(True for _ in _texts(words)):
        for text in (" ", "aeiou", "AEIOU", "aeiouAEIOU"):
            found.setdefault(("str", text), Constant(text, "str", 2))
    for truth in (True, False):
        found["bool", truth] = Constant(truth, "bool", 2)
    for column in texts:
        for text in _frequent(column):
            found.setdefault(("str", text), Constant(text, "str", 2))
    yield from found.values()


def _frequent(column: Column) -> list[str]:
    """Give the longest texts of two characters and more that two thirds of a column's texts hold."""
    held: Counter[str] = Counter()
    for text in column[:MAX_SAMPLED]:
        short = text[:MAX_LENGTH]
        held.update({short[i : i + n] for n in range(2, 8) for i in range(len(short) - n + 1)})
    shared = [text for text, times in held.items() if 3 * times >= 2 * min(len(column), MAX_SAMPLED)]
    longest = [one for one in shared if not any(one in other and one != other for other in shared)]
    return sorted(longest, key=lambda text: (-held[text], text))[:MAX_FREQUENT]


def _texts(values: Sequence[tuple[Any, ...]]) -> Iterator[str]:
    return (item for value in values for item in value if isinstance(item, str))


def _whole(column: Column) -> bool:
    """Whether a column holds whole numbers or lists of them."""
    return all(
        type(value) is int or (isinstance(value, tuple) and all(type(item) is int for item in value))
        for value in column
    )


def _limit(columns: Sequence[Column]) -> Callable[[Column], bool]:
    """Keep sequences at most twice as long as the task's own, and numbers up to ten times their square.

    Or of as many digits as there are elements in the longest of them.
    """
    values = list(chain.from_iterable(columns))
    sizes = [len(value) for value in values if isinstance(value, str | tuple)]
    longest = min(MAX_LENGTH, 2 * max([8, *sizes]))
    largest = 10 * max([10, *(math.ceil(abs(number)) for value in values for number in _numbers(value))]) ** 2
    largest = max(largest, 10 ** min(max(sizes, default=0), 30))

    def fits(column: Column) -> bool:
        first = column[0]
        if isinstance(first, str):
            return max(map(len, column)) <= longest
        if isinstance(first, tuple):
            items = list(chain.from_iterable(column))
            return max(map(len, column)) <= longest and (not items or fits(tuple(items)))
        return bool(-largest <= min(column) and max(column) <= largest)

    return fits


def _numbers(value: Any) -> Iterator[float]:
    """Give the finite numbers in a value of the language."""
    if isinstance(value, tuple):
        for item in value:
            yield from _numbers(item)
    elif type(value) is int or (type(value) is float and math.isfinite(value)):
        yield value


VALUES = Vocabulary(
    kinds=KINDS,
    operators=OPERATORS,
    constants=_constants,
    limit=_limit,
    sequences=SEQUENCES,
    imports=IMPORTS
    | dict.fromkeys(("divisors", "prime_factors", "is_prime", "fibonacci"), source_of(arithmetic)),
)
"""Strings, whole and decimal numbers, bools, and lists of whole numbers, of strings, and of such lists."""
