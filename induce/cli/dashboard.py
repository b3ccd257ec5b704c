"""What a person sees while a batch is being solved."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from induce.cli.output import error_console, print_json, print_line
from induce.statistics import wilson
from ray_jobs.progress import Progress

LINE_SECONDS = 10.0
"""How often a line is written where there is no terminal."""


class Dashboard:
    """Shows how a batch goes: live on a terminal, elsewhere a line now and then, for machines a record."""

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self._console = error_console()
        self._live: Live | None = None
        if self._console.is_terminal and not (json and sys.stdout.isatty()):
            self._live = Live(console=self._console, transient=True, auto_refresh=False)
        self._told = float("-inf")

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, progress: Progress) -> None:
        """Show a moment."""
        if self._live is not None:
            self._live.update(render(progress, self._console.width), refresh=True)
        if time.monotonic() - self._told < LINE_SECONDS:
            return
        self._told = time.monotonic()
        if self._json:
            print_json(progress.record())
        elif self._live is None:
            print_line(self._console, line(progress))

    def remark(self, text: str) -> None:
        """Say something that is no progress."""
        print_line(self._console, text)


def render(progress: Progress, width: int) -> RenderableType:
    """Give the dashboard, for a terminal so many characters wide."""
    bar = ProgressBar(progress.total or 1, progress.done, width=max(10, min(60, width - 2)))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    for name, value in rows(progress):
        table.add_row(name, Text(value))
    return Group(bar if progress.total else Text(""), table)


def rows(progress: Progress) -> list[tuple[str, str]]:
    """Give the rows of the dashboard, in words."""
    shown = [
        ("tasks", _tasks(progress)),
        ("solved", _solved(progress)),
        ("speed", f"{progress.rate:.1f} tasks/s, {progress.token_rate:,.0f} tokens/s written"),
        ("workers", _workers(progress)),
        ("sandbox", f"{progress.load.judging:,} programs running or waiting"),
    ]
    if progress.completions or progress.load.samples_under_way:
        shown.append(("model", _model(progress)))
    if progress.money:
        shown.append(("cost", f"{progress.money:,.2f} US dollars in this session"))
    if progress.given_up:
        shown.append(("given up", f"{progress.given_up:,}"))
    left = progress.seconds_left
    shown.append(("time left", "unknown" if left is None else str(timedelta(seconds=round(left)))))
    return shown


def line(progress: Progress) -> str:
    """Give the same on one line."""
    left = progress.seconds_left
    return ", ".join(
        [
            f"{_tasks(progress)} tasks",
            f"{_solved(progress)} solved",
            f"{progress.rate:.1f} tasks/s",
            f"{progress.workers} workers",
            "time left unknown" if left is None else f"{timedelta(seconds=round(left))} left",
        ]
    )


def _tasks(progress: Progress) -> str:
    total = "" if progress.total is None else f" of {progress.total:,}"
    return f"{progress.done:,}{total}"


def _solved(progress: Progress) -> str:
    solved = progress.outcomes.get("solved", 0)
    if not progress.done:
        return "0"
    low, high = wilson(solved, progress.done)
    return f"{solved:,} ({solved / progress.done:.0%}, 95 % interval {low:.0%} to {high:.0%})"


def _workers(progress: Progress) -> str:
    lost = f", {progress.lost} lost so far" if progress.lost else ""
    return f"{progress.workers} of {progress.wanted} at work on {progress.load.solving} tasks{lost}"


def _model(progress: Progress) -> str:
    load = progress.load
    text = f"{load.samples_under_way:,} samples under way, {load.samples_waiting:,} waiting"
    limits = ", ".join(f"{limit:,.0f}" for limit in load.limits)
    text += f" (at most {limits})" if limits else ""
    for metrics in progress.servers.values():
        text += f"; server: {metrics.running or 0:,.0f} running, {metrics.waiting or 0:,.0f} waiting"
    return text
