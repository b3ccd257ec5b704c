"""What only one process may own, such as an SQLite file, is owned by an actor whose methods others call.

An actor that dies is started again by Ray, on the same node, and makes what it owns anew; calls that it had
not answered are made again. So whatever is hosted must bear a call twice.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hypotheses.hypothesis import Completion, Solution, Trace
from hypotheses.models.chat import ChatRequest
from hypotheses.task import Task
from memory import Concept, Outcome, Recalled, RecallQuery
from ray_jobs.wording import first_line
from sandboxes import ClusterError

T = TypeVar("T")

MOST_ITEMS = 5_000
"""So many items of what is iterated over come in one answer."""


class Host(Generic[T]):
    """The actor: owns what ``make`` gives, from the first call on, which can so raise what that raises."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._owned: T | None = None

    def open(self) -> None:
        """Make what is owned. Raises what ``make`` raises."""
        if self._owned is None:
            self._owned = self._make()

    def call(self, name: str, given: tuple[tuple[Any, ...], dict[str, Any]]) -> Any:
        """Call a method of what is owned, or give the value of an attribute."""
        self.open()
        args, named = given
        found = getattr(self._owned, name)
        result = found(*args, **named) if callable(found) else found
        return list(itertools.islice(result, MOST_ITEMS)) if isinstance(result, Iterator) else result

    def close(self) -> None:
        """Close what is owned."""
        close = getattr(self._owned, "close", None)
        if close is not None:
            close()
        self._owned = None


class Hosted:
    """A handle of a ``Host`` in whatever process: it can be passed on to others."""

    def __init__(self, handle: Any, what: str) -> None:
        self._handle = handle
        self._what = what

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._handle, self._what)

    def open(self) -> None:
        """See to it that there is what is owned; what making it raises is raised here."""
        with _own_errors(self._what):
            ray.get(self._handle.open.remote())

    def call(self, name: str, *args: Any, **named: Any) -> Any:
        """Call a method and wait for its result; what it raises is raised here."""
        with _own_errors(self._what):
            # In one piece: what is the same object here is to be the same there.
            return ray.get(self._handle.call.remote(name, (args, named)))

    async def acall(self, name: str, *args: Any, **named: Any) -> Any:
        """Call a method and await its result; what it raises is raised here."""
        with _own_errors(self._what):
            return await self._handle.call.remote(name, (args, named))

    async def close(self) -> None:
        """Close what is owned, and end the actor."""
        with _own_errors(self._what):
            await self._handle.close.remote()
        ray.kill(self._handle)


def start_host(make: Callable[[], Any], what: str, node_id: str) -> Hosted:
    """Start an actor on a node that owns what ``make`` gives; ``what`` is what messages call it.

    Raises what ``make`` raises, and ``ClusterError`` where the actor cannot be started.
    """
    actor: Any = ray.remote(Host)
    handle = actor.options(
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=-1,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
    ).remote(make)
    hosted = Hosted(handle, what)
    hosted.open()
    return hosted


@contextlib.contextmanager
def _own_errors(what: str) -> Iterator[None]:
    """Turn what Ray says of a failed call into the error that the call raised, or into ours."""
    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, Exception):
            raise error.cause from None
        raise
    except RayActorError as error:
        raise ClusterError(f"{what} cannot be reached any more: {first_line(error)}") from error


class HostedLog:
    """A run log as workers see it: completions are kept and recalled, finished tasks recorded."""

    def __init__(self, hosted: Hosted) -> None:
        self._hosted = hosted

    def recall(self, key: str, first: int, n: int) -> Sequence[Completion]:
        """Give those of the samples ``first`` … ``first + n - 1`` that are kept, by sample."""
        found: Sequence[Completion] = self._hosted.call("recall", key, first, n)
        return found

    def keep(self, request: ChatRequest, completions: Sequence[Completion]) -> None:
        """Keep completions of one request: when this returns they survive the death of the process."""
        self._hosted.call("keep", request, completions)

    def record(self, task: Task, trace: Trace, solution: Solution, token: int | None = None) -> bool:
        """Record a finished task; ``False`` where another's solution stands."""
        return bool(self._hosted.call("record", task, trace, solution, token))

    def enter(self, environment: Any) -> bool:
        """Record what programs run in from now on; give whether it is what they ran in so far."""
        return bool(self._hosted.call("enter", environment))

    def close(self) -> None:
        """Leave the log to its owner."""


class HostedMemory:
    """A memory as an experience sees it."""

    def __init__(self, hosted: Hosted) -> None:
        self._hosted = hosted

    @property
    def frozen(self) -> bool:
        """Whether nothing can be learned."""
        return bool(self._hosted.call("frozen"))

    @property
    def clock(self) -> int:
        """How many tasks have been finished with it."""
        return int(self._hosted.call("clock"))

    def recall(self, query: RecallQuery, most: int = 8) -> list[Recalled]:
        """Give what fits a query, the best first."""
        found: list[Recalled] = self._hosted.call("recall", query, most)
        return found

    def concepts(self, *, archived: bool = False, newest_first: bool = False) -> Iterator[Concept]:
        """Give concepts, some thousands at most."""
        return iter(self._hosted.call("concepts", archived=archived, newest_first=newest_first))

    def add(self, concepts: Sequence[Concept]) -> list[str]:
        """Add concepts, and give their ids."""
        ids: list[str] = self._hosted.call("add", concepts)
        return ids

    def update(self, concept_id: str, concept: Concept) -> int:
        """Give a concept a new version."""
        return int(self._hosted.call("update", concept_id, concept))

    def extend(self, concept_id: str, concept: Concept) -> int:
        """Add to a concept's parameters, cues and notes."""
        return int(self._hosted.call("extend", concept_id, concept))

    def count(self, ids: Sequence[str], **counts: int) -> None:
        """Count how concepts fared."""
        self._hosted.call("count", ids, **counts)

    def finish(self, outcome: Outcome) -> int:
        """Note that a task is done, and give the clock."""
        return int(self._hosted.call("finish", outcome))

    def close(self) -> None:
        """Leave the memory to its owner."""
