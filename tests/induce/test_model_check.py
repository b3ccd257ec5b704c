"""``induce model check``, against servers that can do all, little, or nothing."""

import json
import socket

import pytest
from model_server import Fault, ModelServer

from induce.model_check import FINDINGS, Target
from sandboxes.errors import ModelError

LONG = "one two three " * 100


def able(payload, index):
    """Answer as a server does that minds all it is asked for."""
    if "response_format" in payload:
        return json.dumps({"kind": "induction"})
    if payload["messages"][-1]["role"] == "assistant":
        return "one, two, three, four, five"
    return LONG


def check(induce_command, *arguments):
    run = induce_command("model", "check", *arguments, "--json")
    [record] = run.records
    return run.code, record, {name: one["works"] for name, one in record["findings"].items()}


def test_a_server_that_can_do_all(induce_command):
    with ModelServer(able, context=4096) as server:
        code, record, works = check(induce_command, f"vllm:tiny@{server.url}", "--concurrent", "3")
    assert code == 0
    assert list(works) == list(FINDINGS)
    can = {name for name, one in works.items() if one}
    assert can >= {"n", "logprobs", "json_schema", "continuation", "prefix cache", "first token", "speed"}
    findings = record["findings"]
    assert record["usable"]
    assert findings["context"]["tokens"] == 4096
    assert findings["reached"]["server"] == "vLLM 0.0.0"
    cache = findings["prefix cache"]
    assert cache["cached_tokens"] == cache["prompt_tokens"] > 500
    assert findings["speed"]["concurrent"] == 3
    # Four of speed, two of the prefix, and one or two of each other probe.
    assert server.counts["asked"] == 12
    assert max(payload["n"] for payload in server.payloads if "n" in payload) == 2


def test_the_longest_prompt_fits_a_small_context(induce_command):
    with ModelServer(able, context=512) as server:
        code, _, works = check(induce_command, server.url)
    assert (code, works["prefix cache"]) == (0, True)


def test_a_server_that_ignores_what_it_does_not_know(induce_command):
    with ModelServer(lambda payload, index: "a cat", choices="one") as server:
        code, record, works = check(induce_command, server.url)
    assert code == 0
    assert record["model"] == "tiny"  # the only one there is
    assert not any(works[name] for name in ("n", "json_schema", "continuation"))
    assert record["findings"]["n"]["detail"] == "1 choices for n=2"
    assert record["findings"]["tokenize"]["detail"].startswith("404")


