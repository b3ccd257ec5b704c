"""Compare this project's search with cvc5's SyGuS solver on string programs from examples.

    INDUCE_BENCHMARK_DATA=… python benchmarks/sygus_strings.py [--seconds 10] [--files 'euphony/*']

Both get the same files in one run: each task in a process of its own, with the same budget of CPU seconds on
one core. cvc5 is given the task in SyGuS-IF 2.1 and its default options. Every solution is checked here: it
must be a term of the task's grammar and give every example's output by ``hypotheses.sygus.semantics``, which
shares no code with either solver.

The files are those that ``subsets/sygus_strings.txt`` names; they are looked for below
``$INDUCE_BENCHMARK_DATA/sygus/PBE_SLIA_Track``.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from reporting import benchmark_data, print_table, write_results

from hypotheses.search import search
from hypotheses.sygus.semantics import evaluate, is_term_of
from hypotheses.sygus.sexpr import SexprError
from hypotheses.sygus.sorts import parameter_sorts
from hypotheses.sygus.terms import parse_define_fun
from hypotheses.task import Task
from hypotheses.verification import contradiction
from induce.tasks.sygus import parse_sygus
from induce.tasks.sygus_printer import to_sygus

HERE = Path(__file__).parent
SUBSET = HERE / "subsets" / "sygus_strings.txt"
SOLVERS = ("ours", "cvc5")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a solver said of a task. ``status``: solved, infeasible, unsolved, timed out, crashed or wrong."""

    status: str
    seconds: float
    solution: str = ""
    note: str = ""


def main() -> None:
    options = read_options()
    if options.worker:
        work(options.worker, options.path, options.seconds)
        return
    solvers = [options.only] if options.only else list(SOLVERS)
    folder = benchmark_data() / "sygus" / "PBE_SLIA_Track"
    rows = []
    for name in names(options.files):
        path = folder / name
        try:
            task = read_task(path)
        except SexprError as error:
            print(f"{name}: left out, {error}")
            continue
        row = {solver: solve(solver, path, task, options.seconds) for solver in solvers}
        rows.append((name, row))
        cells = [f"{solver} {answer.status:<10} {answer.seconds:5.2f} s" for solver, answer in row.items()]
        print(f"{name:<56}", *cells, sep="  ", flush=True)
    figures = summary([row for _, row in rows])
    print_table(f"SyGuS strings: {len(rows)} tasks, {options.seconds:g} CPU seconds each", figures)
    if options.only or options.files != "*":
        return  # a part of the comparison is not the comparison
    record = {"seconds": options.seconds, "cvc5": version("cvc5"), "summary": figures}
    tasks = [
        {"file": name} | {solver: asdict(answer) for solver, answer in row.items()} for name, row in rows
    ]
    write_results("sygus_strings", record | {"tasks": tasks})


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="CPU seconds a task (default 10)")
    parser.add_argument("--files", default="*", help="glob over the files' relative names")
    parser.add_argument("--only", choices=SOLVERS, help="run one solver alone")
    parser.add_argument("--worker", choices=SOLVERS, help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def names(pattern: str) -> list[str]:
    lines = SUBSET.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#") and fnmatch.fnmatch(line, pattern)]


def read_task(path: Path) -> Task:
    return parse_sygus(path.read_text(encoding="utf-8"), path.stem)


def solve(solver: str, path: Path, task: Task, seconds: float) -> Answer:
    """Run one solver on one file in a process of its own, and check what it says."""
    command = [sys.executable, __file__, "--worker", solver, "--seconds", str(seconds), "--path", str(path)]
    try:
        # The budget counts CPU time; the wall clock only guards against a process that sleeps.
        done = subprocess.run(command, capture_output=True, text=True, timeout=10 * seconds + 60, check=False)
    except subprocess.TimeoutExpired:
        return Answer("timed out", seconds)
    if done.returncode == -signal.SIGPROF:
        return Answer("timed out", seconds)
    if done.returncode != 0:
        return Answer("crashed", seconds, note=done.stderr.strip().rpartition("\n")[2])
    answer = Answer(**json.loads(done.stdout))
    if answer.status == "solved" and (fault := fault_of(answer.solution, task)):
        return Answer("wrong", answer.seconds, answer.solution, fault)
    return answer


def fault_of(solution: str, task: Task) -> str | None:
    """What is wrong with a solution, ``None`` where nothing is."""
    body = parse_define_fun(solution).body
    if task.grammar is None or not is_term_of(body, task.grammar):
        return "not a term of the grammar"
    sorts = parameter_sorts(task)
    for number, example in enumerate(task.examples, start=1):
        values = [example.input] if task.signature.call == "single" else example.input
        if evaluate(body, dict(zip(sorts, values, strict=True)), sorts) != example.output:
            return f"example {number} comes out wrong"
    return None


def work(solver: str, path: Path, seconds: float) -> None:
    """In a process of its own: solve one file and print the answer. SIGPROF ends it when time is up."""
    task = read_task(path)
    run = solve_ours if solver == "ours" else prepare_cvc5()
    started = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, seconds)
    status, solution = run(task, seconds)
    signal.setitimer(signal.ITIMER_PROF, 0)
    print(json.dumps(asdict(Answer(status, round(time.process_time() - started, 3), solution))))


def solve_ours(task: Task, seconds: float) -> tuple[str, str]:
    if contradiction(task):
        return "infeasible", ""
    # At the end of its own budget the search hands over the best it has, so that must come before SIGPROF.
    result = search(task, seconds=0.95 * seconds)
    return ("solved", result.found.definition) if result.found else ("unsolved", "")


def prepare_cvc5() -> Callable[[Task, float], tuple[str, str]]:
    """Load cvc5, outside of the measured time."""
    import cvc5  # noqa: PLC0415 - only the comparison needs it

    def run(task: Task, _: float) -> tuple[str, str]:
        manager = cvc5.TermManager()
        solver = cvc5.Solver(manager)
        solver.setOption("sygus", "true")
        symbols = cvc5.SymbolManager(manager)
        parser = cvc5.InputParser(solver, symbols)
        parser.setStringInput(cvc5.InputLanguage.SYGUS_2_1, to_sygus(task), task.id)
        output = ""
        while not (command := parser.nextCommand()).isNull():
            output += command.invoke(solver, symbols)
        output = output.strip()
        if output.startswith("("):
            return "solved", output[1:-1].strip()
        return ("infeasible", "") if output == "infeasible" else ("unsolved", "")

    return run


def summary(rows: list[dict[str, Answer]]) -> list[dict[str, object]]:
    """Count each solver's outcomes; ``alone`` are tasks that the other did not solve."""
    figures: list[dict[str, object]] = []
    for solver in rows[0]:
        answers = [row[solver] for row in rows]
        statuses = Counter(answer.status for answer in answers)
        times = [answer.seconds for answer in answers if answer.status == "solved"]
        alone = sum(
            row[solver].status == "solved"
            and all(row[other].status != "solved" for other in row if other != solver)
            for row in rows
        )
        figures.append(
            {
                "solver": solver,
                "solved": statuses["solved"],
                "alone": alone,
                "infeasible": statuses["infeasible"],
                "wrong": statuses["wrong"],
                "median s": round(statistics.median(times), 3) if times else None,
            }
        )
    return figures


if __name__ == "__main__":
    main()
