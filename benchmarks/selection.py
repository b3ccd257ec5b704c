"""List Functions, even-numbered (n = 125): what GPT-4's recorded candidates are worth, by way of choosing.

The four recorded runs of Qiu et al. 2023 are replayed, and their candidates chosen among by the last round's
best (the authors' rule), by all rounds (the project's own), by majority, with two attempts, and by who knows
the answers (the oracle); pass@k is over the programs of the first round. At last all four runs are pooled.
Intervals are 95 % percentile bootstraps over the tasks, differences are paired.

    INDUCE_BENCHMARK_DATA=… python benchmarks/selection.py
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from reporting import benchmark_data, print_table, write_results

import induce
from hypotheses.run_log import RunLog
from induce.evaluation import Evaluation, Figures, compare, evaluate, pool
from induce.statistics import Bootstrap, Estimate

RUNS = {
    "Python, N=5, T=3": ("gpt4_list_function_rule_iter3_t0.7_n5_python", 5),
    "rules, N=5, T=1": ("gpt4_list_function_rule_iter1_t0.7_n5", 5),
    "rules, N=1, T=1": ("gpt4_list_function_rule_iter1_t0_n1", 1),
    "rules, N=1, T=3": ("gpt4_list_function_rule_iter3_t0_n1", 1),
}
POOLED = "all four, pooled"
KS = (1, 2, 3, 4, 5)
BOOTSTRAP = Bootstrap()


def main() -> None:
    folder = benchmark_data() / "qiu2023"
    tasks = induce.load_tasks(folder / "list_function.jsonl")
    by_all_rounds: dict[str, Evaluation] = {}
    by_last_round: dict[str, Evaluation] = {}
    with tempfile.TemporaryDirectory() as place, ExitStack() as opened:
        logs = []
        for name, (stem, programs) in RUNS.items():
            path = Path(place) / f"{stem}.sqlite"
            induce.solve(tasks, proposer=f"recorded:{folder / 'transcripts' / stem}.jsonl", out=path)
            log = opened.enter_context(RunLog.open(path))
            logs.append(log)
            by_all_rounds[name] = evaluate(log, tasks, KS, programs=programs, bootstrap=BOOTSTRAP)
            by_last_round[name] = evaluate(
                log, tasks, KS, rule="last-round", programs=programs, bootstrap=BOOTSTRAP
            )
        by_all_rounds[POOLED] = pool(logs, tasks, KS, bootstrap=BOOTSTRAP)
    show(by_all_rounds, by_last_round)
    best = by_all_rounds["Python, N=5, T=3"]
    write_results(
        "selection",
        {
            "tasks": best.tasks,
            "queries": best.queries,
            "bootstrap": asdict(BOOTSTRAP),
            "runs": [
                {"run": name, "all_rounds": record(one.figures)}
                | ({"last_round": record(by_last_round[name].figures)} if name in by_last_round else {})
                for name, one in by_all_rounds.items()
            ],
            "all_rounds_above_last_round": {
                name: record(compare(by_last_round[name], by_all_rounds[name], BOOTSTRAP)) for name in RUNS
            },
            "pooled_above_python": record(compare(best, by_all_rounds[POOLED], BOOTSTRAP)),
        },
    )


def show(by_all_rounds: dict[str, Evaluation], by_last_round: dict[str, Evaluation]) -> None:
    rows = []
    for name, one in by_all_rounds.items():
        figures = one.figures
        ways = {
            "all rounds": figures.attempts[1],
            "majority": figures.majority,
            "2 attempts": figures.attempts[2],
            "oracle": figures.oracle,
        }
        if name in by_last_round:
            ways = {"last round": by_last_round[name].figures.attempts[1]} | ways
        rows += [
            {
                "run": name,
                "chosen by": way,
                "accuracy": percent(accuracy.over_queries),
                "task accuracy": percent(accuracy.over_tasks),
            }
            for way, accuracy in ways.items()
        ]
    print_table("in %, with 95 % intervals", rows)
    passing = [
        {"run": name}
        | {f"pass@{k}": percent(one.figures.pass_at[k]) if k in one.figures.pass_at else "" for k in KS}
        for name, one in by_all_rounds.items()
        if one.figures.pass_at
    ]
    print_table("pass@k of the first round's programs, in %, with 95 % intervals", passing)


def percent(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f} ({100 * estimate.low:.0f}-{100 * estimate.high:.0f})"


def record(figures: Figures) -> dict[str, object]:
    """Give figures as JSON can hold them, each value with its interval."""

    def rounded(value: object) -> object:
        if isinstance(value, dict):
            return {str(key): rounded(item) for key, item in value.items()}
        return round(value, 4) if isinstance(value, float) else value

    return {key: rounded(value) for key, value in asdict(figures).items()}


if __name__ == "__main__":
    main()
