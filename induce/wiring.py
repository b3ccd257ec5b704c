"""From settings to a solver that is ready to work."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypedDict

from hypotheses.budget import Ledger
from hypotheses.guided_search import GuidedSearchProposer
from hypotheses.model_proposer import ModelProposer
from hypotheses.models.store import CompletionStore
from hypotheses.playback import PlaybackProposer
from hypotheses.portfolio import PortfolioProposer
from hypotheses.proposer import Implementer, Proposer
from hypotheses.recipes import Implement, PromptStyle, Propose, Recipe, Refine, find_recipe
from hypotheses.run_log import RunLog
from hypotheses.search import SearchProposer
from hypotheses.solver import Recorder, Solver
from hypotheses.solver_config import SolverConfig
from hypotheses.steps.narrowing import Picker
from induce.language_model import ModelSource, open_model
from induce.sandboxing import open_sandbox
from induce.settings import Settings, SolverSettings
from sandboxes import ModelError, ProposerError

MODEL_TASKS = 16
"""How many tasks are solved at a time with a model, which answers many as fast as one."""

TRANSCRIPT_TASKS = 4
"""How many tasks are solved at a time with a transcript, where the sandbox is what takes time."""

Parts = tuple[Proposer, Implementer | None]


@dataclass(frozen=True, slots=True)
class WiredProposer:
    """A proposer with what the loop must know of it.

    ``spec`` makes it again; ``content_hash`` is that of a transcript, empty for others. ``config`` is what
    suits it where the settings do not say. ``connect`` gives proposer and implementer, with connections to a
    model where they need one, whose completions are kept in the store.
    """

    spec: str
    config: SolverConfig
    connect: Callable[[CompletionStore | None, Picker | None], AbstractAsyncContextManager[Parts]]
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
    """Make the proposer that ``spec`` names: ``search``, ``recorded:TRANSCRIPT`` or ``recipe:NAME``.

    Raises ``ProposerError`` for another name, a transcript that cannot be read or a model that is not named,
    ``SettingsError`` for an unknown recipe.
    """
    kind, _, argument = spec.partition(":")
    if spec == "search":
        return _search(settings)
    if kind == "recorded" and argument:
        return _recorded(ModelSource.parse(spec), settings)
    if kind == "recipe" and argument:
        recipe = _with_samples(settings.recipe or find_recipe(argument), settings.solver)
        if settings.model.address is None:
            raise ModelError(
                f"the recipe {recipe.name} needs a model: name one with --model, such as "
                "vllm:NAME@http://127.0.0.1:8000/v1 or openai:NAME, or as model.address in induce.toml"
            )
        make = _guided_search if recipe.propose and recipe.propose.what == "term" else _of_recipe
        return make(spec, recipe, settings, ModelSource.parse(settings.model.address))
    raise ProposerError(
        f"there is no proposer {spec!r}; there are `search`, `recorded:TRANSCRIPT` and the recipes"
    )


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
    async def connect(_store: CompletionStore | None, _picker: Picker | None) -> AsyncIterator[Parts]:
        yield search, None

    config = SolverConfig(
        samples=settings.solver.attempts or 1,  # further programs cost time, and would not be asked for
        rounds=1,
        concurrency=1,  # one keeps a core busy; a second would only halve its share of the budget
    )
    return WiredProposer("search", config, connect)


def _of_recipe(spec: str, recipe: Recipe, settings: Settings, source: ModelSource) -> WiredProposer:
    propose, refine = recipe.propose, recipe.refine
    if propose is None:
        raise ProposerError(f"the recipe {recipe.name} asks no model")

    @asynccontextmanager
    async def connect(store: CompletionStore | None, picker: Picker | None) -> AsyncIterator[Parts]:
        async with open_model(source, settings, recipe.prompts, store) as model:
            own = ModelProposer(recipe, model, picker, recorded=source.endpoint is not None)
            if recipe.search:
                search = SearchProposer(**_search_limits(settings))
                rounds = None if settings.solver.rounds else recipe.rounds
                yield PortfolioProposer(search, own, notes=recipe.notes, rounds=rounds), own
            else:
                yield own, own

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
    async def connect(store: CompletionStore | None, _picker: Picker | None) -> AsyncIterator[Parts]:
        async with open_model(source, settings, recipe.prompts, store) as model:
            yield GuidedSearchProposer(propose, model, **_search_limits(settings)), None

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
    async def connect(store: CompletionStore | None, _picker: Picker | None) -> AsyncIterator[Parts]:
        async with open_model(source, settings, PromptStyle(), store) as model:
            playback = PlaybackProposer(endpoint, model)
            yield playback, playback

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
    chosen, suits = settings.solver, wired.config
    config = SolverConfig(
        rounds=chosen.rounds or suits.rounds,
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
    ledger = Ledger(settings.budget.run)
    log = recorder if isinstance(recorder, RunLog) else None
    if log is not None:
        ledger.spent = log.spent(unfinished=False)  # the rest is counted when it is recalled
        ledger.programs = sum(solution.usage.programs for solution in log.solutions())
    async with contextlib.AsyncExitStack() as stack:
        sandbox = stack.enter_context(open_sandbox(settings.sandbox))
        if log is not None and sum(log.count().values()) < log.info.tasks:
            before = log.environments
            if not log.enter(sandbox.environment):
                remark(
                    f"programs ran in {before[-1]} so far, and now run in {sandbox.environment}: "
                    "they may behave differently"
                )
        proposer, implementer = await stack.enter_async_context(wired.connect(store or log, picker))
        yield Solver(
            proposer,
            sandbox,
            implementer=implementer,
            config=config,
            limits=settings.limits,
            recorder=recorder,
            packages={family: frozenset(names) for family, names in settings.sandbox.packages.items()},
            ledger=ledger,
        )
