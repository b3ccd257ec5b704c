"""``induce solve`` and ``induce resume``."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

import typer

from hypotheses.selection import SelectionRule
from induce.cli.options import (
    Details,
    Format,
    Json,
    MovedTasks,
    OutputColumn,
    RunName,
    SandboxChoice,
    Shots,
    SkipBad,
    Source,
)
from induce.cli.output import BadTasks, print_json
from induce.cli.progress import Display
from induce.runs import Run, resume_run, run_path, start_run
from induce.sandboxing import open_sandbox
from induce.settings import resolve_settings
from induce.solution_view import render_line, render_solution, solution_record
from induce.tasks import load_tasks
from induce.wiring import open_solver
from sandboxes import SandboxError

_DETAILED = 20
"""How many solutions are shown in full unless asked otherwise; further ones take a line each."""


def solve(
    tasks: Source,
    proposer: Annotated[
        str, typer.Option(help="Who proposes programs: search, or recorded:TRANSCRIPT.")
    ] = "search",
    select: Annotated[
        SelectionRule | None, typer.Option(help="How the winner is chosen. Default: all-rounds.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.001, help="The search's time for one task. Default: 10.")
    ] = None,
    attempts: Annotated[
        int | None, typer.Option(min=1, help="Distinct predictions for one query. Default: 1.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The new run log. Default: one in the runs folder.")
    ] = None,
    task_format: Format = None,
    shots: Shots = None,
    output_column: OutputColumn = None,
    skip_bad: SkipBad = False,
    sandbox: SandboxChoice = None,
    details: Details = None,
    json: Json = False,
) -> None:
    """Find a program for each task, verify it on every example, and answer the queries.

    Every run is recorded: [bold]induce resume[/bold] goes on after an interruption, and
    [bold]induce score[/bold] compares the predictions with the answers.

    Examples:

      induce solve examples/search

      induce solve table.csv --output-column email --json

      induce solve tasks.jsonl --seconds 30 --out run.sqlite
    """
    settings = resolve_settings(
        {
            "solver": {"select": select, "attempts": attempts},
            "search": {"seconds": seconds},
            "sandbox": {"back_end": sandbox},
        }
    )
    loaded = load_tasks(
        tasks,
        format=task_format,
        shots=shots,
        output_column=output_column,
        skip_bad=BadTasks() if skip_bad else None,
    )
    open_sandbox(settings.sandbox).close()  # one that cannot be had leaves no run behind
    count = sum(1 for _ in loaded)  # reads every task once, so that a bad one stops us before work is spent
    _work(start_run(loaded, count, proposer, settings, out), count, json=json, details=details)


def resume(
    run: RunName,
    tasks: MovedTasks = None,
    sandbox: SandboxChoice = None,
    details: Details = None,
    json: Json = False,
) -> None:
    """Go on with a run that was interrupted, under the settings it was started with.

    Where programs run is for you to say, not for the log: name the sandbox again if it was not the default.

    What has its solution in the log is not solved again, nor printed again.

    Example:

      induce resume run.sqlite
    """
    present = resolve_settings({"sandbox": {"back_end": sandbox}})
    opened = resume_run(run_path(run, present), BadTasks(), tasks, present)
    left = opened.log.info.tasks - sum(opened.log.count().values())
    _work(opened, left, json=json, details=details)


def _work(run: Run, left: int, *, json: bool, details: bool | None) -> None:
    """Solve what is left of a run, showing each solution as it is done."""
    with run.log, Display(left, json=json) as display:
        try:
            asyncio.run(_solve_and_show(run, display, json=json, details=details))
        except (KeyboardInterrupt, asyncio.CancelledError):
            display.remark(f"interrupted; go on with: {_how_to_resume(run)}")
            raise KeyboardInterrupt from None
        except SandboxError:
            display.remark(f"what was solved is kept; when that is mended, go on with: {_how_to_resume(run)}")
            raise
        display.finish(f"{_summary(run.log.count())}; run: {run.log.path}")


def _how_to_resume(run: Run) -> str:
    back_end = run.settings.sandbox.back_end
    return f"induce resume {run.log.path}" + ("" if back_end == "embedded" else f" --sandbox {back_end}")


async def _solve_and_show(run: Run, display: Display, *, json: bool, details: bool | None) -> None:
    shown = 0
    with open_solver(run.proposer, run.settings, run.log, display.remark) as solver:
        async with aclosing(solver.stream(run.unfinished())) as stream:
            async for task, solution in stream:
                shown += 1
                if json:
                    print_json(solution_record(solution))
                elif details or (details is None and shown <= _DETAILED):
                    display.show(*render_solution(task, solution))
                else:
                    display.show(render_line(solution))
                display.advance(solved=solution.solved)


def _summary(outcomes: dict[str, int]) -> str:
    total = Counter(outcomes).total()
    parts = [f"{outcomes.get('solved', 0)} of {total} tasks solved"]
    if infeasible := outcomes.get("infeasible"):
        parts.append(f"{infeasible} infeasible")
    return ", ".join(parts)
