"""Ray clusters of the tests' own: several nodes on this machine that can be killed."""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from itertools import count
from pathlib import Path

import psutil
from ray_head import STARTED, free_ports, kill_tree

from sandboxes.embedded import GUEST

_NEW_NUMBERS = count()
_HOST = "127.0.0.1"
_NO_PORTS = "--min-worker-port=0 --max-worker-port=0 --object-store-memory=80000000"


class RayCluster:
    """A head with one CPU, and as many further nodes as are added. Whoever connects needs ``environment``."""

    def __init__(self, token=None):
        self.token = token or secrets.token_hex(16)
        self.address = ""
        self._folder = Path(tempfile.mkdtemp(prefix="ray-"))  # a socket's path must be short
        self._token_file = self._folder / "token"
        self._token_file.write_text(self.token)
        self._nodes = {}

    @property
    def environment(self):
        """The variables under which a process may use the cluster."""
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self._token_file),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        }

    def start(self, cpus=1):
        """Start the head."""
        [port] = free_ports(1)
        self.address = f"{_HOST}:{port}"
        options = (
            f"--head --port={port} --include-dashboard=false --ray-client-server-port={free_ports(1)[0]}"
        )
        return self._start(*options.split(), f"--temp-dir={self._folder}", f"--num-cpus={cpus}")

    def add(self, cpus=1, **environment):
        """Add a node, whose processes have further environment variables; give what it is killed by."""
        return self._start(f"--address={self.address}", f"--num-cpus={cpus}", **environment)

    def kill(self, node):
        """Kill a node with SIGKILL, and all that runs on it."""
        kill_tree(node)
        shutil.rmtree(self._nodes.pop(node))  # the disk of a machine goes with it

    def stop(self):
        """Kill all nodes and delete their files."""
        for node in reversed(list(self._nodes)):
            kill_tree(node)
        self._nodes.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def sandboxes(self):
        """Give the processes of all sandboxes on its nodes."""
        found = []
        for node in self._nodes:
            for process in psutil.Process(node.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if str(GUEST) in process.cmdline():
                        found.append(process)
        return found

    def left_behind(self):
        """Give what runs left in the folders for temporary files of its nodes."""
        return [path for folder in self.folders() for path in folder.glob("induce-*")]

    def folders(self):
        """Give the working folders of its nodes."""
        return list(self._nodes.values())

    def _start(self, *options, **environment):
        temporary = self._folder / f"tmp-{next(_NEW_NUMBERS)}"
        temporary.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "INDUCE_"))}
        process = subprocess.Popen(
            [
                Path(sys.executable).with_name("ray"),
                *("start", "--block", f"--node-ip-address={_HOST}", *_NO_PORTS.split()),
                f"--dashboard-agent-listen-port={free_ports(1)[0]}",
                *options,
            ],
            env=kept | self.environment | {"TMPDIR": str(temporary)} | environment,
            cwd=temporary,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self._nodes[process] = temporary
        said = ""
        for line in process.stdout:
            said += line
            if STARTED in line:
                return process
        raise RuntimeError(f"Ray did not start: {said}")
