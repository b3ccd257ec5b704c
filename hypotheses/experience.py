"""The seam between the loop and a memory: what is known before a task, and what is learned from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hypotheses.hypothesis import Solution, Trace
    from hypotheses.task import Task
    from memory import Concept


@dataclass(frozen=True, slots=True)
class Recollection:
    """What a memory gives for a task, the most relevant first, and what it holds out for comparison.

    The first ``shown`` concepts fit well enough for a language model to be shown them.
    """

    concepts: tuple[Concept, ...] = ()
    held_out: tuple[Concept, ...] = ()
    shown: int = 0


class Experience(Protocol):
    """Recalls what helps with a task, and learns from how it ended."""

    async def recall(self, task: Task) -> Recollection:
        """Give concepts for a task. Raises ``MemoryStoreError`` where the memory cannot be read."""
        ...

    async def learn(self, task: Task, recollection: Recollection, trace: Trace, solution: Solution) -> None:
        """Keep what a finished task teaches. Raises ``MemoryStoreError`` where it cannot be written."""
        ...
