"""A batch whose workers ask a real vLLM, and what that says of it in the run's record."""

import json
import subprocess
import sys
from pathlib import Path

from vllm_server import needs_vllm, vllm_server

from hypotheses.run_log import RunLog

pytestmark = needs_vllm

TASKS = Path(__file__).parents[2] / "examples" / "search"
RECIPE = """
name = "small"
description = "two short programs"

[propose]
what = "program"
samples = 2
max_tokens = 64
temperature = 0.7
"""


def induce(*words):
    command = [sys.executable, "-m", "induce", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=True).stdout


def test_a_batch_asks_vllm_and_records_what_its_metrics_say(tmp_path):
    (tmp_path / "small.toml").write_text(RECIPE)
    run = tmp_path / "run.sqlite"
    with vllm_server() as server:
        words = ["--recipe", tmp_path / "small.toml", "--model", server.model, "--workers", 2, "--out", run]
        induce("batch", "run", TASKS, *words)
    with RunLog.open(run) as log:
        solutions = list(log.solutions())
        [event] = [event for event in log.events() if event.what == "server"]
    written = sum(solution.usage.completion_tokens for solution in solutions)
    assert len(solutions) == 10
    assert all(solution.usage.completions == 2 for solution in solutions)
    assert event.where == server.url
    # The server also counts what it wrote for requests that were given up, and the tokens that end texts.
    assert 0 < written <= event.detail["generation_tokens"] <= 1.2 * written
    shown = json.loads(induce("batch", "status", run, "--json"))
    assert shown["state"] == "finished"
    assert shown["servers"][server.url]["generation_tokens"] >= written
