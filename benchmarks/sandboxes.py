"""How many programs a second each back end runs, beside what else there is.

    python benchmarks/sandboxes.py [--programs 2000] [--only NAME …]

Every program is trivial and different and runs on one input, so that what is measured is the price of running
a program at all. Ways that need what is not here are named and skipped: Docker ways need an engine
(DOCKER_HOST) and an image (``induce sandbox image build --from-host``), peers ``pip install --group peers``.

- embedded, docker, remote, monty: the back ends, warm, as many programs at a time as there are cores;
- docker exec, docker run: a program by ``exec`` in a warm container, or in a container of its own;
- subprocess: an interpreter for each program; multiprocessing: a fork of the host for each;
- llm-sandbox, inspect-ai: public sandboxes for programs of models, as their documentation says to use them.

Latency is measured with one program at a time. "CPU ms" is what a program costs this process and its children
on all cores together (not what it costs an engine's daemons).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import psutil
from reporting import print_table, write_results

from sandboxes import EmbeddedSandbox, Limits, Program, Sandbox, SandboxError

if TYPE_CHECKING:
    from sandboxes.container.image import Image

CORES = len(os.sched_getaffinity(0))
LIMITS = Limits()
Run = Callable[[str], Any]


class NotHere(Exception):  # noqa: N818 - no error: a way that cannot be measured on this machine
    """Why a way cannot be measured here."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--programs", type=int, default=2000, help="programs for the sandbox; slow ways run fewer"
    )
    parser.add_argument("--only", nargs="*", help="measure these ways alone")
    options = parser.parse_args()
    rows, skipped = [], {}
    for name, (confined, share, way) in WAYS.items():
        if options.only and name not in options.only:
            continue
        try:
            with way() as run:
                rows.append(
                    {"way": name, "confined": confined, **measure(run, max(options.programs // share, 20))}
                )
        except NotHere as reason:
            skipped[name] = str(reason)
            print(f"{name}: skipped: {reason}", file=sys.stderr)
    base = next((row["programs/s"] for row in rows if row["way"] == "embedded"), None)
    for row in rows:
        row["relative"] = round(row["programs/s"] / base, 3) if base else None
    print_table(f"Trivial programs on one input, {CORES} cores", rows)
    if not options.only:
        write_results("sandboxes", {"rows": rows, "skipped": skipped})


def measure(run: Run, count: int) -> dict[str, Any]:
    """Run ``count`` programs on all cores, then a quarter as many one by one."""
    with ThreadPoolExecutor(CORES) as threads:
        list(threads.map(run, sources(2 * CORES)))  # everything starts that starts only once
        cpu, start = cpu_seconds(), time.perf_counter()
        results = list(threads.map(run, sources(count)))
        seconds, cpu = time.perf_counter() - start, cpu_seconds() - cpu
    if results != list(range(count)):
        raise AssertionError(f"wrong results: {results[:5]} …")
    latencies = []
    for source in sources(max(count // 4, 5)):
        start = time.perf_counter()
        run(source)
        latencies.append(1000 * (time.perf_counter() - start))
    quantiles = statistics.quantiles(latencies, n=20)
    return {
        "programs": count,
        "programs/s": round(count / seconds, 1 if count / seconds < 100 else None),
        "CPU ms": round(1000 * cpu / count, 2),
        "p50 ms": round(statistics.median(latencies), 2),
        "p95 ms": round(quantiles[18], 2),
    }


def sources(count: int) -> list[str]:
    return [f"def f(x):\n    return x + {number}" for number in range(count)]


def cpu_seconds() -> float:
    """CPU time of this process, its servers and all their children that have ended."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    total = sum(one.ru_utime + one.ru_stime for one in usage)
    for child in psutil.Process().children(recursive=True):
        try:
            total += sum(child.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total


def through(sandbox: Sandbox) -> Run:
    def run(source: str) -> Any:
        [execution] = sandbox.run(Program(source, "f"), [0], LIMITS)
        return execution.value

    return run


@contextmanager
def embedded() -> Iterator[Run]:
    with EmbeddedSandbox() as sandbox:
        yield through(sandbox)


@contextmanager
def monty() -> Iterator[Run]:
    if not installed("pydantic_monty"):
        raise NotHere("needs the extra monty")
    from sandboxes.fast_path import FastSandbox  # noqa: PLC0415

    with FastSandbox(EmbeddedSandbox()) as sandbox:
        yield through(sandbox)


@contextmanager
def docker_warm() -> Iterator[Run]:
    image()
    from sandboxes.container import DockerSandbox  # noqa: PLC0415

    with DockerSandbox(servers=CORES) as sandbox:
        yield through(sandbox)


@contextmanager
def remote() -> Iterator[Run]:
    from sandboxes.remote import RemoteSandbox  # noqa: PLC0415

    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as folder:
        address = f"unix://{folder}/socket"
        command = [sys.executable, "-m", "induce", "sandbox", "serve", "--listen", address]
        environment = {**os.environ, "INDUCE_SANDBOX_TOKEN": token}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        ) as service:
            assert service.stdout is not None
            service.stdout.readline()
            try:
                with RemoteSandbox(address, token) as sandbox:
                    yield through(sandbox)
            finally:
                service.terminate()


@contextmanager
def docker_exec_by_command() -> Iterator[Run]:
    own = image()
    if shutil.which("docker") is None:
        raise NotHere("needs the command docker")
    with warm_container(own) as container:

        def run(source: str) -> Any:
            command = ["docker", "exec", container.id, own.interpreter, "-c", script(source)]
            return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

        yield run


@contextmanager
def docker_exec() -> Iterator[Run]:
    own = image()
    with warm_container(own) as container:

        def run(source: str) -> Any:
            code, output = container.exec_run([own.interpreter, "-c", script(source)])
            assert code == 0, output
            return json.loads(output)

        yield run


@contextmanager
def warm_container(own: Image) -> Iterator[Any]:
    from docker import from_env  # noqa: PLC0415

    with ExitStack() as cleanup:
        client = cleanup.enter_context(closing(from_env()))
        started = client.containers.run(
            own.name,
            ["-c", "import time; time.sleep(1e6)"],
            entrypoint=own.interpreter,
            detach=True,
            **HARDENED,
        )
        cleanup.callback(started.remove, force=True)

        yield started


@contextmanager
def docker_run() -> Iterator[Run]:
    own = image()
    from docker import from_env  # noqa: PLC0415

    with closing(from_env()) as client:

        def run(source: str) -> Any:
            return json.loads(
                client.containers.run(
                    own.name, ["-c", script(source)], entrypoint=own.interpreter, remove=True, **HARDENED
                )
            )

        yield run


HARDENED: dict[str, Any] = {
    "network_mode": "none",
    "read_only": True,
    "cap_drop": ["ALL"],
    "user": "65534:65534",
    "mem_limit": "256m",
}


def image() -> Image:
    """Give the image that ``DockerSandbox`` would use."""
    if not installed("docker"):
        raise NotHere("needs the extra docker")
    from sandboxes.container.engine import Engine  # noqa: PLC0415
    from sandboxes.container.image import find_image  # noqa: PLC0415

    try:
        return find_image(Engine())
    except SandboxError as error:
        raise NotHere(str(error)) from error


@contextmanager
def in_subprocess() -> Iterator[Run]:
    def run(source: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", script(source)], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    yield run


@contextmanager
def in_fork() -> Iterator[Run]:
    context = multiprocessing.get_context("fork")

    def run(source: str) -> Any:
        reader, writer = context.Pipe(duplex=False)
        process = context.Process(target=answer, args=(writer, source))
        process.start()
        writer.close()
        value = json.loads(reader.recv_bytes())
        process.join()
        return value

    yield run


def answer(writer: Connection, source: str) -> None:
    namespace: dict[str, Any] = {}
    exec(source, namespace)  # noqa: S102 - a way that confines nothing, on programs of our own
    writer.send_bytes(json.dumps(namespace["f"](0)).encode())


@contextmanager
def inspect_local() -> Iterator[Run]:
    if not installed("inspect_ai"):
        raise NotHere("needs the dependency group peers")
    from inspect_ai.util._sandbox.local import LocalSandboxEnvironment  # noqa: PLC0415

    def run(source: str) -> Any:
        async def once() -> str:
            sandbox = LocalSandboxEnvironment()
            try:
                done = await sandbox.exec([sys.executable, "-c", script(source)], timeout=10)
                return done.stdout
            finally:
                sandbox.directory.cleanup()

        return json.loads(asyncio.run(once()))

    yield run


@contextmanager
def llm_sandbox() -> Iterator[Run]:
    """One warm session a thread, which runs each program by ``exec`` in its container."""
    if not installed("llm_sandbox"):
        raise NotHere("needs the dependency group peers")
    name = os.environ.get("INDUCE_BENCHMARK_PEER_IMAGE")
    if not name:
        raise NotHere(
            "set INDUCE_BENCHMARK_PEER_IMAGE to an image with a shell and Python, such as python:3.12-slim"
        )
    from docker import from_env  # noqa: PLC0415
    from llm_sandbox import SandboxSession  # noqa: PLC0415

    with ExitStack() as cleanup:
        client = cleanup.enter_context(closing(from_env()))
        sessions = [
            cleanup.enter_context(
                SandboxSession(
                    client=client,
                    image=name,
                    lang="python",
                    keep_template=True,
                    skip_environment_setup=True,
                    runtime_configs={"network_mode": "none"},
                )
            )
            for _ in range(CORES)
        ]

        def run(source: str) -> Any:
            session = sessions.pop()
            try:
                return json.loads(session.run(script(source)).stdout)
            finally:
                sessions.append(session)

        yield run


def script(source: str) -> str:
    return f"import json\n{source}\nprint(json.dumps(f(0)))\n"


def installed(module: str) -> bool:
    import importlib.util  # noqa: PLC0415

    return importlib.util.find_spec(module) is not None


WAYS: dict[str, tuple[str, int, Callable[[], Any]]] = {
    "embedded": ("yes", 1, embedded),
    "embedded + monty": ("yes", 1, monty),
    "docker": ("yes", 1, docker_warm),
    "remote (embedded)": ("yes", 1, remote),
    "docker exec, by the SDK": ("by container", 20, docker_exec),
    "docker exec, by command": ("by container", 20, docker_exec_by_command),
    "docker run, by the SDK": ("by container", 50, docker_run),
    "subprocess": ("no", 5, in_subprocess),
    "multiprocessing": ("no", 2, in_fork),
    "inspect-ai, local": ("no", 10, inspect_local),
    "llm-sandbox, docker": ("by container", 50, llm_sandbox),
}
"""By name: what confines programs, which fraction of the programs is run, and how."""


if __name__ == "__main__":
    main()
