"""Several streams at the same time, read in a fixed order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def in_order(streams: Sequence[AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
    """Run all streams at once, and yield first all of the first, then all of the second, and so on.

    The order is thereby the same however fast each of them is. Closing ends them all; the first error, in
    that order, ends the whole.
    """
    queues: list[asyncio.Queue[T | _End]] = [asyncio.Queue() for _ in streams]

    async def pump(stream: AsyncGenerator[T, None], queue: asyncio.Queue[T | _End]) -> None:
        error: Exception | None = None
        try:
            async with aclosing(stream):
                async for item in stream:
                    queue.put_nowait(item)
        except Exception as caught:
            error = caught
        queue.put_nowait(_End(error))

    pumps = [asyncio.create_task(pump(s, q)) for s, q in zip(streams, queues, strict=True)]
    try:
        for queue in queues:
            while not isinstance(item := await queue.get(), _End):
                yield item
            if item.error is not None:
                raise item.error
    finally:
        for running in pumps:
            running.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


class _End:
    def __init__(self, error: Exception | None) -> None:
        self.error = error


def shares(total: int, parts: int) -> list[int]:
    """Split ``total`` into ``parts`` nearly equal shares, the larger ones first."""
    return [total // parts + (part < total % parts) for part in range(parts)]
