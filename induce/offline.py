"""The first round of a whole run in one go: what the model is asked before anything is solved.

Where a recipe begins with the model, its first requests depend on nothing but the tasks. They are sent ahead
through one dataset on the cluster, as fast as the servers take them, and the completions are kept in the run
log as those of a live run are, under the same keys: the run itself then finds them there. What fails here is
left to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from hypotheses.budget import Budget, Ledger
from hypotheses.hypothesis import Completion, Report
from hypotheses.model_proposer import ModelProposer
from hypotheses.models.address import OPENAI_COMPATIBLE
from hypotheses.models.client import ClientConfig, ModelClient
from hypotheses.models.prices import price_of
from hypotheses.proposer import Request
from hypotheses.recipes import Recipe
from hypotheses.run_log import Event, RunLog
from hypotheses.steps.model import Model
from hypotheses.task import Task
from induce.language_model import ModelSource, make_prompts, token_counter
from induce.runs import BATCH, Run
from induce.settings import Settings
from induce.wiring import solver_config
from ray_jobs.signals import BatchCancelledError
from ray_jobs.signals import cancelled as cancelled_by
from sandboxes import ClusterError, ProposerError, SettingsError

if TYPE_CHECKING:
    from ray_jobs.cluster import Cluster
    from ray_jobs.offline import DatasetConnections

AHEAD = 1024
"""How many samples may be on their way to a server beyond those that it is at."""

VAIN = 20
"""After so many tasks in a row that got nothing, sending ahead ends: it is not they who are at fault."""

_NEVER = 10.0**7
_TELL_SECONDS = 10.0


@dataclass(slots=True)
class Fetched:
    """How sending ahead goes: tasks looked at, those that got an error, and what came for all of them.

    ``completions`` and ``tokens`` count what was recorded before as well: whoever goes on finds it.
    """

    tasks: int = 0
    failed: int = 0
    completions: int = 0
    tokens: int = 0
    trouble: str = ""
    """What the last error said."""
    cancelled: bool = False

    def __str__(self) -> str:
        text = f"sent ahead: {self.tasks:,} tasks, {self.completions:,} completions, {self.tokens:,} tokens"
        return f"{text}; {self.failed:,} tasks are left to the run ({self.trouble})" if self.failed else text


def check_offline(recipe: Recipe | None, settings: Settings) -> tuple[Recipe, ModelSource]:
    """Give the recipe and the model of a run whose first round can be sent ahead.

    Raises ``SettingsError`` or ``ProposerError``, which say why it cannot.
    """
    if recipe is None or recipe.propose is None or settings.model.address is None:
        raise ProposerError("--offline sends the model's first requests ahead, and this run asks no model")
    if recipe.search or recipe.propose.what == "term":
        why = "asks the model only where the search finds nothing" if recipe.search else "searches as it asks"
        raise ProposerError(
            f"the recipe {recipe.name} {why}, so --offline could pay for what is not wanted: "
            "leave it out, or take a recipe such as program-only"
        )
    if recipe.pick is not None and recipe.pick.by == "person":
        raise ProposerError(f"in the recipe {recipe.name} a person picks, which --offline cannot wait for")
    if settings.memory.mode != "off":
        raise SettingsError(
            "what a memory recalls comes before the model, and into its prompts, so --offline cannot know "
            "them: leave it out, or say --memory-mode off"
        )
    run = settings.budget.run
    if run != Budget(programs=run.programs):
        raise SettingsError(
            "--offline would spend the run's budget on all tasks' first rounds, which leaves none to finish "
            "any: limit what a task may spend instead (--budget tokens=…), or leave --offline out"
        )
    source = ModelSource.parse(settings.model.address)
    if source.endpoint is not None or source.address.provider not in OPENAI_COMPATIBLE:
        raise ProposerError(
            f"--offline needs a server in OpenAI's protocol (vllm:NAME@URL or openai:NAME), not {source.spec}"
        )
    if settings.budget.money is not None and price_of(source.address, settings.model.prices) is None:
        raise SettingsError(
            f"what {source.name} charges is not known, so no budget of money can be kept: "
            "add its price to the settings, or limit tokens instead"
        )
    return recipe, source


def send_ahead(
    run: Run, cluster: Cluster, remark: Callable[[str], object] = lambda _: None, heard: int = 0
) -> Fetched:
    """Send the first round of a batch ahead, on the cluster it will run on; ``remark`` is told how it goes.

    ``heard`` is the number of the last signal that was for earlier sessions.

    The run's log is open for writing here, and stays so. In its timeline the batch begins with this.

    Raises what ``fetch_ahead`` does, ``ClusterError`` where the cluster is reached from outside, and
    ``BatchCancelledError`` where somebody asked for the run to stop.
    """
    check_offline(run.proposer.recipe, run.settings)
    if cluster.client:
        raise ClusterError(
            f"--offline cannot work from outside the cluster ({cluster.address}): start this as a Ray job, "
            "or on one of its machines"
        )
    looked = time.monotonic()

    def cancelled() -> bool:
        nonlocal looked
        if time.monotonic() - looked < 1:
            return False
        looked = time.monotonic()
        return cancelled_by(run.log.signals(heard))

    def tell(fetched: Fetched) -> None:
        remark(str(fetched))
        run.log.note([Event(time.time(), "progress", detail={"sent_ahead": asdict(fetched)})])

    run.log.note([Event(time.time(), BATCH, detail={"workers": 0})])
    fetched = asyncio.run(fetch_ahead(run, tell, cancelled=cancelled))
    if fetched.cancelled:
        raise BatchCancelledError("the run was cancelled; what was sent ahead is in its log")
    return fetched


async def fetch_ahead(
    run: Run,
    watch: Callable[[Fetched], object] = lambda _: None,
    *,
    cancelled: Callable[[], bool] = lambda: False,
) -> Fetched:
    """Ask for the first round of every unfinished task of a run, and keep what comes in its log.

    Ray must be connected, from a machine of the cluster, and the log open for writing. Completions that are
    kept already are not asked for. ``watch`` is told now and then how it goes; once ``cancelled``, what
    is under way is given up. The budget of a task is kept to; its seconds count from where it is solved.

    Raises what ``check_offline`` does, and ``ClusterError`` where the dataset fails.
    """
    recipe, source = check_offline(run.proposer.recipe, run.settings)
    fetched = Fetched()
    async with _open_model(recipe, source, run.settings, run.log) as (model, connections):
        n = solver_config(run.proposer, run.settings).samples
        endpoints = max(1, len(source.address.base_urls))
        most = max(2, math.ceil((AHEAD + run.settings.model.concurrency) * endpoints / n))
        fetching = _Fetching(ModelProposer(recipe, model), n, run.settings.budget.task, fetched)
        tasks = iter(run.unfinished())
        told = time.monotonic()
        under_way: set[asyncio.Task[None]] = set()
        try:
            while not fetched.cancelled:
                while fetching.vain < VAIN and len(under_way) < most and (task := next(tasks, None)):
                    under_way.add(asyncio.create_task(fetching.fetch(task)))
                if not under_way:
                    break
                _, under_way = await asyncio.wait(under_way, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
                if connections.failure is not None:
                    raise connections.failure
                fetched.cancelled = cancelled()
                if time.monotonic() - told > _TELL_SECONDS:
                    told = time.monotonic()
                    watch(fetched)
        finally:
            for one in under_way:
                one.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
    watch(fetched)
    return fetched


class _Fetching:
    """Has the proposer's first round asked, task by task, and counts."""

    def __init__(self, proposer: ModelProposer, n: int, budget: Budget, fetched: Fetched) -> None:
        self.vain = 0
        self._proposer = proposer
        self._n = n
        self._budget = replace(budget, seconds=None)
        self._fetched = fetched

    async def fetch(self, task: Task) -> None:
        """Ask for what the first round of a task asks for."""
        fetched, came = self._fetched, 0
        request = Request(task, n=self._n, ledger=Ledger(self._budget))
        try:
            async with aclosing(self._proposer.propose(request)) as items:
                async for item in items:
                    for one in _completions(item):
                        came += 1
                        fetched.completions += 1
                        fetched.tokens += one.prompt_tokens + one.completion_tokens
        except ProposerError as error:
            fetched.failed += 1
            fetched.trouble = str(error)
            self.vain = 0 if came else self.vain + 1
        else:
            self.vain = 0
        fetched.tasks += 1


