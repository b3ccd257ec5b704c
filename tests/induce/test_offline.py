"""The first round sent ahead: what a live run would ask is in its log before anything is solved."""

import asyncio
import json
import subprocess
import sys
import threading

import pytest
from model_server import Fault, ModelServer
from ray_head import kill_tree

pytest.importorskip("pandas")  # as ray.data needs it
pytest.importorskip("ray.data.llm")

from hypotheses.recipes import find_recipe
from hypotheses.run_log import RunLog
from hypotheses.run_log.comparison import differences
from induce.batch import solve_here
from induce.offline import VAIN, check_offline, fetch_ahead, send_ahead
from induce.runs import BATCH, resume_run, start_run
from induce.settings import resolve_settings
from induce.tasks import load_tasks
from induce.wiring import make_proposer
from ray_jobs.cluster import Cluster, connect
from sandboxes import ClusterError, InduceError

pytestmark = [
    pytest.mark.xdist_group("ray"),
    pytest.mark.timeout(300),
    # Of Ray's own making, as it loads and as it opens its logs.
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore:.*:ray.util.annotations.RayDeprecationWarning"),
]

SORTING = "```python\ndef f(x):\n    return sorted(x)\n```"
WRONG = "```python\ndef f(x):\n    return x\n```"


@pytest.fixture(scope="module")
def local_ray():
    """A cluster of this machine alone."""
    with connect("local", cpus=2) as cluster:
        yield cluster


