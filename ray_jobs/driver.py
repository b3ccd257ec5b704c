"""The driver of a batch: starts workers, gives them tasks as they have room, and minds what clusters do.

It holds a task only while a worker has it, or while it waits for another attempt. Whatever dies (a worker,
its node, the owner of the log), the tasks it had are leased anew: what was recorded meanwhile stands, and
what comes later under an old lease is refused. The death of the driver ends its workers; who resumes the run
begins a new epoch.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from hypotheses.models.server_metrics import ServerMetrics, open_connections, read_metrics
from hypotheses.run_log import Event
from hypotheses.task import Task
from ray_jobs.dispatch import Assignment, Dispatcher, DispatchPolicy, GivenUp
from ray_jobs.job import Job
from ray_jobs.logs import BatchLog
from ray_jobs.messages import Ended, Hand, Opened, Report
from ray_jobs.metrics import RunMetrics
from ray_jobs.progress import Progress, Tally
from ray_jobs.signals import BatchCancelledError, cancelled
from ray_jobs.wording import first_line
from ray_jobs.worker import SolverWorker
from sandboxes import ClusterError, InduceError

SERVER = "server"
"""What the timeline says of a model's server when a session ends: what it did since that began."""

MOST_GIVEN_UP = 100
"""A run stops when so many tasks could not be brought to an end: it is not they who are at fault."""

FAILURES_IN_A_ROW = 5
"""A worker on which so many tasks fail in a row is replaced: its sandbox may be broken."""

OPENINGS = 5
"""How often in a row a worker may die before it has done anything."""

NOTED_AT_ONCE = 500
PROGRESS_SECONDS = 10.0
SERVER_SECONDS = 2.0
CLOSE_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """How a batch is spread.

    ``workers``    solver actors, each of ``cpus`` CPUs, which are its sandbox's too
    ``share``      samples under way at an endpoint, of all workers together; ``None``: as their settings say
    ``endpoints``  base URLs of the model's servers, whose queues are watched
    ``heartbeat``  seconds that a worker may wait before it answers
    ``silence``    seconds beyond that after which it counts as dead
    """

    workers: int
    cpus: float = 1.0
    share: int | None = None
    endpoints: tuple[str, ...] = ()
    policy: DispatchPolicy = field(default_factory=DispatchPolicy)
    heartbeat: float = 1.0
    silence: float = 60.0


