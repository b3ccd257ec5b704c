"""Search first, the model with the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from hypotheses.hypothesis import Proposal, Report
from hypotheses.proposer import Proposer, Request


class PortfolioProposer:
    """Asks a cheap proposer as long as it has something to say and, from where it falls silent, a dear one.

    With ``notes`` the second is told why the first found nothing; ``rounds`` are what it gets at most. The
    first works on one task at a time, as a search keeps a core busy and its clock runs.
    """

    def __init__(
        self, first: Proposer, second: Proposer, *, notes: bool = False, rounds: int | None = None
    ) -> None:
        self.first = first
        self.second = second
        self.notes = notes
        self.rounds = rounds
        self._turn = asyncio.Semaphore(1)

    @property
    def name(self) -> str:
        """The names of both."""
        return f"{self.first.name}+{self.second.name}"

    async def propose(self, request: Request) -> AsyncGenerator[Proposal | Report, None]:
        """Yield the first's proposals, if it has any, else the second's.

        The second's rounds count from where it takes over, and it sees the feedback on its own work only.
        """
        notes: tuple[str, ...] = ()
        # A round that the first filled is none of the second's.
        foreign = {
            one.candidate.round
            for one in request.feedback
            if one.candidate.hypothesis.proposer == self.first.name
        }
        if request.round == len(foreign):  # the first has filled all rounds so far
            proposed = False
            async with self._turn, aclosing(self.first.propose(request)) as items:
                async for item in items:
                    proposed = proposed or isinstance(item, Proposal)
                    if isinstance(item, Report) and item.note:
                        notes += (item.note,)
                    yield item
            if proposed:
                return
        own = tuple(one for one in request.feedback if one.candidate.round not in foreign)
        if self.rounds is not None and request.round - len(foreign) >= self.rounds:
            return
        request = replace(
            request,
            round=request.round - len(foreign),
            feedback=own,
            notes=notes if self.notes else (),
        )
        async with aclosing(self.second.propose(request)) as items:
            async for item in items:
                yield item
