"""The run log of a batch: in a file, which an actor beside the driver owns, or on a PostgreSQL server.

Both are written under the driver's epoch: whoever goes on with the run later begins another, and fences off
what is left of this one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from hypotheses.hypothesis import Solution
from hypotheses.run_log import Event, RunLog
from ray_jobs.hosted import Hosted, HostedLog, start_host
from ray_jobs.job import LogPlace, WorkerLog
from sandboxes import RunLogError

OWNER_SECONDS = 60.0
"""How long an earlier owner of the file may take to die, before it is somebody who lives."""


class BatchLog(Protocol):
    """The log as the driver uses it."""

    @property
    def place(self) -> LogPlace:
        """What workers open it by."""
        ...

    async def lease(self, task_ids: Sequence[str], holder: str, *, shared: bool = False) -> list[int]:
        """Lease tasks to a worker; give the tokens under which they may be recorded."""
        ...

    async def finished_among(self, task_ids: Sequence[str]) -> set[str]:
        """Give those that have their solution."""
        ...

    async def solution(self, task_id: str) -> Solution | None:
        """Give the solution of a task."""
        ...

    async def note(self, events: Sequence[Event]) -> None:
        """Add to the timeline."""
        ...

    async def signals(self, after: int) -> list[tuple[int, str]]:
        """Give what was asked of the run from outside."""
        ...

    async def close(self) -> None:
        """Let go of the log."""
        ...


@dataclass(frozen=True, slots=True)
class HostedPlace:
    """A log that an actor owns."""

    hosted: Hosted

    def open(self) -> WorkerLog:
        """Open the log."""
        return HostedLog(self.hosted)


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """A log on a server, which each worker writes by a connection of its own."""

    address: str
    epoch: int

    def __repr__(self) -> str:
        return "ServerPlace()"  # the address may hold a password

    def open(self) -> WorkerLog:
        """Open the log."""
        return RunLog.join(self.address, self.epoch)


class FileLog:
    """The log in a file, which an actor on the driver's node owns."""

    def __init__(self, path: Path, epoch: int, node_id: str) -> None:
        """Start the actor. Raises ``RunLogError`` where the file cannot be written."""
        self._hosted = start_host(partial(_own, path, epoch), f"the run log {path}", node_id)

    @property
    def place(self) -> LogPlace:
        """What workers open it by."""
        return HostedPlace(self._hosted)

    async def lease(self, task_ids: Sequence[str], holder: str, *, shared: bool = False) -> list[int]:
        """Lease tasks to a worker."""
        tokens: list[int] = await self._hosted.acall("lease", task_ids, holder, shared=shared)
        return tokens

    async def finished_among(self, task_ids: Sequence[str]) -> set[str]:
        """Give those that have their solution."""
        found: set[str] = await self._hosted.acall("finished_among", task_ids)
        return found

    async def solution(self, task_id: str) -> Solution | None:
        """Give the solution of a task."""
        found: Solution | None = await self._hosted.acall("solution", task_id)
        return found

    async def note(self, events: Sequence[Event]) -> None:
        """Add to the timeline."""
        await self._hosted.acall("note", events)

    async def signals(self, after: int) -> list[tuple[int, str]]:
        """Give what was asked of the run from outside."""
        found: list[tuple[int, str]] = await self._hosted.acall("signals", after)
        return found

    async def close(self) -> None:
        """Have the actor close the file and end."""
        await self._hosted.close()


class ServerLog:
    """The log on a server. ``log`` is open for writing, and is closed with this."""

    def __init__(self, log: RunLog, address: str) -> None:
        self._log = log
        self._address = address

    @property
    def place(self) -> LogPlace:
        """What workers open it by."""
        return ServerPlace(self._address, self._log.epoch)

    async def lease(self, task_ids: Sequence[str], holder: str, *, shared: bool = False) -> list[int]:
        """Lease tasks to a worker."""
        return await asyncio.to_thread(self._log.lease, task_ids, holder, shared=shared)

    async def finished_among(self, task_ids: Sequence[str]) -> set[str]:
        """Give those that have their solution."""
        return await asyncio.to_thread(self._log.finished_among, task_ids)

    async def solution(self, task_id: str) -> Solution | None:
        """Give the solution of a task."""
        return await asyncio.to_thread(self._log.solution, task_id)

    async def note(self, events: Sequence[Event]) -> None:
        """Add to the timeline."""
        await asyncio.to_thread(self._log.note, events)

    async def signals(self, after: int) -> list[tuple[int, str]]:
        """Give what was asked of the run from outside."""
        return await asyncio.to_thread(self._log.signals, after)

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self._log.close)


def _own(path: Path, epoch: int) -> RunLog:
    """Open the file in an epoch that is begun; an owner that was killed may take a moment to be gone."""
    deadline = time.monotonic() + OWNER_SECONDS
    wait = 0.05
    while True:
        try:
            return RunLog.join(path, epoch)
        except RunLogError as error:
            if "being written by another process" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(wait)
        wait = min(1.0, 2 * wait)