class BatchDriver:
    """Runs one batch; for one use.

    ``tasks`` are those without a solution in the log; ``outcomes`` counts those with one. ``watch`` is told
    how it goes, every second, ``forget`` of workers that are gone. ``heard`` is the number of the last signal
    that was for earlier sessions.
    """

    def __init__(
        self,
        tasks: Iterable[Task],
        log: BatchLog,
        job: Job,
        plan: BatchPlan,
        *,
        outcomes: Mapping[str, int] | None = None,
        total: int | None = None,
        watch: Callable[[Progress], None] = lambda _: None,
        forget: Callable[[str], None] = lambda _: None,
        heard: int = 0,
    ) -> None:
        self._log = log
        self._job = job
        self._plan = plan
        self._watch = watch
        self._forget = forget
        self._heard = heard
        self._began = time.monotonic()
        self._dispatcher = Dispatcher(tasks, plan.policy)
        self._tally = Tally(outcomes or {}, total, plan.workers)
        self._over = asyncio.Event()
        self._workers: dict[str, Any] = {}
        self._started: set[str] = set()
        self._ready: dict[str, Opened] = {}
        self._needless: dict[str, list[str]] = {}
        self._overloaded: dict[str, tuple[str, ...]] = {}
        """By worker: the endpoints at which requests queue, and of which it has not heard yet."""
        self._events: list[Event] = []
        self._generations = 0
        self._servers_before: dict[str, ServerMetrics] = {}
        self._metrics = RunMetrics(job.run)

    @property
    def progress(self) -> Progress:
        """How it goes."""
        return self._tally.progress(out=self._dispatcher.out, given_up=len(self._dispatcher.given_up))

    @property
    def given_up(self) -> Sequence[GivenUp]:
        """The tasks that could not be brought to an end, and why."""
        return self._dispatcher.given_up

    async def run(self) -> Progress:
        """Bring every task to its end, or give it up.

        Raises ``BatchCancelledError`` where somebody asked for that, ``RunLogError`` where the log cannot be
        written or has passed to another driver, ``ClusterError`` where no worker can be had, or too many
        tasks fail. What was finished before is in the log.
        """
        self._note("began", detail={"workers": self._plan.workers})
        jobs = [self._slot(), *(self._slot() for _ in range(self._plan.workers - 1)), self._mind()]
        running = [asyncio.create_task(job) for job in jobs]
        if self._plan.endpoints:
            running.append(asyncio.create_task(self._watch_servers()))
        over = asyncio.create_task(self._over.wait())
        try:
            pending: set[asyncio.Task[Any]] = {over, *running}
            while not over.done():
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    one.result()
        except BaseException as error:
            self._note("stopped", detail={"reason": _reason(error), **self.progress.record()})
            raise
        finally:
            for task in (over, *running):
                task.cancel()
            await asyncio.gather(over, *running, return_exceptions=True)
            await self._close_workers()
            with contextlib.suppress(InduceError):  # what ended the run is to be told, and not this
                await self._write_events()
        await self._note_servers()
        self._note("ended", detail=self.progress.record())
        await self._write_events()
        self._watch(self.progress)
        return self.progress

    async def _slot(self) -> None:
        """Keep one worker at work: whatever becomes of it, another takes its place."""
        failures = 0
        while not self._over.is_set():
            self._generations += 1
            name = f"w{self._generations}"
            try:
                opened = await self._open(name)
                failures = 0
                await self._work(name, opened)
            except (RayError, TimeoutError, _UnfitError) as error:
                failures += 1
                await self._lose(name, error)
                if failures > OPENINGS:
                    if isinstance(error.__cause__, InduceError):
                        raise error.__cause__ from None
                    raise ClusterError(f"no worker can be kept alive: {_reason(error)}") from error
                await asyncio.sleep(min(10.0, 0.2 * 2.0**failures))

    async def _open(self, name: str) -> Opened:
        """Start a worker, which may wait until the cluster has CPUs for it."""
        actor: Any = ray.remote(SolverWorker)
        options = {"num_cpus": self._plan.cpus, "max_restarts": 0, "max_concurrency": 4}
        handle = actor.options(**options).remote(name)
        self._workers[name] = handle
        await _asked(handle.start.remote())
        self._started.add(name)
        opened: Opened = await _asked(handle.open.remote(self._job_now()))
        self._ready[name] = opened
        self._note("worker ready", name, detail={"node": opened.node, "pid": opened.pid})
        return opened

    def _job_now(self) -> Job:
        """Give the job with what is left of the run's time."""
        place = self._job.account
        if place is None or place.seconds is None:
            return self._job
        left = max(0.0, place.seconds - (time.monotonic() - self._began))
        return replace(self._job, account=replace(place, seconds=left))

    def _share_of(self, name: str) -> int | None:
        """Give a worker's part of the samples that may be under way at an endpoint; at least one."""
        if self._plan.share is None:
            return None
        each, rest = divmod(self._plan.share, max(1, len(self._ready)))
        place = list(self._ready).index(name) if name in self._ready else rest
        return max(1, each + (place < rest))

    async def _work(self, name: str, opened: Opened) -> None:
        """Give a worker tasks as it has room, until there is nothing left to do."""
        worker, room, in_a_row = self._workers[name], opened.concurrency, 0
        while not self._over.is_set():
            now = time.monotonic()
            given = self._dispatcher.hand(name, room, now)
            if self._dispatcher.done:
                self._over.set()
                return
            hand = await self._lease(name, given)
            report: Report = await _asked(worker.exchange.remote(hand), hand.wait + self._plan.silence)
            room = report.room
            self._tally.loads[name] = report.load
            for ended in report.ended:
                self._settle(name, ended)
                in_a_row = in_a_row + 1 if ended.error and not ended.fenced else 0
            if in_a_row >= FAILURES_IN_A_ROW:
                raise _UnfitError(
                    f"{in_a_row} tasks in a row failed on it, the last with: {report.ended[-1].error}"
                )
            if len(self._dispatcher.given_up) >= MOST_GIVEN_UP:
                last = self._dispatcher.given_up[-1]
                raise ClusterError(
                    f"{len(self._dispatcher.given_up)} tasks could not be brought to an end, the last "
                    f"({last.task_id}) because {last.reason}; mend that and resume the run"
                )

    async def _lease(self, name: str, given: Sequence[Assignment]) -> Hand:
        tokens: dict[str, int] = {}
        for shared in (False, True):
            ids = [one.task.id for one in given if one.copy is shared]
            if ids:
                tokens |= zip(ids, await self._log.lease(ids, name, shared=shared), strict=True)
        alive = max(1, len(self._workers))
        return Hand(
            tuple((one.task, tokens[one.task.id]) for one in given),
            tuple(self._needless.pop(name, ())),
            self._share_of(name),
            self._overloaded.pop(name, ()),
            # Many workers answer less often, so that the driver can listen to them all.
            max(self._plan.heartbeat, 0.002 * alive),
            max(0.005, 0.0005 * alive),
        )

    def _settle(self, name: str, ended: Ended) -> None:
        """Take note of how a task ended on a worker."""
        now = time.monotonic()
        if ended.error:
            self._dispatcher.fail(name, ended.task_id, ended.error, now)
            if not ended.fenced:
                self._note("failed", name, ended.task_id, {"error": ended.error, "token": ended.token})
            return
        if ended.task_id in self._dispatcher.held_by(name):
            self._tally.add(ended)
            for other in self._dispatcher.finish(name, ended.task_id, now):
                self._needless.setdefault(other, []).append(ended.task_id)
        detail = {
            "token": ended.token,
            "received": ended.received,
            "begun": ended.begun,
            "programs": ended.programs,
            "completions": ended.completions,
            "tokens": ended.prompt_tokens + ended.completion_tokens,
        }
        self._note(ended.outcome, name, ended.task_id, detail, ended.ended)

    async def _lose(self, name: str, error: BaseException) -> None:
        """Take note that a worker is gone, and have what it had done again, unless that is in the log."""
        handle = self._workers.pop(name, None)
        self._started.discard(name)
        opened = self._ready.pop(name, None)
        self._tally.loads.pop(name, None)
        self._tally.lost += 1
        if handle is not None:
            with contextlib.suppress(Exception):
                ray.kill(handle)
        held = sorted(self._dispatcher.held_by(name))
        finished = await self._log.finished_among(held) if held else set[str]()
        for task_id in finished:
            solution = await self._log.solution(task_id)
            if solution is not None and task_id in self._dispatcher.held_by(name):
                self._tally.add(Ended(task_id, 0, solution.outcome))
        # What it had not begun yet cannot have killed it.
        begun = 0 if opened is None or isinstance(error, _UnfitError) else opened.concurrency
        for task_id, other in self._dispatcher.lose(name, finished, time.monotonic(), begun=begun):
            self._needless.setdefault(other, []).append(task_id)
        self._needless.pop(name, None)
        self._forget(name)
        again = [task_id for task_id in held if task_id not in finished]
        self._note("worker lost", name, detail={"reason": _reason(error), "again": again})

    async def _mind(self) -> None:
        """Every second: look for signals, write the timeline, tell how it goes."""
        noted = time.monotonic()
        account = self._job.account
        while True:
            await asyncio.sleep(1)
            if cancelled(await self._log.signals(self._heard)):
                raise BatchCancelledError
            if account is not None:
                try:
                    await account.handle.spent.remote()
                except RayError as error:
                    raise ClusterError("the owner of the run's budget died; resume the run") from error
            if time.monotonic() - noted > PROGRESS_SECONDS:
                noted = time.monotonic()
                self._note("progress", detail=self.progress.record())
            await self._write_events()
            progress = self.progress
            self._metrics.progress(progress)
            self._watch(progress)

    async def _watch_servers(self) -> None:
        """See whether requests queue at the model's servers: then workers ask for less."""
        connections = open_connections()
        try:
            while True:
                queueing = []
                for url in self._plan.endpoints:
                    metrics = await read_metrics(url, connections)
                    if metrics is None:
                        continue
                    self._servers_before.setdefault(url, metrics)
                    self._tally.servers[url] = metrics
                    # Where as many wait as are served, more would only wait longer.
                    if (metrics.waiting or 0) > (metrics.running or 0):
                        queueing.append(url)
                self._overloaded = dict.fromkeys(self._workers, tuple(queueing))
                await asyncio.sleep(SERVER_SECONDS)
        finally:
            await connections.aclose()

    async def _note_servers(self) -> None:
        """Note what the model's servers say that they did for this run, and for whoever asked meanwhile."""
        for url, before in self._servers_before.items():
            metrics = await read_metrics(url)
            if metrics is not None:
                self._tally.servers[url] = metrics
                self._note(SERVER, url, detail=asdict(metrics.since(before)))

    def _note(
        self,
        what: str,
        where: str = "",
        task_id: str | None = None,
        detail: Mapping[str, Any] | None = None,
        moment: float | None = None,
    ) -> None:
        self._events.append(
            Event(time.time() if moment is None else moment, what, where, task_id, detail or {})
        )

    async def _write_events(self) -> None:
        while self._events:
            some = self._events[:NOTED_AT_ONCE]
            await self._log.note(some)
            del self._events[: len(some)]

    async def _close_workers(self) -> None:
        """Have every worker close its sandbox and its connections, then end it."""

        async def close(name: str, handle: Any) -> None:
            if name in self._started:  # one that waits for its CPUs has nothing to close
                with contextlib.suppress(Exception):
                    await _asked(handle.close.remote(), CLOSE_SECONDS)
            with contextlib.suppress(Exception):
                ray.kill(handle)

        await asyncio.gather(*(close(name, handle) for name, handle in self._workers.items()))
        self._workers.clear()
        self._ready.clear()


class _UnfitError(Exception):
    """A worker works, but nothing comes of it."""


async def _asked(asked: Any, seconds: float | None = None) -> Any:
    """Await what a worker answers. Raises ``_UnfitError`` for an error of ours that it raised."""
    answer = asyncio.wrap_future(asked.future())
    try:
        await asyncio.wait({answer}, timeout=seconds)
        if not answer.done():  # one that is there counts, however late we look
            raise TimeoutError
        return answer.result()
    except RayTaskError as error:
        if isinstance(error.cause, InduceError):
            raise _UnfitError(str(error.cause)) from error.cause
        raise
    finally:
        answer.cancel()


def _reason(error: BaseException) -> str:
    """Say why a worker was lost, or the run stopped."""
    if isinstance(error, asyncio.CancelledError):
        return "interrupted"
    return "no answer" if isinstance(error, TimeoutError) else first_line(error)
