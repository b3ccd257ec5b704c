"""Batches: a run spread over the workers of a Ray cluster, or in this process where that is wished."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from hypotheses.budget import Cost, Ledger
from hypotheses.models.client import ModelClient
from hypotheses.models.langchain_endpoint import key_variables
from hypotheses.run_log import Event, RunLog
from induce._version import __version__
from induce.api import SolveOptions, settings_of
from induce.language_model import ModelSource
from induce.memory_store import open_memory
from induce.node_check import check_node
from induce.offline import send_ahead
from induce.runs import Run, is_on_server, mark_as_batch, start_run
from induce.sandboxing import TOKEN_VARIABLE
from induce.settings import Settings
from induce.tasks import TaskSet, load_tasks
from induce.wiring import assemble, make_proposer, open_solver, solver_config
from ray_jobs.job import AccountPlace, Engine, FencedRecorder, Job, Workplace
from ray_jobs.messages import Ended
from ray_jobs.progress import Progress, Tally
from ray_jobs.signals import BatchCancelledError, cancelled
from sandboxes import ClusterError, InduceError

if TYPE_CHECKING:
    from ray_jobs.cluster import Cluster
    from ray_jobs.dispatch import GivenUp
    from ray_jobs.driver import BatchPlan
    from ray_jobs.hosted import Hosted
    from ray_jobs.logs import BatchLog
    from ray_jobs.preflight import NodeReport
    from ray_jobs.results import ResultsWriter

_PROGRESS_SECONDS = 10

RESULTS_SECONDS = 30.0
"""How often finished tasks are added to the results."""

_SERVER_VARIABLES = (
    *("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGSERVICE"),
    *("PGSERVICEFILE", "PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGCHANNELBINDING"),
    "PGREQUIREAUTH",
)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a batch will run on: the nodes with what they said, and how many workers of how many CPUs."""

    address: str
    nodes: tuple[NodeReport, ...]
    workers: int
    cpus: float
    at_once: int
    """How many tasks all workers solve at a time."""
    problems: tuple[str, ...] = ()
    """What else would stop it."""


@dataclass(frozen=True, slots=True)
class BatchEnd:
    """How a batch ended: finished tasks by outcome, and those that could not be brought to an end."""

    outcomes: Mapping[str, int]
    given_up: Sequence[GivenUp] = ()


Watch = Callable[[Progress], None]


def run_batch(
    run: Run,
    address: str | None,
    watch: Watch = lambda _: None,
    remark: Callable[[str], object] = lambda _: None,
    first: Sequence[str] = (),
    *,
    offline: bool = False,
) -> BatchEnd:
    """Solve what is left of a run on the cluster at ``address``, and close its log.

    Without an address it is the cluster that ``RAY_ADDRESS`` names, else one on this machine alone. ``watch``
    is told every second how it goes, ``remark`` what else there is to say. Tasks whose ids are like one of
    ``first`` (a shell's pattern) come first. ``offline``: all first requests to the model are sent ahead.

    Raises ``ClusterError`` where the cluster cannot be used, or a node lacks something, before any work
    starts; ``BatchCancelledError`` where somebody asked for the run to stop; and whatever else ends a run.
    """
    from ray_jobs.cluster import connect  # noqa: PLC0415 - Ray is an extra, and slow to load

    chosen = run.settings.cluster
    wanted = None if chosen.workers is None else chosen.workers * chosen.cpus
    heard = _heard(run.log)
    with run.log, connect(address, cpus=wanted) as cluster:
        outlook = look(cluster, run.proposer.spec, run.settings, run.proposer.content_hash, run.address)
        refuse(outlook)
        if offline:
            send_ahead(run, cluster, remark, heard)
        return asyncio.run(_drive(run, cluster, outlook, watch, remark, first, heard))


def _heard(log: RunLog) -> int:
    """Give the number of the last signal there is: it was for earlier sessions."""
    return max((number for number, _ in log.signals()), default=0)


def plan_batch(address: str | None, spec: str, settings: Settings, content_hash: str) -> Outlook:
    """Look at the cluster and at what its nodes lack, without starting anything but that look."""
    from ray_jobs.cluster import connect  # noqa: PLC0415 - Ray is an extra, and slow to load

    chosen = settings.cluster
    wanted = None if chosen.workers is None else chosen.workers * chosen.cpus
    with connect(address, cpus=wanted) as cluster:
        return look(cluster, spec, settings, content_hash)


