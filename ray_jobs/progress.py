"""How a batch goes: what a dashboard shows, and what the log keeps for those who look from elsewhere."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hypotheses.models.server_metrics import ServerMetrics
from ray_jobs.messages import Ended, Load

WINDOW_SECONDS = 30.0
"""Rates are those of the last so many seconds."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a batch.

    ``outcomes``  finished tasks by outcome, those of earlier sessions included
    ``total``     of the run; ``None`` where it is not known
    ``given_up``  tasks that could not be brought to an end
    ``out``       tasks with workers, or waiting for another attempt
    ``seconds``   since this session began
    ``rate``      tasks a second, ``token_rate`` tokens written a second, of late
    ``load``      of all workers together
    ``servers``   what the model's servers say of themselves, by address
    """

    outcomes: Mapping[str, int]
    total: int | None
    given_up: int = 0
    out: int = 0
    workers: int = 0
    wanted: int = 0
    lost: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    token_rate: float = 0.0
    programs: int = 0
    completions: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0
    load: Load = field(default_factory=Load)
    servers: Mapping[str, ServerMetrics] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """How many tasks are finished."""
        return sum(self.outcomes.values())

    @property
    def seconds_left(self) -> float | None:
        """How long it will take at the present rate; ``None`` where that cannot be said."""
        if self.total is None or not self.rate:
            return None
        return max(0, self.total - self.done - self.given_up) / self.rate

    def record(self) -> dict[str, Any]:
        """Give it as JSON's values."""
        record = asdict(self) | {"done": self.done, "seconds_left": self.seconds_left}
        record["servers"] = {name: asdict(one) for name, one in self.servers.items()}
        return record


class Tally:
    """Adds up what workers report. ``outcomes`` are those of earlier sessions."""

    def __init__(
        self,
        outcomes: Mapping[str, int],
        total: int | None,
        wanted: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outcomes = Counter(outcomes)
        self._total = total
        self._clock = clock
        self._began = clock()
        self._marks: deque[tuple[float, int, int]] = deque([(self._began, 0, 0)])
        self._done = 0
        self._sums: Counter[str] = Counter()
        self._money = 0.0
        self.wanted = wanted
        self.lost = 0
        self.loads: dict[str, Load] = {}
        self.servers: dict[str, ServerMetrics] = {}

    def add(self, ended: Ended) -> None:
        """Count a task that has its solution."""
        self._outcomes[ended.outcome] += 1
        self._done += 1
        for name in ("programs", "completions", "prompt_tokens", "completion_tokens"):
            self._sums[name] += getattr(ended, name)
        self._money += ended.money

    def progress(self, *, out: int, given_up: int) -> Progress:
        """Give the present moment."""
        now = self._clock()
        written = self._sums["completion_tokens"]
        self._marks.append((now, self._done, written))
        while len(self._marks) > 2 and self._marks[1][0] < now - WINDOW_SECONDS:
            self._marks.popleft()
        then, done, tokens = self._marks[0]
        lapse = max(now - then, 1e-6)
        loads = list(self.loads.values())
        return Progress(
            dict(self._outcomes),
            self._total,
            given_up,
            out,
            len(loads),
            self.wanted,
            self.lost,
            now - self._began,
            (self._done - done) / lapse,
            (written - tokens) / lapse,
            money=self._money,
            load=Load(
                limits=tuple(map(sum, zip(*(one.limits for one in loads if one.limits), strict=False))),
                **{name: sum(getattr(one, name) for one in loads) for name in _SUMMED},
            ),
            servers=dict(self.servers),
            **{name: self._sums[name] for name in _COUNTED},
        )


_SUMMED = ("solving", "waiting", "samples_under_way", "samples_waiting", "judging")
_COUNTED = ("programs", "completions", "prompt_tokens", "completion_tokens")
