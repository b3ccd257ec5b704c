"""How the loop runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypotheses.allocation import Allocation
from hypotheses.budget import Budget
from hypotheses.selection import SelectionRule


@dataclass(frozen=True, slots=True)
class SolverConfig:
    """How the loop runs.

    ``rounds``       rounds at most, the first included; ``None``: as long as the proposer has proposals
    ``samples``      proposals at most in a round
    ``programs``     programs at most for one hypothesis; on average, where a bandit allocates them
    ``allocation``   whether every hypothesis gets as many, or those that look better get more
    ``feedback``     how many candidates of a round, each of another behaviour, the next round starts from
    ``attempts``     distinct predictions at most for one query
    ``selection``    the rule that picks the winner
    ``stop_early``   stop after a round in which a candidate satisfies every example
    ``concurrency``  tasks solved at the same time by ``Solver.stream``
    ``budget``       what may be spent on each task
    """

    rounds: int | None = 3
    samples: int = 64
    programs: int = 8
    attempts: int = 1
    selection: SelectionRule = "all-rounds"
    stop_early: bool = True
    concurrency: int = 1
    allocation: Allocation = "fixed"
    feedback: int = 1
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        for name in ("samples", "programs", "attempts", "concurrency", "feedback"):
            if getattr(self, name) < 1:
                raise ValueError(f"SolverConfig.{name} must be at least 1, not {getattr(self, name)}")
        if self.rounds is not None and self.rounds < 1:
            raise ValueError(f"SolverConfig.rounds must be at least 1, or None, not {self.rounds}")
