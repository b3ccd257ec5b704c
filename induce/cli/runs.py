"""``induce runs``."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from hypotheses.models.replay import ReplayStore
from hypotheses.run_log import RunLog
from hypotheses.run_log.comparison import differences
from induce.cli.options import Json, MovedTasks, RunName, SandboxChoice
from induce.cli.output import BadTasks, console, error_console, print_json, print_line
from induce.cli.progress import Display
from induce.runs import Run, find_runs, old_runs, reload_tasks, replay_run, run_address
from induce.settings import resolve_settings
from induce.solution_view import render_line, render_solution, solution_record
from induce.wiring import open_solver
from sandboxes import RunLogError

app = typer.Typer(help="Look at recorded runs, and clear away old ones.", no_args_is_help=True)


@app.command("list")
def list_runs(json: Json = False) -> None:
    """List the runs in the runs folder, oldest first.

    Example:

      induce runs list --json
    """
    settings = resolve_settings()
    rows = [("run", "begun", "done", "solved", "size", "proposer", "tasks")]
    for path in find_runs(settings):
        try:
            with RunLog.open(path) as log:
                info, outcomes = log.info, log.count()
        except RunLogError as error:
            print_line(error_console(), f"skipped: {error}", style="yellow")
            continue
        done, solved, size = sum(outcomes.values()), outcomes.get("solved", 0), path.stat().st_size
        if json:
            record = {"run": str(path), "size_bytes": size, "done": done, "solved": solved}
            print_json(record | {key: value for key, value in asdict(info).items() if key != "settings"})
            continue
        counts = (f"{done}/{info.tasks}", str(solved), decimal(size))
        rows.append((path.stem, info.created[:16], *counts, info.proposer, info.source))
    if len(rows) > 1:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            print_line(console(), "  ".join(cells).rstrip(), style="dim" if row is rows[0] else "")
    elif not json:
        print_line(console(), f"no runs in {settings.runs.directory}")


@app.command()
def show(
    run: RunName,
    task: Annotated[list[str] | None, typer.Argument(help="Ids of tasks to show in full.")] = None,
    tasks: MovedTasks = None,
    json: Json = False,
) -> None:
    """Show a run: a line for each task, or some of its tasks in full.

    Examples:

      induce runs show run.sqlite

      induce runs show run.sqlite 007bbfb7
    """
    wanted = set(task or ())
    with RunLog.open(run_address(run, resolve_settings())) as log:
        info = log.info
        display = Display(0, json=json)
        loaded = reload_tasks(log, BadTasks(), tasks) if wanted and not json else ()
        shown = {one.id: one for one in loaded if one.id in wanted}
        if not wanted and not json:
            about = f"{info.source}: {info.tasks} tasks, {info.proposer}, begun {info.created}"
            print_line(console(), about)
            for environment in log.environments:
                print_line(console(), f"programs ran in {environment}", "dim")
        for solution in log.solutions():
            if task and solution.task_id not in wanted:
                continue
            wanted.discard(solution.task_id)
            if json:
                print_json(solution_record(solution))
            elif solution.task_id in shown:
                display.show(*render_solution(shown[solution.task_id], solution))
            else:
                display.show(render_line(solution))
    if task and wanted:
        raise RunLogError(f"{run} has no solution for {', '.join(sorted(wanted))}")


@app.command()
def replay(
    run: RunName,
    out: Annotated[Path | None, typer.Option(help="Keep the replay as a run log of its own.")] = None,
    tasks: MovedTasks = None,
    sandbox: SandboxChoice = None,
    json: Json = False,
) -> None:
    """Solve a run's tasks again from its own completions, asking no model, and compare the records.

    Exit code 1 where they differ. Runs that were limited by seconds, of the budget or of the search, may
    differ; those limited by samples, tokens, programs or terms do not.

    Example:

      induce runs replay run.sqlite
    """
    present = resolve_settings({"sandbox": {"back_end": sandbox}})
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(RunLog.open(run_address(run, present)))
        if out is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="induce-replay-"))
            out = Path(folder) / "replay.sqlite"
        again = replay_run(log, out, BadTasks(), tasks, present)
        stack.enter_context(again.log)
        asyncio.run(_solve_again(again, ReplayStore(log, again.log), again.log.info.tasks, json=json))
        found = differences(log, again.log)
    for line in found:
        if json:
            print_json({"difference": line})
        else:
            print_line(console(), line, "red")
    if not json:
        print_line(console(), f"{len(found)} differences" if found else "the replay gives the same record")
    if found:
        raise typer.Exit(1)


async def _solve_again(run: Run, store: ReplayStore, count: int, *, json: bool) -> None:
    with Display(count, json=json) as display:
        solving = open_solver(run.proposer, run.settings, run.log, display.remark, store=store)
        async with solving as solver, aclosing(solver.stream(run.unfinished())) as stream:
            async for _, solution in stream:
                display.advance(solved=solution.solved)


@app.command()
def gc(
    older_than: Annotated[
        float | None, typer.Option(help="Age in days. Default: the setting runs.retention_days.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    json: Json = False,
) -> None:
    """Delete the runs in the runs folder that nobody wrote to for a while.

    Runs that were given a place of their own with --out are never touched, nor runs that are being written
    and files that are no run logs.

    Example:

      induce runs gc --older-than 7 --dry-run
    """
    settings = resolve_settings({"runs": {"retention_days": older_than}})
    freed = 0
    for path in old_runs(settings):
        try:
            size = path.stat().st_size if dry_run else RunLog.delete(path)
        except RunLogError as error:
            print_line(error_console(), f"kept: {error}", style="yellow")
            continue
        freed += size
        if json:
            print_json({"run": str(path), "bytes": size, "deleted": not dry_run})
        else:
            print_line(console(), f"{'would delete' if dry_run else 'deleted'} {path} ({decimal(size)})")
    if not json:
        print_line(console(), f"{decimal(freed)} {'would be ' if dry_run else ''}freed")
