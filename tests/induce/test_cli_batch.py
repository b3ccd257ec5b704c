"""`induce batch`: what it prints and keeps, here and on a cluster of this machine alone."""

import pytest

pytest.importorskip("ray")

from hypotheses.run_log import Event, RunLog
from hypotheses.run_log.comparison import differences
from induce.batch import solve_here
from induce.runs import start_run
from induce.settings import resolve_settings
from induce.tasks import load_tasks
from ray_jobs.signals import BatchCancelledError

pytestmark = pytest.mark.xdist_group("ray")  # one cluster for all, not one for each process

NAMES = {"reverse", "total", "sorted"}


@pytest.fixture(autouse=True)
def _repeatable(monkeypatch):
    monkeypatch.setenv("INDUCE_SEARCH__MAX_TERMS", "20000")


@pytest.fixture
def run(induce_command, small_tasks, tmp_path):
    """A batch that was solved in this process."""
    path = tmp_path / "run.sqlite"
    outcome = induce_command("batch", "run", small_tasks, "--proposer", "search", "--no-ray", "--out", path)
    assert outcome.code == 0, outcome.err
    return path


def test_without_ray_it_is_solved_in_this_process(induce_command, small_tasks, tmp_path, run):
    path = tmp_path / "plain.sqlite"
    solved = induce_command("solve", small_tasks, "--proposer", "search", "--out", path)
    assert solved.code == 0, solved.err
    with RunLog.open(path) as plain, RunLog.open(run) as batch:
        assert differences(plain, batch) == []
    score = induce_command("score", run, "--json").records[0]
    assert score["task_accuracy"] == 1.0


def test_for_machines_there_is_json_alone(induce_command, small_tasks, tmp_path):
    path = tmp_path / "run.sqlite"
    options = ("--proposer", "search", "--no-ray", "--json", "--out", path)
    outcome = induce_command("batch", "run", small_tasks, *options)
    assert (outcome.code, outcome.err) == (0, "")
    *moments, last = outcome.records
    assert last == {"run": str(path), "outcomes": {"solved": 3}, "given_up": 0}
    assert [one["done"] for one in moments] == sorted(one["done"] for one in moments)


def test_what_is_asked_for_first_comes_first(induce_command, small_tasks, tmp_path, monkeypatch):
    monkeypatch.setenv("INDUCE_SOLVER__CONCURRENCY", "1")
    path = tmp_path / "run.sqlite"
    options = ("--proposer", "search", "--no-ray", "--out", path, "--first", "s*", "--first", "t*")
    assert induce_command("batch", "run", small_tasks, *options).code == 0
    with RunLog.open(path) as log:
        assert list(log.task_ids()) == ["total", "sorted", "reverse"]


def test_how_far_a_run_is(induce_command, run):
    told = induce_command("batch", "status", run)
    assert told.out.splitlines()[0] == "finished: 3 of 3 tasks done, 3 of 3 tasks solved"
    [record] = induce_command("batch", "status", run, "--json").records
    assert (record["state"], record["tasks"], record["done"]) == ("finished", 3, 3)
    assert record["outcomes"] == {"solved": 3}


def test_a_run_that_nobody_works_on_says_how_to_go_on(induce_command, small_tasks, tmp_path, monkeypatch):
    path = tmp_path / "run.sqlite"
    monkeypatch.setenv("INDUCE_CLUSTER__ADDRESS", "127.0.0.1:1")  # where nobody listens
    refused = induce_command("batch", "run", small_tasks, "--proposer", "search", "--out", path)
    assert refused.code == 1
    assert "nobody answers at 127.0.0.1:1" in refused.err
    told = induce_command("batch", "status", path)
    assert told.out.startswith("not at work: 0 of 3 tasks done")
    assert f"go on with: induce batch resume {path}" in told.out
    resumed = induce_command("batch", "resume", path, "--no-ray")
    assert resumed.code == 0, resumed.err
    with RunLog.open(path) as log:
        assert log.count() == {"solved": 3}


def test_what_happened_to_a_task(induce_command, run):
    with RunLog.open(run, read_only=False) as log:
        log.note(
            [
                Event(1e9, "began"),
                Event(1e9 + 1, "worker lost", "w1", None, {"reason": "it died", "again": ["total"]}),
                Event(1e9 + 2, "failed", "w2", "total", {"error": "no endpoint", "token": 2}),
                Event(1e9 + 5, "solved", "w2", "total", {"token": 3, "received": 1e9 + 3, "begun": 1e9 + 4}),
                Event(1e9 + 6, "solved", "w2", "sorted", {"token": 4}),
            ]
        )
    shown = induce_command("batch", "show", run, "total").out.splitlines()
    assert shown[:3] == [
        "2001-09-09 01:46:41.000  w1       worker lost: reason it died",
        "2001-09-09 01:46:42.000  w2       failed: error no endpoint, token 2",
        "2001-09-09 01:46:45.000  w2       solved: token 3, waited 1.000 s, took 1.000 s",
    ]
    assert "total" in shown[3]
    records = induce_command("batch", "show", run, "total", "--json").records
    assert [one["what"] for one in records] == ["worker lost", "failed", "solved"]


