"""How much memory a search takes up: estimated as it goes, so that it can end before its limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from itertools import chain
from sys import getsizeof
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

SAMPLED = 64
"""One stored expression in so many is measured."""

ALLOCATION = 1.15
"""How much larger than Python's objects is what they make a process grow by; measured."""

MEGABYTE = 1 << 20

T = TypeVar("T")


class Holder(Protocol):
    """What stores expressions.

    ``size`` estimates the bytes it takes up, ``ahead`` those that it may take up besides until it is looked
    at again.
    """

    @property
    def size(self) -> float: ...

    @property
    def ahead(self) -> float: ...


class Storage:
    """What the parts of one search store together, up to ``limit`` bytes; ``None`` is no limit.

    A part that is no longer in use counts no more.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self._holders: WeakSet[Holder] = WeakSet()

    def add(self, holder: Holder) -> None:
        """Count a holder in."""
        self._holders.add(holder)

    @property
    def used(self) -> float:
        """How many bytes are taken up."""
        return ALLOCATION * sum(holder.size for holder in self._holders)

    @property
    def full(self) -> bool:
        """Whether another step could exceed the limit."""
        if self.limit is None or not self._holders:
            return False
        return self.used + ALLOCATION * max(holder.ahead for holder in self._holders) > self.limit

    def charged(self, steps: Iterator[T]) -> Iterator[T]:
        """Go through ``steps``; every holder that they make counts in here, however deep inside an engine."""
        while True:
            token = _CHARGED.set(self)
            try:
                step = next(steps)
            except StopIteration:
                return
            finally:
                _CHARGED.reset(token)
            yield step


_CHARGED: ContextVar[Storage | None] = ContextVar("_CHARGED", default=None)


def charge(holder: Holder) -> None:
    """Count a holder in with the storage that is charged here, if any."""
    storage = _CHARGED.get()
    if storage is not None:
        storage.add(holder)


def size_of_new(values: Iterable[Any], given: Sequence[Iterable[Any]] = ()) -> int:
    """Give the bytes of ``values``, without those that the columns of ``given`` hold already."""
    known = {id(part) for value in chain.from_iterable(given) for part in _parts(value)}
    return sum(
        getsizeof(part)
        for value in values
        if id(value) not in known
        for part in _parts(value)
        if id(part) not in known and not _shared(part)
    )


def _parts(value: Any) -> Iterator[Any]:
    """Yield a value and, where it is a list, everything in it."""
    yield value
    if isinstance(value, tuple):
        for item in value:
            yield from _parts(item)


def _shared(value: Any) -> bool:
    """Whether Python keeps one object for all such values: small numbers, truth values, single characters."""
    if isinstance(value, int):
        return -5 <= value <= 256
    return len(value) <= 1 if isinstance(value, str) else value == ()
