"""What vLLM tells of itself at ``/metrics``, in Prometheus' text format."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypotheses.models.connections import Connections

_SECONDS = 5.0
_MAX_BYTES = 4_000_000
_MOST = 1e18  # no server has done so much; sums stay finite

# With the names that older servers have.
_GAUGES: Mapping[str, tuple[str, ...]] = {
    "running": ("num_requests_running",),
    "waiting": ("num_requests_waiting",),
    "kv_cache_usage": ("kv_cache_usage_perc", "gpu_cache_usage_perc"),
}
_COUNTERS: Mapping[str, tuple[str, ...]] = {
    "prompt_tokens": ("prompt_tokens_total",),
    "generation_tokens": ("generation_tokens_total",),
    "prefix_cache_hits": ("prefix_cache_hits_total", "gpu_prefix_cache_hits_total"),
    "prefix_cache_queries": ("prefix_cache_queries_total", "gpu_prefix_cache_queries_total"),
    "preemptions": ("num_preemptions_total",),
    "queue_seconds_sum": ("request_queue_time_seconds_sum",),
    "queue_count": ("request_queue_time_seconds_count",),
}
_NAMES = frozenset(name for names in (*_GAUGES.values(), *_COUNTERS.values()) for name in names)
_NAME = re.compile(r"vllm:(\w{1,80})")
_NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,4})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ServerMetrics:
    """The state of a server, summed over its engines and models; ``None`` is what it does not say.

    ``running``               requests that it works on …
    ``waiting``               … and that wait for room
    ``kv_cache_usage``        the share of the key-value cache in use, 0 to 1, of the fullest engine
    ``prompt_tokens``         tokens read since it started …
    ``generation_tokens``     … and written
    ``prefix_cache_queries``  tokens looked up in the prefix cache …
    ``prefix_cache_hits``     … and found there
    ``preemptions``           requests put off for want of room in the cache
    ``queue_seconds_sum``     seconds that requests waited, together …
    ``queue_count``           … and how many requests these were
    """

    running: float | None = None
    waiting: float | None = None
    kv_cache_usage: float | None = None
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    prefix_cache_hits: float | None = None
    prefix_cache_queries: float | None = None
    preemptions: float | None = None
    queue_seconds_sum: float | None = None
    queue_count: float | None = None

    def since(self, earlier: ServerMetrics) -> ServerMetrics:
        """Give what was counted since ``earlier``; what is no count stays as it is now.

        A count that is lower than before began anew, with the server.
        """
        counted = {name: _grown(getattr(earlier, name), getattr(self, name)) for name in _COUNTERS}
        return replace(self, **counted)


def parse_metrics(text: str) -> ServerMetrics:
    """Read vLLM's metrics. What is no metric of vLLM's, or no sensible number, is passed over."""
    sums: dict[str, float] = {}
    for line in text[:_MAX_BYTES].split("\n"):
        found = _NAME.match(line)
        if found is None or found[1] not in _NAMES:
            continue
        # Labels may hold anything, but what follows them holds no brace.
        value = _value(line[found.end() :].rpartition("}")[2])
        if value is None:
            continue
        name, before = found[1], sums.get(found[1], 0.0)
        sums[name] = max(before, value) if name in _GAUGES["kv_cache_usage"] else before + value
    values: dict[str, float | None] = {
        name: next((sums[known] for known in names if known in sums), None)
        for name, names in {**_GAUGES, **_COUNTERS}.items()
    }
    return ServerMetrics(**values)


async def read_metrics(base_url: str, connections: Connections | None = None) -> ServerMetrics | None:
    """Ask the server whose API is at ``base_url`` for its metrics, in 5 seconds.

    ``None`` where it has none, is not vLLM, or does not answer. No key is sent: vLLM wants none there. Who
    asks often passes ``connections`` from ``open_connections``, and closes them.
    """
    own = connections is None
    connections = connections or open_connections()
    url = f"{base_url.rstrip('/').removesuffix('/v1')}/metrics"
    try:
        async with asyncio.timeout(_SECONDS):
            answer = await connections.exchange("GET", url, {})
    except Exception:  # metrics are a courtesy, and a server can fail in any way
        return None
    finally:
        if own:
            await connections.aclose()
    metrics = parse_metrics(answer.body.decode(errors="replace")) if answer.status == HTTPStatus.OK else None
    return None if metrics == ServerMetrics() else metrics


def open_connections() -> Connections:
    """Open connections to ask for metrics through. They belong to the event loop that first uses them."""
    from hypotheses.models.connections import Connections  # noqa: PLC0415 - needs the extra ``models``

    return Connections(_SECONDS, _SECONDS, _MAX_BYTES)


def _value(text: str) -> float | None:
    """Read the number after a metric's name, which may be followed by a time."""
    words = text.split(None, 1)
    if not words or not _NUMBER.fullmatch(words[0]):
        return None
    value = float(words[0])
    return value if math.isfinite(value) and 0 <= value <= _MOST else None


def _grown(before: float | None, now: float | None) -> float | None:
    if before is None or now is None:
        return None
    return now if now < before else now - before
