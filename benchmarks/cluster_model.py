"""A batch on a cluster, event by event: what `ray_jobs` does, with costs in the place of work.

The decisions are those of the real ``Dispatcher``; the rest follows ``ray_jobs/driver.py``, ``worker.py`` and
``hosted.py``: the driver is one thread that all exchanges pass through; a worker solves on one event loop,
which waits while it asks the log for something; the log in a file has one owner. Simplified: the network is
only a delay; an exclusive lease on PostgreSQL waits for other leases, but not for what is being
recorded; a worker that dies leaves what it had begun elsewhere to run to its end.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from discrete_events import Clock, Process, Processor, Resume, Signal, Station, Wait

from hypotheses.task import Example, Signature, Task
from ray_jobs.dispatch import Dispatcher
from ray_jobs.worker import AHEAD_SECONDS, MOST_AHEAD

HEARTBEAT = 1.0
LINGER = 0.005
LINGER_EACH = 0.0005
"""What ``BatchDriver`` tells workers: how long to wait, and to linger, which grows with their number."""


@dataclass(frozen=True)
class Constants:
    """What things cost, in seconds of CPU unless it says otherwise; ``cluster_constants.py`` measures it.

    ``hop``          a message's way between two processes, in seconds
    ``exchange``     the driver for an exchange with tasks, with the lease that it asks for
    ``beat``         the driver for an exchange without tasks
    ``handled``      the driver for a task
    ``scan``         the driver for a task that is out, when an idle worker asks for a straggler
    ``lease``        the log's owner for a lease, and ``leased`` for each of its tasks
    ``record``       the log's owner for a finished task, ``keep`` for the completions of a request, with the
                     look whether they are there already
    ``note``         the log's owner for a line of the timeline
    ``server_write`` PostgreSQL for a finished task, in seconds, ``server_lease`` for a lease
    ``server_width`` how many writes PostgreSQL does at a time
    ``task``         a worker for a task, ``answer`` for an exchange, ``request`` for a request to a model
    ``program``      a sandbox for a program that does nothing
    ``start``        a worker until it is ready, in seconds
    ``out_bytes``    the driver's memory for a task that is out, ``id_bytes`` for each task that was read
    """

    hop: float
    exchange: float
    beat: float
    handled: float
    scan: float
    lease: float
    leased: float
    record: float
    keep: float
    note: float
    server_write: float
    server_lease: float
    server_width: int
    task: float
    answer: float
    request: float
    program: float
    start: float
    out_bytes: float
    id_bytes: float


@dataclass(frozen=True)
class Work:
    """What a task needs: questions to a model, then programs.

    ``asks``      stages of (requests at a time, samples of each)
    ``programs``  programs run one after the other, each of ``cpu`` seconds on average, with the spread
                  ``sigma`` of its logarithm
    ``slow``      this share of the tasks takes ``factor`` times as long
    """

    programs: int = 1
    cpu: float = 0.0
    sigma: float = 0.0
    asks: tuple[tuple[int, int], ...] = ()
    slow: float = 0.0
    factor: float = 1.0


@dataclass(frozen=True)
class Shape:
    """A cluster, and how the batch is spread over it.

    ``head``       whether driver and log have a machine to themselves, of ``head_cores``
    ``share``      samples under way of all workers together
    ``latency``    of a sample, on average, with the spread ``latency_sigma`` of its logarithm
    ``failures``   of a node, in an hour; the driver hears of one after ``detection`` seconds, and has the
                   workers elsewhere, or there again, after ``replacement`` more
    ``gathers``    whether a worker lingers to the end; else it answers at the next task that ends, as the
                   present one does
    """

    nodes: int = 1
    cores: float = 16
    workers: int = 16
    concurrency: int = 1
    head: bool = True
    head_cores: float = 4
    log: Literal["sqlite", "postgresql"] = "sqlite"
    slots: int = 0
    share: int = 0
    latency: float = 1.0
    latency_sigma: float = 0.6
    failures: float = 0.0
    detection: float = 20.0
    replacement: float = 60.0
    heartbeat: float = HEARTBEAT
    gathers: bool = False


@dataclass
class Result:
    """What a simulated batch showed.

    ``uses`` is how much of each station was in use between the first tenth of the tasks and the last.
    """

    ends: list[float] = field(default_factory=list)
    uses: dict[str, float] = field(default_factory=dict)
    most_out: int = 0
    exchanges: int = 0
    copies: int = 0
    lost: int = 0
    events: int = 0


class Batch:
    """One simulated batch, which is played until so many tasks have ended, or to its end."""

    def __init__(
        self,
        constants: Constants,
        work: Work,
        shape: Shape,
        tasks: int,
        seed: int = 0,
        played: int | None = None,
    ) -> None:
        self.constants = constants
        self.work = work
        self.shape = shape
        self.clock = Clock()
        self.dice = random.Random(seed)
        self.result = Result()
        self._played = tasks if played is None else min(tasks, played)
        self._whole = self._played == tasks
        self._dispatcher = Dispatcher(_tasks(tasks))
        self._processors = [Processor(self.clock, shape.cores) for _ in range(shape.nodes)]
        self.head = Processor(self.clock, shape.head_cores) if shape.head else self._processors[0]
        self._driver = Station(self.clock, 1)
        self._log = Station(self.clock, 1 if shape.log == "sqlite" else constants.server_width)
        self._leases = self._log if shape.log == "sqlite" else Station(self.clock, 1)
        self.model = Station(self.clock, max(1, shape.slots))
        self._alive: list[_Worker] = []
        self._marks: list[tuple[float, dict[str, float]]] = []
        self._generation = 0
        self._over = False

    def run(self) -> Result:
        """Play it to its end."""
        shape, result = self.shape, self.result
        for index in range(shape.nodes * shape.workers):
            self.clock.start(self._slot(index % shape.nodes))
        for node in range(shape.nodes) if shape.failures else ():
            self.clock.start(self._fail_now_and_then(node))
        if shape.log == "sqlite":
            self.clock.start(self._note())
        self.clock.run(lambda: self._over)
        result.events = self.clock.events
        if len(self._marks) == 2:
            (first, before), (last, after) = self._marks
            width: dict[str, float] = {"log": 1 if shape.log == "sqlite" else self.constants.server_width}
            width |= {"endpoints": max(1, shape.slots), "cores": shape.nodes * shape.cores}
            span = max(1e-9, last - first)
            result.uses = {name: (after[name] - before[name]) / span / width.get(name, 1) for name in after}
        return result

    def write(self, cost: float, server_cost: float) -> Wait:
        """Write to the log: the owner of a file computes, a server takes its time."""
        if self.shape.log == "sqlite":
            return self._log.serve(self.head.compute(cost))
        return self._log.serve(self.clock.sleep(server_cost))

    def _slot(self, node: int) -> Process:
        """One worker after the other, as ``BatchDriver._slot`` keeps them."""
        constants, shape, clock = self.constants, self.shape, self.clock
        count = shape.nodes * shape.workers
        linger = max(LINGER, LINGER_EACH * count)
        while not self._over:
            self._generation += 1
            worker = _Worker(self, f"w{self._generation}", node, self._processors[node])
            yield clock.sleep(constants.start)
            self._alive.append(worker)
            room, ended = shape.concurrency, list[str]()
            while not self._over:
                given = self._dispatcher.hand(worker.name, room, clock.now)
                self.result.copies += sum(one.copy for one in given)
                self.result.most_out = max(self.result.most_out, self._dispatcher.out)
                if self._dispatcher.done:
                    self._over = True
                    return
                if given:
                    yield clock.sleep(constants.hop)
                    cost = constants.lease + constants.leased * len(given)
                    if shape.log == "sqlite":
                        yield self._leases.serve(self.head.compute(cost))
                    else:
                        yield self._leases.serve(clock.sleep(constants.server_lease))
                    yield clock.sleep(constants.hop)
                yield clock.sleep(constants.hop)
                worker.take([one.task.id for one in given])
                if not worker.ended and worker.alive:
                    yield worker.news.within(shape.heartbeat)
                if worker.ended and worker.alive:
                    if shape.gathers:
                        until = clock.now + linger
                        while clock.now < until - 1e-9 and len(worker.ended) < len(worker.held):
                            yield worker.news.within(until - clock.now)
                    else:
                        yield worker.news.within(linger)
                if not worker.alive:
                    yield clock.sleep(shape.detection)
                    break
                ended, room = worker.report()
                yield worker.compute(constants.answer)
                yield clock.sleep(constants.hop)
                idle = not given and not ended and not worker.held
                cost = constants.exchange if given or ended else constants.beat
                cost += constants.handled * len(ended) + constants.scan * self._dispatcher.out * idle
                yield self._driver.serve(self.head.compute(cost))
                self.result.exchanges += 1
                for task_id in ended:
                    self._settle(worker.name, task_id)
            if not self._over:
                self.result.lost += 1
                self._dispatcher.lose(worker.name, worker.recorded, clock.now, begun=0)
                yield clock.sleep(shape.replacement)

    def _settle(self, worker: str, task_id: str) -> None:
        if task_id in self._dispatcher.held_by(worker):
            self._dispatcher.finish(worker, task_id, self.clock.now)

    def ended(self) -> None:
        """Take note that a task was recorded."""
        self.result.ends.append(self.clock.now)
        done = len(self.result.ends)
        if done == self._played and not self._whole:
            self._over = True
        if done in (self._played // 10 + 1, self._played - self._played // 10):
            uses = {
                "driver": self._driver.busy_seconds(),
                "log": self._log.busy_seconds(),
                "cores": sum(one.used for one in self._processors),
            }
            if self.shape.slots:
                uses["endpoints"] = self.model.busy_seconds()
            if self._leases is not self._log:
                uses["leases"] = self._leases.busy_seconds()
            self._marks.append((self.clock.now, uses))

    def _note(self) -> Process:
        """Write what ended to the timeline, every second."""
        written = 0
        while not self._over:
            yield self.clock.sleep(1.0)
            new, written = len(self.result.ends) - written, len(self.result.ends)
            yield self._log.serve(self.head.compute(new * self.constants.note))

    def _fail_now_and_then(self, node: int) -> Process:
        while not self._over:
            yield self.clock.sleep(self.dice.expovariate(self.shape.failures / 3600))
            for worker in self._alive:
                if worker.node == node:
                    worker.die()
            self._alive = [worker for worker in self._alive if worker.alive]


class _Worker:
    """A solver actor."""

    def __init__(self, batch: Batch, name: str, node: int, processor: Processor) -> None:
        self.name = name
        self.node = node
        self.alive = True
        self.held: set[str] = set()
        self.ended: list[str] = []
        self.recorded: set[str] = set()
        self.news = Signal(batch.clock)
        self._batch = batch
        self._processor = processor
        self._pace = 1.0
        self._waiting: deque[str] = deque()
        self._solving = 0
        self._loop = Station(batch.clock, 1)
        self._sandbox = Station(batch.clock, 1)
        shape = batch.shape
        limit = max(1, -(-shape.share // (shape.nodes * shape.workers))) if shape.share else 1
        self._flights = _Permits(limit)

    def take(self, task_ids: list[str]) -> None:
        """Take tasks."""
        self.held.update(task_ids)
        self._waiting.extend(task_ids)
        self._begin()

    def report(self) -> tuple[list[str], int]:
        """Give what has ended since the last report, and the room for more."""
        ended, self.ended = self.ended, []
        self.held.difference_update(ended)
        ahead = min(MOST_AHEAD, math.ceil(AHEAD_SECONDS / max(self._pace, 1e-3)))
        return ended, max(0, self._batch.shape.concurrency + ahead - len(self.held))

    def compute(self, seconds: float) -> Wait:
        """Use the worker's CPU, beside its event loop."""
        return self._processor.compute(seconds)

    def die(self) -> None:
        """End at once."""
        self.alive = False
        self._waiting.clear()
        self.news.give()

    def _begin(self) -> None:
        while self._waiting and self._solving < self._batch.shape.concurrency:
            self._solving += 1
            self._batch.clock.start(self._solve(self._waiting.popleft()))

    def _solve(self, task_id: str) -> Process:
        batch, constants, work = self._batch, self._batch.constants, self._batch.work
        begun = batch.clock.now
        yield self._loop.serve(self._processor.compute(constants.task))
        for requests, samples in work.asks:
            done, left = Signal(batch.clock), [requests]
            for _ in range(requests):
                batch.clock.start(self._ask(samples, done, left))
            while left[0]:
                yield done.within(math.inf)
        scale = work.factor if batch.dice.random() < work.slow else 1.0
        for _ in range(work.programs):
            if not self.alive:
                return
            seconds = scale * _lognormal(batch.dice, work.cpu, work.sigma) + constants.program
            yield self._sandbox.serve(self._processor.compute(seconds))
        if not self.alive:
            return
        yield self._loop.serve(self._logged(constants.record, constants.server_write))
        self._pace += 0.1 * (batch.clock.now - begun - self._pace)
        self._solving -= 1
        if not self.alive:
            return
        self.recorded.add(task_id)
        self.ended.append(task_id)
        batch.ended()
        self.news.give()
        self._begin()

    def _ask(self, samples: int, done: Signal, left: list[int]) -> Process:
        """One request: its samples are written side by side, and kept together."""
        batch, constants, shape = self._batch, self._batch.constants, self._batch.shape
        yield self._flights.take(samples)
        yield self._loop.serve(self._processor.compute(constants.request))
        ready, missing = Signal(batch.clock), [samples]

        def sample() -> Process:
            seconds = _lognormal(batch.dice, shape.latency, shape.latency_sigma)
            yield batch.model.serve(batch.clock.sleep(seconds))
            missing[0] -= 1
            if not missing[0]:
                ready.give()

        for _ in range(samples):
            batch.clock.start(sample())
        yield ready.within(math.inf)
        self._flights.give(samples)
        yield self._loop.serve(self._logged(constants.keep, constants.server_write))
        left[0] -= 1
        if not left[0]:
            done.give()

    def _logged(self, cost: float, server_cost: float) -> Wait:
        """Ask the log for something, and wait for it."""
        batch = self._batch
        hop = batch.constants.hop if batch.shape.log == "sqlite" else 0.0

        def wait(resume: Resume) -> None:
            def process() -> Process:
                yield batch.clock.sleep(hop)
                yield batch.write(cost, server_cost)
                yield batch.clock.sleep(hop)
                resume()

            batch.clock.start(process())

        return wait


