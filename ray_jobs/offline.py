"""Chats with model servers through one Ray dataset, at full throughput: ``ray.data.llm`` without its tail.

What a live run would send to a server becomes a row of a dataset that streams through an HTTP stage on the
cluster, and what the server answers comes back as if it had been asked directly. Each row is a bundle of
requests, so that Ray's work for a row is shared, and as soon as nothing more is wanted for the moment a
bundle goes as it is. How many samples a server is at is limited where they are sent, so the dataset can hold
many more, and the server is never without work.

Needs the extra ``ray-data``, so import it where it is used.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import itertools
import json
import logging
import math
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa
import ray.data
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask
from ray.data.llm import HttpRequestProcessorConfig, build_processor, vLLMEngineProcessorConfig
from ray.util.queue import Queue

from hypotheses.models.connections import Connections, HttpAnswer
from hypotheses.models.langchain_endpoint import MalformedAnswerError, TooLargeAnswerError
from sandboxes import ClusterError

BUNDLE = 32
"""The most requests in one row, whose answers come back together: one that is slow holds up the others."""

PAUSE_SECONDS = 0.05
"""After so long without another request, those there are go as they are."""

ROWS_AT_ONCE = 16
"""How many rows are sent at a time at least, so that a slow answer in one holds up none of the others."""

_HARDLY_A_CPU = 0.01  # stages wait for servers, and must fit beside solvers on a cluster that is full
_END_SECONDS = 10.0
_ERRORS: Mapping[str, type[Exception]] = {"timeout": TimeoutError, "connection": ConnectionError}


@dataclass(frozen=True, slots=True)
class Reach:
    """How servers are spoken to: samples under way at one, seconds for a request, the largest answer."""

    samples: int = 64
    timeout: float = 600.0
    connect_timeout: float = 10.0
    max_bytes: int = 16_000_000


class DatasetConnections(Connections):
    """Connections whose requests go through a dataset, on the cluster that Ray is connected to.

    They belong to the event loop that first uses them. The dataset begins with the first request. Where it
    fails, ``failure`` says why, and no request is answered any more. Close them at the end: what the dataset
    holds then is given up.
    """

    def __init__(self, reach: Reach) -> None:
        super().__init__(reach.timeout, reach.connect_timeout, reach.max_bytes)
        self.failure: ClusterError | None = None
        self._reach = reach
        self._stream: _Stream | None = None
        self._next: list[tuple[dict[str, Any], asyncio.Future[HttpAnswer]]] = []
        self._under_way: dict[str, list[asyncio.Future[HttpAnswer]]] = {}
        self._numbers = itertools.count()
        self._pause: asyncio.TimerHandle | None = None
        self._closed = False

    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> HttpAnswer:
        """Send a request and give the answer, whatever its status; but for chats, it is sent from here."""
        if method != "POST" or content is None:
            return await super().exchange(method, url, headers, content)
        if self.failure is not None or self._closed:
            raise ConnectionError("the dataset has ended")
        loop = asyncio.get_running_loop()
        if self._stream is None:
            self._stream = _Stream(
                _Sender(self._reach, headers),
                lambda bundle, answers: loop.call_soon_threadsafe(self._land, bundle, answers),
                lambda error: loop.call_soon_threadsafe(self._fail, error),
            )
        future: asyncio.Future[HttpAnswer] = loop.create_future()
        self._next.append(({"url": url, "body": content.decode()}, future))
        if len(self._next) >= BUNDLE:
            self._send()
        else:
            if self._pause is not None:
                self._pause.cancel()
            self._pause = loop.call_later(PAUSE_SECONDS, self._send)
        return await future

    async def aclose(self) -> None:
        """End the dataset, and close what is open. Closing twice does no harm."""
        self._closed = True
        if self._pause is not None:
            self._pause.cancel()
        self._give_up()
        if self._stream is not None:
            await asyncio.to_thread(self._stream.end)
            self._stream = None
        await super().aclose()

    def _send(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        wanted = [(request, future) for request, future in self._next if not future.done()]
        self._next.clear()
        if wanted and self._stream is not None:
            name = str(next(self._numbers))
            self._under_way[name] = [future for _, future in wanted]
            self._stream.put({"bundle": name, "payload": json.dumps([request for request, _ in wanted])})

    def _land(self, bundle: str, answers: str) -> None:
        for future, answer in zip(self._under_way.pop(bundle, ()), json.loads(answers), strict=True):
            if not future.done():
                try:
                    future.set_result(_answer(answer, self._reach))
                except Exception as error:
                    future.set_exception(error)

    def _fail(self, error: Exception) -> None:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        self.failure = ClusterError(f"the dataset of the model's requests failed: {said}")
        self._give_up()

    def _give_up(self) -> None:
        waiting = [future for _, future in self._next]
        for futures in self._under_way.values():
            waiting += futures
        self._next.clear()
        self._under_way.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(ConnectionError("the dataset has ended"))


def engine_config(
    source: str, *, replicas: int = 1, gpus: int = 1, engine: Mapping[str, Any] | None = None
) -> vLLMEngineProcessorConfig:
    """Give the configuration of vLLM engines within the dataset, in place of a server that is asked.

    ``source`` is a folder or a name that vLLM loads weights from, ``gpus`` are those of one engine, and
    ``engine`` are further arguments of vLLM's.
    """
    return vLLMEngineProcessorConfig(
        model_source=source,
        concurrency=replicas,
        batch_size=BUNDLE,
        engine_kwargs={"tensor_parallel_size": gpus, "enable_prefix_caching": True, **(engine or {})},
        should_continue_on_error=True,
    )


class _Stream:
    """The dataset, which a thread of its own reads; ``land`` and ``fail`` are told what comes of it."""

    def __init__(
        self,
        sender: _Sender,
        land: Callable[[str, str], object],
        fail: Callable[[Exception], object],
    ) -> None:
        self._queue: Any = Queue(actor_options={"num_cpus": 0})
        self._land = land
        self._fail = fail
        self._ended = False
        self._put: deque[Any] = deque()
        self._thread = threading.Thread(target=self._read, args=(sender,), name="offline", daemon=True)
        self._thread.start()

    def put(self, row: dict[str, str] | None) -> None:
        """Add a row, or say that there will be no more."""
        # Not waited for; but what was never fetched would be an error that nobody sees.
        self._put.append(self._queue.actor.put.remote(row, None))
        while len(self._put) > 1_000:
            self._put.popleft()

    def end(self) -> None:
        """End it, with what it still holds."""
        self._ended = True
        with contextlib.suppress(Exception):  # the cluster may be gone
            self.put(None)
            self._thread.join(_END_SECONDS)
            self._queue.shutdown(force=True)

    def _read(self, sender: _Sender) -> None:
        try:
            with _quiet(), _context():
                batches: Any = _dataset(self._queue, sender).iter_batches(
                    batch_size=None, prefetch_batches=0, batch_format="pyarrow"
                )
                for batch in batches:
                    for row in batch.to_pylist():
                        if not self._ended:
                            self._land(row["bundle"], row["answers"])
        except Exception as error:
            if not self._ended:
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    self._fail(error)


def _dataset(queue: Any, sender: _Sender) -> ray.data.Dataset:
    """Give the answers to the rows of a queue, as they come."""
    # The address stands in each request, and the headers, which hold the key, with whoever sends them.
    config = HttpRequestProcessorConfig(
        url="http://as.each.request.says",
        session_factory=sender,
        batch_size=1,
        http_request_stage={"num_cpus": _HARDLY_A_CPU},
    )
    share = {"num_cpus": _HARDLY_A_CPU}
    processor = build_processor(
        config,
        preprocess=_as_it_is,
        postprocess=_answers_of,
        preprocess_map_kwargs=share,
        postprocess_map_kwargs=share,
    )
    stage = processor.get_stage_by_name(processor.list_stage_names()[0])
    # One process sends all, for the limit counts in it; by itself, it would take on one row after another.
    rows = max(ROWS_AT_ONCE, 4 * math.ceil(sender.reach.samples / BUNDLE))
    at_once = ray.data.ActorPoolStrategy(
        size=1, max_concurrent_calls_per_actor=rows, max_tasks_in_flight_per_actor=2 * rows
    )
    stage.map_batches_kwargs = stage.map_batches_kwargs | {"compute": at_once}
    return processor(ray.data.read_datasource(_Rows(queue), override_num_blocks=1, num_cpus=_HARDLY_A_CPU))


def _as_it_is(row: dict[str, Any]) -> dict[str, Any]:
    return row


def _answers_of(row: dict[str, Any]) -> dict[str, Any]:
    return {"bundle": row["bundle"], "answers": row["http_response"]["answers"]}


class _Rows(Datasource):
    """The rows of a queue, each as a block of its own, up to a ``None``."""

    def __init__(self, queue: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._queue = queue

    def estimate_inmemory_data_size(self) -> int | None:
        """Nobody knows how many there will be."""
        return None

    def get_read_tasks(
        self,
        parallelism: int,  # noqa: ARG002
        per_task_row_limit: int | None = None,  # noqa: ARG002
        data_context: object = None,  # noqa: ARG002
    ) -> list[ReadTask]:
        """One reads them all."""
        nothing_known = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(functools.partial(_rows, self._queue), nothing_known)]


def _rows(queue: Any) -> Iterator[pa.Table]:
    while (row := queue.get()) is not None:
        yield pa.table({name: [value] for name, value in row.items()})


class _Sender:
    """Sends the requests of bundles from a process of the cluster: Ray's ``session_factory`` and session."""

    def __init__(self, reach: Reach, headers: Mapping[str, str]) -> None:
        self.reach = reach
        self._headers = dict(headers)
        self._connections: Connections | None = None
        self._rooms: dict[str, _Room] = {}

    def __repr__(self) -> str:
        return "_Sender()"  # the headers hold a key

    def __call__(self) -> Self:
        return self  # so that all rows share connections and limit

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        pass

    async def post(self, url: str, *, headers: Mapping[str, str], data: str) -> _Sent:  # noqa: ARG002
        """Send the requests of one row."""
        requests = json.loads(json.loads(data))  # Ray makes JSON of the row's own
        return _Sent(await asyncio.gather(*(self._send(**request) for request in requests)))

    async def _send(self, url: str, body: str) -> dict[str, Any]:
        reach = self.reach
        if self._connections is None:
            self._connections = Connections(reach.timeout, reach.connect_timeout, reach.max_bytes)
        room = self._rooms.setdefault(url, _Room(reach.samples))
        async with room.of(json.loads(body).get("n", 1)):
            try:
                async with asyncio.timeout(reach.timeout):
                    answer = await self._connections.exchange("POST", url, self._headers, body.encode())
            except TooLargeAnswerError:
                return {"error": "large"}
            except MalformedAnswerError as error:
                return {"error": "malformed", "said": str(error)}
            except TimeoutError:
                return {"error": "timeout", "said": f"no answer within {reach.timeout:g} s"}
            except Exception as error:
                return {"error": "connection", "said": str(error)}
        text = base64.b64encode(answer.body).decode()
        return {"status": answer.status, "headers": dict(answer.headers), "body": text}