def look(
    cluster: Cluster, spec: str, settings: Settings, content_hash: str, run: str | None = None
) -> Outlook:
    """Ask every node whether it has what the run needs, and reaches ``run``, if that is on a server."""
    from ray_jobs.preflight import check_nodes  # noqa: PLC0415 - needs Ray

    modules = ["stitch_core"] if settings.memory.mode == "learn" else []
    log = run if run is not None and is_on_server(run) else None
    check = partial(check_node, spec, settings, content_hash, secrets_of(settings), log)
    reports = check_nodes(cluster, induce=__version__, modules=modules, check=check)
    cpus = settings.cluster.cpus
    places = sum(int(one.node.cpus / cpus) for one in reports if not one.problems)
    workers = settings.cluster.workers or max(1, places)
    problems = []
    largest = max((one.node.cpus for one in reports), default=0.0)
    if largest < cpus:
        problems.append(
            f"a worker needs {cpus:g} CPUs, and no node has more than {largest:g}: lower cluster.cpus"
        )
    if cluster.client:
        problems += _problems_from_outside(cluster, settings, run)
    at_once = workers * solver_config(make_proposer(spec, settings), settings).concurrency
    return Outlook(cluster.address, tuple(reports), workers, cpus, at_once, tuple(problems))


def _problems_from_outside(cluster: Cluster, settings: Settings, run: str | None) -> list[str]:
    """Say which files the cluster's nodes cannot reach when the driver is on none of them."""
    files = [run] if run is not None else []
    files += [settings.memory.address] if settings.memory.mode != "off" else []
    return [
        f"the cluster is reached from outside ({cluster.address}), so its nodes cannot use {file}: "
        "name a run, and a memory, on a PostgreSQL server, or start this as a Ray job"
        for file in files
        if not is_on_server(file)
    ]


def refuse(outlook: Outlook) -> None:
    """Raise ``ClusterError`` that names everything that would stop a batch, if there is anything."""
    from ray_jobs.preflight import refuse_bad_nodes  # noqa: PLC0415 - needs Ray

    refuse_bad_nodes(outlook.nodes)
    if outlook.problems:
        raise ClusterError("; ".join(outlook.problems))


async def _drive(
    run: Run,
    cluster: Cluster,
    outlook: Outlook,
    watch: Watch,
    remark: Callable[[str], object],
    first: Sequence[str],
    heard: int,
) -> BatchEnd:
    from ray_jobs.driver import BatchDriver  # noqa: PLC0415 - needs Ray
    from ray_jobs.tracing import carrier, span  # noqa: PLC0415

    settings = run.settings
    home = next((one.id for one in cluster.nodes() if one.here), cluster.nodes()[0].id)
    async with contextlib.AsyncExitStack() as stack:
        reader, log = await _open_log(run, home, stack)
        account = _open_account(run, home, stack)
        memory = _open_memory(settings, home, stack)
        results = _Results(settings.cluster.results, reader, remark)
        stack.enter_context(span("batch", run=run.name))
        job = Job(
            partial(make_engine, run.proposer.spec, settings, run.name),
            log.place,
            account,
            memory,
            outlook.cpus,
            secrets_of(settings),
            carrier(),
            run.name,
        )

        def tell(progress: Progress) -> None:
            results.write_now_and_then()
            watch(progress)

        driver = BatchDriver(
            run.unfinished(reader, first),
            log,
            job,
            batch_plan(settings, outlook),
            outcomes=reader.count(),
            total=run.total,
            watch=tell,
            forget=_forgetful(account),
            heard=heard,
        )
        await driver.run()
        end = BatchEnd(await asyncio.to_thread(reader.count), tuple(driver.given_up))
        results.finish()
        return end


def batch_plan(settings: Settings, outlook: Outlook) -> BatchPlan:
    """Say how a run is spread over the workers that there are places for."""
    from ray_jobs.driver import BatchPlan  # noqa: PLC0415 - needs Ray

    share, endpoints = None, tuple[str, ...]()
    if settings.model.address is not None:
        share = settings.model.concurrency
        endpoints = ModelSource.parse(settings.model.address).address.base_urls
    return BatchPlan(outlook.workers, outlook.cpus, share, endpoints)


