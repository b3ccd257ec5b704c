"""What travels through the loop: from a rule in words to a verified solution."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from sandboxes import Execution, Program


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer of a language model, live or recorded, with what was asked.

    ``kind`` says what was asked for: ``hypothesis``, ``summary``, ``translation`` (a rule into Python),
    ``program``, ``term`` (of the task's own grammar), ``answer`` (an output itself) or ``application`` (a
    rule applied to an input).
    ``key`` is the content key of the request (``hypotheses.models.chat.request_key``), empty for a foreign
    transcript's; key and ``sample`` together name a completion. ``reasoning`` is what a reasoning model
    thought, apart from its answer; ``finish`` is ``length`` where the answer was cut off.

    Token counts are 0 where they are not known. A request's ``prompt_tokens``, and those of them that were
    ``cached_tokens``, are counted at the first completion it gave, so that sums are right. ``money`` is what
    it cost in US dollars; ``logprob`` the mean log-probability of the answer's tokens.
    """

    kind: str
    prompt: str
    response: str
    model: str = ""
    temperature: float | None = None
    sample: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    money: float = 0.0
    key: str = ""
    reasoning: str = ""
    finish: str = ""
    logprob: float | None = None

    @property
    def identity(self) -> Hashable:
        """What two objects share that are the same completion: recalled twice it is still one."""
        return (self.key, self.sample) if self.key else id(self)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A rule in words. ``parents`` are the texts of the hypotheses it was revised from."""

    text: str
    parents: tuple[str, ...] = ()
    proposer: str = ""

    @property
    def definition(self) -> str:
        """The SyGuS ``define-fun`` that ends the text in a line of its own; empty where there is none."""
        last = self.text.rpartition("\n")[2]
        return last if last.startswith("(define-fun ") else ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A hypothesis as a proposer hands it over.

    ``program`` is set where the proposer wrote the program too (a symbolic search, a model that answers in
    Python), ``verdict`` where it answered the queries itself, without any program; where both are ``None``,
    an ``Implementer`` writes the program. ``completion`` is what it was read from. ``term`` is the program
    as the search has it, to be remembered; ``concepts`` are the ids of those that it is made of.
    """

    hypothesis: Hypothesis
    program: Program | None = None
    completion: Completion | None = None
    verdict: Verdict | None = None
    term: str = ""
    concepts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Implementation:
    """A program written for a hypothesis, and the completion it was read from.

    Where a model applied the rule itself there is no program, but ``verdict``: what it answered.
    """

    program: Program | None
    completion: Completion | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A hypothesis with a program that claims to carry it out; without one where a model answered itself.

    ``round`` and ``sample`` say when the hypothesis came; ``completion`` is what an implementer read the
    program from, ``None`` where the proposer wrote it.
    """

    hypothesis: Hypothesis
    program: Program | None
    round: int = 0
    sample: int = 0
    completion: Completion | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What running a candidate showed.

    ``executions`` holds one run per example, ``correct`` whether each gave the wanted output, and
    ``query_executions`` one run per query. A timeout or a crash is never correct. Where a model answered the
    queries directly, nothing was tried on the examples, and the first two are empty.
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
        """Whether every example was tried and came out right."""
        return bool(self.correct) and all(self.correct)


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate and what running it showed."""

    candidate: Candidate
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Feedback:
    """What later rounds are told of a round: a good candidate of it, and where it fails."""

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


Outcome = Literal["solved", "unsolved", "answered", "infeasible"]
"""``solved``: the chosen program, or rule as a model applied it, satisfies every example; ``answered``: a
model answered the queries, but nothing was there to be tried on the examples; ``infeasible``: no program can
satisfy the examples, for they contradict each other; ``unsolved``: all else."""


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
