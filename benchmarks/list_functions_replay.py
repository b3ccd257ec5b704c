"""List Functions, even-numbered (n = 125), with what GPT-4 answered in Qiu et al. 2023, replayed.

Each recorded run is played twice through proposer, sandbox, feedback and selection: under the authors' rule
(the last round's best), to be compared with their recorded figures task by task, and under the project's own
(all rounds). The oracle is any candidate of any round.

    INDUCE_BENCHMARK_DATA=… python benchmarks/list_functions_replay.py
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from reporting import benchmark_data, print_table, write_results

import induce
from hypotheses.run_log import RunLog
from induce.scoring import count_correct, score_run

RUNS = {
    "Python, N=5, T=3": "gpt4_list_function_rule_iter3_t0.7_n5_python",
    "rules, N=5, T=1": "gpt4_list_function_rule_iter1_t0.7_n5",
    "rules, N=1, T=1": "gpt4_list_function_rule_iter1_t0_n1",
    "rules, N=1, T=3": "gpt4_list_function_rule_iter3_t0_n1",
}


def main() -> None:
    folder = benchmark_data() / "qiu2023"
    tasks = induce.load_tasks(folder / "list_function.jsonl")
    results = []
    for name, stem in RUNS.items():
        transcript = folder / "transcripts" / f"{stem}.jsonl"
        expected = json.loads((transcript.parent / f"{stem}.expected.json").read_text())
        row = {"run": name, "recorded_accuracy": expected["accuracy"]}
        row["recorded_task_accuracy"] = expected["task_accuracy"]
        for rule in ("last-round", "all-rounds"):
            with tempfile.TemporaryDirectory() as place:
                log_path = Path(place) / "run.sqlite"
                started = time.perf_counter()
                induce.solve(tasks, proposer=f"recorded:{transcript}", select=rule, out=log_path)
                seconds = time.perf_counter() - started
                with RunLog.open(log_path) as log:
                    score = score_run(log, tasks, oracle=True)
                    differing = differing_tasks(log, tasks, expected["per_task"])
                megabytes = log_path.stat().st_size / 1e6
            key = rule.replace("-", "_")
            row |= {f"{key}_accuracy": score.accuracy, f"{key}_task_accuracy": score.task_accuracy}
            if rule == "last-round":
                row["differing_tasks"] = differing
        row |= {"oracle_accuracy": score.oracle_accuracy, "oracle_task_accuracy": score.oracle_task_accuracy}
        row |= {"seconds": round(seconds, 2), "log_megabytes": round(megabytes, 2)}
        results.append(row)
    title = "List Functions, even-numbered, n = 125: accuracy / task accuracy in %"
    print_table(title, [in_percent(row) for row in results])
    write_results("list_functions_replay", {"tasks": 125, "queries": 1000, "runs": results})


def differing_tasks(log: RunLog, tasks: induce.TaskSet, per_task: dict[str, list[float]]) -> list[str]:
    """Give the tasks whose number of right answers differs from the recorded one."""
    labelled = {one.task.id: one for one in tasks.labelled()}
    return [
        solution.task_id
        for solution in log.solutions()
        if count_correct(labelled[solution.task_id], solution.predictions) != sum(per_task[solution.task_id])
    ]


def in_percent(row: dict[str, object]) -> dict[str, object]:
    def pair(key: str) -> str:
        fractions = (float(str(row[f"{key}_{figure}"])) for figure in ("accuracy", "task_accuracy"))
        return " / ".join(f"{100 * fraction:.1f}" for fraction in fractions)

    return {
        "run": row["run"],
        "recorded": pair("recorded"),
        "authors' rule": pair("last_round"),
        "differing": len(row["differing_tasks"]),  # type: ignore[arg-type]
        "all rounds": pair("all_rounds"),
        "oracle": pair("oracle"),
        "seconds": row["seconds"],
        "log MB": row["log_megabytes"],
    }


if __name__ == "__main__":
    main()