@asynccontextmanager
async def make_engine(spec: str, settings: Settings, run: str, place: Workplace) -> AsyncIterator[Engine]:
    """Make what solves tasks in a worker's process: what ``ray_jobs`` is handed."""
    if settings.sandbox.servers is None:  # no more programs at a time than the worker has CPUs
        sandbox = settings.sandbox.model_copy(update={"servers": max(1, int(place.cpus))})
        settings = settings.model_copy(update={"sandbox": sandbox})
    assembling = assemble(
        make_proposer(spec, settings),
        settings,
        ledger=place.account or Ledger(),
        recorder=FencedRecorder(place),
        store=place.log,
        memory=place.memory,
        run=run,
    )
    async with assembling as made:
        client = made.model.client if made.model is not None else None
        yield Engine(
            made.solver, made.sandbox.environment, client if isinstance(client, ModelClient) else None
        )


def write_results(log: RunLog, uri: str) -> None:
    """Write the solutions of a run as Parquet. Raises ``InduceError`` where that cannot be."""
    _Results(uri, log, lambda _: None).finish()


def solve_here(run: Run, watch: Watch = lambda _: None, first: Sequence[str] = ()) -> BatchEnd:
    """Solve what is left of a run in this process, without Ray, and close its log."""
    tally = Tally(run.log.count(), run.total, 1)
    heard = _heard(run.log)

    async def solve() -> None:
        solving = open_solver(run.proposer, run.settings, run.log)
        async with solving as solver, aclosing(solver.stream(run.unfinished(first=first))) as stream:
            async for _, solution in stream:
                tally.add(Ended.of(solution))

    async def mind() -> None:
        for second in itertools.count():
            progress = tally.progress(out=0, given_up=0)
            watch(progress)
            if second % _PROGRESS_SECONDS == 0:
                run.log.note([Event(time.time(), "progress", detail=progress.record())])
            if cancelled(run.log.signals(heard)):
                raise BatchCancelledError
            await asyncio.sleep(1)

    async def work() -> None:
        tasks = {asyncio.create_task(solve()), asyncio.create_task(mind())}
        end = "stopped"
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
            end = "ended"
        finally:
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            progress = tally.progress(out=0, given_up=0)
            watch(progress)
            run.log.note([Event(time.time(), end, detail=progress.record())])

    with run.log:
        asyncio.run(work())
        results = _Results(run.settings.cluster.results, run.log, lambda _: None)
        results.finish()
        return BatchEnd(run.log.count())


def secrets_of(settings: Settings) -> dict[str, str]:
    """Give the environment variables that workers need, and that are no settings, as they are here."""
    names = [TOKEN_VARIABLE, *_SERVER_VARIABLES]
    if settings.model.address is not None:
        names += key_variables(ModelSource.parse(settings.model.address).address.provider)
    return {name: os.environ[name] for name in names if name in os.environ}


async def _open_log(run: Run, home: str, stack: contextlib.AsyncExitStack) -> tuple[RunLog, BatchLog]:
    """Give a log that the driver reads, and the one that all write."""
    from ray_jobs.logs import FileLog, ServerLog  # noqa: PLC0415 - needs Ray

    log: BatchLog
    if is_on_server(run.address):
        log = ServerLog(run.log, run.address)
        return run.log, log
    epoch = run.log.epoch
    run.log.close()  # an actor owns the file from here on
    log = await asyncio.to_thread(FileLog, Path(run.address), epoch, home)
    stack.push_async_callback(log.close)
    return stack.enter_context(RunLog.open(run.address)), log


def _open_account(run: Run, home: str, stack: contextlib.AsyncExitStack) -> AccountPlace | None:
    """Start the actor that owns the run's budget, if it has one."""
    budget = run.settings.budget.run
    if budget == replace(
        budget, tokens=None, completion_tokens=None, seconds=None, money=None, programs=None
    ):
        return None
    from ray_jobs.account import start_account  # noqa: PLC0415 - needs Ray

    handle, stop = start_account(budget, partial(_spent, run.address), home)
    stack.callback(stop)
    return AccountPlace(handle, budget, budget.seconds)


def _spent(address: str) -> tuple[Cost, int]:
    """Give what a run has cost so far, and how many programs were run."""
    with RunLog.open(address) as log:
        return log.spent(unfinished=False), sum(solution.usage.programs for solution in log.solutions())


