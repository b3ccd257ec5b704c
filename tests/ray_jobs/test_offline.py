"""Chats that go through a Ray dataset: what comes back is what the servers said, and no more is under way."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_server import Fault, ModelServer

pytest.importorskip("pandas")  # as ray.data needs it
pytest.importorskip("ray.data.llm")

import ray

from hypotheses.models.connections import Connections
from hypotheses.models.langchain_endpoint import MalformedAnswerError, TooLargeAnswerError
from ray_jobs.cluster import connect
from ray_jobs.offline import DatasetConnections, Reach, _Room, _Sender, engine_config

pytestmark = [
    pytest.mark.xdist_group("ray"),
    pytest.mark.timeout(300),
    # Of Ray's own making, as it loads and as it opens its logs.
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore:.*:ray.util.annotations.RayDeprecationWarning"),
]

HEADERS = {"content-type": "application/json", "authorization": "Bearer very-secret"}
KINDS = (TimeoutError, ConnectionError, TooLargeAnswerError, MalformedAnswerError)


@pytest.fixture(scope="module")
def local_ray():
    """A cluster of this machine alone."""
    with connect("local", cpus=2):
        yield


def body(text="say", **more):
    return json.dumps({"model": "tiny", "messages": [{"role": "user", "content": text}]} | more).encode()


async def told(connections, server, content):
    """What a request gives, as something that can be compared."""
    try:
        answer = await connections.exchange("POST", f"{server.url}/chat/completions", HEADERS, content)
    except Exception as error:
        # Some of aiohttp's are both; whoever asks looks at these.
        return next(kind for kind in KINDS if isinstance(error, kind))
    said = json.loads(answer.body) if answer.body.startswith(b"{") else answer.body
    if isinstance(said, dict):
        said.pop("id", None)
        said.get("usage", {}).pop("prompt_tokens_details", None)  # the second to ask finds a prompt cached
    return answer.status, answer.headers.get("retry-after"), said


@asynccontextmanager
async def opened(reach):
    connections = DatasetConnections(reach)
    try:
        yield connections
    finally:
        await connections.aclose()


def scripted(payload, number):
    """The fault that a request asks for."""
    faults = {
        "busy": Fault("status", 429, {"retry-after": "7"}),
        "broken": Fault("status", 500),
        "gone": Fault("drop"),
        "cut": Fault("cut"),
        "odd": Fault("body", body="\u2603 no JSON"),
        "silent": Fault("hang"),
        "endless": Fault("flood", count=1_000_000),
    }
    return faults.get(payload["messages"][0]["content"])


@pytest.mark.usefixtures("local_ray")
def test_every_answer_and_every_failure_comes_back_as_from_a_connection_of_ones_own():
    wanted = [
        "busy",
        "broken",
        "gone",
        "cut",
        "odd",
        "silent",
        "endless",
        "äöü \u2603",
        *map(str, range(100)),
    ]
    reach = Reach(samples=8, timeout=3.0, max_bytes=100_000)

    async def ask(connections, server):
        return await asyncio.gather(*(told(connections, server, body(text)) for text in wanted))

    async def main(server):
        direct = Connections(reach.timeout, reach.connect_timeout, reach.max_bytes)
        expected = await ask(direct, server)
        await direct.aclose()
        async with opened(reach) as connections:
            return expected, await ask(connections, server)

    with ModelServer(lambda payload, index: payload["messages"][0]["content"], faults=scripted) as server:
        expected, found = asyncio.run(main(server))
    assert found == expected
    assert sum(isinstance(one, tuple) for one in found) == 104
    assert all(headers["authorization"] == HEADERS["authorization"] for headers in server.headers)


@pytest.mark.usefixtures("local_ray")
def test_no_more_samples_are_under_way_than_allowed_and_not_many_fewer():
    async def main(server):
        async with opened(Reach(samples=12)) as connections:
            some = [told(connections, server, body(str(one), n=1 + one % 3)) for one in range(150)]
            assert all(status == 200 for status, *_ in await asyncio.gather(*some))

    with ModelServer(slots=100, latency=lambda dice: 0.1) as server:
        asyncio.run(main(server))
        assert 10 <= server.slots.most <= 12


@pytest.mark.usefixtures("local_ray")
def test_what_is_under_way_is_given_up_when_the_connections_are_closed():
    async def main(server):
        async with opened(Reach(timeout=200)) as connections:
            waiting = asyncio.create_task(told(connections, server, body()))
            assert await asyncio.to_thread(server.wait_until, lambda server: server.counts["asked"], 60)
        assert await waiting is ConnectionError
        assert await told(connections, server, body()) is ConnectionError

    with ModelServer(faults=lambda payload, number: Fault("hang")) as server:
        asyncio.run(main(server))


@pytest.mark.usefixtures("local_ray")
def test_a_dataset_that_breaks_says_so_and_answers_nobody():
    async def main(server):
        async with opened(Reach()) as connections:
            assert (await told(connections, server, body()))[0] == 200
            assert connections.failure is None
            ray.kill(connections._stream._queue.actor)
            assert await told(connections, server, body()) is ConnectionError
            assert "the dataset of the model's requests failed" in str(connections.failure)

    with ModelServer() as server:
        asyncio.run(main(server))


def test_who_sends_does_not_show_the_key():
    assert "secret" not in repr(_Sender(Reach(), HEADERS))


@given(
    places=st.integers(1, 6),
    wanted=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4), st.booleans()), max_size=30),
)
def test_a_room_is_never_overfull_and_everybody_gets_in(places, wanted):
    held, most, served = 0, 0, []

    async def stay(room, name, count, turns):
        nonlocal held, most
        async with room.of(count):
            held += min(count, places)
            most = max(most, held)
            try:
                for _ in range(turns):
                    await asyncio.sleep(0)
                served.append(name)
            finally:
                held -= min(count, places)

    async def main():
        room = _Room(places)
        staying = []
        for name, (count, turns, leaves) in enumerate(wanted):
            staying.append((asyncio.create_task(stay(room, name, count, turns)), leaves))
        await asyncio.sleep(0)
        left = [task for task, leaves in staying if leaves]
        for task in left:
            task.cancel()
        await asyncio.gather(*(task for task, _ in staying), return_exceptions=True)
        async with asyncio.timeout(1), room.of(places):
            pass  # all places are free again

    asyncio.run(main())
    assert most <= places
    assert {name for name, (*_, leaves) in enumerate(wanted) if not leaves} <= set(served)


def test_engines_of_the_cluster_take_the_place_of_a_server():
    config = engine_config(
        "Qwen/Qwen2.5-Coder-1.5B-Instruct", replicas=2, gpus=4, engine={"max_model_len": 4096}
    )
    assert config.concurrency == 2
    assert config.should_continue_on_error
    assert config.engine_kwargs["tensor_parallel_size"] == 4
    assert config.engine_kwargs["max_model_len"] == 4096
