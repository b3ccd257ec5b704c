"""A reusable abstraction, in words and, where it has one, in code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandboxes import Program


@dataclass(frozen=True, slots=True)
class Concept:
    """A reusable abstraction learned from tasks; it may hold programs and text, never a task's answers.

    ``cues`` say when it is relevant, ``parameters`` what can vary ("count: int"). After ArcMemo
    (Ho et al. 2025, section 3.2).
    """

    name: str
    description: str
    parameters: tuple[str, ...] = ()
    cues: tuple[str, ...] = ()
    program: Program | None = None
