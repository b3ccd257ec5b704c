"""From settings to a solver that is ready to work."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from hypotheses.budget import Account, Ledger
from hypotheses.guided_search import GuidedSearchProposer
from hypotheses.model_proposer import ModelProposer
from hypotheses.models.store import CompletionStore
from hypotheses.playback import PlaybackProposer
from hypotheses.portfolio import PortfolioProposer
from hypotheses.proposer import Implementer, Proposer
from hypotheses.recipes import Implement, PromptStyle, Propose, Recall, Recipe, Refine, find_recipe
from hypotheses.run_log import RunLog
from hypotheses.search import SearchProposer
from hypotheses.solver import Recorder, Solver
from hypotheses.solver_config import SolverConfig
from hypotheses.steps.model import Model
from hypotheses.steps.narrowing import Picker
from induce.language_model import ModelSource, open_model
from induce.memory_store import open_memory, profile_folder
from induce.sandboxing import open_sandbox
from induce.settings import Settings, SolverSettings
from sandboxes import ModelError, ProposerError, Sandbox

if TYPE_CHECKING:
    from hypotheses.recall.experience import ExperienceStore, StoredExperience
    from hypotheses.recall.proposer import RecalledProposer

MODEL_TASKS = 16
"""How many tasks are solved at a time with a model, which answers many as fast as one."""

TRANSCRIPT_TASKS = 4
"""How many tasks are solved at a time with a transcript, where the sandbox is what takes time."""

RECALL_AT_ONCE = 8
"""How many remembered programs are run before it is looked whether one of them is right."""

RECALLED = 48
"""How many remembered programs are run on a task at most, compositions of two aside."""

COMPOSED = 5
"""The first so many are also tried one after another."""

RECALL_ROUNDS = math.ceil((RECALLED + COMPOSED * (COMPOSED - 1)) / RECALL_AT_ONCE)


class Parts(NamedTuple):
    """What solves tasks, and the model that it asks, if there is one."""

    proposer: Proposer
    implementer: Implementer | None = None
    model: Model | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a proposer may work with: where programs run, where completions are kept, who picks hypotheses."""

    sandbox: Sandbox
    completions: CompletionStore | None = None
    picker: Picker | None = None


@dataclass(frozen=True, slots=True)
class WiredProposer:
    """A proposer with what the loop must know of it.

    ``spec`` makes it again; ``content_hash`` is that of a transcript, empty for others. ``config`` is what
    suits it where the settings do not say. ``connect`` gives proposer and implementer, with connections to a
    model where they need one, whose completions are kept in the store.
    """

    spec: str
    config: SolverConfig
    connect: Callable[[Surroundings], AbstractAsyncContextManager[Parts]]
    content_hash: str = ""
    recipe: Recipe | None = field(default=None, repr=False)


def choose_proposer(settings: Settings, proposer: str | None = None) -> tuple[str, Settings]:
    """Say which proposer is meant, with the settings in which its recipe, if any, stands in full.

    ``proposer`` is the user's word for it; else the recipe of the settings it is. The recipe ``portfolio``
    without a model is the search alone.
    """
    if proposer is not None:
        return proposer, settings
    recipe = settings.recipe or find_recipe(settings.solver.recipe)
    if recipe.propose is None or (recipe.search and settings.model.address is None):
        return "search", settings
    return f"recipe:{recipe.name}", settings.model_copy(update={"recipe": recipe})


def make_proposer(spec: str, settings: Settings) -> WiredProposer:
    """Make the proposer that ``spec`` names.

    That is ``search``, ``recall``, ``gnn-compiled``, ``recorded:FILE`` or ``recipe:NAME``.

    Where a memory is in use, ``search`` and recipes try remembered programs first.

    Raises ``ProposerError`` for another name, a transcript that cannot be read or a model that is not named,
    ``SettingsError`` for an unknown recipe.
    """
    kind, _, argument = spec.partition(":")
    if spec == "search":
        return _with_recall(_search(settings), settings)
    if spec == "recall":
        return _recall(settings)
    if spec == "gnn-compiled":
        return _compiled_networks()
    if kind == "recorded" and argument:
        return _recorded(ModelSource.parse(spec), settings)
    if kind == "recipe" and argument:
        recipe = _with_samples(settings.recipe or find_recipe(argument), settings.solver)
        if settings.model.address is None:
            raise ModelError(
                f"the recipe {recipe.name} needs a model: name one with --model, such as "
                "vllm:NAME@http://127.0.0.1:8000/v1 or openai:NAME, or as model.address in induce.toml"
            )
        if recipe.recall.required and settings.memory.mode == "off":
            raise ProposerError(
                f"the recipe {recipe.name} needs a memory: say --memory-mode learn (or frozen), "
                "or set memory.mode in induce.toml"
            )
        make = _guided_search if recipe.propose and recipe.propose.what == "term" else _of_recipe
        return _with_recall(make(spec, recipe, settings, ModelSource.parse(settings.model.address)), settings)
    raise ProposerError(
        f"there is no proposer {spec!r}; there are `search`, `recall`, `gnn-compiled`, `recorded:TRANSCRIPT` "
        "and the recipes"
    )


