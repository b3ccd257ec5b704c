"""The loop: propose, implement, run, verify, feed back, select."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

from hypotheses.hypothesis import (
    Candidate,
    Completion,
    Entry,
    Feedback,
    Implementation,
    Judged,
    Proposal,
    Report,
    Solution,
    Trace,
    Usage,
    Verdict,
)
from hypotheses.proposer import Implementer, Proposer, Request
from hypotheses.selection import SelectionRule, best_of_round, select
from hypotheses.task import Task
from hypotheses.verification import contradiction, verify
from sandboxes import Cancellation, Limits, Program, ProposerError, Sandbox


@dataclass(frozen=True, slots=True)
class SolverConfig:
    """How the loop runs.

    ``rounds``       rounds at most, the first included; ``None``: as long as the proposer has proposals
    ``samples``      proposals at most in a round
    ``programs``     programs at most for one hypothesis
    ``attempts``     distinct predictions at most for one query
    ``selection``    the rule that picks the winner
    ``stop_early``   stop after a round in which a candidate satisfies every example
    ``concurrency``  tasks solved at the same time by ``Solver.stream``
    """

    rounds: int | None = 3
    samples: int = 64
    programs: int = 8
    attempts: int = 1
    selection: SelectionRule = "all-rounds"
    stop_early: bool = True
    concurrency: int = 1

    def __post_init__(self) -> None:
        for name in ("samples", "programs", "attempts", "concurrency"):
            if getattr(self, name) < 1:
                raise ValueError(f"SolverConfig.{name} must be at least 1, not {getattr(self, name)}")
        if self.rounds is not None and self.rounds < 1:
            raise ValueError(f"SolverConfig.rounds must be at least 1, or None, not {self.rounds}")


class Recorder(Protocol):
    """Keeps what happened on a task, all of it or nothing."""

    def record(self, task: Task, trace: Trace, solution: Solution) -> None:
        """Record a finished task. Raises ``RunLogError`` where it cannot be written."""
        ...


class Solver:
    """Solves tasks with one proposer and one sandbox, both of which the caller owns and closes.

    ``implementer`` is needed where the proposer hands over hypotheses without programs. ``packages`` are
    those beyond the standard library that programs may import, by the tasks' family; programs of a family
    that is not in it may import all that the sandbox has.
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
    ) -> None:
        self.proposer = proposer
        self.sandbox = sandbox
        self.implementer = implementer
        self.config = config or SolverConfig()
        self.limits = limits or Limits()
        self.recorder = recorder
        self.packages = packages or {}
        self._threads = ThreadPoolExecutor(sandbox.concurrency, thread_name_prefix="induce-judge")

    async def solve(self, task: Task) -> Solution:
        """Solve one task, record it, and return its solution.

        Raises ``ProposerError``, ``SandboxError`` or ``RunLogError`` where our side failed; a task that no
        candidate explains is no error but a solution whose outcome is ``unsolved``.
        """
        infeasible = contradiction(task)
        if infeasible is None:
            trace, solution = await _Loop(self, task, self._threads).run()
        else:
            trace = Trace()
            solution = Solution(task.id, "infeasible", tuple(() for _ in task.queries), note=infeasible)
        if self.recorder is not None:
            self.recorder.record(task, trace, solution)
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


