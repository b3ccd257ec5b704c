"""Solve tasks from Python."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack, overload

from hypotheses.hypothesis import Solution
from hypotheses.recipes import Recipe
from hypotheses.selection import SelectionRule
from hypotheses.solver import Recorder
from hypotheses.task import Task
from induce.runs import start_run
from induce.settings import MemoryMode, Settings, resolve_settings
from induce.tasks import TaskSet, load_tasks
from induce.wiring import WiredProposer, choose_proposer, make_proposer, open_solver


class SolveOptions(TypedDict, total=False):
    """The options of ``asolve`` and ``solve``, which ``asolve`` explains."""

    proposer: str
    recipe: str | Path | Recipe
    model: str
    select: SelectionRule
    attempts: int
    seconds: float
    memory_mode: MemoryMode
    out: str | Path
    on_solution: Callable[[Solution], None]


T = TypeVar("T")

Tasks = str | Path | TaskSet | Iterable[Task]


@overload
async def asolve(tasks: Task, **options: Unpack[SolveOptions]) -> Solution: ...


@overload
async def asolve(tasks: Tasks, **options: Unpack[SolveOptions]) -> list[Solution]: ...


async def asolve(tasks: Task | Tasks, **options: Unpack[SolveOptions]) -> Solution | list[Solution]:
    """Solve one task or many.

    ``tasks`` is a ``Task`` (one solution comes back), several, or where they are: a file, a folder, or
    ``arc1:training`` and the like. The list that comes back follows the order of the tasks. What is left out
    of the options comes from the settings:

    ``recipe``       the method: a name, a TOML file or a ``Recipe``; by default ``portfolio``, which is the
                     symbolic search and then, where one is named, the model
    ``model``        the language model: ``vllm:NAME@URL``, ``openai:NAME``, ``anthropic:NAME`` …
    ``proposer``     instead of a recipe: ``search``, ``recall`` or ``recorded:TRANSCRIPT``
    ``memory_mode``  ``frozen``: recall what was learned from other tasks; ``learn``: learn from these, too
    ``select``       how the winner is chosen: ``all-rounds``, ``last-round`` or ``majority``
    ``attempts``     how many distinct predictions a query may have
    ``seconds``      the search's time for one task
    ``out``          path of a new run log, which needs tasks that come from a source
    ``on_solution``  called with each solution as it is done

    Raises ``InduceError`` where our side failed; a task without a solution is no error.
    """
    solutions = await _solve_all([tasks] if isinstance(tasks, Task) else tasks, options)
    return solutions[0] if isinstance(tasks, Task) else solutions


@overload
def solve(tasks: Task, **options: Unpack[SolveOptions]) -> Solution: ...


@overload
def solve(tasks: Tasks, **options: Unpack[SolveOptions]) -> list[Solution]: ...


def solve(tasks: Task | Tasks, **options: Unpack[SolveOptions]) -> Solution | list[Solution]:
    """Solve one task or many; as ``asolve``, which explains the options, for code that does not await.

    Works inside a running event loop too, as in a notebook, by working in a thread of its own meanwhile.

    >>> import induce
    >>> solution = induce.solve(induce.Task.from_pairs([("ada", "ADA"), ("bob", "BOB")], queries=["eve"]))
    >>> solution.predictions
    (('EVE',),)
    """
    solutions = _run(_solve_all([tasks] if isinstance(tasks, Task) else tasks, options))
    return solutions[0] if isinstance(tasks, Task) else solutions


async def _solve_all(tasks: Tasks, options: SolveOptions) -> list[Solution]:
    settings, proposer = settings_of(options)
    out = options.get("out")
    on_solution = options.get("on_solution")
    if isinstance(tasks, str | Path):
        tasks = load_tasks(tasks)
    if out is not None and not isinstance(tasks, TaskSet):
        raise ValueError("a run log needs tasks that can be read again: pass a path or induce.load_tasks(…)")
    order: dict[int, int] = {}
    solutions: list[tuple[int, Solution]] = []

    def numbered(source: Iterable[Task]) -> Iterable[Task]:
        for number, task in enumerate(source):
            order[id(task)] = number
            yield task

    async def run(
        source: Iterable[Task], wired: WiredProposer, settings: Settings, log: Recorder | None
    ) -> None:
        async with (
            open_solver(wired, settings, log) as solver,
            aclosing(solver.stream(numbered(source))) as stream,
        ):
            async for task, solution in stream:
                solutions.append((order.pop(id(task)), solution))
                if on_solution is not None:
                    on_solution(solution)

    if isinstance(tasks, TaskSet) and out is not None:
        started = start_run(tasks, sum(1 for _ in tasks), proposer, settings, out)
        with started.log:
            await run(started.tasks, started.proposer, started.settings, started.log)
    else:
        spec, settings = choose_proposer(settings, proposer)
        await run(tasks, make_proposer(spec, settings), settings, None)
    return [solution for _, solution in sorted(solutions, key=lambda pair: pair[0])]


def settings_of(
    options: SolveOptions, more: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Settings, str | None]:
    """Resolve the settings that options mean, and ``more`` of them by group; give the proposer that is named.

    Raises ``TypeError`` for an option that does not exist, and for a recipe beside a proposer.
    """
    if unknown := sorted(options.keys() - SolveOptions.__annotations__.keys()):
        raise TypeError(
            f"solve has no option {unknown[0]!r}; it has {', '.join(SolveOptions.__annotations__)}"
        )
    recipe, own_recipe = options.get("recipe"), None
    if isinstance(recipe, Recipe):
        recipe, own_recipe = recipe.name, recipe
    settings = resolve_settings(
        {
            "solver": {
                "recipe": None if recipe is None else str(recipe),
                "select": options.get("select"),
                "attempts": options.get("attempts"),
            },
            "model": {"address": options.get("model")},
            "search": {"seconds": options.get("seconds")},
            "memory": {"mode": options.get("memory_mode")},
            **(more or {}),
        }
    )
    if recipe is not None:
        settings = settings.model_copy(update={"recipe": own_recipe})
    proposer = options.get("proposer")
    if proposer is not None and recipe is not None:
        raise TypeError("solve takes a recipe or a proposer, not both")
    return settings, proposer


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None]] = Future()

    async def main() -> T:
        begun.set_result((asyncio.get_running_loop(), asyncio.current_task()))
        return await work

    with ThreadPoolExecutor(1, thread_name_prefix="induce-solve") as thread:
        outcome = thread.submit(asyncio.run, main())
        try:
            return outcome.result()
        except BaseException:  # Ctrl-C interrupts the one who waits; the work must hear of it
            loop, task = begun.result()
            if task is not None:
                with suppress(RuntimeError):  # it ended in the meantime
                    loop.call_soon_threadsafe(task.cancel)
            raise
