"""What the driver and its workers say to each other."""

from __future__ import annotations

from dataclasses import dataclass

from hypotheses.hypothesis import Solution
from hypotheses.task import Task


@dataclass(frozen=True, slots=True)
class Opened:
    """A worker that is ready: where it is, and how many tasks it solves at a time."""

    node: str
    pid: int
    concurrency: int
    environment: str


@dataclass(frozen=True, slots=True)
class Hand:
    """What the driver gives a worker, and how long that may wait before it answers.

    ``tasks``       with their leases' tokens
    ``needless``    ids of tasks that somebody else has finished
    ``share``       the samples that may be under way at an endpoint, of this worker's
    ``overloaded``  endpoints at which requests queue
    """

    tasks: tuple[tuple[Task, int], ...] = ()
    needless: tuple[str, ...] = ()
    share: int | None = None
    overloaded: tuple[str, ...] = ()
    wait: float = 1.0
    linger: float = 0.005


@dataclass(frozen=True, slots=True)
class Ended:
    """How a task ended: with a solution, which is in the log, or with an ``error`` of our side.

    Times are in seconds since the epoch, by the worker's clock. ``fenced``: the lease had passed to another.
    """

    task_id: str
    token: int
    outcome: str = ""
    error: str = ""
    fenced: bool = False
    received: float = 0.0
    begun: float = 0.0
    ended: float = 0.0
    programs: int = 0
    completions: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0

    @classmethod
    def of(cls, solution: Solution, token: int = 0) -> Ended:
        """Make one of a solution, without its times."""
        usage = solution.usage
        return cls(
            solution.task_id,
            token,
            solution.outcome,
            programs=usage.programs,
            completions=usage.completions,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            money=usage.money,
        )


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a worker is. ``limits`` are the samples that each endpoint may be asked for now."""

    solving: int = 0
    waiting: int = 0
    samples_under_way: int = 0
    samples_waiting: int = 0
    limits: tuple[float, ...] = ()
    judging: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker answers: the tasks that ended since it was last asked, and its room for more."""

    ended: tuple[Ended, ...]
    room: int
    load: Load
