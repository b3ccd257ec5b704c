"""Many small tasks in one run: does memory stay flat, and does a run survive being killed again and again?

First the tasks are solved undisturbed while the resident memory of the process and its children is sampled.
Then they are solved again, with SIGKILL at random moments and `induce resume` after each, and the result is
compared: every task recorded exactly once, with the predictions of the undisturbed run, no process left over.

    python benchmarks/ten_thousand_tasks.py [--tasks 10000] [--kills 10]
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from reporting import print_table, write_results

from hypotheses.run_log import RunLog

INDUCE = [sys.executable, "-m", "induce"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the results, and write no file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tasks = folder / "tasks.jsonl"
        write_tasks(tasks, options.tasks, options.seed)
        memory = solve_undisturbed(tasks, folder / "whole.sqlite", options.tasks)
        kills = solve_disturbed(
            tasks, folder / "killed.sqlite", options.kills, memory["seconds"], options.seed
        )
        results = {"tasks": options.tasks} | memory | kills
        results["lost_or_changed"] = compare(folder / "whole.sqlite", folder / "killed.sqlite", options.tasks)
        results["log_kilobytes_per_task"] = round(
            (folder / "whole.sqlite").stat().st_size / 1e3 / options.tasks, 2
        )
    if options.json:
        print(json.dumps(results))
        return
    print_table("One run over many small tasks", [{"figure": k, "value": v} for k, v in results.items()])
    write_results("ten_thousand_tasks", results)


def write_tasks(path: Path, count: int, seed: int) -> None:
    """Write small string and list tasks that a search solves at once, each with one query."""
    rules = [
        (str.upper, lambda dice: "".join(dice.choices("abcdefgh", k=dice.randint(3, 9)))),
        (lambda word: word[0], lambda dice: "".join(dice.choices("abcdefgh", k=dice.randint(3, 9)))),
        (lambda items: items[::-1], lambda dice: dice.sample(range(100), k=dice.randint(2, 6))),
        (sorted, lambda dice: dice.sample(range(100), k=dice.randint(2, 6))),
        (sum, lambda dice: dice.sample(range(100), k=dice.randint(2, 6))),
    ]
    dice = random.Random(seed)
    with path.open("w") as file:
        for number in range(count):
            rule, draw = rules[number % len(rules)]
            inputs = [draw(dice) for _ in range(4)]
            examples = [{"input": x, "output": rule(x)} for x in inputs[:3]]
            queries = [{"input": inputs[3], "output": rule(inputs[3])}]
            file.write(json.dumps({"id": f"task-{number}", "examples": examples, "queries": queries}) + "\n")


def solve_undisturbed(tasks: Path, log: Path, count: int) -> dict[str, float]:
    """Solve all tasks and give the time and the resident memory in MB after a tenth of them and later."""
    started = time.perf_counter()
    process = start([*INDUCE, "solve", str(tasks), "--json", "--out", str(log)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    early = peak = 0.0
    for done, line in enumerate(process.stdout, 1):
        assert json.loads(line)["task_id"]
        if done == count // 10:
            early = resident(process.pid)
        elif done > count // 10 and done % max(1, count // 200) == 0:
            peak = max(peak, resident(process.pid))
    assert process.wait() == 0
    seconds = time.perf_counter() - started
    return {
        "seconds": round(seconds, 1),
        "tasks_per_second": round(count / seconds, 1),
        "resident_mb_after_a_tenth": round(early, 1),
        "resident_mb_peak_later": round(peak, 1),
        "growth_mb": round(peak - early, 1),
    }


def solve_disturbed(tasks: Path, log: Path, kills: int, seconds: float, seed: int) -> dict[str, int]:
    """Solve all tasks, killed ``kills`` times on the way; give how often, and what was left over."""
    dice = random.Random(seed)
    orphans = killed = interrupted_writes = 0
    command = [*INDUCE, "solve", str(tasks), "--json", "--out", str(log)]
    while True:
        process = start(command, stdout=subprocess.DEVNULL)
        if killed == kills:
            assert process.wait() == 0
            return {"kills": killed, "kills_that_left_a_journal": interrupted_writes, "orphans": orphans}
        while not log.exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(dice.uniform(0, seconds / (kills + 1)))
        if process.poll() is not None:
            raise SystemExit(f"the run ended before kill {killed + 1}; give it more --tasks or fewer --kills")
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed += 1
        _, alive = psutil.wait_procs(children, timeout=5)
        orphans += len(alive)
        interrupted_writes += Path(f"{log}-wal").exists()
        command = [*INDUCE, "resume", str(log), "--json"]


def compare(whole: Path, killed: Path, count: int) -> int:
    """Count the tasks that the killed run lacks, or for which it has another answer."""
    with RunLog.open(whole) as one, RunLog.open(killed) as other:
        expected = {
            solution.task_id: (solution.outcome, solution.predictions) for solution in one.solutions()
        }
        found = [
            (solution.task_id, (solution.outcome, solution.predictions)) for solution in other.solutions()
        ]
    assert len(expected) == count
    assert len(found) == len(dict(found)), "a task was recorded twice"
    return sum(dict(found).get(task_id) != outcome for task_id, outcome in expected.items())


def start(command: list[str], stdout: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL)


def resident(pid: int) -> float:
    """Give the resident memory of a process and its children in MB; shared pages count in each."""
    process = psutil.Process(pid)
    total = process.memory_info().rss
    for child in process.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


if __name__ == "__main__":
    main()
