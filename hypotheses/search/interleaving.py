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
    """Searchers that take turns, so that each has done as much work.

    First each does ``opening`` terms; then the first goes ahead by ``head_start`` terms more. Where it has a
    solution that waits for a cheaper one, the others wait, too. ``problem`` is that of the searcher that
    found something last, or holds something back.
    """

    def __init__(self, searchers: Sequence[Searcher], opening: int, head_start: int) -> None:
        self._searchers = list(searchers)
        self._opening = opening
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
        return self._last.pending

    def steps(self) -> Iterator[Expression | None]:
        """Yield solutions, and ``None`` after every other slice of work."""
        running = {place: searcher.steps() for place, searcher in enumerate(self._searchers)}
        while running:
            place = self._next(list(running))
            searcher = self._searchers[place]
            try:
                found = next(running[place])
            except StopIteration:
                del running[place]
                continue
            holds_back = self._last.pending is None and searcher.pending is not None
            if found is not None or holds_back:
                self._last = searcher
            yield found

    def _next(self, running: list[int]) -> int:
        terms = {place: self._searchers[place].terms for place in running}
        if min(terms.values()) >= self._opening and 0 in terms:
            if self._searchers[0].pending is not None:
                return 0
            terms[0] -= self._head_start
        return min(terms, key=lambda place: terms[place])
