"""Real batches for the cluster's benchmarks: tasks that cost what one wishes, and what the run cost whom.

Everything but the proposers is what `induce batch run` uses: driver, workers, the log's owner, the sandbox.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import reporting  # noqa: F401 - before all else, or a script here would hide the package of its name
from ray import cloudpickle

from hypotheses.hypothesis import Completion, Hypothesis, Proposal, Report
from hypotheses.models.address import ModelAddress
from hypotheses.models.chat import ChatRequest, Message, Sampling
from hypotheses.models.client import ClientConfig, ModelClient
from hypotheses.models.langchain_endpoint import open_endpoints
from hypotheses.proposer import Request
from hypotheses.run_log import Event, RunInfo, RunLog
from hypotheses.solver import Solver
from hypotheses.solver_config import SolverConfig
from hypotheses.task import Task
from ray_jobs.cluster import Cluster, connect
from ray_jobs.driver import BatchDriver, BatchPlan
from ray_jobs.job import Engine, FencedRecorder, Job, MakeSolver, Workplace
from ray_jobs.logs import BatchLog, FileLog, ServerLog
from sandboxes import EmbeddedSandbox, Program

SAMPLES = 5
PROMPT = "Each input is mapped to its output by a rule. Say the rule in one sentence.\n" * 12
PROGRAM = """import time
def f(x):
    end = time.process_time() + {seconds}
    while time.process_time() < end:
        pass
    return x + 1
"""
INFO = RunInfo("", {}, "", 0, "", "", {}, "0")


@contextmanager
def local_cluster(cpus: int = 8) -> Iterator[Cluster]:
    """Start a cluster on this machine; its processes do not look for modules among these scripts."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    before = list(sys.path)
    sys.path[:] = [one for one in sys.path if Path(one) != Path(__file__).parent]
    try:
        with connect("local", cpus=cpus) as cluster:
            yield cluster
    finally:
        sys.path[:] = before


@dataclass(frozen=True)
class Burning:
    """Proposes one program, which uses so many seconds of CPU."""

    seconds: float
    name: str = "burning"

    async def propose(self, request: Request) -> AsyncGenerator[Proposal | Report, None]:
        """Propose the program, in the first round."""
        if request.round == 0:
            program = Program(PROGRAM.format(seconds=self.seconds), "f")
            yield Proposal(Hypothesis("Add 1.", proposer=self.name), program)


@dataclass(frozen=True)
class Waiting:
    """Lets some time pass, and proposes nothing."""

    seconds: float
    name: str = "waiting"

    async def propose(self, request: Request) -> AsyncGenerator[Proposal | Report, None]:  # noqa: ARG002
        """Wait."""
        await asyncio.sleep(self.seconds)
        yield Report()


@dataclass(frozen=True)
class Asking:
    """Asks for hypotheses in one request, then for a program for each; nothing can be read from any."""

    client: ModelClient
    name: str = "asking"

    async def propose(self, request: Request) -> AsyncGenerator[Proposal | Report, None]:
        """Ask in the first round."""
        if request.round:
            return
        number = request.task.id
        found: list[Completion] = [one async for one in self._sample(request, "hypothesis", number, SAMPLES)]

        async def translate(index: int) -> list[Completion]:
            return [one async for one in self._sample(request, "translation", f"{number}, rule {index}", 1)]

        for some in await asyncio.gather(*(translate(index) for index in range(len(found)))):
            found += some
        yield Report(completions=tuple(found))

    def _sample(self, request: Request, kind: Any, text: str, n: int) -> AsyncGenerator[Completion, None]:
        messages = (Message("user", f"{PROMPT}Task {text}."),)
        asked = ChatRequest(kind, messages, Sampling(0.7, 1024), n=n, task_id=request.task.id)
        return self.client.sample(asked, request.ledger)


@asynccontextmanager
async def burning(seconds: float, place: Workplace) -> AsyncIterator[Engine]:
    """Make what solves each task by one program of so many seconds of CPU."""
    with EmbeddedSandbox(servers=1) as sandbox:
        solver = Solver(Burning(seconds), sandbox, recorder=FencedRecorder(place))
        yield Engine(solver, sandbox.environment)


@asynccontextmanager
async def waiting(seconds: float, concurrency: int, place: Workplace) -> AsyncIterator[Engine]:
    """Make what spends nothing but time on a task."""
    with EmbeddedSandbox(servers=1) as sandbox:
        config = SolverConfig(concurrency=concurrency)
        solver = Solver(Waiting(seconds), sandbox, config=config, recorder=FencedRecorder(place))
        yield Engine(solver, sandbox.environment)


@asynccontextmanager
async def asking(url: str, concurrency: int, share: int, place: Workplace) -> AsyncIterator[Engine]:
    """Make what asks a model ten times for each task."""
    address = ModelAddress.parse(f"vllm:tiny@{url}")
    config = ClientConfig(concurrency=share)
    client = ModelClient(str(address), open_endpoints(address), config=config, store=place.log)
    with EmbeddedSandbox(servers=1) as sandbox:
        solving = SolverConfig(concurrency=concurrency)
        solver = Solver(Asking(client), sandbox, config=solving, recorder=FencedRecorder(place))
        try:
            yield Engine(solver, sandbox.environment, client)
        finally:
            await client.aclose()


def small_tasks(count: int) -> Iterator[Task]:
    """Give tasks with one example, on which a program is run once."""
    for number in range(count):
        yield Task.from_pairs([(number, number + 1)], id=f"task-{number:08d}")