def test_a_task_that_is_none_is_named(induce_command, run):
    shown = induce_command("batch", "show", run, "nonsense")
    assert shown.code == 1
    assert "knows nothing of a task 'nonsense'" in shown.err


def test_solutions_as_parquet(induce_command, small_tasks, tmp_path, run):
    parquet = pytest.importorskip("pyarrow.parquet")
    options = ("--proposer", "search", "--no-ray", "--out", tmp_path / "other.sqlite")
    solved = induce_command("batch", "run", small_tasks, *options, "--results", tmp_path / "along")
    assert solved.code == 0, solved.err
    exported = induce_command("batch", "export", run, tmp_path / "after")
    assert exported.out.strip() == f"3 solutions are in {tmp_path / 'after'}"
    for folder in ("along", "after"):
        rows = parquet.read_table(tmp_path / folder).to_pylist()
        assert {one["task_id"]: one["solved"] for one in rows} == dict.fromkeys(NAMES, True)


def test_cancelling_what_is_not_at_work_does_no_harm(induce_command, run):
    cancelled = induce_command("batch", "cancel", run)
    assert cancelled.code == 0
    assert f"{run} is not at work any more" in cancelled.out


def test_cancelling_says_so_where_the_run_does_not_end(induce_command, run):
    with RunLog.open(run, read_only=False):  # somebody who does not listen
        cancelled = induce_command("batch", "cancel", run, "--wait", "0")
    assert cancelled.code == 1
    assert "it has not yet, after 0 s" in cancelled.err


def test_a_recipe_and_a_proposer_are_one_too_many(induce_command, small_tasks):
    refused = induce_command("batch", "run", small_tasks, "--recipe", "direct", "--proposer", "search")
    assert refused.code == 2
    assert "give a recipe or a proposer, not both" in refused.err


@pytest.mark.parametrize(("said", "mode"), [((), "frozen"), (("--memory-mode", "learn"), "learn")])
def test_a_memory_is_frozen_unless_it_is_said(induce_command, small_tasks, tmp_path, monkeypatch, said, mode):
    pytest.importorskip("alembic")
    memory = pytest.importorskip("memory").ConceptStore
    monkeypatch.setenv("INDUCE_MEMORY__MODE", "learn")
    monkeypatch.setenv("INDUCE_MEMORY__ADDRESS", str(tmp_path / "memory.sqlite"))
    memory.open(tmp_path / "memory.sqlite").close()
    path = tmp_path / "run.sqlite"
    options = ("--proposer", "search", "--no-ray", "--out", path, *said)
    outcome = induce_command("batch", "run", small_tasks, *options)
    assert outcome.code == 0, outcome.err
    with RunLog.open(path) as log, memory.open(tmp_path / "memory.sqlite", frozen=True) as store:
        assert log.info.settings["memory"]["mode"] == mode
        assert store.clock == (3 if mode == "learn" else 0)


@pytest.fixture
def own_token(tmp_path):
    """A Ray of this machine's own needs a token, and this process is to read it anew, then and afterwards."""
    from ray._private.authentication_test_utils import reset_auth_token_state

    (tmp_path / "token").write_text("0" * 32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
        reset_auth_token_state()
        yield
    reset_auth_token_state()


def test_without_an_address_a_cluster_is_started_here_and_is_gone_afterwards(
    induce_command, small_tasks, tmp_path, own_token, run
):
    ray = pytest.importorskip("ray")
    path = tmp_path / "local.sqlite"
    options = ("--proposer", "search", "--workers", "2", "--out", path)
    outcome = induce_command("batch", "run", small_tasks, *options)
    assert outcome.code == 0, outcome.err
    assert outcome.out == ""
    assert outcome.err.splitlines()[-1] == f"3 of 3 tasks solved; run: {path}"
    assert not ray.is_initialized()
    with RunLog.open(path) as batch, RunLog.open(run) as alone:
        assert differences(alone, batch) == []
        assert "worker lost" not in {one.what for one in batch.events(None)}


def test_what_a_batch_would_run_on_here(induce_command, small_tasks, own_token):
    options = ("--proposer", "search", "--seconds", "2", "--workers", "1", "--json")
    outcome = induce_command("batch", "plan", small_tasks, *options)
    assert outcome.code == 0, outcome.err
    plan, *_ = outcome.records
    assert (plan["workers"], plan["address"]) == (1, "local")
    [node] = plan["nodes"]
    assert (node["cpus"], node["problems"]) == (1.0, [])


def test_a_run_in_this_process_hears_that_it_is_to_stop(small_tasks, tmp_path, monkeypatch):
    run = start_run(load_tasks(small_tasks), 3, "search", resolve_settings(), tmp_path / "stopped.sqlite")
    asked = []

    def watch(progress):
        if not asked:
            asked.append(RunLog.signal(run.address, "cancel"))

    with pytest.raises(BatchCancelledError):
        solve_here(run, watch)
    with RunLog.open(run.address) as log:
        assert [event.what for event in log.events()][-1] == "stopped"
