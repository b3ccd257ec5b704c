"""Batches on a real cluster: two nodes, two workers, real sandboxes, logs in a file and on a server."""

import json
import threading
import time

import pytest
import ray
from model_server import Fault, ModelServer
from pyarrow import parquet
from ray_cluster import RayCluster

from hypotheses.run_log import RunLog
from hypotheses.run_log.comparison import differences
from induce.batch import run_batch, solve_here
from induce.runs import resume_run
from induce.settings import resolve_settings
from memory import ConceptStore
from ray_jobs.cluster import connect

pytestmark = pytest.mark.xdist_group("ray")  # one cluster for all, not one for each process

ARC = "recorded:examples/arc_gpt4.jsonl"
SERVER_SLOW = pytest.mark.parametrize(
    "new_address", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)
HANGS = {False: None, True: Fault("hang")}
SORTING = "```python\ndef f(x):\n    return sorted(x)\n```"


def alive_actors(cluster):
    """Count the actors of whatever driver on the cluster."""
    with connect(cluster.address):
        table = ray._private.state.actors()
        return [one["ActorClassName"] for one in table.values() if one["State"] != "DEAD"]


def until(condition, seconds=60):
    """Wait for what another process does."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.1)


def kept(address):
    """Count the solutions in a log."""
    with RunLog.open(address) as log:
        return sum(log.count().values())


def asked(server, **more):
    """The settings of a run that asks the server's model for one program of each task."""
    model = {"address": f"vllm:tiny@{server.url}", "attempts": 2, "patience": 1}
    return {"model": model, "solver": {"samples": 1, "rounds": 1, "concurrency": 2}} | more


def test_a_batch_gives_the_record_of_a_run_in_one_process(cluster, start, new_address, timeline):
    here, there = new_address("here"), new_address("there")
    alone = solve_here(start(out=here))
    seen = []
    spread = run_batch(start(out=there), cluster.address, seen.append)
    assert alone.outcomes == spread.outcomes == {"solved": 6}
    assert seen[-1].done == seen[-1].total == 6
    with RunLog.open(here) as one, RunLog.open(there) as other:
        assert differences(one, other) == []
    events = timeline(there)
    assert [one.what for one in events if one.task_id is None and one.what != "worker ready"] == [
        "began",
        "ended",
    ]
    assert sorted(one.task_id for one in events if one.what == "solved") == [f"t{n}" for n in range(6)]
    assert alive_actors(cluster) == []


def test_a_recorded_transcript_gives_the_same_record(cluster, start):
    here, there = start("examples/arc", ARC), start("examples/arc", ARC)
    solve_here(here)
    run_batch(there, cluster.address)
    with RunLog.open(here.address) as one, RunLog.open(there.address) as other:
        assert differences(one, other) == []
        assert one.count() == {"solved": 3, "unsolved": 2}


def test_both_nodes_work_and_each_completion_is_paid_for_once(cluster, start, tasks, new_address, timeline):
    address = new_address()
    with ModelServer(lambda payload, index: SORTING, latency=lambda dice: 0.3) as server:
        flags = asked(server) | {"solver": {"samples": 1, "rounds": 1, "concurrency": 1}}
        end = run_batch(start(tasks(10), "recipe:program-only", address, **flags), cluster.address)
        assert len(server.payloads) == 10
    assert end.outcomes == {"solved": 10}
    events = timeline(address)
    nodes = {one.where: one.detail["node"] for one in events if one.what == "worker ready"}
    assert len(set(nodes.values())) == 2
    assert {one.where for one in events if one.what == "solved"} == set(nodes)
    with RunLog.open(address) as log:
        assert log.spent().completion_tokens == sum(one.usage.completion_tokens for one in log.solutions())


@SERVER_SLOW
def test_what_workers_had_on_a_node_that_is_killed_is_done_by_others(
    cluster, start, tasks, new_address, timeline
):
    address, node = new_address(), cluster.add()
    killed = threading.Event()

    def watch(progress):  # three workers have two tasks each
        if not killed.is_set() and server.counts["asked"] >= 6:
            cluster.kill(node)
            killed.set()

    with ModelServer(
        lambda payload, index: SORTING, latency=lambda dice: 0 if killed.is_set() else 4
    ) as server:
        run = start(tasks(6), "recipe:program-only", address, **asked(server))
        end = run_batch(run, cluster.address, watch)
    assert killed.is_set()
    assert end.outcomes == {"solved": 6}
    events = timeline(address)
    assert "worker lost" in {one.what for one in events}
    assert sorted(one.task_id for one in events if one.what == "solved") == [f"t{n}" for n in range(6)]