@dataclass(slots=True)
class Measured:
    """What a batch showed.

    ``ends`` are the moments at which tasks ended, ``samples`` what each role (driver, owner, workers, Ray,
    others on the machine) had used of the CPU at some moments, with the tasks and the leases until then.
    """

    ends: list[float] = field(default_factory=list)
    start: float = 0.0
    """Seconds until the first worker was ready."""
    samples: list[tuple[float, int, int, Counter[str]]] = field(default_factory=list)
    bytes_logged: int = 0

    @property
    def rate(self) -> float:
        """Tasks a second, from the first tenth to the last."""
        return middle_rate(self.ends)

    def cpu_per_second(self, role: str) -> float:
        """How many cores a role used on average."""
        first, last = self.samples[0], self.samples[-1]
        return (last[3][role] - first[3][role]) / (last[0] - first[0])

    def cpu_per_task(self, role: str) -> float:
        """Seconds of CPU that a role used for each task."""
        first, last = self.samples[0], self.samples[-1]
        return (last[3][role] - first[3][role]) / max(1, last[1] - first[1])

    @property
    def seconds(self) -> float:
        """How long it was watched."""
        return self.samples[-1][0] - self.samples[0][0]

    @property
    def leases(self) -> int:
        """How often tasks were leased meanwhile."""
        return self.samples[-1][2] - self.samples[0][2]

    @property
    def tasks_per_lease(self) -> float:
        """How many tasks were handed out at a time."""
        first, last = self.samples[0], self.samples[-1]
        return (last[1] - first[1]) / max(1, last[2] - first[2])


def middle_rate(ends: Sequence[float]) -> float:
    """Give the tasks a second (a line's slope) between the first tenth of the tasks and the last."""
    ordered = sorted(ends)
    tenth = len(ordered) // 10
    middle = ordered[tenth : len(ordered) - tenth]
    count, mean = len(middle), sum(middle) / len(middle)
    spread = sum((moment - mean) ** 2 for moment in middle)
    together = sum((moment - mean) * (number - (count - 1) / 2) for number, moment in enumerate(middle))
    return together / max(1e-12, spread)


class CountingLog:
    """A log that counts how often tasks are leased."""

    def __init__(self, log: BatchLog) -> None:
        self._log = log
        self.leases = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def lease(self, task_ids: Sequence[str], holder: str, *, shared: bool = False) -> list[int]:
        """Lease tasks to a worker."""
        self.leases += 1
        return await self._log.lease(task_ids, holder, shared=shared)


def make_job(make_solver: MakeSolver, log: BatchLog) -> Job:
    """Give what workers are told."""
    return Job(
        make_solver=make_solver,
        log=log.place,
        account=None,
        memory=None,
        cpus=1.0,
        environment={},
        run="measured",
        trace={},
    )


async def measure_batch(
    cluster: Cluster,
    make_solver: MakeSolver,
    tasks: Sequence[Task],
    workers: int,
    *,
    server: str = "",
    share: int | None = None,
    cpus: float = 0.01,
) -> Measured:
    """Run a batch to its end, its log in a file, or on the server at an address."""
    found = Measured()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address = f"{server}#run{time.time_ns()}" if server else str(folder / "run.sqlite")
        created = RunLog.create(address, INFO)
        log: BatchLog
        if server:
            log = ServerLog(created, address)
        else:
            created.close()
            home = cluster.nodes()[0].id
            log = await asyncio.to_thread(FileLog, Path(address), created.epoch, home)
        counting = CountingLog(log)
        job = make_job(make_solver, log)

        def watch(progress: Any) -> None:
            if 0 < progress.done < len(tasks):
                found.samples.append((time.monotonic(), progress.done, counting.leases, cpu_by_role()))

        driver = BatchDriver(
            tasks, counting, job, BatchPlan(workers, cpus, share), total=len(tasks), watch=watch
        )
        await driver.run()
        await log.close()
        with RunLog.open(address) as reader:
            events: list[Event] = list(reader.events())
        found.ends = [one.time for one in events if one.what in ("solved", "unsolved", "answered")]
        found.start = next(one.time for one in events if one.what == "worker ready") - events[0].time
        if not server:
            found.bytes_logged = folder.joinpath("run.sqlite").stat().st_size
    assert len(found.ends) == len(tasks), f"{len(found.ends)} of {len(tasks)} tasks came to an end"
    return found


_looking = 0.0


def cpu_by_role() -> Counter[str]:
    """Give the seconds of CPU that each role has used so far; what has ended counts as its parent's."""
    global _looking  # noqa: PLW0603 - the price of looking is not the driver's
    began = time.thread_time()
    used: Counter[str] = Counter()
    this = psutil.Process()
    own = this.cpu_times()
    used["driver"] = own.user + own.system - _looking
    _add_tree(this, "ray", used)
    whole = psutil.cpu_times()
    used["others"] = sum(whole) - whole.idle - whole.iowait - whole.guest - whole.guest_nice - used.total()
    _looking += time.thread_time() - began
    return used


def _add_tree(parent: psutil.Process, role: str, used: Counter[str]) -> None:
    for child in parent.children():
        try:
            line = " ".join(child.cmdline())
            mine = role
            if "ray::Host" in line:
                mine = "owner"
            elif "ray::SolverWorker" in line:
                mine = "worker"
            elif role == "worker":
                mine = "sandbox"
            times = child.cpu_times()
            used[mine] += times.user + times.system
            if mine == "sandbox":
                used[mine] += times.children_user + times.children_system
            _add_tree(child, mine, used)
        except psutil.NoSuchProcess:
            continue
