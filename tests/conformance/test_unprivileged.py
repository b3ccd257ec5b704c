"""The whole suite on the embedded sandbox of a host that is not root, in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sandboxes.conformance import suite

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the embedded sandbox needs Linux")

ROOT = Path(__file__).parents[2]


def unprivileged() -> list[str]:
    """The command that makes a process of root's one of nobody's, which may still read the interpreter."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("becoming another user needs setpriv, of util-linux")
    reading = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *reading]


def run_as_nobody(*command: str) -> subprocess.CompletedProcess[str]:
    folder = tempfile.gettempdir()  # which everybody may write to; pytest's own is its user's
    environment = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": folder}
    return subprocess.run(
        [*unprivileged(), sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_every_case_passes_without_root():
    assert run_as_nobody("-c", "import os; print(os.geteuid())").stdout != "0\n"
    done = run_as_nobody("-W", "error", "-m", "sandboxes.conformance", "--json")
    assert done.stderr == ""
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result for result in results if result["problem"]] == []
    assert [(result["group"], result["name"]) for result in results] == [
        (case.group, case.name) for case in suite()
    ]
    assert done.returncode == 0
