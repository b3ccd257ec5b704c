"""Metrics of workers and of the driver, which Ray hands to Prometheus on every node."""

from __future__ import annotations

from collections.abc import Iterable

from ray.util.metrics import Counter, Gauge, Histogram

from ray_jobs.messages import Ended, Load
from ray_jobs.progress import Progress

SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""The bounds of how long tasks take."""


class WorkerMetrics:
    """What a worker counts: ``induce_*``, each with the run and the worker as tags."""

    def __init__(self, run: str, worker: str) -> None:
        self._tags = {"run": run, "worker": worker}
        tags = tuple(self._tags)
        self._tasks = Counter("induce_tasks", "Tasks that ended, by outcome", (*tags, "outcome"))
        self._seconds = Histogram("induce_task_seconds", "How long tasks took", list(SECONDS), tags)
        self._programs = Counter("induce_programs", "Programs run", tags)
        self._tokens = Counter("induce_tokens", "Tokens read and written", (*tags, "kind"))
        self._money = Counter("induce_money_dollars", "What completions cost", tags)
        self._solving = Gauge("induce_tasks_solving", "Tasks being solved", tags)
        self._judging = Gauge("induce_programs_judging", "Programs running, or waiting for a sandbox", tags)
        self._samples = Gauge("induce_model_samples", "Samples asked for, or waiting", (*tags, "state"))

    def ended(self, tasks: Iterable[Ended]) -> None:
        """Count tasks that ended."""
        for one in tasks:
            outcome = one.outcome or ("fenced" if one.fenced else "failed")
            self._tasks.inc(1, self._tags | {"outcome": outcome})
            self._seconds.observe(max(0.0, one.ended - one.begun), self._tags)
            for counter, amount in ((self._programs, one.programs), (self._money, one.money)):
                if amount:
                    counter.inc(amount, self._tags)
            for kind, amount in (("read", one.prompt_tokens), ("written", one.completion_tokens)):
                if amount:
                    self._tokens.inc(amount, self._tags | {"kind": kind})

    def load(self, load: Load) -> None:
        """Note how busy the worker is."""
        self._solving.set(load.solving, self._tags)
        self._judging.set(load.judging, self._tags)
        for state, amount in (("under way", load.samples_under_way), ("waiting", load.samples_waiting)):
            self._samples.set(amount, self._tags | {"state": state})


class RunMetrics:
    """What the driver counts."""

    def __init__(self, run: str) -> None:
        self._tags = {"run": run}
        self._workers = Gauge("induce_workers", "Workers at work", ("run",))
        self._lost = Gauge("induce_workers_lost", "Workers lost so far", ("run",))
        self._out = Gauge("induce_tasks_out", "Tasks with workers, or waiting for another attempt", ("run",))
        self._done = Gauge("induce_tasks_done", "Tasks that are finished", ("run",))
        self._queue = Gauge("induce_server_waiting", "Requests that wait at a model's server", ("run", "url"))

    def progress(self, progress: Progress) -> None:
        """Note how the run goes."""
        self._workers.set(progress.workers, self._tags)
        self._lost.set(progress.lost, self._tags)
        self._out.set(progress.out, self._tags)
        self._done.set(progress.done, self._tags)
        for url, metrics in progress.servers.items():
            self._queue.set(metrics.waiting or 0, self._tags | {"url": url})