def test_what_is_refused_is_a_row(induce_command):
    with ModelServer(able, choices="refuse") as server:
        run = induce_command("model", "check", server.url)
    assert run.code == 0
    [row] = [line for line in run.out.splitlines() if line.startswith("n ")]
    assert row.split(maxsplit=2) == ["n", "no", "400 Only one completion choice is allowed: n must be 1"]
    columns = {line.index(word) for line in run.out.splitlines() if (word := "yes") in line}
    assert len(columns) == 1


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        (Fault("hang"), "no answer in 2 s"),
        (Fault("status"), "500 something broke"),
        (Fault("status", status=503, body="<html>busy"), "503 <html>busy"),
        (Fault("drop"), "Server disconnected"),
        (Fault("cut"), "peer closed connection"),
        (Fault("body", body='{"choices": [{"mess'), "its answer is no JSON"),
        (Fault("body", body="[1, 2]"), "another shape"),
        (Fault("choices", count=0), "another shape"),
        (Fault("flood", count=20 << 20), "its answer has no end"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_a_probe_that_fails_is_a_row_and_the_others_go_on(induce_command, fault, detail):
    with ModelServer(
        able, faults=lambda payload, number: fault if payload.get("logprobs") else None
    ) as server:
        code, record, works = check(induce_command, server.url, "--deadline", "2")
    assert code == 0
    assert works["logprobs"] is False
    assert detail in record["findings"]["logprobs"]["detail"]
    assert all(works[name] for name in ("n", "json_schema", "prefix cache", "speed"))


@pytest.mark.parametrize(
    ("said", "field"),
    [(("I think it is", "42"), "reasoning"), ("<think>hm</think>42", "content"), ("42", None)],
)
def test_reasoning(induce_command, said, field):
    with ModelServer(lambda payload, index: said) as server:
        _, record, works = check(induce_command, server.url)
    assert record["findings"]["reasoning"]["field"] == field
    assert works["reasoning"] is (True if field else None)


def test_a_model_that_is_not_there(induce_command):
    with ModelServer(able) as server:
        code, record, works = check(induce_command, f"vllm:huge@{server.url}")
        assert server.counts["asked"] == 0
    assert code == 1
    assert not record["usable"]
    assert works == {"reached": True, "model": False}
    assert record["findings"]["model"]["detail"] == "there is no huge; it has tiny"


def test_a_server_that_is_not_there(induce_command):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    run = induce_command("model", "check", f"http://127.0.0.1:{port}")
    assert run.code == 1
    assert f"is a server running at http://127.0.0.1:{port}/v1?" in run.out


def test_a_server_that_accepts_and_says_nothing(induce_command):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = "http://{}:{}".format(*silent.getsockname())
        code, record, works = check(induce_command, url, "--deadline", "0.3")
    assert (code, works) == (1, {"reached": False})
    assert record["findings"]["reached"]["detail"] == "no answer in 0.3 s"


def test_another_place_of_the_server(induce_command):
    """Where models are not listed, one that was named can still be asked."""
    with ModelServer(able) as server:
        code, record, _ = check(induce_command, server.url.replace("/v1", "/v9"))
        assert (code, record["findings"]["model"]["works"]) == (1, False)
        code, record, _ = check(induce_command, f"vllm:tiny@{server.url.replace('/v1', '/v9')}")
    assert code == 1
    assert record["findings"]["model"]["works"] is None
    assert record["findings"]["answers"]["works"] is False


def test_the_key_is_sent_and_never_shown(induce_command, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "for-openai-alone")
    with ModelServer(able, api_key="secret-of-the-server") as server:
        monkeypatch.setenv("INDUCE_MODEL_API_KEY", "secret-mistyped")
        run = induce_command("model", "check", server.url)
        assert run.code == 1
        assert "401 Incorrect API key provided: …" in run.out
        assert "set INDUCE_MODEL_API_KEY" in run.out
        assert "secret" not in run.out + run.err
        monkeypatch.setenv("INDUCE_MODEL_API_KEY", "secret-of-the-server")
        assert induce_command("model", "check", server.url).code == 0
    assert {one["authorization"] for one in server.headers} == {
        "Bearer secret-mistyped",
        "Bearer secret-of-the-server",
    }
    assert "secret" not in repr(Target.parse(server.url))


def test_what_a_server_says_commands_no_terminal(induce_command):
    body = json.dumps({"error": {"message": "\x1b[2J\x07gone [red]wild[/red]"}})
    with ModelServer(able, faults=[Fault("status", status=400, body=body)]) as server:
        run = induce_command("model", "check", server.url)
    assert run.code == 1
    assert "\x1b" not in run.out
    assert "\x07" not in run.out
    assert "[red]wild[/red]" in run.out


def test_each_url_of_an_address_is_checked(induce_command):
    with ModelServer(able) as one, ModelServer(able, model="other") as two:
        run = induce_command("model", "check", f"vllm:tiny@{one.url},{two.url}", "--json")
    assert run.code == 1
    assert [(record["url"], record["usable"]) for record in run.records] == [
        (one.url, True),
        (two.url, False),
    ]


@pytest.mark.parametrize("address", ["anthropic:claude", "recorded:file.jsonl", "tiny", "vllm:"])
def test_what_cannot_be_checked(induce_command, address):
    run = induce_command("model", "check", address)
    assert run.code == 1
    assert run.err.startswith("error: ")
    assert run.err.count("\n") == 1


def test_targets(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "openai")
    monkeypatch.setenv("INDUCE_MODEL_API_KEY", "own")
    [openai] = Target.parse("openai:gpt-4o")
    assert (openai.url, openai.key, openai.limit) == (
        "https://api.openai.com/v1",
        "openai",
        "max_completion_tokens",
    )
    [bare] = Target.parse("http://gpu:8000/")
    assert (bare.url, bare.model, bare.key) == ("http://gpu:8000/v1", "", "own")
    assert [one.url for one in Target.parse("vllm:a/b@http://x,http://y/v1/")] == [
        "http://x/v1",
        "http://y/v1",
    ]
    with pytest.raises(ModelError, match="cannot be checked"):
        Target.parse("anthropic:claude")
