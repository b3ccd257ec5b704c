"""The language of lists of integers: picking, ordering, filtering, mapping, counting.

Functions of elements are fixed templates ("the elements greater than …"), so expressions are first-order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from hypotheses.search.language import Column, Constant
from hypotheses.search.list_operators import IMPORTS, KINDS, MAX_LENGTH, OPERATORS
from hypotheses.search.vocabulary import Vocabulary


def _constants(_: Sequence[Column], outputs: Column) -> Iterator[Constant]:
    """Small integers, integers that most outputs hold, and lists that every output begins or ends with."""
    costs = dict.fromkeys((0, 1, 2, 3), 1) | dict.fromkeys((-1, *range(4, 11)), 2)
    held = Counter(number for output in outputs for number in set(_numbers(output)))
    for number in sorted(number for number, times in held.items() if 2 * times > len(outputs)):
        costs.setdefault(number, 2)
    for number, cost in costs.items():
        yield Constant(number, "int", cost)
    yield Constant((), "list")
    if isinstance(outputs[0], tuple):
        ends = {_common_prefix(outputs), _common_prefix([output[::-1] for output in outputs])[::-1]}
        for items in sorted(ends - {()}):
            yield Constant(items, "list", 2)


def _numbers(value: Any) -> tuple[int, ...]:
    """Give the integers in a value of the language."""
    if isinstance(value, tuple):
        return value
    return () if isinstance(value, bool) else (value,)


def _common_prefix(lists: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    length = 0
    for items in zip(*lists, strict=False):
        if len(set(items)) > 1:
            break
        length += 1
    return lists[0][:length]


def _limit(columns: Sequence[Column]) -> Callable[[Column], bool]:
    """Keep lists at most twice as long as the task's own, and integers up to ten times their square."""
    values = list(chain.from_iterable(columns))
    longest = max([8, *(len(value) for value in values if isinstance(value, tuple))])
    largest = max([10, *(abs(number) for value in values for number in _numbers(value))])
    longest, largest = min(2 * longest, MAX_LENGTH), 10 * largest * largest

    def fits(column: Column) -> bool:
        if isinstance(column[0], tuple):
            return max(map(len, column)) <= longest and all(
                -largest <= min(items) and max(items) <= largest for items in column if items
            )
        return bool(-largest <= min(column) and max(column) <= largest)

    return fits


LISTS = Vocabulary(
    kinds=KINDS,
    operators=OPERATORS,
    constants=_constants,
    limit=_limit,
    sequences=("list",),
    imports=IMPORTS,
)
"""Lists of integers, integers and bools."""