def _recalled_proposer(sandbox: Sandbox, settings: Settings, *, searched: bool) -> RecalledProposer:
    from hypotheses.recall import RecalledProposer  # noqa: PLC0415  numpy is slow to load
    from hypotheses.recall.profile_folder import ProfileFolder  # noqa: PLC0415

    profiles = ProfileFolder(profile_folder())
    programs = settings.budget.programs
    return RecalledProposer(
        (),
        sandbox,
        RECALLED if programs is None else max(1, min(RECALLED, programs // 2)),  # others come after it
        composed=COMPOSED if programs is None else 0,
        at_once=RECALL_AT_ONCE,
        terms=not searched,  # a search tries them itself, and with changes
        profiles=profiles,
    )


def _own_rounds(wired: WiredProposer, settings: Settings) -> int | None:
    return settings.solver.rounds or wired.config.rounds


def _recall(settings: Settings) -> WiredProposer:
    if settings.memory.mode == "off":
        raise ProposerError(
            "the proposer `recall` needs a memory: say --memory-mode frozen (or learn), "
            "or set memory.mode in induce.toml"
        )

    @asynccontextmanager
    async def connect(around: Surroundings) -> AsyncIterator[Parts]:
        yield Parts(_recalled_proposer(around.sandbox, settings, searched=False))

    return WiredProposer("recall", SolverConfig(samples=RECALL_AT_ONCE, rounds=RECALL_ROUNDS), connect)


def _with_recall(wired: WiredProposer, settings: Settings) -> WiredProposer:
    """Put remembered programs first, where a memory is in use."""
    if settings.memory.mode == "off":
        return wired

    @asynccontextmanager
    async def connect(around: Surroundings) -> AsyncIterator[Parts]:
        async with wired.connect(around) as parts:
            recalled = _recalled_proposer(around.sandbox, settings, searched=searched)
            yield parts._replace(proposer=PortfolioProposer(recalled, parts.proposer, rounds=own))

    searched = wired.recipe is None or wired.recipe.search
    # A recipe's portfolio counts the rounds of its model itself.
    own = None if wired.recipe is not None and wired.recipe.search else _own_rounds(wired, settings)
    rounds = None if wired.config.rounds is None else wired.config.rounds + RECALL_ROUNDS
    return replace(wired, config=replace(wired.config, rounds=rounds), connect=connect)


def _with_samples(recipe: Recipe, chosen: SolverSettings) -> Recipe:
    """Give a recipe with the numbers of samples and programs that the settings choose, if they do."""
    steps: dict[str, Propose | Refine | Implement | None] = {}
    if chosen.samples is not None:
        for name, step in (("propose", recipe.propose), ("refine", recipe.refine)):
            steps[name] = step and step.model_copy(update={"samples": chosen.samples})
    if chosen.programs is not None:
        steps["implement"] = recipe.implement and recipe.implement.model_copy(
            update={"programs": chosen.programs}
        )
    return recipe.model_copy(update=steps)


class _SearchLimits(TypedDict):
    seconds: float | None
    max_terms: int | None
    memory_mb: int


def _search_limits(settings: Settings) -> _SearchLimits:
    """Give the seconds, the terms and the memory that the search of a task may take."""
    limits = settings.search
    seconds = None if limits.max_terms else limits.seconds
    return {"seconds": seconds, "max_terms": limits.max_terms, "memory_mb": limits.memory_mb}


def _search(settings: Settings) -> WiredProposer:
    search = SearchProposer(**_search_limits(settings))

    @asynccontextmanager
    async def connect(_around: Surroundings) -> AsyncIterator[Parts]:
        yield Parts(search)

    config = SolverConfig(
        samples=settings.solver.attempts or 1,  # further programs cost time, and would not be asked for
        rounds=1,
        concurrency=1,  # one keeps a core busy; a second would only halve its share of the budget
    )
    return WiredProposer("search", config, connect)


def _compiled_networks() -> WiredProposer:
    from hypotheses.compiled_networks import CompiledNetworksProposer, how_many  # noqa: PLC0415  numpy

    @asynccontextmanager
    async def connect(_around: Surroundings) -> AsyncIterator[Parts]:
        yield Parts(CompiledNetworksProposer())

    config = SolverConfig(samples=how_many(), rounds=1)
    return WiredProposer("gnn-compiled", config, connect)


def _of_recipe(spec: str, recipe: Recipe, settings: Settings, source: ModelSource) -> WiredProposer:
    propose, refine = recipe.propose, recipe.refine
    if propose is None:
        raise ProposerError(f"the recipe {recipe.name} asks no model")

    @asynccontextmanager
    async def connect(around: Surroundings) -> AsyncIterator[Parts]:
        async with open_model(source, settings, recipe.prompts, around.completions) as model:
            own = ModelProposer(recipe, model, around.picker, recorded=source.endpoint is not None)
            if recipe.search:
                search = SearchProposer(**_search_limits(settings))
                rounds = None if settings.solver.rounds else recipe.rounds
                yield Parts(PortfolioProposer(search, own, notes=recipe.notes, rounds=rounds), own, model)
            else:
                yield Parts(own, own, model)

    config = SolverConfig(
        samples=max(propose.samples, refine.samples if refine else 0),
        rounds=recipe.rounds + recipe.search,
        programs=recipe.implement.programs if recipe.implement else 1,
        attempts=recipe.attempts,
        selection=recipe.select,
        stop_early=recipe.stop_early,
        concurrency=TRANSCRIPT_TASKS if source.content_hash else MODEL_TASKS,
        allocation=recipe.allocation,
        feedback=refine.parents if refine else 1,
    )
    return WiredProposer(spec, config, connect, source.content_hash, recipe)


def _guided_search(spec: str, recipe: Recipe, settings: Settings, source: ModelSource) -> WiredProposer:
    propose = recipe.propose
    if propose is None:
        raise ProposerError(f"the recipe {recipe.name} asks no model")

    @asynccontextmanager
    async def connect(around: Surroundings) -> AsyncIterator[Parts]:
        async with open_model(source, settings, recipe.prompts, around.completions) as model:
            yield Parts(GuidedSearchProposer(propose, model, **_search_limits(settings)), None, model)

    config = SolverConfig(
        samples=settings.solver.attempts or recipe.attempts,  # of solutions; the recipe says how many terms
        rounds=recipe.rounds,
        attempts=recipe.attempts,
        selection=recipe.select,
        stop_early=recipe.stop_early,
        concurrency=TRANSCRIPT_TASKS if source.content_hash else MODEL_TASKS,
    )
    return WiredProposer(spec, config, connect, source.content_hash, recipe)


def _recorded(source: ModelSource, settings: Settings) -> WiredProposer:
    endpoint = source.endpoint
    if endpoint is None:
        raise ProposerError(f"{source.spec} is no transcript")

    @asynccontextmanager
    async def connect(around: Surroundings) -> AsyncIterator[Parts]:
        async with open_model(source, settings, PromptStyle(), around.completions) as model:
            playback = PlaybackProposer(endpoint, model)
            yield Parts(playback, playback)

    config = SolverConfig(
        rounds=None,
        samples=64,
        programs=8,
        concurrency=TRANSCRIPT_TASKS,
        stop_early=False,  # the answers are paid for already, so all of them are played
    )
    return WiredProposer(source.spec, config, connect, source.content_hash)


@asynccontextmanager
async def open_solver(
    wired: WiredProposer,
    settings: Settings,
    recorder: Recorder | None = None,
    remark: Callable[[str], object] = warnings.warn,
    *,
    store: CompletionStore | None = None,
    picker: Picker | None = None,
) -> AsyncIterator[Solver]:
    """Give a solver with a sandbox, and connections to its model, that are closed at the end.

    ``remark`` is told where a run log's programs ran in another environment so far. Completions are kept in
    ``store``, by default the run log that records; ``picker`` picks hypotheses where the recipe wants it.
    """
    ledger = Ledger(settings.budget.run)
    log = recorder if isinstance(recorder, RunLog) else None
    if log is not None:
        ledger.spent = log.spent(unfinished=False)  # the rest is counted when it is recalled
        ledger.programs = sum(solution.usage.programs for solution in log.solutions())
    assembling = assemble(
        wired,
        settings,
        ledger=ledger,
        recorder=recorder,
        store=store or log,
        picker=picker,
        run="" if log is None else log.name,
    )
    async with assembling as assembly:
        if log is not None and sum(log.count().values()) < log.info.tasks:
            before, now = log.environments, assembly.sandbox.environment
            if not log.enter(now):
                remark(
                    f"programs ran in {before[-1]} so far, and now run in {now}: they may behave differently"
                )
        yield assembly.solver


class Assembly(NamedTuple):
    """A solver with the parts that its owner may want to look at."""

    solver: Solver
    sandbox: Sandbox
    model: Model | None


@asynccontextmanager
async def assemble(
    wired: WiredProposer,
    settings: Settings,
    *,
    ledger: Account,
    recorder: Recorder | None = None,
    store: CompletionStore | None = None,
    picker: Picker | None = None,
    memory: ExperienceStore | None = None,
    run: str = "",
) -> AsyncIterator[Assembly]:
    """Give a solver whose sandbox, and whose connections to its model, are closed at the end.

    ``ledger`` is what may be spent on all tasks, and has been; ``memory`` is one that is open already, in
    place of that of the settings; ``run`` is what is noted as the origin of what is learned.
    """
    async with contextlib.AsyncExitStack() as stack:
        sandbox = stack.enter_context(open_sandbox(settings.sandbox))
        parts = await stack.enter_async_context(wired.connect(Surroundings(sandbox, store, picker)))
        experience = None
        if settings.memory.mode != "off":
            opened = open_experience(wired, parts, ledger, settings, run, memory)
            experience = stack.enter_context(opened)
        solver = Solver(
            parts.proposer,
            sandbox,
            implementer=parts.implementer,
            config=solver_config(wired, settings),
            limits=settings.limits,
            recorder=recorder,
            packages={family: frozenset(names) for family, names in settings.sandbox.packages.items()},
            ledger=ledger,
            experience=experience,
        )
        yield Assembly(solver, sandbox, parts.model)


def solver_config(wired: WiredProposer, settings: Settings) -> SolverConfig:
    """Give what the settings say, and for the rest what suits the proposer."""
    chosen, suits = settings.solver, wired.config
    rounds = chosen.rounds or suits.rounds
    if chosen.rounds and settings.memory.mode != "off":
        rounds = chosen.rounds + RECALL_ROUNDS  # those are not what is meant
    return SolverConfig(
        rounds=rounds,
        samples=chosen.samples or suits.samples,
        programs=chosen.programs or suits.programs,
        attempts=chosen.attempts or suits.attempts,
        selection=chosen.select or suits.selection,
        stop_early=suits.stop_early,
        concurrency=chosen.concurrency or suits.concurrency,
        allocation=chosen.allocation or suits.allocation,
        feedback=suits.feedback,
        budget=settings.budget.task,
    )


@contextlib.contextmanager
def open_experience(
    wired: WiredProposer,
    parts: Parts,
    ledger: Account,
    settings: Settings,
    run: str = "",
    memory: ExperienceStore | None = None,
) -> Iterator[StoredExperience]:
    """Open the memory of the settings for a run; what a model is shown of it is tried, with and without.

    A ``memory`` that is open already takes its place.
    """
    from hypotheses.recall.abstracting import ModelAbstractor  # noqa: PLC0415  numpy is slow to load
    from hypotheses.recall.experience import StoredExperience  # noqa: PLC0415

    recall = Recall() if wired.recipe is None else wired.recipe.recall
    with contextlib.ExitStack() as stack:
        store = memory
        if store is None:
            frozen = settings.memory.mode == "frozen"
            store = stack.enter_context(open_memory(settings.memory, frozen=frozen))
        abstracts = recall.abstract and parts.model is not None
        yield StoredExperience(
            store,
            learns=settings.memory.mode == "learn",
            most=settings.memory.concepts,
            batch=settings.memory.batch or recall.batch,
            clock=settings.memory.clock,
            tried=0 if parts.model is None else recall.concepts,
            run=run,
            model="" if parts.model is None else settings.model.address or "",
            abstractor=ModelAbstractor(parts.model, Ledger(parent=ledger))
            if abstracts and parts.model
            else None,
        )
