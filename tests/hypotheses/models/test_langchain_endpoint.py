"""Endpoints through LangChain, against a real HTTP server in vLLM's protocol."""

import asyncio
import email.utils
import json
import os
import re
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("langchain_openai")

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from model_server import Fault, ModelServer

from hypotheses.models.address import ModelAddress
from hypotheses.models.chat import ChatRequest, Choice, EndpointError, Message, Sampling
from hypotheses.models.langchain_endpoint import EndpointSettings, LangChainEndpoint, open_endpoints
from sandboxes.errors import ModelError

SECRET = "sk-sesame-open-1234567890"


def request(n=1, text="hi", **sampling):
    return ChatRequest("program", (Message("user", text),), Sampling(**sampling), n=n)


ONE = request()


def asked(server, request=ONE, model="vllm:tiny", settings=None, url=None):
    """Ask once with an endpoint of its own."""

    async def ask():
        [endpoint] = open_endpoints(ModelAddress.parse(f"{model}@{url or server.url}"), settings)
        try:
            return await endpoint.ask(request)
        finally:
            await endpoint.aclose()
            await endpoint.aclose()

    return asyncio.run(ask())


def refused(server, *arguments, **more):
    with pytest.raises(EndpointError) as caught:
        asked(server, *arguments, **more)
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


def test_several_samples_come_from_one_request():
    with ModelServer(lambda payload, index: f"answer {index}") as server:
        answer = asked(server, request(n=3, text="x" * 400))
    assert [choice.text for choice in answer.choices] == ["answer 0", "answer 1", "answer 2"]
    assert {choice.finish for choice in answer.choices} == {"stop"}
    assert (answer.prompt_tokens, answer.completion_tokens, answer.cached_tokens) == (100, 6, 0)
    assert server.counts["asked"] == 1


def test_what_was_seen_before_is_counted_as_cached():
    async def twice(server):
        [endpoint] = open_endpoints(ModelAddress.parse(f"vllm:tiny@{server.url}"))
        answers = [await endpoint.ask(request(text="x" * 400)) for _ in range(2)]
        await endpoint.aclose()
        return [answer.cached_tokens for answer in answers]

    with ModelServer() as server:
        assert asyncio.run(twice(server)) == [0, 100]


def test_the_parameters_arrive_as_they_are_called_there():
    schema = {"type": "object", "properties": {"rule": {"type": "string"}}}
    sampling = Sampling(0.25, 77, 0.9, ("END", "```"), 5, json.dumps(schema))
    messages = (Message("system", "be brief"), Message("user", "hi"))
    asking = ChatRequest("program", messages, sampling, n=2)
    with ModelServer() as server:
        asked(server, asking)
        asked(server, asking, settings=EndpointSettings(logprobs=True, omit=("seed", "top_p")))
        asked(server, request())
    full, fewer, plain = server.payloads
    expected = {
        "model": "tiny",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        "temperature": 0.25,
        "max_tokens": 77,
        "top_p": 0.9,
        "stop": ["END", "```"],
        "seed": 5,
        "n": 2,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": True},
        },
    }
    assert full == expected
    assert fewer == {k: v for k, v in expected.items() if k not in ("seed", "top_p")} | {"logprobs": True}
    assert plain.keys() == {"model", "messages", "temperature", "max_tokens"}


