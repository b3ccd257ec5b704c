"""``induce solve`` and ``induce resume``."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

import typer

from hypotheses.models.replay import ReplayStore
from hypotheses.models.store import CompletionStore
from hypotheses.run_log import RunLog
from hypotheses.selection import SelectionRule
from induce.cli.estimate import show_estimate
from induce.cli.loading import open_tasks
from induce.cli.options import (
    Details,
    Format,
    Json,
    ModelChoice,
    MovedTasks,
    OutputColumn,
    RunName,
    SandboxChoice,
    Shots,
    SkipBad,
    Source,
)
from induce.cli.output import BadTasks, error_console, print_json, print_line
from induce.cli.progress import Display
from induce.estimate import estimate
from induce.runs import Run, is_batch, resume_run, run_address, start_run
from induce.sandboxing import open_sandbox
from induce.settings import BudgetSettings, MemoryMode, resolve_settings
from induce.solution_view import render_line, render_solution, solution_record
from induce.wiring import choose_proposer, make_proposer, open_solver
from sandboxes import ModelError, SandboxError

_DETAILED = 20
"""How many solutions are shown in full unless asked otherwise; further ones take a line each."""


def solve(
    tasks: Source,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="The method: a name that `induce recipes list` shows, or a TOML file. "
            "Default: portfolio, which is the search and then the model, if there is one."
        ),
    ] = None,
    model: ModelChoice = None,
    proposer: Annotated[
        str | None, typer.Option(help="Instead of a recipe: search, recall, or recorded:TRANSCRIPT.")
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LIMIT=NUMBER",
            help="What may be spent on a task: tokens, completion_tokens, seconds, money (US dollars) or "
            "programs; on all together with run_ before the name. May be given several times.",
        ),
    ] = None,
    replay: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="Take every completion from that run; ask no model, and fail on a miss."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only estimate requests, tokens, time and money.")
    ] = False,
    select: Annotated[
        SelectionRule | None, typer.Option(help="How the winner is chosen. Default: as the recipe says.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.001, help="The search's time for one task. Default: 10.")
    ] = None,
    attempts: Annotated[
        int | None, typer.Option(min=1, help="Distinct predictions for one query. Default: 1.")
    ] = None,
    memory_mode: Annotated[
        MemoryMode | None,
        typer.Option(
            help="Recall what was learned from other tasks: frozen, or learn from these, too. Default: off."
        ),
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

      induce solve tasks.jsonl --memory-mode learn

      induce solve arc1:training --recipe hypothesis-search --model openai:gpt-4o --dry-run
    """
    if recipe is not None and proposer is not None:
        raise typer.BadParameter("give a recipe or a proposer, not both", param_hint="--recipe")
    settings = resolve_settings(
        {
            "solver": {"recipe": recipe, "select": select, "attempts": attempts},
            "model": {"address": model},
            "search": {"seconds": seconds},
            "sandbox": {"back_end": sandbox},
            "memory": {"mode": memory_mode},
            "budget": limits_of(budget or ()),
        }
    )
    if recipe is not None:
        # The one that is named, not induce.toml's own.
        settings = settings.model_copy(update={"recipe": None})
    loaded = open_tasks(tasks, task_format, shots, output_column, skip_bad=skip_bad)
    if dry_run:
        spec, settings = choose_proposer(settings, proposer)
        show_estimate(estimate(make_proposer(spec, settings), settings, loaded), json=json)
        return
    open_sandbox(settings.sandbox).close()  # one that cannot be had leaves no run behind
    count = sum(1 for _ in loaded)  # reads every task once, so that a bad one stops us before work is spent
    with contextlib.ExitStack() as stack:
        source = None
        if replay is not None:
            source = stack.enter_context(RunLog.open(run_address(replay, settings)))
        run = start_run(loaded, count, proposer, settings, out)
        _work(run, count, json=json, details=details, replay=source)


