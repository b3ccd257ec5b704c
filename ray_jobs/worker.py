"""A solver actor: solves many tasks at a time, and tells the driver how they ended when it is asked."""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from concurrent.futures import Future
from dataclasses import replace

import ray

from hypotheses.run_log import FencedError
from hypotheses.task import Task
from ray_jobs.account import SharedAccount
from ray_jobs.hosted import HostedMemory
from ray_jobs.job import Engine, Job, Workplace
from ray_jobs.messages import Ended, Hand, Load, Opened, Report
from ray_jobs.metrics import WorkerMetrics
from ray_jobs.tracing import continued, flush, span
from sandboxes import InduceError, RunLogError

AHEAD_SECONDS = 0.2
"""A worker has tasks in hand for so long beyond those it is solving, so that it does not wait for others."""

MOST_AHEAD = 64


class SolverWorker:
    """The actor. Its solver works on an event loop in a thread of its own, so that it always answers."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tokens: dict[str, int] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ended: list[Ended] = []
        self._news = threading.Condition()
        self._solving = 0
        self._pace = 1.0
        self._opened: Future[Opened] = Future()
        self._engine: Engine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._job: Job | None = None
        self._metrics: WorkerMetrics | None = None
        self._closing = False
        self._turns = asyncio.Semaphore()

    def start(self) -> None:
        """Say that the worker has its CPUs, and its process."""

    def open(self, job: Job) -> Opened:
        """Make the solver. Raises what that raises."""
        os.environ.update(job.environment)
        self._job = job
        self._metrics = WorkerMetrics(job.run, self._name)
        self._thread = threading.Thread(target=self._run, args=(job,), name="induce-solver", daemon=True)
        self._thread.start()
        return self._opened.result()

    def exchange(self, hand: Hand) -> Report:
        """Take tasks, and answer as soon as some have ended, or nothing has happened for ``hand.wait``."""
        loop = self._loop
        if loop is not None:
            with self._news:
                for task, token in hand.tasks:
                    self._tokens[task.id] = token
            loop.call_soon_threadsafe(self._take, hand)
        with self._news:
            self._news.wait_for(lambda: self._ended or self._dead, hand.wait)
            if self._ended and self._tokens and hand.linger:
                # Several that end together are told together, as long as there is work left meanwhile.
                self._news.wait_for(lambda: self._dead or len(self._ended) >= len(self._tokens), hand.linger)
            ended, self._ended = self._ended, []
            for one in ended:
                if self._tokens.get(one.task_id) == one.token:
                    del self._tokens[one.task_id]
            if self._dead and not ended:
                raise RunLogError(f"the worker {self._name} has ended: {self._why()}")
            report = Report(tuple(ended), self._room(), self._load())
        if self._metrics is not None:
            self._metrics.ended(report.ended)
            self._metrics.load(report.load)
        return report

    def close(self) -> None:
        """Stop what is under way, and close the solver with all that it holds, as soon as it is open."""
        self._closing = True
        if self._loop is not None and self._stop is not None and not self._dead:
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join(30)
        flush()

    @property
    def _dead(self) -> bool:
        return self._thread is None or not self._thread.is_alive()

    def _why(self) -> str:
        error = self._opened.exception(0) if self._opened.done() else None
        return str(error) if error else "its solver was closed"

    def _room(self) -> int:
        """How many more tasks are wanted: enough to go on with until the driver answers again."""
        concurrency = self._engine.solver.config.concurrency if self._engine else 1
        ahead = min(MOST_AHEAD, math.ceil(AHEAD_SECONDS / max(self._pace, 1e-3)))
        return max(0, concurrency + ahead - len(self._tokens))

    def _load(self) -> Load:
        client = self._engine.client if self._engine else None
        return Load(
            self._solving,
            len(self._tokens) - self._solving,
            client.under_way if client else 0,
            client.waiting if client else 0,
            client.limits if client else (),
            self._engine.solver.judging if self._engine else 0,
        )

    def _run(self, job: Job) -> None:
        try:
            asyncio.run(self._main(job))
        except BaseException as error:
            if not self._opened.done():
                self._opened.set_exception(error)
        finally:
            with self._news:
                self._news.notify_all()

    async def _main(self, job: Job) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        place = job.account
        account = None
        if place is not None:
            account = SharedAccount(place.handle, self._name, place.budget, place.seconds)
        memory = None if job.memory is None else HostedMemory(job.memory)
        log = job.log.open()
        try:
            async with job.make_solver(Workplace(log, self._tokens, account, memory, job.cpus)) as engine:
                self._engine = engine
                concurrency = engine.solver.config.concurrency
                self._turns = asyncio.Semaphore(concurrency)
                log.enter(engine.environment)
                self._opened.set_result(Opened(_node(), os.getpid(), concurrency, str(engine.environment)))
                if not self._closing:
                    await self._stop.wait()
                for task in self._tasks.values():
                    task.cancel()
                await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        finally:
            if account is not None:
                account.close()
            log.close()

    def _take(self, hand: Hand) -> None:
        """Begin with new tasks, and leave those that are needless."""
        client = self._engine.client if self._engine else None
        if client is not None:
            if hand.share is not None:
                client.set_share(hand.share)
            for name in hand.overloaded:
                client.overloaded(name)
        for task_id in hand.needless:
            if task_id in self._tasks:
                # Not at once: one that has not begun would end without a word.
                asyncio.get_running_loop().call_soon(self._tasks[task_id].cancel)
        for task, token in hand.tasks:
            running = asyncio.get_running_loop().create_task(
                self._solve(task, token, time.time()), name=task.id
            )
            self._tasks[task.id] = running

    async def _solve(self, task: Task, token: int, received: float) -> None:
        begun = 0.0
        ended = Ended(task.id, token, error="it was cancelled", fenced=True)
        try:
            async with self._turns:
                begun = time.time()
                self._solving += 1
                try:
                    ended = await self._end(task, token)
                finally:
                    self._solving -= 1
        finally:
            now = time.time()
            if begun:
                self._pace += 0.1 * (now - begun - self._pace)
            if self._tasks.get(task.id) is asyncio.current_task():
                del self._tasks[task.id]
            self._tell(ended, received, begun or now, now)

    async def _end(self, task: Task, token: int) -> Ended:
        """Solve a task; an error of our side is an end, too."""
        job, engine = self._job, self._engine
        if job is None or engine is None:
            raise RuntimeError("the worker has not been opened")
        try:
            with continued(job.trace), span("solve", task=task.id, worker=self._name):
                solution = await engine.solver.solve(task)
        except FencedError as error:
            return Ended(task.id, token, error=str(error), fenced=True)
        except InduceError as error:
            return Ended(task.id, token, error=str(error))
        except Exception as error:  # a mistake of ours: the driver says so, and the other tasks go on
            return Ended(task.id, token, error=f"{type(error).__name__}: {error}")
        return Ended.of(solution, token)

    def _tell(self, ended: Ended, received: float, begun: float, now: float) -> None:
        told = replace(ended, received=received, begun=begun, ended=now)
        with self._news:
            self._ended.append(told)
            self._news.notify_all()


def _node() -> str:
    return str(ray.get_runtime_context().get_node_id()) if ray.is_initialized() else ""
