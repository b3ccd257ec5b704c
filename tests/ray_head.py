"""A Ray cluster of one node, with pretended GPUs and a vLLM that echoes; nothing is left of it afterwards."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

FAKE_VLLM = Path(__file__).parent / "ray_jobs" / "fake_vllm"
STARTED = "Process exit logs will be saved"
"""What `ray start --block` says last, once its dashboard answers."""


@dataclass(frozen=True)
class RayHead:
    dashboard: str
    token: str
    http_port: int


@contextmanager
def ray_head(modules):
    """Start one. ``modules`` is a folder from which the cluster can import, beside the vLLM that echoes."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # a socket's path must be short, which pytest's are not
    dashboard, agent, http = free_ports(3)
    token = secrets.token_hex(16)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAYLLM_VLLM_ENGINE_CLS": "echo_engine.EchoEngine",
        "PYTHONPATH": f"{FAKE_VLLM}{os.pathsep}{modules}",
    }
    command = [
        Path(sys.executable).with_name("ray"),
        *"start --head --block --port=0 --num-cpus=8 --num-gpus=2 --object-store-memory=80000000".split(),
        *"--dashboard-host=127.0.0.1 --min-worker-port=0 --max-worker-port=0".split(),
        f"--dashboard-port={dashboard}",
        f"--dashboard-agent-listen-port={agent}",
        f"--temp-dir={folder}",
        '--resources={"accelerator_type:H100": 1}',
    ]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )
    try:
        said = ""
        for line in process.stdout:
            said += line
            if STARTED in line:
                break
        else:
            raise RuntimeError(f"Ray did not start: {said}")
        yield RayHead(f"http://127.0.0.1:{dashboard}", token, http)
    finally:
        kill_tree(process)
        shutil.rmtree(folder, ignore_errors=True)


def kill_tree(process):
    """Kill a process and all that it started; told to end, Ray would take half a minute."""
    try:
        started = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        started = []
    process.kill()
    for one in started:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()
    process.stdout.close()
    psutil.wait_procs(started, timeout=20)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
