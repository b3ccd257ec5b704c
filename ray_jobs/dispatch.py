"""Which task goes to which worker: the driver's decisions, without anything that carries them out.

Nothing here knows of Ray, of a log or of a clock: time is passed in, so that the same code decides on a
cluster, in the tests and in the simulation under ``benchmarks/``.
"""

from __future__ import annotations

import heapq
import math
from bisect import insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import count

from hypotheses.task import Task


@dataclass(frozen=True, slots=True)
class DispatchPolicy:
    """How often a task is tried, and when a second copy of it is sent out.

    ``attempts``   how often our side may fail on a task (an endpoint, a sandbox) before it is given up
    ``backoff``    seconds before the second attempt, doubled each time up to ``max_backoff``
    ``deaths``     workers lost while they had a task, after which it is solved by a worker that has no other
    ``alone``      workers lost by a task that they had alone, after which it is given up
    ``slow``       a task is a straggler when it takes so many times as long as nearly all others …
    ``patience``   … and at least so many seconds; it gets a second copy where workers have nothing else to do
    """

    attempts: int = 5
    backoff: float = 1.0
    max_backoff: float = 30.0
    deaths: int = 2
    alone: int = 4
    slow: float = 3.0
    patience: float = 30.0

    def __post_init__(self) -> None:
        for one in fields(self):
            if not getattr(self, one.name) > 0:
                raise ValueError(
                    f"DispatchPolicy.{one.name} must be positive, not {getattr(self, one.name)!r}"
                )


