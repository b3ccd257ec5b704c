"""The loop: propose, implement, run, verify, feed back, select."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from hypotheses.budget import Account, Ledger
from hypotheses.experience import Experience, Recollection
from hypotheses.hypothesis import Solution, Trace
from hypotheses.proposer import Implementer, Proposer
from hypotheses.rounds import Rounds
from hypotheses.solver_config import SolverConfig
from hypotheses.task import Task
from hypotheses.verification import contradiction
from sandboxes import Limits, Sandbox


class Recorder(Protocol):
    """Keeps what happened on a task, all of it or nothing."""

    def record(self, task: Task, trace: Trace, solution: Solution) -> bool | None:
        """Record a finished task; ``False`` says that somebody else's solution stands already.

        Raises ``RunLogError`` where it cannot be written.
        """
        ...


class Solver:
    """Solves tasks with one proposer and one sandbox, both of which the caller owns and closes.

    ``implementer`` is needed where the proposer hands over hypotheses without programs. ``packages`` are
    those beyond the standard library that programs may import, by the tasks' family; programs of a family
    that is not in it may import all that the sandbox has. ``ledger`` is what may be spent on all tasks
    together. ``experience`` recalls concepts for each task and learns from how it ended.
    """

    def __init__(
        self,
        proposer: Proposer,
        sandbox: Sandbox,
        *,
        implementer: Implementer | None = None,
        config: SolverConfig | None = None,
        limits: Limits | None = None,
        recorder: Recorder | None = None,
        packages: Mapping[str, frozenset[str]] | None = None,
        ledger: Account | None = None,
        experience: Experience | None = None,
    ) -> None:
        self.proposer = proposer
        self.sandbox = sandbox
        self.implementer = implementer
        self.config = config or SolverConfig()
        self.limits = limits or Limits()
        self.recorder = recorder
        self.packages = packages or {}
        self.ledger = ledger or Ledger()
        self.experience = experience
        self._threads = _Judges(sandbox.concurrency)

    @property
    def judging(self) -> int:
        """How many programs are being run, or wait for the sandbox."""
        return self._threads.pending

    async def solve(self, task: Task) -> Solution:
        """Solve one task, record it, and return its solution.

        Raises ``ProposerError``, ``SandboxError``, ``RunLogError`` or ``MemoryStoreError`` where our side
        failed; a task that no candidate explains is no error but a solution whose outcome is ``unsolved``.
        """
        infeasible = contradiction(task)
        recollection = Recollection()
        if infeasible is None:
            if self.experience is not None:
                recollection = await self.experience.recall(task)
            trace, solution = await self._rounds(task, recollection).run()
        else:
            trace = Trace()
            solution = Solution(task.id, "infeasible", tuple(() for _ in task.queries), note=infeasible)
        stands = self.recorder is None or self.recorder.record(task, trace, solution) is not False
        if self.experience is not None and infeasible is None and stands:
            await self.experience.learn(task, recollection, trace, solution)
        return solution

    async def stream(self, tasks: Iterable[Task]) -> AsyncGenerator[tuple[Task, Solution], None]:
        """Solve tasks as they come, at most ``config.concurrency`` at a time, and yield each as it is done.

        A task is read only when there is room for it, so memory does not grow with their number. The first
        error ends the stream, after what was finished with it; tasks under way are cancelled and, not being
        recorded, can be solved again. Close the generator (``contextlib.aclosing``) if you leave it early.
        """
        running: dict[asyncio.Task[Solution], Task] = {}
        source = iter(tasks)
        exhausted = False
        try:
            while True:
                while not exhausted and len(running) < self.config.concurrency:
                    task = next(source, None)
                    if task is None:
                        exhausted = True
                    else:
                        running[asyncio.create_task(self.solve(task), name=task.id)] = task
                if not running:
                    return
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                errors = [error for finished in done if (error := finished.exception()) is not None]
                for finished in done:
                    task = running.pop(finished)
                    if finished.exception() is None:
                        yield task, finished.result()
                if errors:
                    raise errors[0]
        finally:
            for unfinished in running:
                unfinished.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _rounds(self, task: Task, recollection: Recollection) -> Rounds:
        return Rounds(
            task,
            self.proposer,
            self.implementer,
            self.sandbox,
            self.config,
            self.limits,
            self.packages.get(task.family),
            Ledger(self.config.budget, self.ledger),
            self._threads,
            recollection,
        )


class _Judges(ThreadPoolExecutor):
    """Threads that count what they still have to do."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, thread_name_prefix="induce-judge")
        self.pending = 0
        self._counting = threading.Lock()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        """Begin a piece of work as soon as there is a thread for it."""
        future = super().submit(fn, *args, **named)
        with self._counting:
            self.pending += 1
        future.add_done_callback(self._count_down)
        return future

    def _count_down(self, _done: Future[Any]) -> None:
        with self._counting:
            self.pending -= 1
