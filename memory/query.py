"""What a memory is asked with, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from memory.concept import Concept


@dataclass(frozen=True, slots=True)
class RecallQuery:
    """A task as a memory sees it: words, structural tokens such as ``grid``, ``same-shape``, and a signature.

    ``clock`` is when it is asked: what was learned then or later is not recalled. ``None`` recalls all.
    """

    text: str = ""
    features: tuple[str, ...] = ()
    signature: str = ""
    clock: int | None = None


@dataclass(frozen=True, slots=True)
class Recalled:
    """A concept with its score, and its rank (from 1) by each of the ways that it was found in."""

    concept: Concept
    score: float
    ranks: Mapping[str, int] = field(default_factory=dict)


class Memory(Protocol):
    """What stores concepts and finds them again."""

    def add(self, concepts: Sequence[Concept]) -> list[str]:
        """Store concepts durably and give their ids; one that is there already keeps its id."""
        ...

    def recall(self, query: RecallQuery, most: int = 8) -> list[Recalled]:
        """Give up to ``most`` concepts, the most relevant first."""
        ...