@dataclass(frozen=True, slots=True)
class Assignment:
    """A task for a worker; a ``copy`` is one that another worker has, too."""

    task: Task
    copy: bool = False


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A task that could not be brought to an end, and why."""

    task_id: str
    reason: str


@dataclass(slots=True)
class _Out:
    """A task that is not finished: who has had it since when, and what went wrong so far."""

    task: Task
    holders: dict[str, float] = field(default_factory=dict)
    handed: int = 0
    failures: int = 0
    deaths: int = 0
    deaths_alone: int = 0
    error: str = ""


class Durations:
    """How long tasks took of late, so that a straggler stands out."""

    def __init__(self, keep: int = 200) -> None:
        self._recent: deque[float] = deque(maxlen=keep)
        self._sorted: list[float] = []

    def add(self, seconds: float) -> None:
        """Take note of a task that took so long."""
        if len(self._recent) == self._recent.maxlen:
            self._sorted.remove(self._recent[0])
        self._recent.append(seconds)
        insort(self._sorted, seconds)

    def quantile(self, q: float) -> float:
        """Give the duration that a share ``q`` of tasks did not pass; infinity where too few are known."""
        if len(self._sorted) < 5:
            return math.inf
        return self._sorted[min(len(self._sorted) - 1, int(q * len(self._sorted)))]


class Dispatcher:
    """Hands tasks to workers that say how many they have room for.

    Tasks are read from ``tasks`` only when a worker has room, so their number does not matter. What failed,
    or was lost with its worker, comes before new tasks. A task that several workers died of is a suspect: it
    is solved by a worker that has nothing else, so that it takes no other tasks with it. When nothing is left
    to hand out, idle workers get copies of stragglers; whichever copy ends first counts.
    """

    def __init__(self, tasks: Iterable[Task], policy: DispatchPolicy | None = None) -> None:
        self.policy = policy or DispatchPolicy()
        self.given_up: list[GivenUp] = []
        self.handed = 0
        self._source: Iterator[Task] = iter(tasks)
        self._exhausted = False
        self._out: dict[str, _Out] = {}
        self._by_worker: dict[str, set[str]] = {}
        self._again: list[tuple[float, int, str]] = []
        self._suspects: deque[str] = deque()
        self._drained: str | None = None
        """The worker that is to have a suspect alone, or has it."""
        self._alone: str | None = None
        """The suspect that it has."""
        self._numbers = count()
        self._durations = Durations()

    @property
    def done(self) -> bool:
        """Whether every task has come to its end, or was given up."""
        return self._exhausted and not self._out

    @property
    def out(self) -> int:
        """How many tasks are with workers, or wait for another attempt: what the driver has in memory."""
        return len(self._out)

    def held_by(self, worker: str) -> frozenset[str]:
        """Give the ids of the tasks that a worker has."""
        return frozenset(self._by_worker.get(worker, ()))

    def hand(self, worker: str, room: int, now: float) -> list[Assignment]:
        """Give up to ``room`` tasks to a worker."""
        held = self._by_worker.setdefault(worker, set())
        if self._suspects and self._drained is None:
            self._drained = worker
        if worker == self._drained:
            if held or not self._suspects or room < 1:
                return []
            self._alone = self._suspects.popleft()
            return [self._give(self._alone, worker, now)]
        given: list[Assignment] = []
        while len(given) < room and (task_id := self._next(now)) is not None:
            given.append(self._give(task_id, worker, now))
        if not given and not held and room and self._exhausted and not self._again:
            given += self._copy_of_straggler(worker, now)
        return given

    def finish(self, worker: str, task_id: str, now: float) -> Sequence[str]:
        """Take note that a task has its solution; give the other workers that need not go on with it."""
        out = self._out.get(task_id)
        if out is None or worker not in out.holders:
            return ()
        del self._out[task_id]
        self._durations.add(now - out.holders[worker])
        for holder in out.holders:
            self._leave(holder, task_id)
        return [holder for holder in out.holders if holder != worker]

    def fail(self, worker: str, task_id: str, reason: str, now: float) -> None:
        """Take note that our side failed on a task: it comes again later, or is given up."""
        out = self._out.get(task_id)
        if out is None or worker not in out.holders:
            return
        out.failures += 1
        out.error = reason
        self._take_back(out, worker)
        if out.holders:
            return
        if out.failures >= self.policy.attempts:
            self._give_up(out, f"{out.failures} attempts failed, the last with: {reason}")
        else:
            wait = min(self.policy.max_backoff, self.policy.backoff * 2.0 ** (out.failures - 1))
            heapq.heappush(self._again, (now + wait, next(self._numbers), task_id))

    def lose(
        self, worker: str, finished: Iterable[str], now: float, *, begun: int | None = None
    ) -> list[tuple[str, str]]:
        """Take note that a worker is gone: what it had is handed out again, but for what is ``finished``.

        The ``begun`` tasks that it had first can have been the reason, and no others; ``None``: all of them.
        Gives what other workers need not go on with: a task each, and who has it.
        """
        done = set(finished)
        needless: list[tuple[str, str]] = []
        in_order = sorted(self._by_worker.pop(worker, ()), key=lambda one: self._out[one].handed)
        unfinished = [task_id for task_id in in_order if task_id not in done]
        blamed = set(unfinished[:begun])
        for task_id in in_order:
            if task_id in done:
                needless += [(task_id, other) for other in self.finish(worker, task_id, now)]
                continue
            out = self._out[task_id]
            self._take_back(out, worker)
            if task_id in blamed:
                out.deaths += 1
                out.deaths_alone += task_id == self._alone
            if out.holders:
                continue
            if out.deaths_alone >= self.policy.alone:
                self._give_up(out, f"{out.deaths} workers died while they solved it")
            elif out.deaths >= self.policy.deaths:
                self._suspects.append(task_id)
            else:
                heapq.heappush(self._again, (now, next(self._numbers), task_id))
        if worker == self._drained:
            self._drained = self._alone = None
        return needless

    def _next(self, now: float) -> str | None:
        if self._again and self._again[0][0] <= now:
            return heapq.heappop(self._again)[2]
        if self._exhausted:
            return None
        task = next(self._source, None)
        if task is None:
            self._exhausted = True
            return None
        self._out[task.id] = _Out(task)
        return task.id

    def _give(self, task_id: str, worker: str, now: float, *, copy: bool = False) -> Assignment:
        out = self._out[task_id]
        self.handed += 1
        out.holders[worker], out.handed = now, self.handed
        self._by_worker[worker].add(task_id)
        return Assignment(out.task, copy)

    def _copy_of_straggler(self, worker: str, now: float) -> list[Assignment]:
        limit = max(self.policy.patience, self.policy.slow * self._durations.quantile(0.95))
        late = [
            (next(iter(out.holders.values())), task_id)
            for task_id, out in self._out.items()
            if len(out.holders) == 1 and worker not in out.holders and task_id != self._alone
        ]
        if not late or now - min(late)[0] < limit:
            return []
        return [self._give(min(late)[1], worker, now, copy=True)]

    def _take_back(self, out: _Out, worker: str) -> None:
        del out.holders[worker]
        self._leave(worker, out.task.id)

    def _leave(self, worker: str, task_id: str) -> None:
        held = self._by_worker.get(worker)
        if held is None:
            return
        held.discard(task_id)
        if worker == self._drained and not held:
            self._alone = None
            if not self._suspects:
                self._drained = None

    def _give_up(self, out: _Out, reason: str) -> None:
        del self._out[out.task.id]
        self.given_up.append(GivenUp(out.task.id, reason))
