"""A discrete-event engine: a clock, queues with servers, processors that are shared, and processes.

A process is a generator that yields what it waits for (``Wait``): something that is given what to call when
the waiting is over. Nothing here draws numbers or reads a real clock, so that a run can be repeated.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from itertools import count

Resume = Callable[[], None]
Wait = Callable[[Resume], None]
Process = Generator[Wait, None, None]


class Clock:
    """Virtual time, and what is to happen at which moment of it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events = 0
        self._heap: list[tuple[float, int, Resume]] = []
        self._numbers = count()

    def after(self, seconds: float, call: Resume) -> None:
        """Have something called after so many seconds."""
        heapq.heappush(self._heap, (self.now + seconds, next(self._numbers), call))

    def sleep(self, seconds: float) -> Wait:
        """Wait for so many seconds."""
        return partial(self.after, seconds)

    def start(self, process: Process) -> None:
        """Let a process run up to where it waits first, and so on."""
        wait = next(process, None)
        if wait is not None:
            wait(partial(self.start, process))

    def run(self, over: Callable[[], bool]) -> None:
        """Let happen what is to happen until it is ``over``, or nothing is left."""
        while self._heap and not over():
            self.now, _, call = heapq.heappop(self._heap)
            self.events += 1
            call()


class Station:
    """A queue, first come first served, before some servers; it knows how busy they were."""

    def __init__(self, clock: Clock, servers: int) -> None:
        self._clock = clock
        self._servers = servers
        self._busy = 0
        self._waiting: deque[tuple[Wait, Resume]] = deque()
        self._area = 0.0
        self._changed = 0.0
        self.longest = 0

    def serve(self, work: Wait) -> Wait:
        """Wait for a server, and for it to do some work."""

        def wait(resume: Resume) -> None:
            self._waiting.append((work, resume))
            self.longest = max(self.longest, len(self._waiting))
            self._begin()

        return wait

    def busy_seconds(self) -> float:
        """Give the time that all servers together have worked."""
        self._account()
        return self._area

    def _begin(self) -> None:
        while self._waiting and self._busy < self._servers:
            work, resume = self._waiting.popleft()
            self._account()
            self._busy += 1
            work(partial(self._end, resume))

    def _end(self, resume: Resume) -> None:
        self._account()
        self._busy -= 1
        self._begin()
        resume()

    def _account(self) -> None:
        self._area += self._busy * (self._clock.now - self._changed)
        self._changed = self._clock.now


class Processor:
    """Cores that all who compute share evenly; nobody uses more than one."""

    def __init__(self, clock: Clock, cores: float) -> None:
        self._clock = clock
        self._cores = cores
        self._progress = 0.0  # what everybody has been given who has been there all the time
        self._changed = 0.0
        self._working: list[tuple[float, int, Resume]] = []
        self._numbers = count()
        self._plan = 0
        self.used = 0.0

    def compute(self, seconds: float) -> Wait:
        """Wait until so many seconds of computing are done."""

        def wait(resume: Resume) -> None:
            self._advance()
            heapq.heappush(self._working, (self._progress + seconds, next(self._numbers), resume))
            self._expect()

        return wait

    @property
    def _speed(self) -> float:
        return min(1.0, self._cores / len(self._working)) if self._working else 0.0

    def _advance(self) -> None:
        gained = (self._clock.now - self._changed) * self._speed
        self.used += gained * len(self._working)
        self._progress += gained
        self._changed = self._clock.now

    def _expect(self) -> None:
        """Come back when the next one will be done, if nobody comes or goes before."""
        self._plan += 1
        if self._working:
            left = max(0.0, self._working[0][0] - self._progress) / self._speed
            self._clock.after(left, partial(self._arrive, self._plan))

    def _arrive(self, plan: int) -> None:
        if plan != self._plan:
            return
        self._advance()
        self._progress = max(self._progress, self._working[0][0])
        done: list[Resume] = []
        while self._working and self._working[0][0] <= self._progress + 1e-12:
            done.append(heapq.heappop(self._working)[2])
        self._expect()
        for resume in done:
            resume()


class Signal:
    """Something that one may wait for, up to some time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[int, Resume] = {}
        self._numbers = count()

    def give(self) -> None:
        """Wake those who wait."""
        for number in self._waiting:
            self._clock.after(0.0, partial(self._wake, number))

    def within(self, seconds: float) -> Wait:
        """Wait until it is given, or so many seconds have passed, if they ever do."""

        def wait(resume: Resume) -> None:
            number = next(self._numbers)
            self._waiting[number] = resume
            if seconds < math.inf:
                self._clock.after(seconds, partial(self._wake, number))

        return wait

    def _wake(self, number: int) -> None:
        if resume := self._waiting.pop(number, None):
            resume()