def _completions(item: Any) -> Iterator[Completion]:
    if isinstance(item, Report):
        yield from item.completions
    elif item.completion is not None:
        yield item.completion


@asynccontextmanager
async def _open_model(
    recipe: Recipe, source: ModelSource, settings: Settings, log: RunLog
) -> AsyncIterator[tuple[Model, DatasetConnections]]:
    """Give the model as a live run has it, but with connections that go through a dataset."""
    from hypotheses.models.langchain_endpoint import EndpointSettings, open_endpoints  # noqa: PLC0415 - slow

    try:
        from ray_jobs.offline import DatasetConnections, Reach  # noqa: PLC0415 - Ray is an extra
    except ImportError as error:
        raise ClusterError(
            f"--offline needs {error.name or 'Ray Data'}: pip install 'induce[ray-data]', or leave it out"
        ) from None
    chosen = settings.model
    connections = DatasetConnections(Reach(chosen.concurrency, chosen.timeout))
    speaking = EndpointSettings(timeout=_NEVER, logprobs=chosen.logprobs, omit=chosen.omit)
    endpoints = open_endpoints(source.address, speaking, connections)
    # How many samples a server is at, and for how long, is limited where they are sent; here they queue.
    client = ModelClient(
        source.name,
        endpoints,
        config=ClientConfig(
            concurrency=chosen.concurrency + AHEAD,
            timeout=_NEVER,
            attempts=chosen.attempts,
            patience=chosen.patience,
            truncation=chosen.truncation,
        ),
        store=log,
        price=price_of(source.address, chosen.prices),
        count_tokens=token_counter(settings).count,
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(connections.aclose)
        stack.push_async_callback(client.aclose)
        yield Model(client, make_prompts(settings, recipe.prompts)), connections