def test_the_newer_name_of_the_limit_goes_to_openai(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with ModelServer() as server:
        asked(server, request(max_tokens=9), model="openai:tiny")
    assert server.payloads[0]["max_completion_tokens"] == 9
    assert "max_tokens" not in server.payloads[0]
    assert server.headers[0]["authorization"] == f"Bearer {SECRET}"


def test_a_cut_off_completion_says_so_and_is_gone_on_with():
    with ModelServer(lambda payload, index: "0123456789" * 4) as server:
        first = asked(server, request(max_tokens=5))
        assert first.choices == (Choice("01234567890123456789", finish="length"),)
        messages = (Message("user", "hi"), Message("assistant", first.choices[0].text))
        rest = asked(server, ChatRequest("program", messages, Sampling(max_tokens=50)))
        assert rest.choices == (Choice("01234567890123456789", finish="stop"),)
    assert server.payloads[1]["continue_final_message"] is True
    assert server.payloads[1]["add_generation_prompt"] is False


def test_logprobs_are_averaged_where_they_are_asked_for():
    with ModelServer(lambda payload, index: "some text") as server:
        assert asked(server).choices[0].logprob is None
        assert asked(server, settings=EndpointSettings(logprobs=True)).choices[0].logprob == -0.5


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning_is_kept_apart(field):
    body = {"choices": [{"message": {"content": "42", field: "6 times 7"}, "finish_reason": "stop"}]}
    with ModelServer(faults=[Fault("body", body=json.dumps(body))]) as server:
        assert asked(server).choices == (Choice("42", "6 times 7", "stop"),)


def test_a_completion_of_5_mb_is_read_whole():
    text = "".join(f"{number:07d} " for number in range(650_000))
    assert len(text) > 5_000_000
    with ModelServer(lambda payload, index: text, context=2_000_000) as server:
        answer = asked(server, request(max_tokens=1_500_000))
    assert answer.choices[0].text == text


@pytest.mark.parametrize("told", [True, False], ids=["length told", "length not told"])
def test_an_answer_over_the_limit_is_not_read(told):
    big = Fault("body", body=" " * 3_000_000) if told else Fault("flood", count=300_000_000)
    with ModelServer(faults=[big]) as server:
        error = refused(server, settings=EndpointSettings(max_bytes=1_000_000))
    assert (error.retryable, str(error)) == (False, "its answer is larger than 1 MB: lower max_tokens")


def test_a_compressed_answer_whose_size_nobody_knows_is_not_read():
    with ModelServer(faults=[Fault("body", headers={"content-encoding": "gzip"})]) as server:
        assert "compressed" in str(refused(server))


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 529])
def test_what_may_pass_is_worth_another_try(status):
    with ModelServer(faults=[Fault("status", status)]) as server:
        error = refused(server)
    assert error.retryable
    assert error.retry_after is None
    assert error.overloaded == (status in (429, 503, 529))
    assert str(error) == f"something broke (HTTP {status})"
    assert server.counts["asked"] == 1  # the SDK itself tries only once


@pytest.mark.parametrize("status", [400, 405, 422])
def test_what_will_not_pass_is_not(status):
    with ModelServer(faults=[Fault("status", status)]) as server:
        assert not refused(server).retryable


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"Retry-After": "-3"}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "inf"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait_is_read(headers, seconds):
    with ModelServer(faults=[Fault("status", 429, headers)]) as server:
        assert refused(server).retry_after == seconds


def test_how_long_to_wait_may_be_a_date():
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    with ModelServer(faults=[Fault("status", 503, {"Retry-After": date})]) as server:
        assert 80 < refused(server).retry_after <= 100


def test_an_empty_account_is_not_tried_again(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    body = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    with ModelServer(faults=[Fault("status", 429, body=json.dumps(body))]) as server:
        error = refused(server, model="openai:tiny")
    assert not error.retryable
    assert "OPENAI_API_KEY has no credit left" in str(error)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault("drop"), "the connection failed"),
        (Fault("reset"), "the connection failed"),
        (Fault("cut"), "the connection failed"),
        (Fault("hang"), "no answer within 0.2 s"),
        (Fault("body", body="<html>busy</html>"), "not JSON"),
        (Fault("body", body='{"choices": ['), "not JSON"),
        (Fault("body", body="[" * 100_000), "not JSON"),
        (Fault("body", body="\udcff".encode("utf-8", "surrogateescape").decode("latin-1")), "not JSON"),
        (Fault("body", body="null"), "no choices"),
        (Fault("body", body='{"choices": null}'), "no choices"),
        (Fault("body", body='{"error": {"message": "dead"}}'), "answered with an error: {'message': 'dead'}"),
        (Fault("body", body='{"choices": ["x"]}'), "has no message"),
        (Fault("body", body='{"choices": [{"message": {"content": 7}}]}'), "is not text"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else None,
)
def test_broken_connections_and_answers_are_worth_another_try(fault, told):
    with ModelServer(faults=[fault]) as server:
        error = refused(server, settings=EndpointSettings(timeout=0.2))
    assert error.retryable
    assert told in str(error)