def limits_of(words: Sequence[str]) -> dict[str, str]:
    """Give the settings that words such as ``tokens=1000`` mean."""
    limits = {}
    for word in words:
        name, equals, number = word.partition("=")
        if not equals or name not in BudgetSettings.model_fields:
            known = ", ".join(BudgetSettings.model_fields)
            raise typer.BadParameter(
                f"{word!r} is not LIMIT=NUMBER; the limits are {known}", param_hint="--budget"
            )
        limits[name] = number
    return limits


def resume(
    run: RunName,
    tasks: MovedTasks = None,
    model: ModelChoice = None,
    sandbox: SandboxChoice = None,
    details: Details = None,
    address: Annotated[
        str | None,
        typer.Option(help="Go on with it on a cluster: auto, local, HOST:PORT or ray://HOST:PORT."),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Solver processes on the cluster.")] = None,
    cpus: Annotated[float | None, typer.Option(min=0.1, help="CPUs of each of them. Default: 1.")] = None,
    results: Annotated[
        str | None, typer.Option(help="Where a batch's solutions go as Parquet. Default: where they went.")
    ] = None,
    no_ray: Annotated[bool, typer.Option("--no-ray", help="Go on with a batch in this process.")] = False,
    json: Json = False,
) -> None:
    """Go on with a run that was interrupted, under the settings it was started with.

    A batch goes on as one, on the cluster that is named, or on this machine's cores.

    Where programs run and where the model is are for you to say, not for the log: name the sandbox and the
    model again. No completion that is in the log is asked for again.

    What has its solution in the log is not solved again, nor printed again.

    Example:

      induce resume run.sqlite
    """
    present = resolve_settings(
        {
            "sandbox": {"back_end": sandbox},
            "model": {"address": model},
            "cluster": {"address": address, "workers": workers, "cpus": cpus, "results": results},
        }
    )
    opened = resume_run(
        run_address(run, present), BadTasks(), tasks, present, lambda text: print_line(error_console(), text)
    )
    if address is not None or workers is not None or is_batch(opened.log):
        from induce.cli.batch import work  # noqa: PLC0415 - which offers this very command

        work(opened, no_ray=no_ray, json=json)
        return
    left = opened.log.info.tasks - sum(opened.log.count().values())
    _work(opened, left, json=json, details=details)


def _work(run: Run, left: int, *, json: bool, details: bool | None, replay: RunLog | None = None) -> None:
    """Solve what is left of a run, showing each solution as it is done."""
    store = run.log if replay is None else ReplayStore(replay, run.log)
    with run.log, Display(left, json=json) as display:
        try:
            asyncio.run(_solve_and_show(run, display, store, json=json, details=details))
        except (KeyboardInterrupt, asyncio.CancelledError):
            display.remark(f"interrupted; go on with: {_how_to_resume(run)}")
            raise KeyboardInterrupt from None
        except (SandboxError, ModelError):
            display.remark(f"what was solved is kept; when that is mended, go on with: {_how_to_resume(run)}")
            raise
        display.finish(f"{_summary(run.log.count())}; run: {run.log.address}")


def _how_to_resume(run: Run) -> str:
    words = ["induce", "resume", str(run.log.address)]
    if run.settings.sandbox.back_end != "embedded":
        words += ["--sandbox", run.settings.sandbox.back_end]
    if run.settings.model.address is not None and run.proposer.spec.startswith("recipe:"):
        words += ["--model", run.settings.model.address]
    return shlex.join(words)


async def _solve_and_show(
    run: Run, display: Display, store: CompletionStore, *, json: bool, details: bool | None
) -> None:
    shown = 0
    solving = open_solver(
        run.proposer, run.settings, run.log, display.remark, store=store, picker=display.picker
    )
    async with solving as solver, aclosing(solver.stream(run.unfinished())) as stream:
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
    if answered := outcomes.get("answered"):
        parts.append(f"{answered} answered without a program")
    if infeasible := outcomes.get("infeasible"):
        parts.append(f"{infeasible} infeasible")
    return ", ".join(parts)
