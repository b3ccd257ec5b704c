"""Symbolic search as a proposer: programs from the examples alone, without a model."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from hypotheses.hypothesis import Hypothesis, Proposal, Report, Usage
from hypotheses.proposer import Request
from hypotheses.search.guide import Guide
from hypotheses.search.library import Library
from hypotheses.search.search import MEMORY_MB, Found, Search
from memory import Concept

SLICE_SECONDS = 0.05
"""How long the search runs between two chances for the event loop to cancel it."""


class SearchProposer:
    """Proposes the programs that symbolic search finds, the cheapest first.

    It proposes in the first round only: failures could teach it nothing, for every proposal satisfies the
    examples. ``seconds`` and ``max_terms`` limit each task, ``None`` meaning no limit; with ``max_terms``
    and ``seconds=None`` the same task always gives the same proposals. ``memory_mb`` is how many megabytes
    the search of a task may store. At the end it reports the terms built and, where nothing was found, why.
    """

    def __init__(
        self, seconds: float | None = 10.0, max_terms: int | None = None, *, memory_mb: int = MEMORY_MB
    ) -> None:
        if not memory_mb > 0:
            raise ValueError(f"SearchProposer's memory_mb must be positive, not {memory_mb!r}")
        for name, limit in (("seconds", seconds), ("max_terms", max_terms)):
            if limit is not None and not limit > 0:
                raise ValueError(
                    f"SearchProposer's {name} must be positive, or None for no limit, not {limit!r}"
                )
        self.seconds = seconds
        self.max_terms = max_terms
        self.memory_mb = memory_mb

    @property
    def name(self) -> str:
        """``search``."""
        return "search"

    async def propose(self, request: Request) -> AsyncGenerator[Proposal | Report, None]:
        """Yield proposals in the first round, none later, and one report.

        The search runs in a thread, slice by slice, so that other tasks go on and closing the generator
        stops it after the slice under way. Of the request's concepts it takes the terms: solutions of other
        tasks, which it tries with changes, and a library.
        """
        if request.round:
            return
        limits = SearchLimits(self.seconds, self.max_terms, self.memory_mb)
        async with aclosing(propose_searched(request, self.name, request.n, limits)) as items:
            async for item in items:
                yield item


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """What the search of one task may take; ``None`` is no limit."""

    seconds: float | None = 10.0
    max_terms: int | None = None
    memory_mb: int = MEMORY_MB


async def propose_searched(
    request: Request, name: str, wanted: int, limits: SearchLimits, guide: Guide | None = None
) -> AsyncGenerator[Proposal | Report, None]:
    """Yield up to ``wanted`` proposals that a search finds, under a proposer's name, and a report at the end.

    The search runs slice by slice, so that other tasks go on and closing the generator stops it.
    """
    known = {concept.term: concept.id for concept in reversed(request.concepts) if concept.term}
    search = await asyncio.to_thread(
        Search,
        request.task,
        limits.seconds,
        limits.max_terms,
        guide,
        limits.memory_mb,
        library_of(request.concepts),
        [one.term for one in request.concepts if one.term and one.kind != LIBRARY],
    )
    steps = search.steps()
    more = True
    while more and wanted > 0:
        found, more = await asyncio.to_thread(_advance, steps)
        if found:
            wanted -= 1
            used = (known[found.origin],) if found.origin else ()
            hypothesis = Hypothesis(found.rule, proposer=name)
            yield Proposal(hypothesis, found.program, term=found.term, concepts=used)
    yield Report(Usage(terms=search.report.terms), NOTES[search.report.reason])


LIBRARY = "library"
"""The kind of concepts whose term is a library, as ``Library.to_json`` writes it."""


def library_of(concepts: Sequence[Concept]) -> Library | None:
    """Give the first library among ``concepts`` that can be read; ``None`` where there is none."""
    for concept in concepts:
        if concept.kind == LIBRARY:
            with contextlib.suppress(ValueError):
                return Library.from_json(concept.term)
    return None


NOTES = {
    "solved": "",
    "exhausted": "search tried every expression of its language; none satisfies the examples",
    "budget": "search used up its budget",
    "unsupported": "search handles text, numbers, truth values, lists of text and of whole numbers, and "
    "tables of these; this task has something else",
}
"""What is said of a search that ended so."""


def _advance(steps: Iterator[Found | None]) -> tuple[Found | None, bool]:
    """Run the search for a slice of time; say what it found, if anything, and whether there is more to do."""
    until = time.monotonic() + SLICE_SECONDS
    for found in steps:
        if found or time.monotonic() >= until:
            return found, True
    return None, False
