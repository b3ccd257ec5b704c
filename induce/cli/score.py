"""``induce score``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from hypotheses.run_log import RunLog
from induce.cli.options import Json, MovedTasks, RunName
from induce.cli.output import BadTasks, console, print_json, print_line
from induce.runs import reload_tasks, run_address
from induce.scoring import score_run
from induce.settings import resolve_settings


def score(
    run: RunName,
    tasks: MovedTasks = None,
    oracle: Annotated[
        bool, typer.Option("--oracle", help="Add what a chooser who knew the answers would reach.")
    ] = False,
    json: Json = False,
) -> None:
    """Compare a run's predictions with the tasks' answers.

    The answers are read again from the tasks' source, which must be what it was when the run began.
    Accuracies are fractions from 0 to 1; unfinished tasks count as wrong.

    Example:

      induce score run.sqlite --json
    """
    with RunLog.open(run_address(run, resolve_settings())) as log:
        result = score_run(log, reload_tasks(log, BadTasks(), tasks), oracle=oracle)
    if json:
        record = asdict(result)
        if not oracle:
            del record["oracle_accuracy"], record["oracle_task_accuracy"]
        print_json(record)
        return
    table = Table("", "right", "of", "fraction", box=None, header_style="dim")
    for column in table.columns[1:]:
        column.justify = "right"
    rows: list[tuple[str, int, int, float | None]] = [
        (
            "tasks with every example satisfied",
            result.solved,
            result.all_tasks,
            result.solved / max(1, result.all_tasks),
        ),
        ("queries answered (accuracy)", result.correct_queries, result.queries, result.accuracy),
        ("tasks answered (task accuracy)", result.correct_tasks, result.tasks, result.task_accuracy),
    ]
    for name, right, of, fraction in rows:
        table.add_row(name, str(right), str(of), "none to score" if fraction is None else f"{fraction:.4f}")
    if oracle and result.oracle_accuracy is not None and result.oracle_task_accuracy is not None:
        table.add_row("oracle, queries", "", "", f"{result.oracle_accuracy:.4f}")
        table.add_row("oracle, tasks", "", "", f"{result.oracle_task_accuracy:.4f}")
    console().print(table)
    if result.unfinished:
        print_line(console(), f"{result.unfinished} tasks are not finished; go on with: induce resume {run}")
