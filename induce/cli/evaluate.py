"""``induce evaluate``."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from hypotheses.run_log import RunLog
from hypotheses.selection import SelectionRule
from induce.cli.options import Json, MovedTasks
from induce.cli.output import BadTasks, console, print_json, print_line
from induce.evaluation import Figures, compare, evaluate, pool
from induce.runs import reload_tasks, run_address
from induce.settings import resolve_settings
from induce.statistics import Estimate


def evaluate_runs(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN…", help="Run logs; the candidates of several compete together."),
    ],
    k: Annotated[
        list[int] | None, typer.Option("-k", min=1, help="Attempts, and programs of pass@k.")
    ] = None,
    select: Annotated[SelectionRule, typer.Option(help="How the winner is chosen.")] = "all-rounds",
    difference: Annotated[
        bool, typer.Option("--compare", help="Of two runs: by how much the second is above the first.")
    ] = False,
    tasks: MovedTasks = None,
    json: Json = False,
) -> None:
    """Show accuracies, pass@k, majority and oracle of a run with their 95 % intervals.

    Intervals are bootstrapped over the tasks, and for two runs compared over the pairs. Given several runs
    over the same tasks, their candidates compete together.

    Examples:

      induce evaluate run.sqlite -k 1 -k 2 -k 8

      induce evaluate before.sqlite after.sqlite --compare
    """
    if difference and len(runs) != 2:
        raise typer.BadParameter("two runs can be compared, no more and no fewer", param_hint="--compare")
    ks = tuple(k or (1, 2, 5))
    with contextlib.ExitStack() as stack:
        settings = resolve_settings()
        logs = [stack.enter_context(RunLog.open(run_address(run, settings))) for run in runs]
        loaded = reload_tasks(logs[0], BadTasks(), tasks)
        if difference:
            first, second = (evaluate(log, loaded, ks, rule=select) for log in logs)
            figures, count = compare(first, second), first.tasks
        else:
            evaluation = (
                pool(logs, loaded, ks, rule=select)
                if len(logs) > 1
                else evaluate(logs[0], loaded, ks, rule=select)
            )
            figures, count = evaluation.figures, evaluation.tasks
    if json:
        print_json({"tasks": count, "select": select, "compared": difference} | asdict(figures))
        return
    how = "second above first" if difference else f"{len(runs)} runs pooled" if len(runs) > 1 else select
    print_line(console(), f"{count} tasks, {how}; in %, with 95 % intervals")
    console().print(_table(figures))


def _table(figures: Figures) -> Table:
    table = Table("", "queries", "", "tasks", "", box=None, header_style="dim")
    for column in table.columns[1:]:
        column.justify = "right"
    rows = [] if figures.recorded is None else [("as the run answered", figures.recorded)]
    rows += [(f"{k} attempt{'s' if k > 1 else ''}", one) for k, one in figures.attempts.items()]
    rows += [("majority", figures.majority), ("oracle", figures.oracle)]
    for name, one in rows:
        table.add_row(name, *_cells(one.over_queries), *_cells(one.over_tasks))
    for k, estimate in figures.pass_at.items():
        table.add_row(f"pass@{k}", "", "", *_cells(estimate))
    return table


def _cells(estimate: Estimate) -> tuple[str, str]:
    interval = f"[{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
    return f"{100 * estimate.value:.1f}", interval
