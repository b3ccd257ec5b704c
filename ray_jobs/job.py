"""What a worker is handed: how to make its solver, and what that works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from hypotheses.budget import Account, Budget
from hypotheses.hypothesis import Completion, Solution, Trace
from hypotheses.models.chat import ChatRequest
from hypotheses.models.client import ModelClient
from hypotheses.run_log import FencedError
from hypotheses.solver import Solver
from hypotheses.task import Task
from sandboxes import Environment

if TYPE_CHECKING:
    from ray_jobs.hosted import Hosted, HostedMemory


class WorkerLog(Protocol):
    """The run log as a worker writes it: a ``RunLog`` of its own, or what an actor owns."""

    def recall(self, key: str, first: int, n: int) -> Sequence[Completion]:
        """Give those of the samples that are kept."""
        ...

    def keep(self, request: ChatRequest, completions: Sequence[Completion]) -> None:
        """Keep the completions of a request."""
        ...

    def record(self, task: Task, trace: Trace, solution: Solution, token: int | None = None) -> bool:
        """Record a finished task; ``False`` where another's solution stands."""
        ...

    def enter(self, environment: Environment) -> bool:
        """Record what programs run in."""
        ...

    def close(self) -> None:
        """Let go of the log."""
        ...


class LogPlace(Protocol):
    """Where a worker finds the run log; goes from the driver to workers."""

    def open(self) -> WorkerLog:
        """Open the log, in the worker's own process."""
        ...


@dataclass(frozen=True, slots=True)
class Workplace:
    """What a worker gives a solver to work with; without a ``log`` nothing is recorded.

    ``account``  the budget of the run
    ``memory``   a memory that an actor owns; ``None``: the solver opens that of its settings, if they say so
    ``cpus``     how many CPUs the worker has been given, for its sandbox
    """

    log: WorkerLog
    tokens: Mapping[str, int]
    account: Account | None
    memory: HostedMemory | None
    cpus: float


@dataclass(frozen=True, slots=True)
class Engine:
    """What solves tasks, and the client of the model that it asks, if it asks one."""

    solver: Solver
    environment: Environment
    client: ModelClient | None = None


MakeSolver = Callable[[Workplace], AbstractAsyncContextManager[Engine]]
"""Makes a solver in the worker's process; it goes from the driver to workers."""


@dataclass(frozen=True, slots=True)
class AccountPlace:
    """Where a worker finds the budget of the run. ``seconds`` is what is left of its time."""

    handle: Any
    budget: Budget
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker must know. ``environment`` holds variables with secrets, which no log shows."""

    make_solver: MakeSolver
    log: LogPlace
    account: AccountPlace | None
    memory: Hosted | None
    cpus: float
    environment: Mapping[str, str]
    trace: Mapping[str, str]
    run: str = ""

    def __repr__(self) -> str:
        return f"Job({self.run!r})"


class FencedRecorder:
    """A ``Recorder`` that records under the leases' tokens."""

    def __init__(self, place: Workplace) -> None:
        self._log = place.log
        self._tokens = place.tokens

    def record(self, task: Task, trace: Trace, solution: Solution) -> bool:
        """Record a finished task. Raises ``FencedError`` where the lease has passed to another."""
        token = self._tokens.get(task.id)
        if token is None:
            raise FencedError(f"this worker holds no lease of the task {task.id}")
        return self._log.record(task, trace, solution, token)
