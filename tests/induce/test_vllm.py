"""Every recipe on real tasks with a real vLLM, and what must hold there: nothing paid twice, nothing lost."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from killed_run import KILLED
from vllm_server import needs_vllm, vllm_server

from hypotheses.recipes import RECIPES, save_recipe
from hypotheses.run_log import RunLog

pytestmark = needs_vllm

EXAMPLES = Path(__file__).parents[2] / "examples"
ASKING = sorted(name for name, recipe in RECIPES.items() if recipe.propose is not None)


@pytest.fixture(scope="module")
def server():
    with vllm_server() as running:
        yield running


def small(name, folder):
    """Write a recipe with few and short samples, and give its path."""
    recipe = RECIPES[name]
    steps = {"propose": {"samples": 3, "max_tokens": 48}}
    if recipe.summarize:
        steps["summarize"] = {"to": 2, "max_tokens": 64}
    if recipe.implement:
        steps["implement"] = {"programs": min(2, recipe.implement.programs), "max_tokens": 48}
    if recipe.refine:
        steps["refine"] = {"samples": 2, "rounds": 1, "max_tokens": 48}
    update = {step: getattr(recipe, step).model_copy(update=values) for step, values in steps.items()}
    path = folder / f"{name}.toml"
    save_recipe(recipe.model_copy(update=update | {"name": f"small-{name}"}), path)
    return path


def kept(path):
    """What was answered for each key and sample in a log; samples may be missing in between."""
    with RunLog.open(path) as log:
        return {
            (recorded.key, one.sample): one.response
            for recorded in log.requests()
            for one in log.recall(recorded.key, 0, 1000)
        }


@pytest.mark.parametrize("name", ASKING)
def test_a_recipe_from_end_to_end(server, tmp_path, induce_command, monkeypatch, name):
    monkeypatch.setenv("INDUCE_SEARCH__MAX_TERMS", "20")  # of the portfolio, that something is left to ask
    run = tmp_path / "run.sqlite"
    # Terms are asked for only where there is a grammar that they could be of.
    tasks = "initials.sl" if RECIPES[name].propose.what == "term" else "lists.jsonl"
    outcome = induce_command(
        *("solve", EXAMPLES / "search" / tasks, "--json", "--out", run),
        *("--recipe", small(name, tmp_path), "--model", server.model),
    )
    assert outcome.code == 0, outcome.err
    assert all(record["outcome"] in ("solved", "unsolved", "answered") for record in outcome.records)
    asked = [record for record in outcome.records if record["usage"]["completions"]]
    assert asked
    assert all(record["usage"]["completion_tokens"] > 0 for record in asked)
    replayed = induce_command("runs", "replay", run)
    assert replayed.code == 0, replayed.out


def test_after_kill_9_no_recorded_completion_is_asked_for_again(server, tmp_path, induce_command):
    run = tmp_path / "run.sqlite"
    arguments = ["solve", EXAMPLES / "search" / "lists.jsonl", "--out", run, "--model", server.model]
    arguments += ["--recipe", small("hypothesis-refinement", tmp_path)]
    command = [sys.executable, "-c", KILLED, *map(str, arguments), "6"]
    killed = subprocess.run(command, env=dict(os.environ), capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = kept(run)
    assert len(before) >= 6
    outcome = induce_command("resume", run, "--model", server.model, "--json")
    assert outcome.code == 0, outcome.err
    with RunLog.open(run) as log:
        assert sum(log.count().values()) == log.info.tasks
    # What was asked twice would have another answer now: the temperature is above 0.
    assert before.items() <= kept(run).items()
    assert induce_command("runs", "replay", run).code == 0
