"""Figures of runs, small ones by hand and recorded ones against their score."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

import induce
from hypotheses.hypothesis import Candidate, Hypothesis, Judged, Verdict
from hypotheses.run_log import RunLog
from hypotheses.selection import select
from hypotheses.task import Task
from induce import evaluation
from induce.evaluation import compare, evaluate, pool
from induce.scoring import score_run
from induce.statistics import Bootstrap
from induce.tasks import LabelledTask
from sandboxes import Execution, Program, RunLogError, TaskFormatError

TASKS = {
    "add": {"examples": [(1, 2), (2, 3)], "queries": [(5, 6), (7, 8)]},
    "double": {"examples": [(1, 2), (3, 6)], "queries": [(5, 10)]},
    "square": {"examples": [(1, 1), (2, 4)], "queries": [(3, 9), (4, 16), (5, None)]},
    "lost": {"examples": [(1, 1)], "queries": [(5, 50)]},
    "unknown": {"examples": [(1, 1)], "queries": [(5, None)]},
}
# By task and round, what each sample's program returns.
FIRST = {
    "add": [["x + 1", "x * 2", "x + 1 if x < 6 else 0"]],
    "double": [["x", "x + 1", "x"], ["x + x"]],
    "square": [["x * x if x < 4 else x", "x ** 2 if x != 3 else 8", "x * x if x < 4 else 16"]],
}
SECOND = {
    "add": [["x"]],
    "double": [["2 * x"]],
    "square": [["x"]],
    "lost": [["10 * x if x > 1 else x"]],
}


@pytest.fixture
def tasks(tmp_path):
    return write_tasks(tmp_path / "tasks.jsonl", TASKS)


@pytest.fixture
def play(tasks, tmp_path, request):
    """Replay programs, and give the log of the run."""

    def run(programs, **options):
        name = f"run{len(list(tmp_path.glob('*.sqlite')))}"
        transcript = tmp_path / f"{name}.jsonl"
        with transcript.open("w") as file:
            for task, rounds in programs.items():
                for round_, samples in enumerate(rounds):
                    for sample, body in enumerate(samples):
                        line = {"task": task, "round": round_, "sample": sample, "kind": "program"}
                        file.write(json.dumps(line | {"program": f"def f(x):\n    return {body}"}) + "\n")
        out = tmp_path / f"{name}.sqlite"
        induce.solve(tasks, proposer=f"recorded:{transcript}", out=out, **options)
        log = RunLog.open(out)
        request.addfinalizer(log.close)
        return log

    return run


def write_tasks(path, tasks):
    with path.open("w") as file:
        for name, task in tasks.items():
            examples = [{"input": x, "output": y} for x, y in task["examples"]]
            queries = [{"input": x} | ({} if y is None else {"output": y}) for x, y in task["queries"]]
            file.write(json.dumps({"id": name, "examples": examples, "queries": queries}) + "\n")
    return induce.load_tasks(path)


def values(accuracy):
    return accuracy.over_queries.value, accuracy.over_tasks.value


def test_the_figures_of_a_small_run(play, tasks):
    """Every program of `square` satisfies its examples; only a second attempt or a vote gets both queries."""
    one = evaluate(play(FIRST), tasks, ks=(1, 2, 3, 4))
    assert (one.tasks, one.queries, one.programs) == (4, 6, 3)
    results = {result.task_id: result for result in one.results}
    assert [results[name].right for name in TASKS if name in results] == [1, 0, 1, 0]
    assert [results[name].oracle for name in TASKS if name in results] == [2, 1, 2, 0]
    assert values(one.figures.oracle) == (pytest.approx(5 / 6), pytest.approx(3 / 4))
    assert results["square"].attempts == {1: 1, 2: 2, 3: 2, 4: 2}
    assert results["square"].majority == 2
    assert values(one.figures.attempts[1]) == (pytest.approx(4 / 6), pytest.approx(2 / 4))
    assert values(one.figures.attempts[2]) == (pytest.approx(5 / 6), pytest.approx(3 / 4))
    assert one.figures.recorded == one.figures.attempts[1]
    assert {k: estimate.value for k, estimate in one.figures.pass_at.items()} == {
        1: pytest.approx(2 * (1 / 3) / 4),
        2: pytest.approx(2 * (2 / 3) / 4),
        3: pytest.approx(2 / 4),
    }


def test_programs_that_never_came_are_wrong(play, tasks):
    log = play(FIRST)
    assert evaluate(log, tasks, programs=10).figures.pass_at[1].value == pytest.approx(2 * (1 / 10) / 4)
    with pytest.raises(ValueError, match="3 candidates in its first round, so programs cannot be 2"):
        evaluate(log, tasks, programs=2)


def test_another_rule_than_the_runs_own(play, tasks):
    log = play(FIRST, select="last-round", attempts=2)
    one = evaluate(log, tasks, rule="last-round")
    assert one.figures.recorded == one.figures.attempts[2]
    assert one.figures.recorded != evaluate(log, tasks).figures.attempts[1]


def test_an_unfinished_task_is_wrong(play, tasks, tmp_path):
    begun = play(FIRST)
    with RunLog.create(tmp_path / "begun.sqlite", begun.info) as log:
        one = evaluate(log, tasks)
    assert (one.tasks, one.queries) == (4, 6)
    figures = one.figures
    for accuracy in (*figures.attempts.values(), figures.majority, figures.oracle, figures.recorded):
        assert values(accuracy) == (0, 0)
    assert figures.pass_at == {}


def test_pooled_candidates_compete_together(play, tasks):
    logs = [play(FIRST), play(SECOND)]
    alone = [evaluate(log, tasks) for log in logs]
    together = pool(logs, tasks)
    assert {one.task_id: one.oracle for one in together.results} == {
        "add": 2,
        "double": 1,
        "square": 2,
        "lost": 1,
    }
    assert values(together.figures.attempts[1]) == (pytest.approx(5 / 6), pytest.approx(3 / 4))
    assert values(alone[1].figures.attempts[1]) == (pytest.approx(2 / 6), pytest.approx(2 / 4))
    assert (together.figures.recorded, together.figures.pass_at) == (None, {})
    gain = compare(alone[1], together)
    assert gain.attempts[1].over_tasks.value == pytest.approx(1 / 4)
    assert (gain.recorded, gain.pass_at) == (None, {})


def test_a_run_pooled_with_itself_gains_nothing(play, tasks):
    log = play(FIRST)
    gain = compare(evaluate(log, tasks), pool([log, log], tasks))
    assert asdict(gain.oracle) == asdict(gain.attempts[1]) == asdict(gain.majority)
    assert (gain.oracle.over_tasks.low, gain.oracle.over_tasks.high) == (0, 0)


def test_a_comparison_is_of_the_second_above_the_first(play, tasks):
    first, second = evaluate(play(SECOND), tasks), evaluate(play(FIRST), tasks)
    above, below = compare(first, second), compare(second, first)
    assert above.oracle.over_queries.value == pytest.approx(3 / 6)
    assert above.oracle.over_queries.value == -below.oracle.over_queries.value
    assert above.pass_at[1].value == pytest.approx((2 * (1 / 3) - 2) / 4)
    assert set(above.pass_at) == {1}


def test_runs_over_different_tasks_are_refused(play, tasks, tmp_path):
    log = play(SECOND)
    others = write_tasks(tmp_path / "others.jsonl", {"add": TASKS["add"]})
    out = tmp_path / "others.sqlite"
    induce.solve(others, out=out)
    with RunLog.open(out) as other:
        with pytest.raises(RunLogError, match=r"cannot be pooled, for their tasks differ"):
            pool([log, other], tasks)
        with pytest.raises(RunLogError, match=r"cannot be compared, for their tasks differ"):
            compare(evaluate(log, tasks), evaluate(other, others))
    with pytest.raises(ValueError, match="no runs"):
        pool([], tasks)


def test_without_answers_or_attempts_there_is_nothing_to_evaluate(play, tasks, tmp_path):
    log = play(SECOND)
    with pytest.raises(TaskFormatError, match="nothing to evaluate; give its queries"):
        evaluate(log, write_tasks(tmp_path / "open.jsonl", {"unknown": TASKS["unknown"]}))
    for ks in ([], [0, 1]):
        with pytest.raises(ValueError, match="at least 1"):
            evaluate(log, tasks, ks)


def ran(value):
    return Execution("raised") if value is None else Execution("ok", value)


CANDIDATES = st.lists(
    st.builds(
        lambda correct, answers, round_, sample: Judged(
            Candidate(Hypothesis(""), Program(f"# {sample}", "f", "single"), round_, sample),
            Verdict(tuple(map(ran, correct)), tuple(correct), tuple(map(ran, answers))),
        ),
        st.lists(st.booleans(), min_size=2, max_size=2),
        st.lists(st.sampled_from([None, 0, 1, 2, True]), min_size=2, max_size=2),
        st.integers(0, 2),
        st.integers(0, 5),
    ),
    max_size=8,
)


@given(CANDIDATES, st.sampled_from(["all-rounds", "last-round", "majority"]))
def test_attempts_are_what_selection_gives_for_each_number_of_them(judged, rule):
    labelled = LabelledTask(Task.from_pairs([(1, 1), (2, 2)], queries=[3, 4]), {0: 1, 1: 2})
    found = dict(evaluation._attempts(labelled, judged, (1, 2, 3), rule))
    for k, predictions in found.items():
        assert list(map(list, predictions)) == [
            list(values) for values in select(judged, 2, k, rule).predictions
        ]


@pytest.mark.benchmark_data
def test_recorded_runs_have_the_figures_of_their_score(benchmark_data, tmp_path):
    folder = benchmark_data / "qiu2023"
    tasks = induce.load_tasks(folder / "list_function.jsonl")
    evaluations = []
    for name in ("iter1_t0_n1", "iter3_t0_n1"):
        transcript = folder / "transcripts" / f"gpt4_list_function_rule_{name}.jsonl"
        induce.solve(tasks, proposer=f"recorded:{transcript}", out=tmp_path / f"{name}.sqlite")
        with RunLog.open(tmp_path / f"{name}.sqlite") as log:
            score = score_run(log, tasks, oracle=True)
            one = evaluate(log, tasks, programs=1, bootstrap=Bootstrap(resamples=500))
        assert (one.tasks, one.queries) == (125, 1_000)
        assert values(one.figures.attempts[1]) == pytest.approx((score.accuracy, score.task_accuracy))
        assert values(one.figures.oracle) == pytest.approx(
            (score.oracle_accuracy, score.oracle_task_accuracy)
        )
        evaluations.append(one)
    rounds = compare(*evaluations)
    assert (rounds.pass_at[1].low, rounds.pass_at[1].high) == (0, 0)  # round 0 is the same in both
    gain = rounds.attempts[1].over_tasks
    assert gain.value == pytest.approx((58 - 48) / 125)
    assert 0 < gain.low < gain.value < gain.high