@dataclass(frozen=True, slots=True)
class _Sent:
    """What came back for a row, as Ray's HTTP stage reads a response."""

    answers: Sequence[Mapping[str, Any]]
    status: int = 200
    reason: str = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        pass

    async def json(self) -> dict[str, str]:
        """Give the answers as a text, so that no table has to find them columns."""
        return {"answers": json.dumps(self.answers)}


class _Room:
    """So many places at a server, given out in the order in which they were wanted."""

    def __init__(self, places: int) -> None:
        self._places = self._free = places
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @contextlib.asynccontextmanager
    async def of(self, count: int) -> AsyncIterator[None]:
        """Hold ``count`` places, or all of them where there are not so many."""
        count = min(count, self._places)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, turn))
        self._serve()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._free += count
            self._serve()

    def _serve(self) -> None:
        while self._waiting and (self._waiting[0][1].cancelled() or self._waiting[0][0] <= self._free):
            count, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._free -= count
                turn.set_result(None)


def _answer(answer: Mapping[str, Any], reach: Reach) -> HttpAnswer:
    """Give an answer as the connection did that it came by, or raise what that raised."""
    match answer.get("error"):
        case None:
            return HttpAnswer(answer["status"], answer["headers"], base64.b64decode(answer["body"]))
        case "large":
            raise TooLargeAnswerError(reach.max_bytes)
        case "malformed":
            raise MalformedAnswerError(answer["said"])
        case kind:
            raise _ERRORS[kind](answer["said"])


@contextlib.contextmanager
def _context() -> Iterator[None]:
    """Have Ray pass on every row at once, and keep its progress to itself."""
    context = ray.data.DataContext.get_current().copy()
    context.target_max_block_size = 1  # a row that waited for others to fill a block might wait for ever
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    with ray.data.DataContext.current(context):
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep from the terminal what Ray Data has to say: it is in its own logs."""
    loggers = [logging.getLogger(name) for name in ("ray.data", "ray.llm")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