def test_nobody_there_is_worth_another_try():
    with ModelServer() as server:
        gone = server.url
    error = refused(server, url=gone)
    assert error.retryable
    assert "the connection failed" in str(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "usage", "finish_reason", "logprobs", "prompt_tokens", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(JSON, JSON, JSON)
def test_no_body_whatsoever_is_more_than_an_endpoint_error(content, usage, choice):
    from hypotheses.models.langchain_endpoint import MalformedAnswerError, _answer
    from hypotheses.models.openai_protocol import read_answer

    bodies = [
        content,
        {"choices": [choice], "usage": usage},
        {
            "choices": [{"message": {"content": "x", "reasoning": content}, "logprobs": choice}],
            "usage": usage,
        },
        {
            "choices": [{"message": {"content": content}, "finish_reason": usage}],
            "usage": {"prompt_tokens": usage},
        },
    ]
    for body in bodies:
        try:
            result = read_answer(json.dumps(body).encode())
        except MalformedAnswerError:
            continue
        for read in _answer(result.generations).choices:
            assert read.text.encode().decode() == read.text


def test_half_a_surrogate_pair_is_replaced():
    body = r'{"choices": [{"message": {"content": "a\ud83d\ude00b\ud800c"}}]}'
    with ModelServer(faults=[Fault("body", body=body)]) as server:
        assert asked(server).choices[0].text == "a\N{GRINNING FACE}b\N{REPLACEMENT CHARACTER}c"


def test_a_wrong_name_is_told_the_right_ones():
    with ModelServer(model="small/coder") as server:
        error = refused(server, model="vllm:smal")
    assert not error.retryable
    assert str(error) == "The model `smal` does not exist. (HTTP 404): it has small/coder"


def test_a_wrong_path_asks_for_the_base_url():
    with ModelServer() as server:
        error = refused(server, url=server.url.replace("/v1", "/v2"))
    assert not error.retryable
    assert "is that the base URL" in str(error)


def test_too_long_a_prompt_is_an_overflow():
    with ModelServer(context=1000) as server:
        error = refused(server, request(text="x" * 5000))
    assert error.overflow
    assert not error.retryable
    assert "maximum context length is 1000 tokens" in str(error)


@pytest.mark.parametrize(
    ("message", "overflow"),
    [
        # As vLLM, OpenAI, Anthropic and llama.cpp put it.
        (
            "This model's maximum context length is 4096 tokens. However, your prompt contains 4097 tokens.",
            True,
        ),
        ("Input tokens exceed the configured limit: context_length_exceeded", True),
        ("prompt is too long: 210000 tokens > 200000 maximum", True),
        ("the request exceeds the available context size, try increasing it", True),
        # A shorter prompt is no cure for these.
        (
            "max_tokens=50000 cannot be greater than max_model_len=4096. Please request fewer output tokens.",
            False,
        ),
        ("temperature must be non-negative, got -3.0.", False),
    ],
)
def test_an_overflow_is_told_from_other_refusals(message, overflow):
    body = json.dumps({"error": {"message": message}})
    with ModelServer(faults=[Fault("status", 400, body=body)]) as server:
        error = refused(server)
    assert (error.overflow, error.retryable) == (overflow, False)
    assert message in str(error)


def test_a_refusal_of_several_samples_names_n():
    with ModelServer(choices="refuse") as server:
        error = refused(server, request(n=2))
    assert (error.retryable, error.overflow) == (False, False)
    assert re.search(r"\bn\b", str(error))


def test_a_redirect_is_not_followed():
    with (
        ModelServer() as other,
        ModelServer(faults=[Fault("status", 307, {"Location": other.url + "/chat/completions"})]) as server,
    ):
        error = refused(server)
    assert not error.retryable
    assert "redirects elsewhere" in str(error)
    assert other.counts["asked"] == 0


def test_keys_go_only_where_they_belong(monkeypatch):
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID"):
        monkeypatch.setenv(f"OPENAI_{name}", SECRET)
    with ModelServer() as server:
        asked(server)
        monkeypatch.setenv("INDUCE_MODEL_API_KEY", "own-key-123")
        asked(server)
    assert [headers["authorization"] for headers in server.headers] == ["Bearer none", "Bearer own-key-123"]
    assert SECRET not in str(server.headers)


def test_a_refused_key_names_its_variable_and_stays_secret(monkeypatch):
    monkeypatch.setenv("INDUCE_MODEL_API_KEY", SECRET)
    with ModelServer(api_key="another") as server:
        error = refused(server)
        [endpoint] = open_endpoints(ModelAddress.parse(f"vllm:tiny@{server.url}"))
        assert SECRET not in repr(endpoint) + endpoint.name
        asyncio.run(endpoint.aclose())
    assert not error.retryable
    assert "set INDUCE_MODEL_API_KEY" in str(error)
    assert "<INDUCE_MODEL_API_KEY>" in str(error)  # the server repeated it
    assert SECRET not in str(error)
    assert error.__suppress_context__


def test_cancelling_closes_the_connection_and_frees_the_slots():
    async def cancel(server):
        [endpoint] = open_endpoints(ModelAddress.parse(f"vllm:tiny@{server.url}"))
        asking = asyncio.create_task(endpoint.ask(request(n=3)))
        assert await asyncio.to_thread(server.wait_until, lambda s: s.slots.busy == 3)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await asyncio.to_thread(server.wait_until, lambda s: s.counts["ended"] == 1)
        assert server.slots.busy == 0
        # The endpoint is as good as before.
        quick = await endpoint.ask(request())
        await endpoint.aclose()
        return quick

    waits = iter([60.0] * 3)
    with ModelServer(latency=lambda dice: next(waits, 0.0)) as server:
        assert asyncio.run(cancel(server)).choices[0].text == "answer 0"
    assert server.counts["disconnected"] == 1


def test_connections_are_used_again():
    async def ask_often(server):
        [endpoint] = open_endpoints(ModelAddress.parse(f"vllm:tiny@{server.url}"))
        for _ in range(3):
            await asyncio.gather(*(endpoint.ask(request()) for _ in range(20)))
        await endpoint.aclose()

    with ModelServer(slots=20, latency=lambda dice: 0.05) as server:
        asyncio.run(ask_often(server))
    assert server.counts["asked"] == 60
    assert server.counts["connections"] <= 20


def test_one_endpoint_for_each_url():
    endpoints = open_endpoints(ModelAddress.parse("vllm:tiny@http://a:1,http://b:2"))
    assert [endpoint.name for endpoint in endpoints] == ["http://a:1/v1", "http://b:2/v1"]
    assert all(endpoint.multiple and endpoint.can_continue for endpoint in endpoints)

    async def close():
        for endpoint in endpoints:
            await endpoint.aclose()

    asyncio.run(close())


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("openai:gpt-4o", "set OPENAI_API_KEY"),
        ("groq:llama", "pip install langchain-groq"),
        ("nonsense:model", "nonsense"),
        ("recorded:answers.jsonl", "replayed"),
    ],
)
def test_what_cannot_be_opened_says_why(model, told, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError) as caught:
        open_endpoints(ModelAddress.parse(model))
    assert told in str(caught.value)


