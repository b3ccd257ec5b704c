"""Several searches for one task, taking turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from hypotheses.search.language import Expression, Problem


class Searcher(Protocol):
    """What searches for expressions that solve ``problem``, in steps.

    ``terms`` counts the work, ``exhausted`` says at the end that there is nothing left to try, and
    ``pending`` is a solution that still waits for a cheaper one.
    """

    @property
    def problem(self) -> Problem: ...

    @property
    def terms(self) -> int: ...

    @property
    def exhausted(self) -> bool: ...

    @property
    def pending(self) -> Expression | None: ...

    def steps(self) -> Iterator[Expression | None]:
        """Yield solutions, and ``None`` after every other slice of work."""
        ...


class Interleaved:
    """Searchers that take turns, so that each has done as much work; the first has ``head_start`` terms more.

    Where the first has a solution that waits for a cheaper one, the others wait, too. After a solution,
    ``problem`` is that of the searcher that found it.
    """

    def __init__(self, searchers: Sequence[Searcher], head_start: int) -> None:
        self._searchers = list(searchers)
        self._head_start = head_start
        self._last = searchers[0]

    @property
    def problem(self) -> Problem:
        """That of the searcher that found something last."""
        return self._last.problem

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing left to try for any of them."""
        return all(searcher.exhausted for searcher in self._searchers)

    @property
    def terms(self) -> int:
        """The work of all together."""
        return sum(searcher.terms for searcher in self._searchers)

    @property
    def pending(self) -> Expression | None:
        """A solution that one of them still holds back."""
        for searcher in self._searchers:
            if searcher.pending is not None:
                self._last = searcher
                return searcher.pending
        return None

    def steps(self) -> Iterator[Expression | None]:
        """Yield solutions, and ``None`` after every other slice of work."""
        running = {place: searcher.steps() for place, searcher in enumerate(self._searchers)}
        while running:
            waits = 0 in running and self._searchers[0].pending is not None
            place = 0 if waits else min(running, key=self._work)
            try:
                found = next(running[place])
            except StopIteration:
                del running[place]
                continue
            if found is not None:
                self._last = self._searchers[place]
            yield found

    def _work(self, place: int) -> int:
        return self._searchers[place].terms - (0 if place else self._head_start)
