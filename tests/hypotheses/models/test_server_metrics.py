"""What a server tells of itself, and whatever else may be answered there."""

import asyncio
import json
import math
from dataclasses import astuple, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("aiohttp")

from model_server import ModelServer, prompt_tokens

from hypotheses.models.server_metrics import ServerMetrics, open_connections, parse_metrics, read_metrics

VLLM = """\
# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 11234.0
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="org/m"} 3.0
vllm:num_requests_running{engine="1",model_name="org/m"} 4.0
vllm:num_requests_waiting{engine="0",model_name="org/m"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="org/m",reason="capacity"} 2.0
vllm:kv_cache_usage_perc{engine="0",model_name="org/m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="org/m"} 0.5
vllm:gpu_cache_usage_perc{engine="0",model_name="org/m"} 0.9
vllm:prefix_cache_queries_total{engine="0",model_name="org/m"} 1.2345e+06
vllm:prefix_cache_queries_created{engine="0",model_name="org/m"} 1.7e+09
vllm:prefix_cache_hits_total{engine="0",model_name="org/m"} 1.0e+06 1395066363000
vllm:num_preemptions_total{engine="0",model_name="org/m"} 0.0
vllm:prompt_tokens_total{engine="0",model_name="odd } name \\" {of 7 \\n"} 100.0
vllm:generation_tokens_total 50
vllm:request_queue_time_seconds_bucket{engine="0",le="0.3",model_name="org/m"} 7.0
vllm:request_queue_time_seconds_bucket{engine="0",le="+Inf",model_name="org/m"} 9.0
vllm:request_queue_time_seconds_count{engine="0",model_name="org/m"} 9.0
vllm:request_queue_time_seconds_sum{engine="0",model_name="org/m"} 1.5
"""


def test_what_vllm_says_is_read_and_summed():
    assert parse_metrics(VLLM) == ServerMetrics(
        running=7,
        waiting=2,
        kv_cache_usage=0.5,
        prompt_tokens=100,
        generation_tokens=50,
        prefix_cache_hits=1e6,
        prefix_cache_queries=1234500,
        preemptions=0,
        queue_seconds_sum=1.5,
        queue_count=9,
    )


def test_older_names_are_known():
    metrics = parse_metrics('vllm:gpu_cache_usage_perc 0.4\nvllm:gpu_prefix_cache_hits_total{a="b"} 3\n')
    assert metrics == ServerMetrics(kv_cache_usage=0.4, prefix_cache_hits=3)


SAMPLES = [line for line in VLLM.splitlines() if line.startswith("vllm:")]
PIECES = st.one_of(
    st.text(max_size=30),
    st.sampled_from([*SAMPLES, "vllm:prompt_tokens_total", "{", "}", '"', " ", "\n", "\\", "#", "\0"]),
    st.sampled_from(["1e9999", "-1", "NaN", "+Inf", "1_0", "0x1", "1e17", "9" * 400, "٣", "1 2 3"]),
    st.floats().map(str),
)


@given(st.lists(PIECES, max_size=30).map("".join))
def test_whatever_comes_is_read_without_an_error_and_gives_sensible_numbers(text):
    for value in astuple(parse_metrics(text)):
        assert value is None or (math.isfinite(value) and value >= 0)


@pytest.mark.parametrize("number", ["NaN", "+Inf", "-1", "1e400", "1e30", "", "1_000", "9" * 500, "one"])
def test_what_is_no_sensible_number_is_passed_over(number):
    assert parse_metrics(f"vllm:num_requests_running {number}\nvllm:num_requests_waiting 1") == ServerMetrics(
        waiting=1
    )


COUNTS = st.one_of(st.none(), st.integers(0, 1000).map(float))
METRICS = st.builds(ServerMetrics, *[COUNTS] * 10)


@given(METRICS, METRICS)
def test_differences_are_of_counts_alone_and_never_negative(earlier, later):
    between = later.since(earlier)
    assert (between.running, between.waiting, between.kv_cache_usage) == (
        later.running,
        later.waiting,
        later.kv_cache_usage,
    )
    for before, now, grown in zip(*(astuple(one)[3:] for one in (earlier, later, between)), strict=True):
        if before is None or now is None:
            assert grown is None
        else:
            assert grown == (now - before if now >= before else now)


def test_a_server_that_began_anew_counts_from_nothing():
    earlier = ServerMetrics(prompt_tokens=500.0, queue_count=3.0)
    assert replace(earlier, prompt_tokens=20.0).since(earlier) == ServerMetrics(
        prompt_tokens=20.0, queue_count=0.0
    )


def read(url):
    return asyncio.run(read_metrics(url))


def test_what_a_server_did_is_told_by_its_metrics():
    async def twice(server):
        before = await read_metrics(server.url)

        connections = open_connections()
        payload = {"model": "tiny", "n": 3, "messages": [{"role": "user", "content": "one two three"}]}
        for _ in range(2):
            await connections.exchange(
                "POST", f"{server.url}/chat/completions", {}, json.dumps(payload).encode()
            )
        after = await read_metrics(f"{server.url}/", connections)
        await connections.aclose()
        return payload, before, after.since(before)

    with ModelServer(lambda payload, index: "four") as server:
        payload, before, between = asyncio.run(twice(server))
    assert (before.running, before.waiting, before.prompt_tokens) == (0, 0, 0)
    assert between.prompt_tokens == between.prefix_cache_queries == 2 * prompt_tokens(payload)
    assert between.prefix_cache_hits == prompt_tokens(payload)
    assert (between.generation_tokens, between.queue_count) == (6, 6)


@pytest.mark.parametrize(
    "said",
    ["", "<html>a page</html>", "python_info 1.0\n", "vllm:num_requests_running full\n", "\0" * 999],
)
def test_what_is_no_vllm_has_no_metrics(said):
    with ModelServer(metrics=said) as server:
        assert read(server.url) is None
        assert read(f"{server.url}/elsewhere") is None


def test_an_answer_without_an_end_is_not_read():
    with ModelServer(metrics=VLLM + "#" * 5_000_000) as server:
        assert read(server.url) is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1", "no url", "", "http://[::1/v1"])
def test_who_cannot_be_reached_has_no_metrics(url):
    assert read(url) is None
