"""The rounds on one task: propose, implement, run, verify, feed back, select."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from hypotheses.allocation import ThompsonSampling
from hypotheses.budget import Cost, Ledger
from hypotheses.clustering import representatives
from hypotheses.experience import Recollection
from hypotheses.hypothesis import (
    Candidate,
    Completion,
    Entry,
    Feedback,
    Implementation,
    Judged,
    Outcome,
    Proposal,
    Report,
    Solution,
    Trace,
    Usage,
    Verdict,
)
from hypotheses.proposer import Implementer, Proposer, Request
from hypotheses.selection import select
from hypotheses.solver_config import SolverConfig
from hypotheses.task import Task
from hypotheses.verification import verify
from sandboxes import Cancellation, Limits, Program, ProposerError, Sandbox


@dataclass(slots=True)
class _Draft:
    """A proposal, and the candidates that came of it so far."""

    proposal: Proposal
    sample: int
    judged: list[Judged] = field(default_factory=list)
    asked: int = 0


class Rounds:
    """Runs the rounds on one task; for one use. ``Solver`` says what the parts are."""

    def __init__(
        self,
        task: Task,
        proposer: Proposer,
        implementer: Implementer | None,
        sandbox: Sandbox,
        config: SolverConfig,
        limits: Limits,
        packages: frozenset[str] | None,
        ledger: Ledger,
        threads: ThreadPoolExecutor,
        recollection: Recollection,
    ) -> None:
        self._task = task
        self._proposer = proposer
        self._implementer = implementer
        self._sandbox = sandbox
        self._config = config
        self._limits = limits
        self._packages = packages
        self._ledger = ledger
        self._threads = threads
        self._recollection = recollection
        self._verdicts: dict[str, asyncio.Future[Verdict]] = {}
        self._cancellation = Cancellation()
        self._entries: list[Entry] = []
        self._completions: dict[Hashable, tuple[int, Completion]] = {}
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
        while (self._config.rounds is None or rounds < self._config.rounds) and not self._ledger.refused:
            request = Request(
                self._task,
                rounds,
                self._config.samples,
                feedback,
                self._recollection.concepts,
                shown=self._recollection.shown,
                ledger=self._ledger,
            )
            entries = await self._round(request)
            self._entries += entries
            if not entries:
                break
            rounds += 1
            judged = [one for entry in entries for one in entry.judged]
            best = representatives(judged, self._config.feedback)
            feedback += tuple(Feedback(one.candidate, one.verdict) for one in best)
            if self._config.stop_early and best and best[0].verdict.consistent:
                break
        if self._ledger.refused:
            self._notes.append(f"the budget of {self._ledger.refused} was used up")
        trace = Trace(tuple(self._entries), tuple(self._completions.values()))
        return trace, self._solution(self._usage(rounds, time.perf_counter() - started))

    def _usage(self, rounds: int, seconds: float) -> Usage:
        completions = [completion for _, completion in self._completions.values()]
        paid = Cost(
            sum(one.prompt_tokens for one in completions),
            sum(one.completion_tokens for one in completions),
            sum(one.money for one in completions),
        )
        if self._ledger.refused == "seconds":
            # What had come when time ran out, but was not yet looked at, was paid for all the same.
            paid = paid.at_least(self._ledger.spent)
        return self._spent + Usage(
            seconds=seconds,
            rounds=rounds,
            hypotheses=len(self._entries),
            programs=len(self._verdicts),
            executions=len(self._verdicts) * (len(self._task.examples) + len(self._task.queries)),
            completions=len(completions),
            prompt_tokens=round(paid.prompt_tokens),
            completion_tokens=round(paid.completion_tokens),
            money=paid.money,
        )

    def _solution(self, usage: Usage) -> Solution:
        judged = [one for entry in self._entries for one in entry.judged]
        selection = select(judged, len(self._task.queries), self._config.attempts, self._config.selection)
        best = selection.best
        outcome: Outcome = "unsolved"
        if best is not None and best.verdict.consistent:
            outcome = "solved"
        elif best is not None and not best.verdict.correct and any(selection.predictions):
            outcome = "answered"
        return Solution(
            self._task.id,
            outcome,
            selection.predictions,
            best.candidate if best else None,
            best.verdict if best else None,
            usage,
            "" if outcome == "solved" else "; ".join(self._notes),
        )

    async def _round(self, request: Request) -> list[Entry]:
        """Run one round: every proposal is implemented and judged while the next is still on its way.

        Where the time of the budget ends, so does the round, and what it has so far counts.
        """
        drafts: list[_Draft] = []
        scope = asyncio.timeout(self._ledger.seconds_left)
        try:
            async with scope:
                await self._fill_round(request, drafts)
        except TimeoutError:
            if not scope.expired():
                raise
            self._ledger.refused = "seconds"
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        return [Entry(request.round, one.sample, one.proposal, tuple(one.judged)) for one in drafts]

    async def _fill_round(self, request: Request, drafts: list[_Draft]) -> None:
        allocated: list[_Draft] = []
        proposals = self._proposer.propose(request)
        async with asyncio.TaskGroup() as group, aclosing(proposals):
            async for item in proposals:
                if isinstance(item, Report):
                    self._take(request.round, item)
                    continue
                self._count(request.round, item.completion)
                draft = _Draft(item, len(drafts))
                drafts.append(draft)
                unwritten = item.program is None and item.verdict is None
                if unwritten and self._config.allocation == "bandit":
                    allocated.append(draft)
                else:
                    group.create_task(self._implement(request, draft, self._config.programs))
        if allocated:
            await self._allocate(request, allocated)

    async def _allocate(self, request: Request, drafts: Sequence[_Draft]) -> None:
        """Give each hypothesis a program, and the rest of the programs to those that come nearest.

        Stops as soon as a program satisfies every example, which a fixed split could not know in time.
        """
        left = len(drafts) * self._config.programs
        bandit = ThompsonSampling(len(drafts), f"{self._task.id}/{request.round}")
        counts = [1] * len(drafts)
        while left > 0 and not self._ledger.refused:
            before = [len(draft.judged) for draft in drafts]
            async with asyncio.TaskGroup() as group:
                for draft, count in zip(drafts, counts, strict=True):
                    if count:
                        group.create_task(self._implement(request, draft, count))
            left -= sum(counts)
            for arm, draft in enumerate(drafts):
                rewards = [one.verdict.passed / one.verdict.total for one in draft.judged[before[arm] :]]
                rewards += [0.0] * (counts[arm] - len(rewards))  # nothing could be read, or it was a repeat
                for reward in rewards:
                    bandit.learn(arm, reward)
            if self._config.stop_early and any(o.verdict.consistent for d in drafts for o in d.judged):
                return
            counts = bandit.choose(min(left, max(1, len(drafts) // 2)))

    async def _implement(self, request: Request, draft: _Draft, programs: int) -> None:
        """Have ``programs`` more programs written for a proposal, and judge each."""
        first, draft.asked = draft.asked, draft.asked + programs
        hypothesis = draft.proposal.hypothesis
        async for made in self._implementations(replace(request, n=programs, first=first), draft.proposal):
            self._count(request.round, made.completion)
            if made.program is None:
                verdict = made.verdict
            else:
                verdict = await self._judge(made.program)
            if verdict is not None:
                candidate = Candidate(hypothesis, made.program, request.round, draft.sample, made.completion)
                draft.judged.append(Judged(candidate, verdict))

    async def _implementations(
        self, request: Request, proposal: Proposal
    ) -> AsyncGenerator[Implementation, None]:
        if proposal.program is not None or proposal.verdict is not None:
            yield Implementation(proposal.program, verdict=proposal.verdict)
            return
        if self._implementer is None:
            name = self._proposer.name
            raise ProposerError(f"{name} proposes rules without programs; give the solver an implementer")
        made = self._implementer.implement(request, proposal.hypothesis)
        async with aclosing(made):
            async for item in made:
                if isinstance(item, Report):
                    self._take(request.round, item)
                else:
                    yield item

    async def _judge(self, program: Program) -> Verdict | None:
        """Run a program, each distinct one once, and no more at a time than the sandbox can take.

        ``None`` where the budget has no program left.
        """
        if program.key not in self._verdicts:
            if not self._ledger.take_program():
                return None
            verdict = asyncio.get_running_loop().run_in_executor(
                self._threads,
                verify,
                program if self._packages is None else replace(program, packages=self._packages),
                self._task,
                self._sandbox,
                self._limits,
                self._cancellation,
            )
            verdict.add_done_callback(_retrieve)
            self._verdicts[program.key] = verdict
        return await asyncio.shield(self._verdicts[program.key])

    def _take(self, round_: int, report: Report) -> None:
        self._spent += report.usage
        if report.note and report.note not in self._notes:
            self._notes.append(report.note)
        for completion in report.completions:
            self._count(round_, completion)

    def _count(self, round_: int, completion: Completion | None) -> None:
        """Keep a completion, once, however many proposals were read from it."""
        if completion is not None:
            self._completions.setdefault(completion.identity, (round_, completion))


def _retrieve(verdict: asyncio.Future[Verdict]) -> None:
    """Look at the outcome, so that asyncio does not complain where those who waited were cancelled."""
    if not verdict.cancelled():
        verdict.exception()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the first error in a group that is no group itself."""
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