class _Permits:
    """So many samples may be under way; a request of more goes out when it is alone."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._waiting: deque[tuple[int, Resume]] = deque()

    def take(self, count: int) -> Wait:
        """Wait until there is room for so many."""

        def wait(resume: Resume) -> None:
            self._waiting.append((count, resume))
            self._admit()

        return wait

    def give(self, count: int) -> None:
        """Give back so many."""
        self._used -= count
        self._admit()

    def _admit(self) -> None:
        while self._waiting and (not self._used or self._used + self._waiting[0][0] <= self._most):
            count, resume = self._waiting.popleft()
            self._used += count
            resume()


def simulate(
    constants: Constants,
    work: Work,
    shape: Shape,
    tasks: int,
    seed: int = 0,
    played: int | None = None,
) -> Result:
    """Play a batch until ``played`` of its tasks have ended, or to its end."""
    return Batch(constants, work, shape, tasks, seed, played).run()


def _lognormal(dice: random.Random, mean: float, sigma: float) -> float:
    if mean == 0 or sigma == 0:
        return mean
    return dice.lognormvariate(math.log(mean) - sigma * sigma / 2, sigma)


def _tasks(count: int) -> Iterator[Task]:
    examples, signature = (Example(0, 0),), Signature(())
    for number in range(count):
        yield Task(str(number), examples, (), signature)
