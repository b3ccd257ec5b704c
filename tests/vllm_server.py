"""A real vLLM for tests: ``$VLLM_PYTHON`` is an interpreter that has it, ``$MODEL_DIR`` a small model.

It is started and stopped as users do it, by ``induce model serve`` in a process of its own, and is known by
its pid alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

START_SECONDS = 600.0
STOP_SECONDS = 60.0

MISSING = ", ".join(f"${name}" for name in ("VLLM_PYTHON", "MODEL_DIR") if not os.environ.get(name))
"""What has to be set before there can be a real vLLM; empty where all is."""

needs_vllm = [
    pytest.mark.vllm,
    pytest.mark.timeout(START_SECONDS + 300),
    pytest.mark.skipif(bool(MISSING), reason=f"needs a real vLLM: set {MISSING} (make test-vllm)"),
]
"""The marks of tests that need a real vLLM: ``pytestmark = needs_vllm``."""


@dataclass(frozen=True)
class VllmServer:
    """A running server: its base URL, the name of its model, what to pass as ``--model``, and its context.

    ``pid`` leads the session of all its processes, ``supervisor`` is the pid of ``induce model serve``.
    """

    url: str
    name: str
    model: str
    context: int
    pid: int
    supervisor: int
    log: Path


@contextlib.contextmanager
def vllm_server(*options: str, flags: Sequence[str] = ()) -> Iterator[VllmServer]:
    """Run a server for the model in ``$MODEL_DIR`` on a free port while the context lasts.

    ``options`` are those of ``induce model serve``, ``flags`` vLLM's own.
    """
    with tempfile.TemporaryDirectory(prefix="induce-vllm-") as folder, contextlib.ExitStack() as stack:
        log, remarks = Path(folder) / "vllm.log", stack.enter_context(Path(folder, "stderr").open("w+"))
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "induce", "model", "serve", os.environ["MODEL_DIR"]),
                *("--python", os.environ["VLLM_PYTHON"], "--port", "0", "--context", "4096", "--json"),
                *("--log", str(log), *options, "--", *flags),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=remarks,
            text=True,
        )
        stack.callback(_stop, process)
        assert process.stdout is not None
        stack.enter_context(process.stdout)
        readable, _, _ = select.select([process.stdout], [], [], START_SECONDS)
        line = process.stdout.readline() if readable else ""
        if not line:
            remarks.seek(0)
            raise RuntimeError(f"vLLM did not start: {remarks.read()}")
        told = json.loads(line)
        yield VllmServer(
            told["url"], told["name"], told["model"], told["context"], told["pid"], process.pid, log
        )


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)  # told again, it kills
        process.wait(STOP_SECONDS)


def wait_until_gone(pid: int, seconds: float = 30.0) -> bool:
    """Wait until a process has ended, whoever's child it is."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


def session_members(session: int) -> list[int]:
    """Give the living processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, _, _, of = (entry / "stat").read_text().rpartition(") ")[2].split()[:4]
                if int(of) == session and state not in "ZX":
                    found.append(int(entry.name))
    return found
