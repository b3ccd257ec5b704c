"""``induce batch``: runs that are spread over a Ray cluster."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from hypotheses.run_log import Event, RunLog
from hypotheses.selection import SelectionRule
from induce.batch import BatchEnd, Outlook, plan_batch, run_batch, solve_here, write_results
from induce.cli.dashboard import Dashboard
from induce.cli.estimate import show_estimate
from induce.cli.loading import open_tasks
from induce.cli.options import (
    Format,
    Json,
    ModelChoice,
    OutputColumn,
    RunName,
    SandboxChoice,
    Shots,
    SkipBad,
    Source,
)
from induce.cli.output import console, error_console, print_json, print_line
from induce.cli.solve import limits_of, resume
from induce.estimate import Estimate, estimate
from induce.offline import check_offline
from induce.runs import Run, mark_as_batch, run_address, start_run
from induce.sandboxing import open_sandbox
from induce.settings import MemoryMode, Settings, resolve_settings
from induce.solution_view import render_line
from induce.wiring import choose_proposer, make_proposer
from ray_jobs.signals import CANCEL
from sandboxes import InduceError, RunLogError

app = typer.Typer(
    help="Solve many tasks on a Ray cluster, or on all cores of this machine.", no_args_is_help=True
)

SILENCE = 60.0
"""A run that has said nothing for so many seconds is not at work."""

Address = Annotated[
    str | None,
    typer.Option(
        help="The cluster: auto (the one that this machine is part of), local, HOST:PORT or ray://HOST:PORT. "
        "Default: RAY_ADDRESS, or else one that is started on this machine."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Solver processes. Default: as many as the cluster has room for."),
]
Cpus = Annotated[float | None, typer.Option(min=0.1, help="CPUs of each worker. Default: 1.")]
NoRay = Annotated[bool, typer.Option("--no-ray", help="Solve in this process, without Ray.")]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline",
        help="Send all first requests to the model ahead, as one dataset, before anything is solved.",
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(help="The method: a name that `induce recipes list` shows, or a TOML file."),
]
ProposerChoice = Annotated[
    str | None,
    typer.Option(
        "--proposer", help="Instead of a recipe: search, recall, gnn-compiled, or recorded:TRANSCRIPT."
    ),
]
Limits = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LIMIT=NUMBER",
        help="What may be spent on a task or, with run_ before the name, on all together.",
    ),
]
MEMORY_HELP = (
    "off; frozen: recall what was learned before; learn: learn from these, too. "
    "Default: frozen where memory.mode is set to learn, else as it is set."
)


@app.command()
def run(
    tasks: Source,
    address: Address = None,
    workers: Workers = None,
    cpus: Cpus = None,
    recipe: Recipe = None,
    model: ModelChoice = None,
    proposer: ProposerChoice = None,
    budget: Limits = None,
    select: Annotated[SelectionRule | None, typer.Option(help="How the winner is chosen.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.001, help="The search's time for one task.")] = None,
    attempts: Annotated[int | None, typer.Option(min=1, help="Distinct predictions for one query.")] = None,
    memory_mode: Annotated[MemoryMode | None, typer.Option(help=MEMORY_HELP)] = None,
    first: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Solve first what has such an id; may be repeated."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(help="The new run: a file, or postgresql+psycopg://USER@HOST/DATABASE#RUN."),
    ] = None,
    results: Annotated[
        str | None, typer.Option(help="Also write solutions as Parquet: a folder, s3://…, gs://…")
    ] = None,
    no_ray: NoRay = False,
    offline: Offline = False,
    task_format: Format = None,
    shots: Shots = None,
    output_column: OutputColumn = None,
    skip_bad: SkipBad = False,
    sandbox: SandboxChoice = None,
    json: Json = False,
) -> None:
    """Solve tasks on all workers of a cluster; on this machine's cores, where no cluster is named.

    What dies on the way (workers, nodes, the owner of the log) is replaced, and every task ends once. After
    an interruption, [bold]induce batch resume[/bold] goes on, on the same cluster or on another.

    Examples:

      induce batch run examples/search

      induce batch run tasks.jsonl --workers 8 --proposer search --out run.sqlite

      induce batch run arc1:training --address auto --model vllm:NAME@http://gpu:8000/v1 \\
        --out 'postgresql+psycopg://induce@db/induce#arc-1'

      ray job submit --working-dir . -- python -m induce batch run tasks.jsonl --out /shared/run.sqlite
    """
    settings = _settings(
        {
            "solver": {"recipe": recipe, "select": select, "attempts": attempts},
            "model": {"address": model},
            "search": {"seconds": seconds},
            "sandbox": {"back_end": sandbox},
            "memory": {"mode": memory_mode},
            "budget": limits_of(budget or ()),
            "cluster": {"address": address, "workers": workers, "cpus": cpus, "results": results},
        },
        recipe,
        proposer,
    )
    if offline:
        if no_ray:
            raise typer.BadParameter("it needs Ray; leave one of the two out", param_hint="--offline")
        spec, chosen = choose_proposer(settings, proposer)
        check_offline(make_proposer(spec, chosen).recipe, chosen)  # before there is a run
    loaded = open_tasks(tasks, task_format, shots, output_column, skip_bad=skip_bad)
    if no_ray:
        open_sandbox(settings.sandbox).close()
    count = sum(1 for _ in loaded)  # reads every task once, so that a bad one stops us before work is spent
    started = start_run(loaded, count, proposer, settings, out)
    mark_as_batch(started.log)
    work(started, tuple(first or ()), no_ray=no_ray, offline=offline, json=json)


@app.command()
def plan(
    tasks: Source,
    address: Address = None,
    workers: Workers = None,
    cpus: Cpus = None,
    recipe: Recipe = None,
    model: ModelChoice = None,
    proposer: ProposerChoice = None,
    budget: Limits = None,
    seconds: Annotated[float | None, typer.Option(min=0.001, help="The search's time for one task.")] = None,
    memory_mode: Annotated[MemoryMode | None, typer.Option(help=MEMORY_HELP)] = None,
    task_format: Format = None,
    shots: Shots = None,
    output_column: OutputColumn = None,
    skip_bad: SkipBad = False,
    sandbox: SandboxChoice = None,
    json: Json = False,
) -> None:
    """Say what a batch would run on, what would stop it, and what it would cost; start nothing.

    Every node of the cluster is asked for its versions, its sandbox, the model's servers, the transcript and
    the memory. Exit code 1 where something is missing.

    Example:

      induce batch plan tasks.jsonl --address auto --model vllm:NAME@http://gpu:8000/v1
    """
    settings = _settings(
        {
            "solver": {"recipe": recipe},
            "model": {"address": model},
            "search": {"seconds": seconds},
            "sandbox": {"back_end": sandbox},
            "memory": {"mode": memory_mode},
            "budget": limits_of(budget or ()),
            "cluster": {"address": address, "workers": workers, "cpus": cpus},
        },
        recipe,
        proposer,
    )
    loaded = open_tasks(tasks, task_format, shots, output_column, skip_bad=skip_bad)
    spec, settings = choose_proposer(settings, proposer)
    wired = make_proposer(spec, settings)
    expected = estimate(wired, settings, loaded)
    outlook = plan_batch(settings.cluster.address, wired.spec, settings, wired.content_hash)
    _show_outlook(outlook, expected, settings, json=json)
    if outlook.problems or any(node.problems for node in outlook.nodes):
        raise typer.Exit(1)


@app.command()
def status(run: RunName, json: Json = False) -> None:
    """Say how far a run is, from its log alone; from any machine that can read that.

    Example:

      induce batch status run.sqlite
    """
    with _open(run) as log:
        address, outcomes, total = log.address, log.count(), log.info.tasks
        last: Event | None = None
        workers: dict[str, Event] = {}
        servers: dict[str, Event] = {}
        for event in log.events(None):
            if event.what in ("began", "progress", "ended", "stopped"):
                last = event
            if event.what == "server":
                servers[event.where] = event
            if event.what == "began":
                workers.clear()
            elif event.what == "worker ready":
                workers[event.where] = event
            elif event.what == "worker lost":
                workers.pop(event.where, None)
    done = sum(outcomes.values())
    over = last is not None and last.what in ("ended", "stopped")
    age = None if last is None else max(0.0, time.time() - last.time)
    if done >= total:
        state = "finished"
    elif over:
        state = "ended"
    else:
        state = "at work" if age is not None and age < SILENCE else "not at work"
    if json:
        record: dict[str, Any] = {"run": log.address, "state": state, "tasks": total, "done": done}
        record |= {"outcomes": outcomes, "workers": sorted(workers), "seconds_since_heard": age}
        record["servers"] = {url: dict(event.detail) for url, event in servers.items()}
        print_json(record | {"progress": dict(last.detail) if last is not None else None})
        return
    print_line(console(), f"{state}: {done:,} of {total:,} tasks done, {_summary(outcomes)}")
    if last is not None:
        heard = f"{timedelta(seconds=round(age or 0))} ago"
        print_line(console(), f"last heard of {heard}; {len(workers)} workers then", "dim")
    for url, event in servers.items():
        known = {
            name: value
            for name, value in event.detail.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool) and value
        }
        said = ", ".join(f"{name.replace('_', ' ')} {value:,.6g}" for name, value in known.items())
        print_line(console(), f"{url}: {said}", "dim")
    if done < total and state != "at work":
        print_line(console(), f"go on with: induce batch resume {shlex.quote(address)}", "dim")


@app.command()
def cancel(
    run: RunName,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait until it has ended.")] = 60.0,
) -> None:
    """Ask a run to stop, wherever it is at work; what is finished stays, and it can be resumed.

    Its workers close their sandboxes and end. Exit code 1 where it has not ended in time.

    Example:

      induce batch cancel run.sqlite
    """
    address = run_address(run, resolve_settings())
    RunLog.signal(address, CANCEL)
    deadline = time.monotonic() + wait
    free = 0
    # More than once, for a run has nobody who writes it for a moment while one takes it over from another.
    while free < 3:
        free = 0 if RunLog.is_being_written(address) else free + 1
        if time.monotonic() > deadline:
            print_line(error_console(), f"asked the run to stop; it has not yet, after {wait:g} s")
            raise typer.Exit(1)
        time.sleep(0.3)
    with RunLog.open(address) as log:
        shown = log.address  # without a password
    again = f"induce batch resume {shlex.quote(shown)}"
    print_line(console(), f"{shown} is not at work any more; go on with: {again}")


@app.command()
def show(run: RunName, task: str, json: Json = False) -> None:
    """Show what happened to a task, and when: its leases, failures, lost workers and its end.

    Example:

      induce batch show run.sqlite 007bbfb7
    """
    with _open(run) as log:
        events = [
            event
            for event in log.events(None)
            if event.task_id == task or task in _list(event.detail.get("again"))
        ]
        solution = log.solution(task)
    if not events and solution is None:
        raise RunLogError(f"{run} knows nothing of a task {task!r}; `induce runs show {run}` lists its tasks")
    if json:
        for event in events:
            print_json({"time": event.time, "what": event.what, "where": event.where} | dict(event.detail))
        return
    for event in events:
        moment = datetime.fromtimestamp(event.time, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        print_line(console(), f"{moment}  {event.where:8} {event.what}{_detail(event)}")
    if solution is not None:
        console().print(render_line(solution), soft_wrap=True)


@app.command()
def export(
    run: RunName, to: Annotated[str, typer.Argument(metavar="URI", help="A folder, s3://…, gs://…")]
) -> None:
    """Write the solutions of a run as Parquet; what is there already is not written again.

    Example:

      induce batch export run.sqlite results/
    """
    with _open(run) as log:
        write_results(log, to)
        print_line(console(), f"{sum(log.count().values()):,} solutions are in {to}")


app.command("resume")(resume)


def work(
    started: Run, first: tuple[str, ...] = (), *, no_ray: bool, json: bool, offline: bool = False
) -> None:
    """Work on a run that is open until it ends, showing how it goes."""
    address = started.settings.cluster.address
    with Dashboard(json=json) as dashboard:
        again = f"go on with: induce batch resume {shlex.quote(started.log.address)}"
        try:
            if no_ray:
                end = solve_here(started, dashboard.show, first)
            else:
                end = run_batch(started, address, dashboard.show, dashboard.remark, first, offline=offline)
        except KeyboardInterrupt:
            dashboard.remark(f"interrupted; {again}")
            raise
        except InduceError:
            dashboard.remark(f"what was solved is kept; {again}")
            raise
    _report(end, started, json=json)


def _report(end: BatchEnd, started: Run, *, json: bool) -> None:
    for lost in end.given_up[:10]:
        print_line(error_console(), f"given up: {lost.task_id}: {lost.reason}", "yellow")
    if json:
        print_json(
            {"run": started.log.address, "outcomes": dict(end.outcomes), "given_up": len(end.given_up)}
        )
    else:
        print_line(error_console(), f"{_summary(end.outcomes)}; run: {started.log.address}")
    if end.given_up:
        raise typer.Exit(1)


def _settings(flags: dict[str, dict[str, Any]], recipe: str | None, proposer: str | None) -> Settings:
    if recipe is not None and proposer is not None:
        raise typer.BadParameter("give a recipe or a proposer, not both", param_hint="--recipe")
    settings = resolve_settings(flags)
    if recipe is not None:
        settings = settings.model_copy(update={"recipe": None})
    if settings.memory.mode == "learn" and flags["memory"]["mode"] is None:
        # Thousands of tasks at a time would learn from each other in an order that nobody can repeat.
        memory = settings.memory.model_copy(update={"mode": "frozen"})
        settings = settings.model_copy(update={"memory": memory})
    return settings


def _open(run: str) -> RunLog:
    return RunLog.open(run_address(run, resolve_settings()))


def _show_outlook(outlook: Outlook, expected: Estimate, settings: Settings, *, json: bool) -> None:
    search = settings.search
    longest = None
    if expected.searched and not search.max_terms:
        longest = search.seconds * expected.tasks / outlook.at_once
    if json:
        nodes = [
            {"node": one.node.name, "cpus": one.node.cpus, "python": one.python, "ray": one.ray}
            | {"induce": one.induce, "problems": list(one.problems)}
            for one in outlook.nodes
        ]
        record = {
            "address": outlook.address,
            "nodes": nodes,
            "workers": outlook.workers,
            "cpus": outlook.cpus,
        }
        record["problems"] = list(outlook.problems)
        print_json(record | {"tasks_at_once": outlook.at_once, "longest_search_seconds": longest})
    else:
        for one in outlook.nodes:
            state = "; ".join(one.problems) or f"Python {one.python}, Ray {one.ray}, ready"
            style = "red" if one.problems else "green"
            print_line(console(), f"{one.node.name}: {one.node.cpus:g} CPUs, {state}", style)
        for problem in outlook.problems:
            print_line(console(), problem, "red")
        print_line(
            console(),
            f"{outlook.workers} workers of {outlook.cpus:g} CPUs, {outlook.at_once} tasks at a time",
        )
        if longest is not None:
            print_line(console(), f"the search takes {timedelta(seconds=round(longest))} at most")
    show_estimate(expected, json=json)


def _summary(outcomes: Any) -> str:
    counts = Counter(outcomes)
    parts = [f"{counts['solved']:,} of {counts.total():,} tasks solved"]
    parts += [f"{counts[one]:,} {one}" for one in ("answered", "infeasible") if counts[one]]
    return ", ".join(parts)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _detail(event: Event) -> str:
    shown = {
        key: f"{value:.3f}" if isinstance(value, float) else str(value)
        for key, value in event.detail.items()
        if key not in ("received", "begun", "again") and value
    }
    received, begun = event.detail.get("received"), event.detail.get("begun")
    if isinstance(received, (int, float)) and isinstance(begun, (int, float)):
        shown["waited"] = f"{begun - received:.3f} s"
        shown["took"] = f"{event.time - begun:.3f} s"
    return ": " + ", ".join(f"{key} {value}" for key, value in shown.items()) if shown else ""
