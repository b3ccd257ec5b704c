"""The loop: propose, implement, run, verify, feed back, select."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from hypotheses.hypothesis import (
    Candidate,
    Feedback,
    Implementation,
    Proposal,
    Report,
    Solution,
    Usage,
    Verdict,
)
from hypotheses.proposer import Implementer, Proposer
from hypotheses.selection import Judged, SelectionRule, best_of_round, select
from hypotheses.task import Task
from hypotheses.verification import contradiction, verify
from sandboxes import Limits, Program, Sandbox


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


@dataclass(frozen=True, slots=True)
class Entry:
    """One proposal of a round with the candidates that came of it, as it goes into the run log."""

    round: int
    sample: int
    proposal: Proposal
    judged: tuple[Judged, ...]


class Recorder(Protocol):
    """Keeps what happened on a task, all of it or nothing."""

    def record(self, task: Task, entries: Sequence[Entry], solution: Solution) -> None:
        """Record a finished task. Raises ``RunLogError`` where it cannot be written."""
        ...


class Solver:
    """Solves tasks with one proposer and one sandbox, both of which the caller owns and closes.

    ``implementer`` is needed where the proposer hands over hypotheses without programs.
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
    ) -> None:
        self.proposer = proposer
        self.sandbox = sandbox
        self.implementer = implementer
        self.config = config or SolverConfig()
        self.limits = limits or Limits()
        self.recorder = recorder

    async def solve(self, task: Task) -> Solution:
        """Solve one task, record it, and return its solution.

        Raises ``ProposerError``, ``SandboxError`` or ``RunLogError`` where our side failed; a task that no
        candidate explains is no error but a solution whose outcome is ``unsolved``.
        """
        entries: list[Entry] = []
        infeasible = contradiction(task)
        if infeasible is None:
            solution = await self._search(task, entries)
        else:
            solution = Solution(task.id, "infeasible", tuple(() for _ in task.queries), note=infeasible)
        if self.recorder is not None:
            self.recorder.record(task, entries, solution)
        return solution

    async def stream(self, tasks: Iterable[Task]) -> AsyncIterator[Solution]:
        """Solve tasks as they come, at most ``config.concurrency`` at a time, and yield as each is done.

        A task is read only when there is room for it, so memory does not grow with their number. The first
        error ends the stream; tasks under way are cancelled and, not being recorded, can be solved again.
        """
        running: set[asyncio.Task[Solution]] = set()
        source = iter(tasks)
        exhausted = False
        try:
            while True:
                while not exhausted and len(running) < self.config.concurrency:
                    task = next(source, None)
                    if task is None:
                        exhausted = True
                    else:
                        running.add(asyncio.create_task(self.solve(task), name=task.id))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for finished in done:
                    yield finished.result()
        finally:
            for unfinished in running:
                unfinished.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _search(self, task: Task, entries: list[Entry]) -> Solution:
        started = time.perf_counter()
        judge = _Judge(task, self.sandbox, self.limits)
        spent = Usage()
        notes: list[str] = []
        judged: list[Judged] = []
        feedback: list[Feedback] = []
        while self.config.rounds is None or len(feedback) < self.config.rounds:
            new, report = await self._round(task, feedback, judge)
            entries += new
            spent += report.usage
            notes += [report.note] if report.note else []
            of_round = [one for entry in new for one in entry.judged]
            judged += of_round
            if not of_round:
                break
            best = best_of_round(of_round)
            feedback.append(Feedback(best.candidate, best.verdict))
            if self.config.stop_early and best.verdict.consistent:
                break
        selection = select(judged, len(task.queries), self.config.attempts, self.config.selection)
        best_of_all = selection.best
        solved = best_of_all is not None and best_of_all.verdict.consistent
        usage = spent + Usage(
            seconds=time.perf_counter() - started,
            rounds=len({entry.round for entry in entries}),
            hypotheses=len(entries),
            programs=judge.programs,
            executions=judge.executions,
        )
        return Solution(
            task.id,
            "solved" if solved else "unsolved",
            selection.predictions,
            best_of_all.candidate if best_of_all else None,
            best_of_all.verdict if best_of_all else None,
            usage,
            "" if solved else "; ".join(notes),
        )

    async def _round(
        self, task: Task, feedback: Sequence[Feedback], judge: _Judge
    ) -> tuple[list[Entry], Report]:
        """Run one round: every proposal is implemented and judged while the next is still on its way."""
        spent = Usage()
        notes: list[str] = []
        under_way: list[asyncio.Task[Entry]] = []
        proposals = self.proposer.propose(task, (), feedback, self.config.samples)
        try:
            async with asyncio.TaskGroup() as group, aclosing(proposals):
                async for item in proposals:
                    if isinstance(item, Report):
                        spent += item.usage
                        notes += [item.note] if item.note else []
                    else:
                        entry = self._entry(task, item, len(under_way), feedback, judge)
                        under_way.append(group.create_task(entry))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        entries = [one.result() for one in under_way]
        completions = [
            completion
            for entry in entries
            for completion in (entry.proposal.completion, *(one.candidate.completion for one in entry.judged))
            if completion is not None
        ]
        spent += Usage(
            completions=len(completions),
            prompt_tokens=sum(one.prompt_tokens for one in completions),
            completion_tokens=sum(one.completion_tokens for one in completions),
        )
        return entries, Report(spent, "; ".join(notes))

    async def _entry(
        self, task: Task, proposal: Proposal, sample: int, feedback: Sequence[Feedback], judge: _Judge
    ) -> Entry:
        implementations: Sequence[Implementation] = ()
        if proposal.program is not None:
            implementations = (Implementation(proposal.program),)
        elif self.implementer is not None:
            implementations = await self.implementer.implement(
                task, proposal.hypothesis, feedback, self.config.programs
            )
        judged = []
        for made in implementations:
            candidate = Candidate(proposal.hypothesis, made.program, len(feedback), sample, made.completion)
            judged.append(Judged(candidate, await judge(made.program)))
        return Entry(len(feedback), sample, proposal, tuple(judged))


class _Judge:
    """Runs a task's programs, each distinct one once, and no more at a time than the sandbox can take."""

    def __init__(self, task: Task, sandbox: Sandbox, limits: Limits) -> None:
        self._task = task
        self._sandbox = sandbox
        self._limits = limits
        self._room = asyncio.Semaphore(sandbox.concurrency)
        self._verdicts: dict[str, asyncio.Task[Verdict]] = {}

    @property
    def programs(self) -> int:
        """How many distinct programs were run."""
        return len(self._verdicts)

    @property
    def executions(self) -> int:
        """How many runs on one input that made."""
        return self.programs * (len(self._task.examples) + len(self._task.queries))

    async def __call__(self, program: Program) -> Verdict:
        if program.key not in self._verdicts:
            self._verdicts[program.key] = asyncio.create_task(self._run(program))
        return await self._verdicts[program.key]

    async def _run(self, program: Program) -> Verdict:
        async with self._room:
            return await asyncio.to_thread(verify, program, self._task, self._sandbox, self._limits)
