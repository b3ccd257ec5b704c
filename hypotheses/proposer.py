"""The seams of the loop: who proposes hypotheses, and who turns them into programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from hypotheses.hypothesis import Feedback, Hypothesis, Implementation, Proposal, Report
    from hypotheses.task import Task
    from memory import Concept


@runtime_checkable
class Proposer(Protocol):
    """A source of hypotheses: a language model, a symbolic search, a transcript, a memory."""

    @property
    def name(self) -> str:
        """A short name, recorded with every hypothesis."""
        ...

    def propose(
        self, task: Task, concepts: Sequence[Concept], feedback: Sequence[Feedback], n: int
    ) -> AsyncGenerator[Proposal | Report, None]:
        """Yield at most ``n`` proposals for one round, and reports of what they cost whenever that is known.

        ``feedback`` holds one entry for each earlier round, oldest first, so its length is the number of the
        round. Yielding nothing ends the rounds. Closing the generator cancels what is still under way.
        Raises ``ProposerError`` where the proposer cannot do its work at all.
        """
        ...


@runtime_checkable
class Implementer(Protocol):
    """Turns a rule in words into programs."""

    async def implement(
        self, task: Task, hypothesis: Hypothesis, feedback: Sequence[Feedback], n: int
    ) -> Sequence[Implementation]:
        """Return at most ``n`` programs for ``hypothesis``; none where it cannot be put into Python."""
        ...