@SERVER_SLOW
def test_a_run_goes_on_where_another_cluster_was_lost(
    cluster, start, tasks, new_address, induce_process, timeline
):
    """The first cluster and the driver are killed with SIGKILL in the midst of the run."""
    address, lost = new_address(), RayCluster(cluster.token)
    try:
        lost.start()
        with ModelServer(
            lambda payload, index: SORTING, faults=lambda payload, number: HANGS[number > 2]
        ) as server:
            driver = induce_process(
                *("batch", "run", tasks(5), "--recipe", "program-only", "--out", address),
                *("--model", f"vllm:tiny@{server.url}", "--address", lost.address),
                INDUCE_SOLVER__SAMPLES="1",
                INDUCE_SOLVER__ROUNDS="1",
            )
            assert server.wait_until(lambda server: server.counts["asked"] >= 5, 60)
            until(lambda: kept(address) == 3)
            driver.kill()
            driver.communicate()
    finally:
        lost.stop()
    assert kept(address) == 3
    with ModelServer(lambda payload, index: SORTING) as server:
        present = resolve_settings(asked(server, cluster={"address": cluster.address}))
        end = run_batch(resume_run(address, pytest.fail, None, present), cluster.address)
        assert len(server.payloads) == 2, "what was kept is not asked for again"
    assert end.outcomes == {"solved": 5}
    assert [one.what for one in timeline(address)].count("began") == 2


@SERVER_SLOW
def test_a_run_is_cancelled_by_another_process_and_goes_on_later(
    cluster, tasks, new_address, induce_process, timeline
):
    address = new_address()
    with ModelServer(
        lambda payload, index: SORTING, faults=lambda payload, number: HANGS[number > 2]
    ) as server:
        options = (
            "--recipe",
            "program-only",
            "--model",
            f"vllm:tiny@{server.url}",
            "--address",
            cluster.address,
        )
        driver = induce_process(
            *("batch", "run", tasks(5), "--out", address, *options),
            INDUCE_SOLVER__SAMPLES="1",
            INDUCE_SOLVER__ROUNDS="1",
        )
        assert server.wait_until(lambda server: server.counts["asked"] >= 5, 60)
        until(lambda: sum(one.what == "solved" for one in timeline(address)) == 3)
        assert cluster.sandboxes()
        cancelled = induce_process("batch", "cancel", address)
        out, _ = cancelled.communicate(timeout=60)
        assert cancelled.returncode == 0
        assert "is not at work any more" in out
        _, error = driver.communicate(timeout=60)
        assert driver.returncode == 1
        assert "the run was cancelled; what is finished is in its log" in error
        assert "induce batch resume" in error
    assert alive_actors(cluster) == []
    assert cluster.sandboxes() == []
    with ModelServer(lambda payload, index: SORTING) as server:
        # The same command, as `induce resume` and as `induce batch resume`.
        again = induce_process(
            "resume", address, "--model", f"vllm:tiny@{server.url}", "--address", cluster.address, "--json"
        )
        out, error = again.communicate(timeout=60)
    assert again.returncode == 0, error
    assert json.loads(out.splitlines()[-1])["outcomes"] == {"solved": 5}
    assert sum(one.what == "solved" for one in timeline(address)) == 5


def test_all_workers_together_stay_within_the_run_s_programs(cluster, start, tasks, new_address):
    address = new_address()
    end = run_batch(start(tasks(9), out=address, budget={"run_programs": 4}), cluster.address)
    with RunLog.open(address) as log:
        assert sum(one.usage.programs for one in log.solutions()) == 4
    assert end.outcomes == {"solved": 4, "unsolved": 5}


def test_all_workers_together_stay_within_the_run_s_tokens(cluster, start, tasks, new_address):
    address = new_address()
    with ModelServer(lambda payload, index: SORTING, latency=lambda dice: 0.1) as server:
        flags = asked(server, budget={"run_completion_tokens": 4500})
        run_batch(start(tasks(12), "recipe:program-only", address, **flags), cluster.address)
    with RunLog.open(address) as log:
        outcomes, spent = log.count(), log.spent().completion_tokens
        assert 0 < spent <= 4500
        assert sum(outcomes.values()) == 12


def test_a_memory_that_is_set_to_learn_is_learned_from_by_all_workers(cluster, start, tasks, memory_address):
    ConceptStore.open(memory_address).close()
    memory = {"address": memory_address, "mode": "learn"}
    end = run_batch(start(tasks(6), memory=memory), cluster.address)
    assert end.outcomes == {"solved": 6}
    with ConceptStore.open(memory_address, frozen=True) as store:
        assert store.clock == 6
        learned = [one.provenance.task for one in store.concepts()]
        assert learned
    frozen = start(tasks(6), memory=memory | {"mode": "frozen"})
    assert run_batch(frozen, cluster.address).outcomes == {"solved": 6}
    with ConceptStore.open(memory_address, frozen=True) as store:
        assert (store.clock, len(list(store.concepts()))) == (6, len(learned))


def test_results_are_written_and_what_is_asked_for_first_comes_first(
    cluster, start, tasks, tmp_path, timeline
):
    run = start(tasks(8), cluster={"results": str(tmp_path / "results")}, solver={"concurrency": 1})
    run_batch(run, cluster.address, first=["t7", "t5"])
    rows = parquet.read_table(tmp_path / "results").to_pylist()
    assert {one["task_id"]: one["solved"] for one in rows} == {f"t{n}": True for n in range(8)}
    tokens = {one.task_id: one.detail["token"] for one in timeline(run.address) if one.what == "solved"}
    assert sorted(tokens, key=tokens.get)[:2] == ["t5", "t7"]
