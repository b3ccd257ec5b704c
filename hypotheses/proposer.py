"""The seams of the loop: who proposes hypotheses, and who turns them into programs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from hypotheses.budget import Ledger
from hypotheses.hypothesis import Feedback, Hypothesis, Implementation, Proposal, Report
from hypotheses.task import Task
from memory import Concept


@dataclass(frozen=True, slots=True)
class Request:
    """What a proposer or an implementer is asked for.

    ``round`` counts from 0. ``n`` is how many proposals, or programs, are wanted at most, ``first`` how many
    programs were asked for before: an implementer that is asked again for the same hypothesis goes on from
    there. ``feedback`` holds the best candidates of each earlier round that had any, oldest round first, the
    best of a round before its others; ``concepts`` are what the memory recalled for the task, of which the
    first ``shown`` are for a language model; ``notes`` are sentences about the task from other proposers.
    ``ledger`` is what may still be spent on the task, without limit unless the caller sets one.
    """

    task: Task
    round: int = 0
    n: int = 1
    feedback: tuple[Feedback, ...] = ()
    concepts: tuple[Concept, ...] = ()
    shown: int = 0
    notes: tuple[str, ...] = ()
    first: int = 0
    ledger: Ledger = field(default_factory=Ledger, compare=False, repr=False)


@runtime_checkable
class Proposer(Protocol):
    """A source of hypotheses: a language model, a symbolic search, a transcript, a memory."""

    @property
    def name(self) -> str:
        """A short name, recorded with every hypothesis."""
        ...

    def propose(self, request: Request) -> AsyncGenerator[Proposal | Report, None]:
        """Yield the proposals for one round, and reports whenever there is something to report.

        Yielding no proposal ends the rounds. Closing the generator cancels what is still under way. Raises
        ``ProposerError`` where the proposer cannot do its work at all.
        """
        ...


@runtime_checkable
class Implementer(Protocol):
    """Turns a rule in words into programs, or applies it."""

    def implement(
        self, request: Request, hypothesis: Hypothesis
    ) -> AsyncGenerator[Implementation | Report, None]:
        """Yield programs for ``hypothesis``; none where it cannot be put into Python."""
        ...
