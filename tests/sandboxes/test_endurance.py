"""What shows only after many programs, or on a busy machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import container_engine
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
HOUR = pytest.mark.timeout(3600)


def figures(script: str, back_end: str, programs: int) -> dict[str, object]:
    environment = dict(os.environ)
    if back_end == "docker":
        try:
            environment["DOCKER_HOST"] = container_engine.shared_engine()
        except container_engine.NoEngineError as error:
            container_engine.skip_or_fail(error)
    command = [sys.executable, BENCHMARKS / script, "--json"]
    command += ["--programs", str(programs), "--back-end", back_end]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("back_end", "programs"),
    [
        ("embedded", 1000),
        ("docker", 500),
        pytest.param("embedded", 100_000, marks=[pytest.mark.slow, HOUR]),
        pytest.param("docker", 100_000, marks=[pytest.mark.slow, HOUR]),
    ],
)
def test_nothing_piles_up(back_end, programs):
    found = figures("sandbox_soak.py", back_end, programs)
    assert found["wrong_results"] == 0, found["examples_of_wrong_results"]
    for name in ("descriptors", "threads", "containers", "processes", "temporary_files"):
        assert found[f"{name}_left_over"] <= 0, name
    if programs >= 100_000:
        assert found["resident_mb_peak_later"] - found["resident_mb_after_a_tenth"] < 30


@pytest.mark.parametrize(
    ("back_end", "programs"),
    [
        pytest.param("embedded", 2000, marks=[pytest.mark.slow, HOUR]),
        pytest.param("docker", 2000, marks=[pytest.mark.slow, HOUR]),
    ],
)
def test_a_busy_machine_is_no_timeout(back_end, programs):
    found = figures("sandbox_loaded.py", back_end, programs)
    assert (found["right"], found["timed_out"], found["otherwise_wrong"]) == (programs, 0, 0)
