"""How the estimate of ``induce solve --dry-run`` is shown."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

from rich.table import Table

from induce.cli.output import console, print_json, print_line
from induce.estimate import Estimate


def show_estimate(estimate: Estimate, *, json: bool) -> None:
    """Print an estimate, for people or as one JSON object."""
    if json:
        print_json(asdict(estimate))
        return
    print_line(console(), f"{estimate.tasks} tasks, {estimate.recipe}: nothing was asked or spent")
    table = Table("", "expected", "at most", box=None, header_style="dim")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in ("requests", "samples", "prompt_tokens", "completion_tokens"):
        expected, most = getattr(estimate.expected, name), getattr(estimate.most, name)
        table.add_row(name.replace("_", " "), f"{expected:,}", f"{most:,}")
    table.add_row("US dollars", _money(estimate.expected_money), _money(estimate.most_money))
    table.add_row("time", _time(estimate.expected_seconds), "")
    console().print(table)
    if estimate.searched and estimate.most.requests:
        print_line(console(), "tasks that the search solves first cost nothing", "dim")
    if estimate.expected_money is None:
        print_line(console(), "the price is not known; set it as model.prices in induce.toml", "dim")
    if estimate.expected_seconds is None and estimate.most.requests:
        print_line(console(), "for the time, set model.speed to the tokens/s of `induce model check`", "dim")


def _money(amount: float | None) -> str:
    return "unknown" if amount is None else f"{amount:,.2f}"


def _time(seconds: float | None) -> str:
    return "unknown" if seconds is None else str(timedelta(seconds=round(seconds)))
