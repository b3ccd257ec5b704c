"""A reusable abstraction, in words and, where it has one, in code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from sandboxes import Program


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a concept comes from; never a scored answer.

    ``clock`` is the store's count of tasks when it was learned: it may be recalled for later ones only.
    ``source`` names a file that it was imported from.
    """

    run: str = ""
    family: str = ""
    task: str = ""
    model: str = ""
    source: str = ""
    clock: int = 0
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Statistics:
    """How a concept has fared: ``used`` counts winning candidates that it was part of.

    ``wins`` and ``losses`` count the tasks solved and not solved with it, ``wins_without`` and
    ``losses_without`` those where it would have been recalled but was left out for comparison: both together
    say what it is worth. ``last_used`` is a clock.
    """

    recalled: int = 0
    used: int = 0
    wins: int = 0
    losses: int = 0
    last_used: int = 0
    wins_without: int = 0
    losses_without: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended, as a memory keeps it to say whether experience helps.

    ``recalled`` counts the concepts that it was given, ``used`` those that the winning candidate is made
    with; ``work`` is what was spent, in terms, tokens or whatever the run counts. ``clock`` is the store's.
    """

    task: str
    solved: bool
    family: str = ""
    run: str = ""
    recalled: int = 0
    used: int = 0
    work: int = 0
    seconds: float = 0.0
    clock: int = 0


@dataclass(frozen=True, slots=True)
class Concept:
    """A reusable abstraction learned from tasks; it may hold programs and text, never a task's answers.

    ``cues`` say when it is relevant, ``parameters`` what can vary ("count: int"), ``notes`` how it is put to
    work. ``term`` is an expression of the search's, or a library of them, as text. ``features`` are the
    structural tokens of the tasks that it serves, as a ``RecallQuery`` has them, and ``signature`` is theirs.
    ``id`` is empty before it is stored. A merged concept points to what it ``came_from``. After ArcMemo
    (Ho et al. 2025, section 3.2).
    """

    name: str
    description: str
    parameters: tuple[str, ...] = ()
    cues: tuple[str, ...] = ()
    program: Program | None = None
    kind: str = ""
    notes: tuple[str, ...] = ()
    term: str = ""
    features: tuple[str, ...] = ()
    signature: str = ""
    id: str = ""
    version: int = 1
    came_from: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
    statistics: Statistics = field(default_factory=Statistics)
