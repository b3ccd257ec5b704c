"""What GPT-4 answered on List Functions, replayed, gives the figures that were recorded, task by task."""

import json

import pytest

import induce
from induce.scoring import count_correct

RUNS = ["iter3_t0.7_n5_python", "iter1_t0.7_n5", "iter1_t0_n1", "iter3_t0_n1"]


@pytest.mark.benchmark_data
@pytest.mark.parametrize("name", RUNS)
def test_the_authors_rule_gives_the_recorded_figures(benchmark_data, name):
    folder = benchmark_data / "qiu2023"
    stem = folder / "transcripts" / f"gpt4_list_function_rule_{name}"
    per_task = json.loads(stem.with_name(f"{stem.name}.expected.json").read_text())["per_task"]
    tasks = induce.load_tasks(folder / "list_function.jsonl")
    solutions = induce.solve(tasks, proposer=f"recorded:{stem}.jsonl", select="last-round")
    differing = [
        solution.task_id
        for solution, labelled in zip(solutions, tasks.labelled(), strict=True)
        if count_correct(labelled, solution.predictions) != sum(per_task[solution.task_id])
    ]
    assert len(solutions) == len(per_task) == 125
    assert len(differing) <= 1, differing
