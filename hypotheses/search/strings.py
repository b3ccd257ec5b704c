"""The language of strings: what a spreadsheet's user asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from hypotheses.search.language import Column, Constant
from hypotheses.search.string_operators import IMPORTS, KINDS, OPERATORS
from hypotheses.search.vocabulary import Vocabulary

MAX_MARKS = 8
"""How many separators are taken from a task."""

MAX_SHARED = 40
"""How many characters of an output are searched for texts that all outputs share."""

MAX_TEXTS = 6
"""How many texts that all outputs share are taken from a task."""


def _constants(columns: Sequence[Column], outputs: Column) -> Iterator[Constant]:
    """Separators found in the arguments, texts that the outputs share, and small integers."""
    for number in (0, 1, 2, 3, -1, -2):
        yield Constant(number, "int")
    for number in (4, 5, 6, 7, 8, 10):
        yield Constant(number, "int", 2)
    for mark in _marks(columns, outputs):
        yield Constant(mark, "mark")
    yield Constant("", "str")
    for text in _classes(columns):
        yield Constant(text, "str", 2)
    if isinstance(outputs[0], str):
        for text in (*_shared_texts(outputs), *_classes([outputs])):
            yield Constant(text, "str", 1 if len(text) == 1 else 2)


def _marks(columns: Sequence[Column], outputs: Column) -> list[str]:
    """The characters, no letters or digits, of half the texts in some column, frequent ones first."""
    frequency: Counter[str] = Counter()
    for column in (*columns, outputs):
        if isinstance(column[0], str):
            held = Counter(c for text in column for c in set(text) if not c.isalnum())
            frequency.update({c: times for c, times in held.items() if 2 * times >= len(column)})
    return sorted(frequency, key=lambda mark: (-frequency[mark], mark))[:MAX_MARKS]


def _shared_texts(outputs: Sequence[str]) -> list[str]:
    """The longest texts that occur in every output, and the punctuation that does."""
    shortest = min(outputs, key=len)[:MAX_SHARED]
    found: list[str] = []
    for length in range(len(shortest), 0, -1):
        for start in range(len(shortest) - length + 1):
            text = shortest[start : start + length]
            if all(text in output for output in outputs) and not any(text in longer for longer in found):
                found.append(text)
    punctuation = {c for c in shortest if not c.isalnum() and all(c in output for output in outputs)}
    return list(dict.fromkeys([*found[:MAX_TEXTS], *sorted(punctuation)]))


def _classes(columns: Sequence[Column]) -> list[str]:
    """The texts that recur in a column, where it holds few different ones: names of classes."""
    found: list[str] = []
    for column in columns:
        times = Counter(value for value in column if isinstance(value, str) and value)
        if 2 * len(times) <= len(column):
            found += sorted(value for value in times if times[value] > 1)
    return list(dict.fromkeys(found))[:MAX_TEXTS]


def _limit(columns: Sequence[Column]) -> Callable[[Column], bool]:
    """Keep strings at most twice as long as the task's own, and integers of no more digits than that."""
    values = list(chain.from_iterable(columns))
    longest = 2 * max([8, *(len(value) for value in values if isinstance(value, str))])
    largest = 10 ** min(longest, 18)

    def fits(column: Column) -> bool:
        if isinstance(column[0], str):
            return max(map(len, column)) <= longest
        return bool(-largest <= min(column) and max(column) <= largest)

    return fits


STRINGS = Vocabulary(
    kinds=KINDS,
    operators=OPERATORS,
    constants=_constants,
    limit=_limit,
    sequences=("str",),
    imports=IMPORTS,
)
"""Strings, integers and bools."""