@pytest.fixture
def begin(tmp_path):
    """Start a run of so many tasks with the model of a server."""

    def start(server, name, tasks=6, recipe="program-only", samples=3, **flags):
        path = tmp_path / "tasks.jsonl"
        lists = [[[3, 1, 20 + one], [9, 40 + one, 4], [5, 2]] for one in range(tasks)]
        lines = [
            {"id": f"t{one}", "examples": [{"input": x, "output": sorted(x)} for x in inputs]}
            | {"queries": [{"input": [2, 1], "output": [1, 2]}, {"input": [4, 3]}]}
            for one, inputs in enumerate(lists)
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        given = {
            "model": {"address": f"vllm:tiny@{server.url}", "attempts": 2, "patience": 0},
            "solver": {"samples": samples, "rounds": 1, "recipe": recipe},
        }
        return start_run(load_tasks(str(path)), tasks, None, resolve_settings(given | flags), tmp_path / name)

    return start


def kept(log):
    """All that is kept: what the model saw, and what it said."""
    return {
        (one.key, completion.sample): (
            completion.prompt,
            completion.response,
            completion.kind,
            completion.completion_tokens,
        )
        for one in log.requests()
        for completion in log.recall(one.key, 0, 100)
    }


def text_of(payload, index):
    return SORTING if index == 1 else WRONG


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize("recipe", ["program-only", "direct", "hypothesis-refinement"])
def test_what_is_sent_ahead_is_what_a_live_run_asks(begin, recipe):
    def says(payload, index):
        return text_of(payload, index) if recipe == "program-only" else "Sort the numbers." * (index + 1)

    def asked(server):
        payloads = sorted(json.dumps(one, sort_keys=True) for one in server.payloads)
        server.payloads.clear()
        return payloads

    with ModelServer(says) as server:
        live = begin(server, "live.sqlite", recipe=recipe)
        solve_here(live)
        asked_live = asked(server)
    with ModelServer(says) as server:
        ahead = begin(server, "ahead.sqlite", recipe=recipe)
        fetched = asyncio.run(fetch_ahead(ahead))
        asked_ahead = asked(server)
        assert not fetched.failed
        assert fetched.completions == len(kept(ahead.log)) > 0
        solve_here(ahead)
        asked_after = asked(server)
    assert sorted(asked_ahead + asked_after) == asked_live
    assert bool(asked_after) == (recipe == "hypothesis-refinement")  # rules are put into Python later
    with RunLog.open(live.address) as one, RunLog.open(ahead.address) as other:
        assert kept(one) == kept(other)
        assert differences(one, other) == []


@pytest.mark.usefixtures("local_ray")
def test_what_fails_is_left_to_the_run(begin):
    def faulty(payload, number):
        return Fault("status", 400, body='{"error": {"message": "no"}}') if number in (0, 3) else None

    with ModelServer(text_of, faults=faulty) as server:
        run = begin(server, "run.sqlite")
        fetched = asyncio.run(fetch_ahead(run))
        assert (fetched.tasks, fetched.failed, fetched.completions) == (6, 2, 12)
        assert "no (HTTP 400)" in str(fetched)
        assert solve_here(run).outcomes == {"solved": 6}
        assert server.counts["asked"] == 8


@pytest.mark.usefixtures("local_ray")
def test_a_server_that_is_down_is_soon_left_alone(begin):
    with ModelServer(faults=lambda payload, number: Fault("status", 400)) as server:
        run = begin(server, "run.sqlite", tasks=1200, samples=200)
        fetched = asyncio.run(fetch_ahead(run))
        run.log.close()
    assert VAIN <= fetched.failed == fetched.tasks < 200


@pytest.mark.usefixtures("local_ray")
def test_the_budget_of_a_task_holds_for_what_is_sent_ahead(begin):
    most = find_recipe("program-only").propose.max_tokens
    with ModelServer(text_of) as server:
        run = begin(server, "run.sqlite", tasks=3, samples=5, budget={"completion_tokens": most + 15})
        fetched = asyncio.run(fetch_ahead(run))
        assert fetched.completions == 6  # of two there is room for the longest that a third might be
        solve_here(run)
        assert server.counts["asked"] == 6


def test_a_batch_begins_with_it_and_is_told_how_it_goes(begin, local_ray):
    told = []
    with ModelServer(text_of) as server:
        run = begin(server, "run.sqlite", tasks=3)
        fetched = send_ahead(run, local_ray, told.append)
        began, *rest = run.log.events(None)
        run.log.close()
    last = told[-1]  # on a slow machine it is told before, too
    assert last == str(fetched) == "sent ahead: 3 tasks, 9 completions, " + last.rsplit(", ")[-1]
    assert began.what == BATCH
    assert {one.what for one in rest} == {"progress"}
    assert rest[-1].detail["sent_ahead"]["completions"] == 9


def test_who_cancels_the_run_stops_it_though_the_model_hangs(begin, local_ray):
    def cancel(server):
        server.wait_until(lambda server: server.counts["asked"] == 4, 60)
        RunLog.signal(run.address, "cancel")

    with ModelServer(faults=lambda payload, number: Fault("hang")) as server:
        run = begin(server, "run.sqlite", tasks=4)
        RunLog.signal(run.address, "cancel")  # meant for an earlier session
        canceller = threading.Thread(target=cancel, args=(server,))
        canceller.start()
        with pytest.raises(ClusterError, match="was cancelled"):
            send_ahead(run, local_ray)
        canceller.join()
        run.log.close()


def test_it_is_refused_from_outside_the_cluster(begin):
    with ModelServer() as server:
        run = begin(server, "run.sqlite")
        with run.log, pytest.raises(ClusterError, match="from outside the cluster"):
            send_ahead(run, Cluster("ray://h:10001", client=True))


KILLED = """
import asyncio, sys
from hypotheses.run_log import RunLog
from induce.offline import fetch_ahead
from induce.runs import resume_run
from ray_jobs.cluster import connect
keep, left = RunLog.keep, 10
def keep_and_stop(self, request, completions):
    global left
    keep(self, request, completions)
    left -= 1
    if not left:
        print("stopped", flush=True)
        sys.stdin.read()
RunLog.keep = keep_and_stop
run = resume_run(sys.argv[1], print)
with connect("local", cpus=2):
    asyncio.run(fetch_ahead(run))
"""


@pytest.mark.usefixtures("local_ray")
def test_what_was_kept_before_it_was_killed_is_not_asked_again(begin, monkeypatch):
    with ModelServer(text_of) as server:
        monkeypatch.setenv("INDUCE_MODEL__ADDRESS", f"vllm:tiny@{server.url}")
        run = begin(server, "run.sqlite", tasks=40)
        run.log.close()
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, run.address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert "stopped" in process.stdout.readline()
        finally:
            kill_tree(process)
            process.stdin.close()
        with RunLog.open(run.address) as log:
            before = {one.request.prompt for one in log.requests()}
        assert len(before) == 10
        server.payloads.clear()
        again = resume_run(run.address, print)
        fetched = asyncio.run(fetch_ahead(again))
        prompts = {payload["messages"][-1]["content"] for payload in server.payloads}
        assert len(server.payloads) == 30
        assert not any(prompt.endswith(one) for prompt in before for one in prompts)
        assert fetched.completions == 120
        assert solve_here(again).outcomes == {"solved": 40}
        assert len(server.payloads) == 30


MODEL = {"model": {"address": "vllm:tiny"}}


@pytest.mark.parametrize(
    ("recipe", "flags", "why"),
    [
        ("portfolio", MODEL, "only where the search finds nothing"),
        ("guided-search", MODEL, "searches as it asks"),
        ("search", {}, "asks no model"),
        ("program-only", {"model": {"address": "anthropic:claude"}}, "OpenAI's protocol"),
        ("program-only", {"model": {"address": "recorded:examples/arc_gpt4.jsonl"}}, "OpenAI's protocol"),
        ("program-only", MODEL | {"memory": {"mode": "frozen"}}, "--memory-mode off"),
        ("program-only", MODEL | {"budget": {"run_tokens": 5}}, "the run's budget"),
        ("program-only", MODEL | {"budget": {"run_seconds": 5}}, "the run's budget"),
        (
            "program-only",
            {"model": {"address": "openai:own@https://h.example"}} | {"budget": {"money": 1}},
            "not known",
        ),
    ],
)
def test_where_nothing_can_be_sent_ahead_it_is_said_why(recipe, flags, why):
    settings = resolve_settings(flags | {"solver": {"recipe": recipe}})
    wired = None if recipe == "search" else make_proposer(f"recipe:{recipe}", settings)
    with pytest.raises(InduceError, match=why):
        check_offline(wired and wired.recipe, settings)


def test_limits_that_sending_ahead_cannot_pass_are_no_reason_to_refuse_it():
    settings = resolve_settings(MODEL | {"budget": {"run_programs": 5, "tokens": 100, "seconds": 1}})
    recipe = make_proposer("recipe:program-only", settings).recipe
    assert check_offline(recipe, settings)[0] is recipe