@pytest.mark.parametrize("model", ["vllm:tiny", "anthropic:claude"])
def test_without_the_packages_it_says_what_to_install(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "hypotheses.models.openai_protocol", None)
    monkeypatch.setitem(sys.modules, "langchain.chat_models", None)
    with pytest.raises(ModelError, match=r'pip install "induce\[models\]"'):
        open_endpoints(ModelAddress.parse(model))


def test_nothing_is_traced_unless_the_user_says_so(monkeypatch):
    from langsmith.utils import tracing_is_enabled

    for name in list(os.environ):
        if name.startswith(("LANGSMITH_", "LANGCHAIN_")):
            monkeypatch.delenv(name)
    with ModelServer() as server:
        asked(server)
    assert tracing_is_enabled() is False


# Other providers: what is theirs alone is played by a chat model of LangChain's own.


def answer_of(message, request=ONE, provider="anthropic"):
    model = GenericFakeChatModel(messages=iter([message]))
    endpoint = LangChainEndpoint(provider, model, address=ModelAddress(provider, "some"))
    return asyncio.run(endpoint.ask(request))


def test_content_blocks_are_told_apart():
    message = AIMessage(
        content=[
            {"type": "thinking", "thinking": "first ", "signature": "x"},
            {"type": "text", "text": "The rule "},
            {"type": "text", "text": "is f."},
        ],
        response_metadata={"stop_reason": "max_tokens", "model_provider": "anthropic"},
        usage_metadata={
            "input_tokens": 100,
            "output_tokens": 20,
            "total_tokens": 120,
            "input_token_details": {"cache_read": 60},
        },
    )
    answer = answer_of(message)
    assert answer.choices == (Choice("The rule is f.", "first ", "length"),)
    assert (answer.prompt_tokens, answer.completion_tokens, answer.cached_tokens) == (100, 20, 60)


