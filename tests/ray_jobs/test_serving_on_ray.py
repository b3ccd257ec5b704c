"""The whole way on a real Ray cluster: its Serve, its LLM application, its router; only the engine echoes."""

import importlib.metadata
import time

import httpx
import pytest
from ray_head import ray_head

from ray_jobs.serving.cluster_file import ClusterFile
from ray_jobs.serving.deploying import application_state, down, up
from ray_jobs.serving.plan import plan_cluster
from ray_jobs.serving.serve_api import ServeApi
from sandboxes.errors import ClusterError

pytestmark = pytest.mark.xdist_group("ray")  # one cluster for all, not one for each process

OTHER = """
import os
from ray import serve

@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Other:
    def __call__(self, request):
        return os.environ["SECRET"]

app = Other.bind()
"""
FASTAPI = tuple(map(int, importlib.metadata.version("fastapi").split(".")[:2]))


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    folder = tmp_path_factory.mktemp("modules")
    (folder / "other_application.py").write_text(OTHER)
    with ray_head(folder) as started:
        yield started


@pytest.fixture
def api(head, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", head.token)
    with ServeApi(head.dashboard) as opened:
        yield opened


def models(head, **model):
    return ClusterFile.model_validate(
        {
            "address": head.dashboard,
            "http_port": head.http_port,
            "models": [{"name": "acme/Echo-1B", **model}],
        }
    )


def test_models_come_and_go_beside_another_application(head, api):
    other = {
        "name": "other",
        "route_prefix": "/other",
        "import_path": "other_application:app",
        "runtime_env": {"env_vars": {"SECRET": "kept"}},
    }
    api.deploy({"http_options": {"port": head.http_port}, "applications": [other]})
    cluster = models(head, replicas={"min": 1, "max": 2}, routing="prefix", accelerator="H100")
    found = up(api, cluster, seconds=120)
    assert found.status == "RUNNING"
    assert {one.name: one.replicas["RUNNING"] for one in found.deployments} == {
        "LLMServer:acme--Echo-1B": 1,
        "OpenAiIngress": 1,
    }
    state = api.state()
    assert state.http_port == head.http_port
    assert state.applications["other"]["deployed_app_config"] == other

    assert down(api, cluster, seconds=120)
    assert list(api.state().applications) == ["other"]
    deadline = time.monotonic() + 60  # it may have begun only just now
    while (answer := httpx.get(f"http://127.0.0.1:{head.http_port}/other")).status_code != 200:
        assert time.monotonic() < deadline, answer.text
    assert answer.text == "kept"
    assert application_state(cluster, api.state()).status == "ABSENT"


@pytest.mark.skipif(FASTAPI >= (0, 137), reason="Ray 2.60 leaves `self` among the parameters of its routes")
def test_prompts_that_begin_alike_go_to_one_copy(head, api):
    cluster = models(head, replicas=2, routing="prefix")
    up(api, cluster, seconds=120)
    [planned] = plan_cluster(cluster, http_port=api.state().http_port).models
    _, _, url = planned.address.partition("@")
    [model] = httpx.get(f"{url}/models").json()["data"]
    assert model["id"] == "acme/Echo-1B"

    def copy_asked(text):
        content = {"model": "acme/Echo-1B", "messages": [{"role": "user", "content": text}]}
        answer = httpx.post(f"{url}/chat/completions", json=content, timeout=30).json()
        assert answer["choices"][0]["message"]["content"] == text
        return answer["replica"]

    for task in ("the first task " * 20, "a second one " * 20):
        assert len({copy_asked(f"{task}{sample}") for sample in range(10)}) == 1
    down(api, cluster, seconds=120)


def test_the_gpus_of_the_cluster_are_counted(head, api):
    assert api.gpus() == {"H100": 2}
    with pytest.raises(ClusterError, match="4 H100 GPUs are needed and the cluster has 2"):
        up(api, models(head, accelerator="H100", tensor_parallel=4))
    assert "induce-models" not in api.state().applications


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"no_such_argument": 1}, "ValueError: Unknown engine argument: no_such_argument"),
        ({"quantization": "impossible"}, "ValueError: vLLM knows no quantization impossible"),
    ],
)
def test_why_a_model_does_not_start_is_said(head, api, arguments, said):
    cluster = models(head, engine_kwargs=arguments)
    with pytest.raises(ClusterError, match=rf"cannot be deployed \(DEPLOY_FAILED\): {said}; mend the file"):
        up(api, cluster, seconds=120)
    down(api, cluster, seconds=120)


def test_a_wrong_token_is_named(head, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "f" * 32)
    with ServeApi(head.dashboard) as api, pytest.raises(ClusterError, match="RAY_AUTH_TOKEN is wrong"):
        api.state()
