"""A run that is killed again and again: nothing is lost, nothing is left behind, memory stays flat."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "ten_thousand_tasks.py"


def measure(tasks, kills):
    command = [sys.executable, SCRIPT, "--json", "--tasks", str(tasks), "--kills", str(kills)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize(
    ("tasks", "kills"),
    [(300, 2), pytest.param(10_000, 10, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])],
)
def test_nothing_is_lost(tasks, kills):
    figures = measure(tasks, kills)
    assert figures["kills"] == kills
    assert figures["lost_or_changed"] == 0
    assert figures["orphans"] == 0
    assert figures["growth_mb"] < 50
