"""Does every task of a batch end exactly once, and as if nothing had happened, whatever dies?

2,000 tasks, half of which the search solves and half of which need the model, run on a cluster of a head and
a worker node (separate processes on this machine), with the run log in a file and on a PostgreSQL server by
turns. Meanwhile solver actors, the owner of the log, a whole node and the driver are killed with SIGKILL,
PostgreSQL is restarted, and of the model's three endpoints one hangs, one answers rubbish and one says 429
for a while. Whoever runs the batch only says `induce batch resume` when the driver has died. Afterwards the
record is compared with that of an undisturbed run: completions, hypotheses, programs, verdicts, predictions
and usage must be the same.

    python benchmarks/cluster_chaos.py [--trials 20] [--tasks 2000] [--seed 1]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from chaos_model import BASE_SEED, RULES
from postgresql_server import find_binaries, start_postgresql
from reporting import print_table, write_results

from hypotheses.run_log import RunLog
from hypotheses.run_log.comparison import differences
from sandboxes import EmbeddedSandbox, Limits, Program

RECIPE = f"""
name = "chaos"
description = "search, then a few programs of the model"
search = true

[propose]
what = "program"
samples = 3
temperature = 0.8
seed = {BASE_SEED}

[refine]
what = "program"
rounds = 1
samples = 1
temperature = 0.7
seed = {BASE_SEED}
"""
SETTINGS = {
    "INDUCE_SEARCH__MAX_TERMS": "800",
    "INDUCE_MODEL__TIMEOUT": "5",
    "INDUCE_MODEL__ATTEMPTS": "12",
    "INDUCE_SANDBOX__MONTY": "false",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", choices=["both", "file", "postgresql"], default="both")
    parser.add_argument("--verbose", action="store_true", help="say what is done when")
    options = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING, format="%(asctime)s %(message)s"
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with laboratory(options.tasks) as laboratory_:
        rows = laboratory_.run(options.trials, options.seed, options.log)
    print_table("Batches that are disturbed", rows)
    failed = [row for row in rows[1:] if row["verdict"] != "same"]
    write_results(
        "cluster_chaos",
        {"tasks": options.tasks, "trials": len(rows) - 1, "failed": len(failed), "rows": rows},
    )
    sys.exit(bool(failed))


@contextlib.contextmanager
def laboratory(tasks: int) -> Iterator[Laboratory]:
    folder = Path(tempfile.mkdtemp(prefix="ich"))
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(folder / "token")
    (folder / "token").write_text(os.urandom(32).hex())
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        with contextlib.ExitStack() as stack:
            yield Laboratory(folder, tasks, stack)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Laboratory:
    """A cluster, a model and a database, and what disturbs them."""

    def __init__(self, folder: Path, tasks: int, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self.count = tasks
        self.tasks = folder / "tasks.jsonl"
        self.tasks.write_text("".join(json.dumps(task) + "\n" for task in make_tasks(tasks)))
        (folder / "chaos.toml").write_text(RECIPE)
        self.ports = [free_port() for _ in range(3)]
        script = Path(__file__).with_name("chaos_model.py")
        self.model = subprocess.Popen([sys.executable, str(script), *map(str, self.ports)])
        stack.callback(stop, self.model)
        self.database = start_postgresql(folder / "pg") if find_binaries() else None
        if self.database is not None:
            stack.callback(self.database.stop)
        from ray.cluster_utils import Cluster  # noqa: PLC0415 - it changes where modules are looked for

        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 1, "include_dashboard": False, "temp_dir": str(folder / "ray")},
        )
        stack.callback(self.cluster.shutdown)
        self.node = self.cluster.add_node(num_cpus=2)
        for port in self.ports:
            wait_for(port)

    def run(self, trials: int, seed: int, log: str) -> list[dict[str, Any]]:
        plain = self.folder / "plain.sqlite"
        began = time.monotonic()
        assert self.start(str(plain)).wait() == 0, "the undisturbed run failed"
        rows = [
            {"trial": "undisturbed", "log": "file", "seconds": round(time.monotonic() - began), "verdict": ""}
        ]
        with RunLog.open(plain) as undisturbed:
            rows[0] |= {"kills": "", "faults": "", "outcomes": str(dict(sorted(undisturbed.count().items())))}
            rows[0]["verdict"] = self.control(plain)
            for number in range(trials):
                kinds = ["file", "postgresql"] if self.database is not None and log == "both" else [log]
                kind = "file" if self.database is None else kinds[number % len(kinds)]
                row = self.trial(number, random.Random(f"{seed}/{number}"), kind, undisturbed)
                print(json.dumps(row), flush=True)
                rows.append(row)
        return rows

    def control(self, plain: Path) -> str:
        """See that a completion that is paid twice would be noticed, and a record that differs."""
        self.order(self.ports[0], watch=str(plain))
        again = self.folder / "control.sqlite"
        assert self.start(str(again), terms="40").wait() == 0
        twice = self.order(self.ports[0])["twice"]
        with RunLog.open(plain) as one, RunLog.open(again) as other:
            found = differences(one, other)
        assert twice, "the model does not notice what is asked twice"
        assert found, "records that differ pass for the same"
        return f"{len(twice)} paid twice, {len(found)} differences noticed"

    def start(
        self, address: str, *, resume: bool = False, terms: str = SETTINGS["INDUCE_SEARCH__MAX_TERMS"]
    ) -> subprocess.Popen[bytes]:
        model = "vllm:chaos@" + ",".join(f"http://127.0.0.1:{port}/v1" for port in self.ports)
        command = [sys.executable, "-m", "induce", "batch", "resume" if resume else "run"]
        command += [address] if resume else [str(self.tasks), "--out", address, "--recipe", "chaos.toml"]
        command += ["--address", self.cluster.address, "--model", model]
        output = (self.folder / "driver.txt").open("ab")
        environment = os.environ | SETTINGS | {"INDUCE_SEARCH__MAX_TERMS": terms}
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )

    def trial(self, number: int, dice: random.Random, kind: str, undisturbed: RunLog) -> dict[str, Any]:
        address = str(self.folder / f"trial-{number}.sqlite")
        if kind == "postgresql":
            assert self.database is not None
            address = f"{self.database.address}#trial-{number}"
        self.order(self.ports[0], watch=address)
        kills, faults = Counter[str](), Counter[str]()
        began = time.monotonic()
        driver = self.start(address)
        plan = self.plan(dice, kind)
        problem, hit_at = "", 0.0
        while (code := driver.poll()) != 0:
            if code is not None:
                LOG.info("the driver ended with %s: resume", code)
                driver = self.start(address, resume=True)
                kills["resumes"] += 1
                if kills["resumes"] > 15:
                    problem = "resumed 15 times"
                    break
            if time.monotonic() - began > 900:
                problem = "not over after 900 s"
                os.killpg(driver.pid, signal.SIGKILL)
                break
            done = self.done(address)
            # With some time between, so that there is somebody to kill.
            if plan and done >= plan[0][0] * self.count and time.monotonic() - hit_at > 1.5:
                hit_at = time.monotonic()
                what = plan.pop(0)[1]
                LOG.info("%d done: %s", done, what)
                hit = self.disturb(what, dice, driver)
                if not hit:  # there was nobody to kill just now
                    plan = sorted([*plan, (done / self.count + 0.02, what)])
                (kills if what in KILLS else faults)[what] += hit
            time.sleep(0.2)
        seconds = round(time.monotonic() - began)
        twice = self.order(self.ports[0])["twice"]
        with RunLog.open(address) as log:
            found = differences(undisturbed, log)
            finished = len(log.task_ids()), len(set(log.task_ids()))
            outcomes = dict(sorted(log.count().items()))
        if finished != (self.count, self.count):
            problem = problem or f"{finished} tasks finished"
        if twice:
            problem = problem or f"paid twice: {len(twice)}, {twice[:3]}"
        if found:
            problem = problem or f"{len(found)} differences: {found[:3]}"
        self.order(self.ports[0], watch="")
        if not problem:
            RunLog.delete(address)
        return {
            "trial": number,
            "log": kind,
            "seconds": seconds,
            "verdict": problem or "same",
            "kills": ", ".join(f"{count} {what}" for what, count in kills.items()),
            "faults": ", ".join(f"{count} {what}" for what, count in faults.items()),
            "outcomes": str(outcomes),
        }

    def plan(self, dice: random.Random, kind: str) -> list[tuple[float, str]]:
        """Say what happens, and after which share of the tasks."""
        what = ["worker"] * 4 + ["log" if kind == "file" else "postgresql"] * 2 + ["node", "driver", "driver"]
        what += ["hang", "rubbish", "busy"]
        return sorted((dice.uniform(0.02, 0.9), one) for one in what)

    def disturb(self, what: str, dice: random.Random, driver: subprocess.Popen[bytes]) -> int:
        if what in ("hang", "rubbish", "busy"):
            port = self.ports[("hang", "rubbish", "busy").index(what)]
            self.order(port, mode=what, seconds=dice.uniform(2, 8))
        elif what == "driver":
            os.killpg(driver.pid, signal.SIGKILL)
        elif what == "node":
            processes = self.node.all_processes["raylet"]
            kill(processes[0].process.pid)
            self.cluster.remove_node(self.node, allow_graceful=False)
            self.node = self.cluster.add_node(num_cpus=2)
        elif what == "postgresql":
            assert self.database is not None
            self.database.restart()
        else:
            pids = self.actors("Host" if what == "log" else "SolverWorker")
            if not pids:
                return 0
            kill(dice.choice(pids))
        return 1

    def actors(self, name: str) -> list[int]:
        """Give the processes of actors of a kind, of this cluster alone."""
        found = []
        for node in (self.cluster.head_node, self.node):
            with contextlib.suppress(psutil.Error, KeyError):
                raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
                for process in raylet.children(recursive=True):
                    with contextlib.suppress(psutil.Error):
                        if "".join(process.cmdline()[:1]).startswith(f"ray::{name}"):
                            found.append(process.pid)
        return found

    def done(self, address: str) -> int:
        try:
            with RunLog.open(address) as log:
                return sum(log.count().values())
        except Exception:
            return 0

    def order(self, port: int, **order: Any) -> dict[str, Any]:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/control", json.dumps(order).encode())
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own
            found: dict[str, Any] = json.load(answer)
        return found


LOG = logging.getLogger("chaos")
INPUTS = range(10, 400)
KILLS = ("worker", "log", "postgresql", "node", "driver")


def make_tasks(count: int) -> Iterator[dict[str, Any]]:
    """Yield tasks: by turns a text that the search solves, and arithmetic that it does not."""
    dice = random.Random(7)
    known = outputs()
    for number in range(count):
        if number % 2:
            words = ["".join(dice.choices("abcdefgh", k=dice.randint(4, 7))) for _ in range(4)]
            way = dice.choice((str.upper, str.title, lambda word: word[::-1], lambda word: word[:2], len))
            pairs = [(word, way(word)) for word in words]
        else:
            rule = dice.choice(RULES)
            numbers = dice.sample(INPUTS, 5)
            pairs = [(x, known[rule][x]) for x in numbers]
        *examples, query = pairs
        yield {
            "id": f"task-{number:05}",
            "examples": [{"input": given, "output": wanted} for given, wanted in examples],
            "queries": [{"input": query[0], "output": query[1]}],
        }


def outputs() -> dict[str, dict[int, Any]]:
    """Give what each rule makes of each input."""
    with EmbeddedSandbox() as sandbox:
        found = {}
        for rule in RULES:
            runs = sandbox.run(Program(f"def f(x):\n    return {rule}", "f"), list(INPUTS), Limits())
            found[rule] = {x: run.value for x, run in zip(INPUTS, runs, strict=True)}
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody listens at {port}")
        time.sleep(0.05)


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()  # it would wait for requests that it lets hang
    process.wait()


if __name__ == "__main__":
    main()
