"""What stops a batch before any of its work starts: one clear line, and nothing left on the cluster."""

import http.server
import json
import platform
import threading

import pytest
import ray
from model_server import ModelServer
from ray_head import free_ports

from hypotheses.run_log import RunLog
from induce.runs import BATCH
from ray_jobs.cluster import connect
from ray_jobs.preflight import compare

pytestmark = pytest.mark.xdist_group("ray")  # one cluster for all, not one for each process

HERE = ("3.11.7", "2.60.0")
GOOD = {"python": "3.11.2", "python_path": "/opt/python", "ray": "2.60.0", "induce": "1.0", "missing": []}
NO_STITCH = """
from importlib.machinery import PathFinder

find = PathFinder.find_spec

def find_others(name, path=None, target=None):
    return None if name == "stitch_core" else find(name, path, target)

PathFinder.find_spec = find_others
"""


@pytest.mark.parametrize(
    ("facts", "problems"),
    [
        ({}, []),
        ({"python": "3.12.1"}, ["has Python 3.12.1, and the driver 3.11.7: use the same there"]),
        ({"ray": "2.59.0"}, ["has Ray 2.59.0, and the driver 2.60.0: pip install 'ray==2.60.0' there"]),
        ({"induce": ""}, ["has no induce: pip install 'induce[ray]==1.0' there (/opt/python)"]),
        ({"induce": "0.9"}, ["has induce 0.9, and the driver 1.0: pip install 'induce==1.0' there"]),
        ({"missing": ["a", "b"]}, ["lacks a, b: pip install a, b there (/opt/python)"]),
        (
            {"python": "3.10.0", "induce": "", "missing": ["a"]},
            [
                "has Python 3.10.0, and the driver 3.11.7: use the same there",
                "has no induce: pip install 'induce[ray]==1.0' there (/opt/python)",
            ],
        ),
    ],
)
def test_what_a_node_lacks_is_said_with_the_way_to_mend_it(facts, problems):
    assert compare(GOOD | facts, HERE, "1.0") == problems


@pytest.fixture
def refused(induce_process, tasks, tmp_path):
    """Try a batch; give the one line that it is refused with. No task was begun, and nothing runs."""

    def attempt(*options, command=("run",), cwd=None, **environment):
        address = tmp_path / "refused.sqlite"
        out = ("--out", address) if command == ("run",) else ()
        process = induce_process("batch", *command, tasks(2), *out, *options, cwd=cwd, **environment)
        said, error = process.communicate(timeout=90)
        assert process.returncode == 1, error
        if command == ("run",):
            assert said == ""
            with RunLog.open(address) as log:
                assert [event.what for event in log.events(None)] == [BATCH]  # that it is one
                assert log.count() == {}
            remark, line = error.splitlines()
            assert "go on with: induce batch resume" in remark
            return line
        return said

    return attempt


def test_an_address_where_nobody_listens(refused):
    [port] = free_ports(1)
    line = refused("--address", f"127.0.0.1:{port}")
    assert f"nobody answers at 127.0.0.1:{port} (Connection refused)" in line


@pytest.mark.parametrize("address", ["http://[::1", "127.0.0.1:notaport", "http://127.0.0.1"])
def test_an_address_that_is_none(refused, address):
    assert "is no address of a cluster; those are auto, local, HOST:PORT" in refused("--address", address)


def test_a_port_where_something_else_listens(refused, cluster):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        address = f"127.0.0.1:{server.server_port}"
        assert f"who answers at {address} is not the head of a Ray cluster (" in refused("--address", address)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_wrong_token(refused, cluster):
    line = refused("--address", cluster.address, RAY_AUTH_TOKEN="f" * 32)
    assert f"the cluster at {cluster.address} refuses this machine's token: set RAY_AUTH_MODE=token" in line
    assert "RAY_AUTH_TOKEN_PATH" in line


def test_a_node_without_a_package(refused, cluster, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(NO_STITCH)
    memory = {"INDUCE_MEMORY__ADDRESS": str(tmp_path / "memory.sqlite")}
    node = cluster.add(PYTHONPATH=str(tmp_path))
    try:
        line = refused("--address", cluster.address, "--memory-mode", "learn", **memory)
        assert "lacks stitch_core: pip install stitch_core there" in line
        table = refused(
            *("--address", cluster.address, "--memory-mode", "learn", "--json"), command=("plan",), **memory
        )
        nodes = json.loads(table.splitlines()[0])["nodes"]
        assert sorted(len(one["problems"]) for one in nodes) == [0, 0, 1]
        assert {one["python"] for one in nodes} == {platform.python_version()}
    finally:
        cluster.kill(node)
    actors_end(cluster)


def test_an_endpoint_without_the_model(refused, cluster):
    with ModelServer(model="another") as server:
        line = refused(
            *("--address", cluster.address, "--recipe", "program-only", "--model", f"vllm:tiny@{server.url}")
        )
        assert server.payloads == []
    assert "another" in line
    assert "tiny" in line
    actors_end(cluster)


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (None, "cannot read the transcript, which must be at the same path on every node"),
        ({"task": "t1"}, "has another transcript at the path of recorded:/proc/self/cwd/answers.jsonl"),
    ],
)
def test_a_transcript_that_only_the_driver_has(refused, cluster, tmp_path, there, said):
    """By this path each process finds what is in its own working folder."""
    answer = {"task": "t0", "kind": "program", "response": "def f(x): return sorted(x)"}
    (tmp_path / "answers.jsonl").write_text(json.dumps(answer) + "\n")
    written = []
    if there is not None:
        for folder in cluster.folders():
            written.append(folder / "answers.jsonl")
            written[-1].write_text(json.dumps(answer | there) + "\n")
    line = refused(
        *("--address", cluster.address, "--proposer", "recorded:/proc/self/cwd/answers.jsonl"), cwd=tmp_path
    )
    assert said in line
    actors_end(cluster)
    for path in written:
        path.unlink()


def test_workers_of_more_cpus_than_any_node_has(refused, cluster):
    line = refused("--address", cluster.address, "--workers", "1", "--cpus", "2")
    assert "a worker needs 2 CPUs, and no node has more than 1: lower cluster.cpus" in line
    actors_end(cluster)


def actors_end(cluster):
    """See that no actor is left of a driver that is gone."""
    with connect(cluster.address):
        assert [one for one in ray._private.state.actors().values() if one["State"] != "DEAD"] == []