@pytest.mark.parametrize(
    ("metadata", "finish"),
    [
        ({"finish_reason": "STOP"}, "stop"),
        ({"finish_reason": "MAX_TOKENS"}, "length"),
        ({"stop_reason": "end_turn"}, "stop"),
        ({"done_reason": "length"}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"finish_reason": "content_filter"}, ""),
        ({}, ""),
    ],
)
def test_why_it_ended_has_many_names(metadata, finish):
    assert answer_of(AIMessage(content="x", response_metadata=metadata)).choices[0].finish == finish


def test_a_provider_that_cannot_give_several_samples_gives_one():
    answer = answer_of(AIMessage(content="only one"), request(n=5))
    assert [choice.text for choice in answer.choices] == ["only one"]


def test_anthropics_own_client_is_spoken_to(monkeypatch):
    pytest.importorskip("langchain_anthropic")
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    message = {
        "id": "msg",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "hello"},
        ],
        "stop_reason": "max_tokens",
        "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 3},
    }
    error = {"type": "error", "error": {"type": "rate_limit_error", "message": f"slow down {SECRET}"}}
    faults = [
        Fault("body", body=json.dumps(message)),
        Fault("status", 429, {"retry-after": "3"}, json.dumps(error)),
    ]
    with ModelServer(faults=faults, also="/v1/messages") as server:
        url = server.url.removesuffix("/v1")

        async def twice():
            [endpoint] = open_endpoints(ModelAddress.parse(f"anthropic:claude@{url}"))
            assert (endpoint.multiple, endpoint.can_continue) == (False, False)
            answer = await endpoint.ask(request(stop=("END",), max_tokens=50, temperature=0.5, seed=1))
            with pytest.raises(EndpointError) as caught:
                await endpoint.ask(request())
            return answer, caught.value

        answer, refusal = asyncio.run(twice())
    assert answer.choices == (Choice("hello", "hm", "length"),)
    assert (answer.prompt_tokens, answer.completion_tokens, answer.cached_tokens) == (8, 7, 3)
    sent = server.payloads[0]
    assert (sent["max_tokens"], sent["temperature"], sent["stop_sequences"]) == (50, 0.5, ["END"])
    assert "seed" not in sent
    assert (refusal.retryable, refusal.retry_after) == (True, 3)
    assert str(refusal) == "slow down <ANTHROPIC_API_KEY> (HTTP 429)"
