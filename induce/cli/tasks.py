"""``induce tasks``: look at tasks before solving them."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from induce.cli.loading import open_tasks
from induce.cli.options import Format, Json, OutputColumn, Shots, SkipBad, Source
from induce.cli.output import console, print_json
from induce.render import render_task, visible
from induce.tasks.own import own_record, own_schema
from sandboxes import TaskFormatError

app = typer.Typer(no_args_is_help=True, help="Look at tasks: list them, show them, check your own.")

_COLUMNS = (("id", 20), ("family", 14), ("examples", 8), ("queries", 7), ("signature", 0))


@app.command("list")
def list_tasks(
    tasks: Source,
    as_json: Json = False,
    task_format: Format = None,
    shots: Shots = None,
    output_column: OutputColumn = None,
    skip_bad: SkipBad = False,
) -> None:
    """List tasks, a line each, as they are read.

    Examples:

      induce tasks list arc1:training

      induce tasks list tasks.jsonl --json

      induce tasks list benchmark/ --skip-bad
    """
    out = console()
    loaded = open_tasks(tasks, task_format, shots, output_column, skip_bad=skip_bad)
    if not as_json:
        _print_row(out, [name for name, _ in _COLUMNS], style="bold")
    for task in loaded:
        counts = {"examples": len(task.examples), "queries": len(task.queries)}
        record = {"id": task.id, "family": task.family, **counts, "signature": str(task.signature)}
        if as_json:
            print_json(record)
        else:
            _print_row(out, [visible(str(record[name])) for name, _ in _COLUMNS])


@app.command()
def show(
    tasks: Source,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Only these tasks.")] = None,
    answers: Annotated[bool, typer.Option("--answers", help="Show the answers to the queries too.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a task, in the project's own format.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many tasks.")] = None,
    task_format: Format = None,
    shots: Shots = None,
    output_column: OutputColumn = None,
    skip_bad: SkipBad = False,
) -> None:
    """Show tasks with their examples and queries. Grids are drawn in colour where the terminal has it.

    Examples:

      induce tasks show arc1:007bbfb7

      induce tasks show table.csv

      induce tasks show benchmark/ 17 23 --answers

      induce tasks show arc1:training --json --answers > training.jsonl
    """
    out = console()
    wanted = set(ids or ())
    shown = 0
    for labelled in open_tasks(tasks, task_format, shots, output_column, skip_bad=skip_bad).labelled():
        if ids and labelled.task.id not in wanted:
            continue
        wanted.discard(labelled.task.id)
        if as_json:
            print_json(own_record(labelled.task, labelled.answers if answers else {}))
        else:
            out.print(render_task(labelled.task, labelled.answers if answers else None))
            out.print()
        shown += 1
        if shown == limit or (ids and not wanted):
            return
    if wanted:
        raise TaskFormatError(
            f"{tasks}: there is no task {', '.join(sorted(wanted))}; `induce tasks list` shows the ids"
        )


@app.command()
def schema() -> None:
    """Print the JSON schema of a line of the project's own format.

    Examples:

      induce tasks schema > own-tasks.schema.json
    """
    typer.echo(json.dumps(own_schema(), indent=2))


def _print_row(out: Console, cells: list[str], style: str = "") -> None:
    """Print a row in columns, at once. A cell too wide for its column pushes the others to the right.

    A terminal shows as much as fits on its line; elsewhere the whole line is written.
    """
    numbers = ("examples", "queries")
    aligned = [
        cell.rjust(width) if name in numbers else cell.ljust(width)
        for cell, (name, width) in zip(cells, _COLUMNS, strict=True)
    ]
    line = Text("  ".join(aligned), style)
    if out.is_terminal:
        out.print(line, no_wrap=True, overflow="ellipsis")
    else:
        out.print(line, soft_wrap=True)
