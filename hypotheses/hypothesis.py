"""What travels through the loop: from a rule in words to a verified solution."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from sandboxes import Execution, Program


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer of a language model, live or recorded, with what was asked.

    ``kind`` says what was asked for: ``hypothesis``, ``translation`` (a rule into Python) or ``program``.
    Token counts are 0 where they are not known.
    """

    kind: str
    prompt: str
    response: str
    model: str = ""
    temperature: float | None = None
    sample: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A rule in words. ``parents`` are the texts of the hypotheses it was revised from."""

    text: str
    parents: tuple[str, ...] = ()
    proposer: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A hypothesis as a proposer hands it over.

    ``program`` is set where the proposer wrote the program too (a symbolic search, a model that answers in
    Python); where it is ``None``, an ``Implementer`` writes it. ``completion`` is what it was read from.
    """

    hypothesis: Hypothesis
    program: Program | None = None
    completion: Completion | None = None


@dataclass(frozen=True, slots=True)
class Implementation:
    """A program written for a hypothesis, and the completion it was read from."""

    program: Program
    completion: Completion | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A hypothesis with a program that claims to carry it out.

    ``round`` and ``sample`` say when the hypothesis came; ``completion`` is what an implementer read the
    program from, ``None`` where the proposer wrote it.
    """

    hypothesis: Hypothesis
    program: Program
    round: int = 0
    sample: int = 0
    completion: Completion | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What running a candidate showed.

    ``executions`` holds one run per example, ``correct`` whether each gave the wanted output, and
    ``query_executions`` one run per query. A timeout or a crash is never correct.
    """

    executions: tuple[Execution, ...]
    correct: tuple[bool, ...]
    query_executions: tuple[Execution, ...] = ()

    @property
    def passed(self) -> int:
        """How many examples came out right."""
        return sum(self.correct)

    @property
    def total(self) -> int:
        """How many examples there are."""
        return len(self.correct)

    @property
    def consistent(self) -> bool:
        """Whether every example came out right."""
        return all(self.correct)


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate and what running it showed."""

    candidate: Candidate
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Feedback:
    """What later rounds are told of a round: its best candidate, and where it fails."""

    candidate: Candidate
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Usage:
    """What a solution cost. ``terms`` counts what a symbolic search built; ``money`` is in US dollars."""

    seconds: float = 0.0
    rounds: int = 0
    hypotheses: int = 0
    programs: int = 0
    executions: int = 0
    terms: int = 0
    completions: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Usage)))


@dataclass(frozen=True, slots=True)
class Report:
    """What a proposer or implementer says of its own work, beside what it yields.

    ``usage`` is what it cost, completions excepted, which the loop counts; ``note`` says why it stopped, if
    that matters. ``completions`` are those from which nothing could be read: they were paid for all the same.
    """

    usage: Usage = field(default_factory=Usage)
    note: str = ""
    completions: tuple[Completion, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One proposal of a round, and the candidates that came of it."""

    round: int
    sample: int
    proposal: Proposal
    judged: tuple[Judged, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """All that happened on a task: the proposals with their candidates, and every completion by its round."""

    entries: tuple[Entry, ...] = ()
    completions: tuple[tuple[int, Completion], ...] = ()


Outcome = Literal["solved", "unsolved", "infeasible"]
"""``solved``: the chosen program satisfies every example; ``infeasible``: no program can, for the examples
contradict each other; ``unsolved``: all else."""


@dataclass(frozen=True, slots=True)
class Solution:
    """The result for one task.

    ``candidate`` and ``verdict`` are the winner's. ``predictions`` holds, per query, up to ``attempts``
    distinct values: the winner's answer first, then those of the next best candidates, who (but for the rule
    ``last-round``) also stand in where the winner fails on the query; none where nobody answered. ``note``
    says why there is no solution, where that is known.
    """

    task_id: str
    outcome: Outcome
    predictions: tuple[tuple[Any, ...], ...] = ()
    candidate: Candidate | None = None
    verdict: Verdict | None = None
    usage: Usage = field(default_factory=Usage)
    note: str = ""

    @property
    def solved(self) -> bool:
        """Whether the chosen program satisfies every example."""
        return self.outcome == "solved"
