"""Recipes with a live model: solve rate, and tokens for each solved task, on the same tasks.

20 List Functions tasks (the first of the file) and 20 SyGuS string tasks (every eighth file), with sample
counts scaled down so that a task costs about 2,000 completion tokens, which is also the budget. A List
Functions task is solved when all its test outputs are right, a SyGuS task when the program satisfies every
constraint.

    INDUCE_BENCHMARK_DATA=… python benchmarks/recipes.py --model vllm:NAME@http://127.0.0.1:8000/v1 --runs DIR

Runs are kept in DIR, and an interrupted one is gone on with when the script is started again.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
from reporting import benchmark_data, print_table, write_results

import induce
from hypotheses.recipes import Recipe, find_recipe
from hypotheses.run_log import RunLog
from induce.runs import Run, resume_run, start_run
from induce.scoring import count_correct
from induce.settings import Settings, resolve_settings
from induce.wiring import open_solver

BUDGET = 2_000
TASKS = 20


def scaled(name: str, **steps: dict[str, Any]) -> Recipe:
    """Give a recipe with other numbers in its steps."""
    recipe = find_recipe(name)
    return recipe.model_copy(
        update={step: getattr(recipe, step).model_copy(update=values) for step, values in steps.items()}
    )


RECIPES = {
    "direct": scaled("direct", propose={"samples": 8, "temperature": 0.8, "max_tokens": 100}),
    "program-only": scaled("program-only", propose={"samples": 16, "temperature": 0.8, "max_tokens": 300}),
    "hypothesis-refinement": scaled(
        "hypothesis-refinement",
        propose={"samples": 4, "max_tokens": 150},
        implement={"max_tokens": 300},
        refine={"samples": 4, "max_tokens": 150},
    ),
    "hypothesis-search": scaled(
        "hypothesis-search",
        propose={"samples": 12, "max_tokens": 100},
        summarize={"to": 4, "max_tokens": 300},
        implement={"programs": 2, "max_tokens": 300},
        refine={"samples": 4, "parents": 4, "rounds": 1, "max_tokens": 300},
    ),
    "portfolio": scaled(
        "portfolio",
        propose={"samples": 8, "max_tokens": 300},
        refine={"samples": 4, "max_tokens": 300},
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", required=True, help="an address such as vllm:NAME@http://127.0.0.1:8000/v1"
    )
    parser.add_argument("--runs", type=Path, required=True, help="folder of the run logs")
    parser.add_argument("--recipes", nargs="*", default=list(RECIPES), choices=list(RECIPES))
    chosen = parser.parse_args()
    rows = []
    for name in chosen.recipes:
        for benchmark, source in subsets(benchmark_data(), chosen.runs).items():
            if name == "direct" and benchmark == "sygus":
                continue  # its tasks ask for a program; there is no query to answer
            path = chosen.runs / f"{name}-{benchmark}.sqlite"
            run_to_the_end(path, source, settings_for(RECIPES[name], chosen.model))
            rows.append({"recipe": name, "benchmark": benchmark, **measure(path, source)})
            print_table("so far", [in_words(row) for row in rows])
    write_results("recipes", {"model": chosen.model.partition("@")[0], "budget": BUDGET, "rows": rows})


def subsets(data: Path, folder: Path, tasks: int = TASKS) -> dict[str, Path]:
    """Lay out the tasks that are used, each set where ``induce`` can read it."""
    folder.mkdir(parents=True, exist_ok=True)
    lists = folder / f"list_function_{tasks}.jsonl"
    lines = (data / "qiu2023" / "list_function.jsonl").read_text().splitlines(keepends=True)
    lists.write_text("".join(lines[:tasks]))
    sygus = folder / f"sygus_{tasks}"
    everything = induce.load_tasks(data / "sygus" / "PBE_SLIA_Track", skip_bad=lambda _: None)
    ids = [task.id for task in everything]
    files = {file.stem: file for file in sorted((data / "sygus" / "PBE_SLIA_Track").rglob("*.sl"))}
    sygus.mkdir(exist_ok=True)
    for task_id in ids[:: len(ids) // tasks][:tasks]:
        file = files[Path(task_id).stem if task_id.endswith(".sl") else task_id.rpartition("/")[2]]
        shutil.copy(file, sygus / file.name)
    return {"list functions": lists, "sygus": sygus}


def settings_for(recipe: Recipe, model: str) -> Settings:
    """Give the settings of one recipe, with the budget that all have."""
    settings = resolve_settings(
        {"model": {"address": model, "truncation": "keep"}, "budget": {"completion_tokens": BUDGET}}
    )
    return settings.model_copy(update={"recipe": recipe})


def run_to_the_end(path: Path, source: Path, settings: Settings) -> None:
    """Start a run, or go on with it."""
    if path.exists():
        run = resume_run(path, lambda _: None, present=settings)
    else:
        tasks = induce.load_tasks(source)
        run = start_run(tasks, sum(1 for _ in tasks), f"recipe:{recipe_name(settings)}", settings, path)
    with run.log:
        asyncio.run(solve(run))


def recipe_name(settings: Settings) -> str:
    assert settings.recipe is not None
    return settings.recipe.name


async def solve(run: Run) -> None:
    async with (
        open_solver(run.proposer, run.settings, run.log) as solver,
        aclosing(solver.stream(run.unfinished())) as stream,
    ):
        async for task, solution in stream:
            print(
                f"{task.id:40} {solution.outcome:10} {solution.usage.completion_tokens:6} tokens",
                flush=True,
            )


def measure(path: Path, source: Path) -> dict[str, object]:
    """Count what a finished run solved, and what it cost."""
    labelled = {one.task.id: one for one in induce.load_tasks(source).labelled()}
    solved, right, queries, tokens, prompts, completions = [], 0, 0, 0, 0, 0
    with RunLog.open(path) as log:
        for solution in log.solutions():
            one = labelled[solution.task_id]
            if one.answers:
                count = count_correct(one, solution.predictions)
                right, queries = right + count, queries + len(one.answers)
                solved.append(count == len(one.answers))
            else:
                solved.append(solution.solved)
            tokens += solution.usage.completion_tokens
            prompts += solution.usage.prompt_tokens
            completions += solution.usage.completions
    low, high = interval(np.array(solved, dtype=float))
    return {
        "tasks": len(solved),
        "solved": sum(solved),
        "solve_rate": sum(solved) / len(solved),
        "low": low,
        "high": high,
        "accuracy": right / queries if queries else None,
        "completions_a_task": completions / len(solved),
        "completion_tokens_a_task": tokens / len(solved),
        "prompt_tokens_a_task": prompts / len(solved),
        "completion_tokens_a_solved_task": tokens / sum(solved) if any(solved) else None,
    }


def interval(values: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    """Give the 95 % percentile bootstrap interval of a mean, over tasks."""
    draws = np.random.default_rng(0).choice(values, (10_000, len(values))).mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def in_words(row: dict[str, Any]) -> dict[str, object]:
    per_solved = row["completion_tokens_a_solved_task"]
    return {
        "recipe": row["recipe"],
        "benchmark": row["benchmark"],
        "solved": f"{row['solved']} of {row['tasks']}",
        "rate": f"{100 * row['solve_rate']:.0f} % [{100 * row['low']:.0f}, {100 * row['high']:.0f}]",
        "accuracy": "" if row["accuracy"] is None else f"{100 * row['accuracy']:.0f} %",
        "tokens a task": round(row["completion_tokens_a_task"]),
        "prompt tokens": round(row["prompt_tokens_a_task"]),
        "tokens a solved task": "" if per_solved is None else round(per_solved),
    }


if __name__ == "__main__":
    main()
