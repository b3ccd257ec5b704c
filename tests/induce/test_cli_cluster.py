"""`induce cluster`: what it prints, and how it ends. What it asks of a cluster is tested beside that."""

import json
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from hypotheses.models.address import ModelAddress


class Places(BaseHTTPRequestHandler):
    """A dashboard whose applications run once they are put, and an endpoint that has the model `there`."""

    def do_GET(self):
        if self.path == "/v1/models":
            return self.tell({"data": [{"id": "there"}]})
        if self.path.startswith("/api/v0/nodes"):
            node = {"state": "ALIVE", "resources_total": {"GPU": 2, "accelerator_type:H100": 1}}
            return self.tell({"data": {"result": {"result": [node]}}})
        return self.tell({"applications": self.server.applications, "http_options": {"port": 8123}})

    def do_PUT(self):
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.applications = {
            one["name"]: {
                "status": "RUNNING",
                "source": "declarative",
                "route_prefix": one["route_prefix"],
                "deployed_app_config": one,
                "deployments": {
                    "LLM": {"status": "HEALTHY", "target_num_replicas": 1, "replicas": [{"state": "RUNNING"}]}
                },
            }
            for one in content["applications"]
        }
        return self.tell({})

    def tell(self, body):
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@contextmanager
def listening():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Places)
    server.applications = {}
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def place():
    with listening() as url:
        yield url


@pytest.fixture
def models(tmp_path, place):
    """A file with a model to serve and one that is there."""
    path = tmp_path / "models.yaml"
    served = {"name": "acme/M-7B", "accelerator": "H100", "replicas": {"min": 1, "max": 4}}
    external = {"name": "there", "endpoints": [place]}
    path.write_text(yaml.safe_dump({"address": place, "models": [served, external]}))
    return path


def changed(path, **model):
    values = yaml.safe_load(path.read_text())
    values["models"][0] |= model
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_plan_can_be_read_and_copied(induce_command, models, place):
    run = induce_command("cluster", "plan", models)
    assert run.code == 0
    assert "1 to 4" in run.out
    assert "H100 GPUs: 1 to 4; the cluster has 2 now" in run.out
    assert "--model vllm:acme/M-7B@http://127.0.0.1:8000/v1" in run.out.splitlines()
    assert f"--model vllm:there@{place}/v1" in run.out.splitlines()
    assert run.err == ""


def test_a_plan_as_json_has_the_config_that_is_printed_alone(induce_command, models):
    [record] = induce_command("cluster", "plan", models, "--json").records
    alone = induce_command("cluster", "plan", models, "--serve-config")
    assert yaml.safe_load(alone.out) == record["serve_config"]
    assert record["gpus"] == [{"kind": "H100", "least": 1, "most": 4}]
    assert record["cluster_gpus"] == {"H100": 2}
    assert [ModelAddress.parse(model["address"]).name for model in record["models"]] == ["acme/M-7B", "there"]


def test_a_plan_warns_of_what_will_not_do(induce_command, models):
    run = induce_command("cluster", "plan", changed(models, name="acme/M-70B", tensor_parallel=1))
    assert run.code == 0
    assert "acme/M-70B needs about 168 GB and its GPUs have 1 x 80 GB; raise tensor_parallel" in run.err
    run = induce_command("cluster", "plan", changed(models, tensor_parallel=4))
    assert "4 H100 GPUs are needed and the cluster has 2; add nodes" in run.err


def test_a_plan_needs_no_cluster(induce_command, tmp_path):
    path = tmp_path / "models.yaml"
    path.write_text("models: [{name: acme/M-7B}]")
    run = induce_command("cluster", "plan", path)
    assert (run.code, run.err) == (0, "")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        path.write_text(f"address: http://127.0.0.1:{unused.getsockname()[1]}\nmodels: [{{name: acme/M-7B}}]")
        run = induce_command("cluster", "plan", path)
    assert run.code == 0
    assert "cannot be reached" in run.err


def test_models_go_up_and_down(induce_command, models, place):
    assert induce_command("cluster", "status", models).code == 1
    run = induce_command("cluster", "up", models)
    assert run.code == 0, run.err
    # Ray Serve listened already, elsewhere than the file says.
    assert run.out.splitlines() == [
        "--model vllm:acme/M-7B@http://127.0.0.1:8123/v1",
        f"--model vllm:there@{place}/v1",
    ]
    status = induce_command("cluster", "status", models)
    assert status.code == 0
    assert "induce-models: RUNNING" in status.out
    assert "LLM: HEALTHY, 1 RUNNING, of 1" in status.out
    [record] = induce_command("cluster", "status", models, "--json").records
    assert record["application"]["status"] == "RUNNING"
    assert record["endpoints"]["there"][0]["usable"]
    assert record["addresses"]["acme/M-7B"] == "vllm:acme/M-7B@http://127.0.0.1:8123/v1"
    assert induce_command("cluster", "down", models).out == "induce-models is gone\n"
    assert induce_command("cluster", "down", models, "--json").records == [
        {"application": "induce-models", "deleted": False}
    ]


def test_nothing_is_deployed_where_an_endpoint_lacks_its_model(induce_command, models, place):
    values = yaml.safe_load(models.read_text())
    values["models"][1]["name"] = "elsewhere"
    models.write_text(yaml.safe_dump(values))
    run = induce_command("cluster", "up", models)
    assert run.code == 1
    assert run.err == (
        f"error: elsewhere: {place}/v1 does not have elsewhere, but there; write that as its name\n"
    )
    assert "ABSENT" in induce_command("cluster", "status", models).out


def test_what_is_wrong_with_a_file_is_one_line(induce_command, models):
    run = induce_command("cluster", "plan", changed(models, tensor_paralel=2))
    assert run.code == 1
    assert run.err.endswith(
        "models[acme/M-7B].tensor_paralel: there is no such field; did you mean tensor_parallel?\n"
    )
    assert run.err.count("\n") == 1


def test_the_command_line_loads_neither_ray_nor_yaml():
    check = (
        "import sys, induce.cli; print([name for name in ('ray', 'yaml', 'httpx') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
