"""What is asked of a cluster's dashboard, and what is said of one that refuses, fails or is no such thing."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serve_schema import ServeDeploySchema

from ray_jobs.serving.cluster_file import ClusterFile, ExternalModel
from ray_jobs.serving.deploying import application_state, down, merged, up
from ray_jobs.serving.endpoints import check_endpoints
from ray_jobs.serving.serve_api import REDACTED, ServeApi, ServeState
from ray_jobs.serving.serve_config import IMPORT_PATH
from sandboxes.errors import ClusterError

TOKEN = "0123456789abcdef"


class Dashboard:
    """A dashboard that follows a script: our application goes through ``statuses``, one an answer."""

    def __init__(self, statuses=("DEPLOYING", "RUNNING"), others=(), gpus=8, message="", refusal=None):
        self.script = list(statuses)
        self.applications = {name: told(name, **one) for name, one in dict(others).items()}
        self.gpus = gpus
        self.message = message
        self.refusal = refusal
        self.configs = []
        self.tokens = []

    def answer(self, method, path, content, token):
        self.tokens.append(token)
        if self.refusal:
            return self.refusal
        if path.startswith("/api/v0/nodes"):
            nodes = [
                {
                    "state": "ALIVE",
                    "resources_total": {"CPU": 8, "GPU": self.gpus, "accelerator_type:H100": 1},
                },
                {"state": "ALIVE", "resources_total": {"CPU": 8}},
                {"state": "DEAD", "resources_total": {"GPU": 8}},
            ]
            return 200, {"data": {"result": {"result": nodes}}}
        if method == "PUT":
            self.configs.append(content)
            ServeDeploySchema.model_validate(content)
            self.applications = {one["name"]: told(**one) for one in content["applications"]}
            return 200, {}
        if ours := self.applications.get("induce-models"):
            ours["status"] = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            ours["message"] = self.message
        return 200, {"applications": self.applications, "http_options": {"port": 9000}}


def told(name, route_prefix="/", import_path="m:app", source="declarative", **more):
    config = {"name": name, "route_prefix": route_prefix, "import_path": import_path, **more}
    return {
        "route_prefix": route_prefix,
        "status": "RUNNING",
        "source": source,
        "deployed_app_config": config if source == "declarative" else None,
        "deployments": {},
    }


@contextmanager
def listening(answer):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            length = int(self.headers.get("Content-Length") or 0)
            content = json.loads(self.rfile.read(length)) if length else None
            status, body = answer(self.command, self.path, content, self.headers.get("Authorization"))
            text = body if isinstance(body, str) else json.dumps(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_PUT = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def _token(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)


def models(**more):
    model = {"name": "acme/M-7B", "accelerator": "H100", "tensor_parallel": 2}
    return ClusterFile.model_validate({"models": [model], **more})


def deploy(dashboard, **options):
    waits, times = [], iter(range(10_000))
    with listening(dashboard.answer) as url, ServeApi(url) as api:
        return up(api, models(), sleep=waits.append, clock=lambda: next(times), **options), waits


def test_up_waits_until_the_models_run():
    dashboard = Dashboard(["DEPLOYING", "DEPLOYING", "RUNNING"])
    seen = []
    found, waits = deploy(dashboard, progress=lambda seconds, line: seen.append(line))
    assert found.status == "RUNNING"
    assert seen == ["DEPLOYING", "DEPLOYING"]
    assert len(waits) == 2
    assert set(dashboard.tokens) == {f"Bearer {TOKEN}"}


def test_other_applications_are_put_again_as_they_were():
    other = {"route_prefix": "/other", "runtime_env": {"env_vars": {"SECRET": "s"}}, "args": {"a": 1}}
    imperative = {"route_prefix": "/live", "source": "imperative"}
    dashboard = Dashboard(others={"other": other, "live": imperative})
    deploy(dashboard)
    [config] = dashboard.configs
    assert [one["name"] for one in config["applications"]] == ["other", "induce-models"]
    assert config["applications"][0] == {"name": "other", "import_path": "m:app", **other}
    assert config["http_options"] == {"port": 9000}  # as Serve listens already


@given(
    names=st.sets(st.text("abc", min_size=1, max_size=3), max_size=4),
    ours=st.booleans(),
)
def test_up_then_down_leaves_what_there_was(names, ours):
    cluster = models()
    before = {name: told(name, route_prefix=f"/{name}", args={"n": name}) for name in names}
    running = {**before, "induce-models": told("induce-models", import_path=IMPORT_PATH)} if ours else before
    after_up = merged(cluster, ServeState(running))
    assert [one["name"] for one in after_up["applications"]] == [*before, "induce-models"]
    state = ServeState({one["name"]: told(**one) for one in after_up["applications"]})
    after_down = merged(cluster, state, keep=False)
    assert after_down["applications"] == [one["deployed_app_config"] for one in before.values()]
    ServeDeploySchema.model_validate(after_up)
    ServeDeploySchema.model_validate(after_down)


def test_an_application_that_is_being_deleted_is_not_put_again():
    leaving = {**told("old", route_prefix="/old"), "status": "DELETING"}
    config = merged(models(), ServeState({"old": leaving}))
    assert [one["name"] for one in config["applications"]] == ["induce-models"]


def test_an_application_whose_config_is_not_told_is_not_lost():
    hidden = {**told("other", route_prefix="/other"), "deployed_app_config": None}
    with pytest.raises(ClusterError, match="does not tell the config of other"):
        merged(models(), ServeState({"other": hidden}))


def test_down_deletes_ours_alone_and_says_whether_there_was_one():
    ours = {"import_path": IMPORT_PATH}
    dashboard = Dashboard(["RUNNING"], others={"other": {"route_prefix": "/other"}, "induce-models": ours})
    with listening(dashboard.answer) as url, ServeApi(url) as api:
        assert down(api, models(), sleep=lambda _: None)
        assert not down(api, models())
    [config] = dashboard.configs
    assert [one["name"] for one in config["applications"]] == ["other"]


@pytest.mark.parametrize(
    ("dashboard", "options", "said"),
    [
        (Dashboard(gpus=1), {}, "2 H100 GPUs are needed and the cluster has 1: add nodes"),
        (
            Dashboard(["DEPLOY_FAILED"], message="x\nValueError: no such weights"),
            {},
            "ValueError: no such weights",
        ),
        (Dashboard(["DEPLOYING"]), {"seconds": 3}, "does not run after 4 s"),
        (Dashboard(others={"induce-models": {"import_path": "other:app"}}), {}, "`application:`"),
        (
            Dashboard(others={"other": {}}),
            {},
            "the application other answers at /; write another `route_prefix:`",
        ),
        (
            Dashboard(others={"other": {"route_prefix": "/o", "args": {"key": REDACTED}}}),
            {},
            "hides the environment",
        ),
        (
            Dashboard(refusal=(401, "Missing token")),
            {},
            "the token from RAY_AUTH_TOKEN is wrong; set RAY_AUTH_TOKEN",
        ),
        (Dashboard(refusal=(501, "no")), {}, "lacks Ray Serve"),
        (Dashboard(refusal=(200, "<html>")), {}, "is no Ray dashboard"),
        (Dashboard(refusal=(200, [])), {}, "is no Ray dashboard"),
        (Dashboard(refusal=(500, "the\ncontroller is gone")), {}, "with 500: the controller is gone"),
    ],
)
def test_what_goes_wrong_is_one_line_with_the_cure(dashboard, options, said):
    with pytest.raises(ClusterError) as caught:
        deploy(dashboard, **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_few_gpus_can_be_waited_for():
    found, _ = deploy(Dashboard(gpus=0), wait_for_gpus=True)
    assert found.status == "RUNNING"


def test_a_cluster_that_cannot_be_reached_is_named():
    with listening(lambda *_: (200, {})) as url:
        pass
    with ServeApi(url) as api, pytest.raises(ClusterError, match=rf"{url} cannot be reached: .*`address:`"):
        api.state()


def test_the_token_is_found_as_ray_finds_it(monkeypatch, tmp_path):
    dashboard = Dashboard()

    def ask():
        with listening(dashboard.answer) as url, ServeApi(url) as api:
            api.state()
        return dashboard.tokens[-1]

    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ask() is None
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("usual\n")
    assert ask() == "Bearer usual"
    (tmp_path / "named").write_text("named\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "named"))
    assert ask() == "Bearer named"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "said")
    assert ask() == "Bearer said"
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert ask() is None
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(ClusterError, match=r"RAY_AUTH_TOKEN_PATH names .*none, which cannot be read"):
        ask()


def test_where_there_is_no_token_the_refusal_asks_for_one(monkeypatch, tmp_path):
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    dashboard = Dashboard(refusal=(401, "no"))
    refused = pytest.raises(ClusterError, match="a token is wanted; set RAY_AUTH_TOKEN")
    with listening(dashboard.answer) as url, ServeApi(url) as api, refused:
        api.state()


def test_the_state_tells_which_copies_are_missing():
    replicas = [{"state": "RUNNING"}, {"state": "STARTING"}]
    part = {
        "status": "UPDATING",
        "target_num_replicas": 3,
        "replicas": replicas,
        "message": "waits for GPUs\nmore",
    }
    running = {"induce-models": {"status": "DEPLOYING", "message": "", "deployments": {"LLM": part}}}
    found = application_state(models(), ServeState(running))
    assert str(found) == "DEPLOYING: LLM 1/3"
    assert found.deployments[0].message == "waits for GPUs"
    assert application_state(models(), ServeState({})).status == "ABSENT"


@pytest.mark.parametrize(
    ("answer", "usable", "said"),
    [
        ((200, {"data": [{"id": "m"}]}), True, "has the model"),
        ((200, {"data": [{"id": "n"}, {"id": "o"}]}), False, "does not have m, but n, o"),
        ((401, "no"), False, "INDUCE_MODEL_API_KEY"),
        ((404, "no"), False, "does its URL end in /v1?"),
        ((200, "<html>"), False, "is no server in OpenAI's protocol"),
    ],
)
def test_endpoints_of_others_are_asked_for_the_model(answer, usable, said):
    asked = []

    def answering(method, path, content, token):
        asked.append(path)
        return answer

    with listening(answering) as url:
        [state] = check_endpoints(ExternalModel(name="m", endpoints=(url,)))
    assert asked == ["/v1/models"]
    assert state.usable is usable
    assert said in state.detail
    [state] = check_endpoints(ExternalModel(name="m", endpoints=(url,)))
    assert not state.usable
    assert "cannot be reached" in state.detail