class _Loop:
    """The rounds on one task."""

    def __init__(self, solver: Solver, task: Task, threads: ThreadPoolExecutor) -> None:
        self._solver = solver
        self._config = solver.config
        self._task = task
        self._threads = threads
        self._verdicts: dict[str, asyncio.Future[Verdict]] = {}
        self._cancellation = Cancellation()
        self._entries: list[Entry] = []
        self._completions: dict[int, tuple[int, Completion]] = {}
        self._spent = Usage()
        self._notes: list[str] = []

    async def run(self) -> tuple[Trace, Solution]:
        """Run rounds until a candidate satisfies every example, or nothing more is proposed or allowed."""
        try:
            return await self._rounds()
        finally:
            self._cancellation.cancel()  # programs that still run, though nobody waits for them any more

    async def _rounds(self) -> tuple[Trace, Solution]:
        started = time.perf_counter()
        feedback: tuple[Feedback, ...] = ()
        rounds = 0
        while self._config.rounds is None or rounds < self._config.rounds:
            request = Request(self._task, rounds, self._config.samples, feedback)
            entries = await self._round(request)
            self._entries += entries
            if not entries:
                break
            rounds += 1
            judged = [one for entry in entries for one in entry.judged]
            if not judged:
                continue
            best = best_of_round(judged)
            feedback += (Feedback(best.candidate, best.verdict),)
            if self._config.stop_early and best.verdict.consistent:
                break
        completions = [completion for _, completion in self._completions.values()]
        usage = self._spent + Usage(
            seconds=time.perf_counter() - started,
            rounds=rounds,
            hypotheses=len(self._entries),
            programs=len(self._verdicts),
            executions=len(self._verdicts) * (len(self._task.examples) + len(self._task.queries)),
            completions=len(completions),
            prompt_tokens=sum(one.prompt_tokens for one in completions),
            completion_tokens=sum(one.completion_tokens for one in completions),
        )
        trace = Trace(tuple(self._entries), tuple(self._completions.values()))
        return trace, self._solution(usage)

    def _solution(self, usage: Usage) -> Solution:
        judged = [one for entry in self._entries for one in entry.judged]
        selection = select(judged, len(self._task.queries), self._config.attempts, self._config.selection)
        best = selection.best
        solved = best is not None and best.verdict.consistent
        return Solution(
            self._task.id,
            "solved" if solved else "unsolved",
            selection.predictions,
            best.candidate if best else None,
            best.verdict if best else None,
            usage,
            "" if solved else "; ".join(self._notes),
        )

    async def _round(self, request: Request) -> list[Entry]:
        """Run one round: every proposal is implemented and judged while the next is still on its way."""
        under_way: list[asyncio.Task[Entry]] = []
        proposals = self._solver.proposer.propose(request)
        try:
            async with asyncio.TaskGroup() as group, aclosing(proposals):
                async for item in proposals:
                    if isinstance(item, Report):
                        self._take(request.round, item)
                    else:
                        entry = self._entry(request, item, len(under_way))
                        under_way.append(group.create_task(entry))
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        return [one.result() for one in under_way]

    async def _entry(self, request: Request, proposal: Proposal, sample: int) -> Entry:
        self._count(request.round, proposal.completion)
        judged = []
        async for made in self._implementations(request, proposal):
            self._count(request.round, made.completion)
            candidate = Candidate(proposal.hypothesis, made.program, request.round, sample, made.completion)
            judged.append(Judged(candidate, await self._judge(made.program)))
        return Entry(request.round, sample, proposal, tuple(judged))

    async def _implementations(
        self, request: Request, proposal: Proposal
    ) -> AsyncGenerator[Implementation, None]:
        if proposal.program is not None:
            yield Implementation(proposal.program)
            return
        implementer = self._solver.implementer
        if implementer is None:
            name = self._solver.proposer.name
            raise ProposerError(f"{name} proposes rules without programs; give the solver an implementer")
        made = implementer.implement(replace(request, n=self._config.programs), proposal.hypothesis)
        async with aclosing(made):
            async for item in made:
                if isinstance(item, Report):
                    self._take(request.round, item)
                else:
                    yield item

    async def _judge(self, program: Program) -> Verdict:
        """Run a program, each distinct one once, and no more at a time than the sandbox can take."""
        if program.key not in self._verdicts:
            solver = self._solver
            verdict = asyncio.get_running_loop().run_in_executor(
                self._threads,
                verify,
                replace(program, packages=solver.packages.get(self._task.family, program.packages)),
                self._task,
                solver.sandbox,
                solver.limits,
                self._cancellation,
            )
            verdict.add_done_callback(_retrieve)
            self._verdicts[program.key] = verdict
        return await asyncio.shield(self._verdicts[program.key])

    def _take(self, round_: int, report: Report) -> None:
        self._spent += report.usage
        self._notes += [report.note] if report.note else []
        for completion in report.completions:
            self._count(round_, completion)

    def _count(self, round_: int, completion: Completion | None) -> None:
        """Keep a completion, once, however many proposals were read from it."""
        if completion is not None:
            self._completions.setdefault(id(completion), (round_, completion))


def _retrieve(verdict: asyncio.Future[Verdict]) -> None:
    """Look at the outcome, so that asyncio does not complain where those who waited were cancelled."""
    if not verdict.cancelled():
        verdict.exception()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the first error in a group that is no group itself."""
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