def _forgetful(account: AccountPlace | None) -> Callable[[str], None]:
    if account is None:
        return lambda _: None

    def forget(worker: str) -> None:
        account.handle.forget.remote(worker)

    return forget


def _open_memory(settings: Settings, home: str, stack: contextlib.AsyncExitStack) -> Hosted | None:
    """Start the actor that owns a memory in a file, if that is what the run uses."""
    if settings.memory.mode == "off" or is_on_server(settings.memory.address):
        return None
    from ray_jobs.hosted import start_host  # noqa: PLC0415 - needs Ray

    frozen = settings.memory.mode == "frozen"
    make = partial(open_memory, settings.memory, frozen=frozen)
    hosted = start_host(make, f"the memory {settings.memory.address}", home)
    stack.push_async_callback(hosted.close)
    return hosted


class _Results:
    """Writes finished tasks to where the user wants them, now and then and at the end."""

    def __init__(self, uri: str | None, log: RunLog, remark: Callable[[str], object]) -> None:
        self._log = log
        self._remark = remark
        self._writer: ResultsWriter | None = None
        self._written = time.monotonic()
        self._writing: threading.Thread | None = None
        if uri is not None:
            from ray_jobs.results import ResultsWriter  # noqa: PLC0415 - needs pyarrow

            self._writer = ResultsWriter(uri)

    def write_now_and_then(self) -> None:
        """Write full parts, if some time has passed. A failure is told: the end tries again."""
        if self._writer is None or time.monotonic() - self._written < RESULTS_SECONDS:
            return
        if is_on_server(self._log.address):  # whose solutions are in order only when nobody writes any more
            return
        if self._writing is not None and self._writing.is_alive():
            return
        self._written = time.monotonic()
        # In a thread: an upload may take longer than workers may be left without an answer.
        self._writing = threading.Thread(target=self._write, args=(self._writer,), daemon=True)
        self._writing.start()

    def _write(self, writer: ResultsWriter) -> None:
        try:
            writer.write(self._log, final=False)
        except InduceError as error:
            self._remark(str(error))

    def finish(self) -> None:
        """Write all that is left."""
        if self._writing is not None:
            self._writing.join()
        if self._writer is not None:
            self._writer.write(self._log, final=True)


class BatchOptions(SolveOptions, total=False):
    """The options of ``solve_batch``: those of ``solve``, and where the work is done."""

    address: str
    workers: int
    cpus: float
    results: str
    ray: bool
    watch: Watch


def solve_batch(tasks: str | Path | TaskSet, **options: Unpack[BatchOptions]) -> RunLog:
    """Solve tasks on the workers of a Ray cluster; give the run's log, open to be read: close it after use.

    ``tasks`` come from a source (a path, ``arc1:training``, ``load_tasks(…)``), for they are read again and
    never held all at once. Besides the options of ``asolve`` there are:

    ``out``      the new run: a path, or ``postgresql+psycopg://USER@HOST/DATABASE#RUN``; default: a new file
                 in the runs folder
    ``address``  the cluster: ``auto``, ``local``, ``HOST:PORT``, ``ray://HOST:PORT``; default:
                 ``RAY_ADDRESS``, or one that is started on this machine
    ``workers``  solver processes; default: as many as there is room for, each with ``cpus`` CPUs (1)
    ``results``  where solutions are also written as Parquet
    ``ray``      ``False``: in this process
    ``watch``    called every second with a ``Progress``

    A run that was interrupted goes on with ``induce batch resume``. Raises ``InduceError`` where our side
    failed; a task without a solution is no error.
    """
    if "on_solution" in options:
        raise TypeError("solve_batch has no option 'on_solution': solutions are in the log; there is watch=…")
    watch = options.get("watch", lambda _: None)
    own = ("address", "workers", "cpus", "results", "ray", "watch")
    of_solve: Any = {name: value for name, value in options.items() if name not in own}
    cluster = {name: options.get(name) for name in ("address", "workers", "cpus", "results")}
    settings, proposer = settings_of(of_solve, {"cluster": cluster})
    loaded = tasks if isinstance(tasks, TaskSet) else load_tasks(tasks)
    run = start_run(loaded, sum(1 for _ in loaded), proposer, settings, options.get("out"))
    mark_as_batch(run.log)
    if options.get("ray", True):
        run_batch(run, settings.cluster.address, watch)
    else:
        solve_here(run, watch)
    return RunLog.open(run.address)
