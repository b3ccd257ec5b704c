"""A private Docker engine for the tests: without a network, shared by all workers, and gone after them.

``python container_engine.py COMMAND …`` runs a command that finds such an engine through ``DOCKER_HOST``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

REQUIRED = bool(os.environ.get("INDUCE_REQUIRE_DOCKER"))
"""Whether tests that need an engine fail where there is none, rather than being skipped."""

START_SECONDS = 60.0
STOP_SECONDS = 60.0
STORAGE_DRIVERS = ("overlay2", "vfs")  # the second where the folder lies on an overlay itself


class NoEngineError(Exception):
    """There can be no engine here; the message says why."""


class PrivateEngine:
    """A daemon with folders of its own and more ``options``, to be started and stopped in turn."""

    def __init__(self, folder: str | None = None, options: Sequence[str] = ()) -> None:
        self._options = options
        self.folder = Path(folder or tempfile.mkdtemp(prefix="induce-engine-"))
        self.folder.mkdir(exist_ok=True)
        self.host = f"unix://{self.folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._driver = ""

    def start(self) -> None:
        """Start the daemon and wait until it answers. Raises ``NoEngineError``."""
        reason = obstacle()
        if reason is not None:
            raise NoEngineError(reason)
        for driver in [self._driver] if self._driver else STORAGE_DRIVERS:
            if self._start(driver):
                self._driver = driver
                return
            self.stop()
        raise NoEngineError(f"dockerd does not start: {self._last_words()}")

    def _start(self, driver: str) -> bool:
        name = f"induce-{self.folder.name.encode().hex()}"[:60]  # letters and digits, as containerd wants
        command = [
            "dockerd",
            *(
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
                "--ip-masq=false",
            ),
            *(f"--storage-driver={driver}", "--exec-opt=native.cgroupdriver=cgroupfs"),
            *(f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec"),
            *(f"--pidfile={self.folder}/pid", f"--host={self.host}"),
            *(f"--containerd-namespace={name}", f"--containerd-plugins-namespace={name}-plugins"),
            *self._options,
        ]
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,  # where containerd leaves a note of a container that ran out of memory
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if _answers(self.folder / "docker.sock"):
                return True
            time.sleep(0.05)
        return False

    def stop(self) -> None:
        """Stop the daemon, with all its containers, but keep its images."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        for pid in _processes_that_name(f"{self.folder}/"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def remove(self) -> None:
        """Stop the daemon and leave nothing of it."""
        self.stop()
        for mount in _mounts_below(self.folder):
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _last_words(self) -> str:
        log = (self.folder / "log").read_text(errors="replace").strip()
        return log.rpartition("\n")[2][:500]

    def __enter__(self) -> PrivateEngine:
        try:
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


def obstacle() -> str | None:
    """Say why no daemon can be started here, ``None`` where it can be tried."""
    if not sys.platform.startswith("linux"):
        return "no Docker engine: one can be started on Linux only; set DOCKER_HOST"
    if shutil.which("dockerd") is None:
        return "no Docker engine: dockerd is not installed; install it, or set DOCKER_HOST"
    if os.geteuid() != 0:
        return "no Docker engine: dockerd can be started by root only; set DOCKER_HOST"
    return None


def shared_engine() -> str:
    """Give the host of an engine with an image for programs: that of ``DOCKER_HOST``, or a private one.

    The private one is shared by all workers of a test run and ends with it. Raises ``NoEngineError``.
    """
    host = os.environ.get("DOCKER_HOST")
    with _lock():
        if not host:
            host = _start_shared()
        _build_image(host)
    return host


def docker_back_end():
    """Give a Docker sandbox with one container on the shared engine. Raises ``NoEngineError``."""
    from sandboxes.container import DockerSandbox

    return DockerSandbox(host=shared_engine(), servers=1)


def skip_reason() -> str | None:
    """Say why there is no engine; ``None`` where there is one, or must be."""
    try:
        shared_engine()
    except NoEngineError as error:
        return None if REQUIRED else str(error)
    return None


def skip_or_fail(error: NoEngineError) -> None:
    """Skip the present test, visibly, or fail it where an engine is required."""
    import pytest

    if REQUIRED:
        pytest.fail(f"INDUCE_REQUIRE_DOCKER is set, and there is {error}")
    pytest.skip(str(error))


_ready: set[str] = set()


def _build_image(host: str) -> None:
    if host in _ready:
        return
    from sandboxes import SandboxError
    from sandboxes.container.engine import Engine
    from sandboxes.container.image import build_image_from_host

    try:
        engine = Engine(host)
        build_image_from_host(engine)
        engine.close()
    except SandboxError as error:
        raise NoEngineError(f"no Docker engine that can be used: {error}") from error
    _ready.add(host)


def _run_id() -> int:
    """Give the process that all workers of this test run have in common."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def _shared_folder() -> Path:
    return Path(tempfile.gettempdir(), f"induce-engine-{_run_id()}")


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    with open(Path(tempfile.gettempdir(), "induce-engine.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start_shared() -> str:
    reason = obstacle()
    if reason is not None:
        raise NoEngineError(reason)
    told = Path(f"{_shared_folder()}.told")
    if not told.exists():
        keeper = subprocess.Popen(
            [sys.executable, __file__, "--until", str(_run_id()), str(_shared_folder())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        with keeper.stdout as answer:
            told.write_text(answer.readline().strip() or "no Docker engine: its keeper died")
        keeper.returncode = 0  # it outlives this worker
    line = told.read_text()
    if not line.startswith("unix://"):
        raise NoEngineError(line)
    return line


def _keep(pid: int, folder: str) -> None:
    """Keep an engine until another process ends."""
    try:
        watched = os.pidfd_open(pid)
        with PrivateEngine(folder) as engine:
            print(engine.host, flush=True)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            select.select([watched], [], [])
    except NoEngineError as error:
        print(error, flush=True)
        select.select([watched], [], [])
    finally:
        Path(f"{folder}.told").unlink(missing_ok=True)


def _run(command: list[str]) -> int:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        with PrivateEngine() as engine:
            child = subprocess.Popen(command, env={**os.environ, "DOCKER_HOST": engine.host})
            try:
                return child.wait()
            except KeyboardInterrupt:
                child.terminate()
                child.wait(STOP_SECONDS)
                return 130
    except NoEngineError as error:
        print(error, file=sys.stderr)
        return 1


def _answers(path: Path) -> bool:
    import socket

    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(START_SECONDS)
        try:
            client.connect(str(path))
            client.sendall(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")
            return b" 200 " in client.recv(100)
        except OSError:
            return False


def _processes_that_name(text: str) -> list[int]:
    """Give the processes that have a path of ours on their command line, such as a container's shim."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes()
                if text.encode() in command and b"container" in command.partition(b"\0")[0]:
                    found.append(int(entry.name))
    return found


def _mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in lines]
    return sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True)


if __name__ == "__main__":
    if sys.argv[1] == "--until":
        _keep(int(sys.argv[2]), sys.argv[3])
    else:
        sys.exit(_run(sys.argv[1:]))
