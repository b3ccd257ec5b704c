"""Runs a program through fork servers: as many forks as it takes to have a result for every input."""

from __future__ import annotations

import json
import math
import random
import re
import time
from typing import TYPE_CHECKING

from sandboxes.cancellation import Cancellation
from sandboxes.connection import ServerDiedError, UnreachableError
from sandboxes.errors import SandboxError
from sandboxes.execution import Execution, Status
from sandboxes.guest import wire
from sandboxes.guest.modules import CORE, LIBRARY
from sandboxes.guest.values import NotDataError, loads

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sandboxes.connection import Connection, Hello
    from sandboxes.limits import Limits
    from sandboxes.program import Program
    from sandboxes.server_pool import ServerPool

WALL_FACTOR, WALL_EXTRA = 10.0, 2.0
"""Wall-clock limit of an input: ten times its CPU seconds, and two seconds more. It is for programs that
sleep; a busy machine must not be mistaken for one."""

SILENCE_SECONDS = 30.0
"""How long beyond an input's wall-clock limit a server may be silent before it is taken for dead."""

DEATHS = 2
"""How many servers may die under one run, each replaced by another. A program that brings down every one of
them is more likely to be the cause than not, and must not go on for ever."""

_IMPORTED = re.compile(r"^[ \t]*(?:import|from)[ \t]+(\w+)", re.MULTILINE)
_MAX_ERROR = 1000
_DEATHS: tuple[Status, ...] = ("timed_out", "out_of_memory", "killed")
_REPORTED: tuple[Status, ...] = ("ok", "raised", "out_of_memory", "bad_output")


def run_program(
    pool: ServerPool,
    program: Program,
    inputs: Sequence[str],
    limits: Limits,
    cancellation: Cancellation | None = None,
) -> list[Execution]:
    """Run ``program`` on ``inputs``, which are JSON texts; fork anew after each input that it dies on.

    A server that fails is replaced, ``DEATHS`` times at most. Where none can be reached the pool's patience
    counts. Raises ``SandboxError`` beyond that, ``RunCancelledError``, and ``ValueError`` where program and
    inputs are too long to travel.
    """
    cancellation = cancellation or Cancellation()
    executions: list[Execution] = []
    packages: frozenset[str] | None = None
    deaths = 0
    backoff = _Backoff(pool, cancellation)
    _body(program, inputs)  # what cannot travel is refused before a server is taken
    while len(executions) < len(inputs):
        try:
            with pool.lend(cancellation) as server:
                obtainable = _obtainable(program, server.hello.packages)
                if packages is None:
                    packages = _mentioned(program, inputs, obtainable)
                while len(executions) < len(inputs):
                    fork = _Fork(packages & obtainable, obtainable, limits)
                    found = fork.run(server, program, inputs[len(executions) :])
                    packages |= fork.wanted and {*fork.wanted, LIBRARY}
                    executions += found
                    backoff = _Backoff(
                        pool, cancellation
                    )  # a service that is busy has been reached, yet not had
        except ServerDiedError as error:
            deaths += 1
            if deaths > DEATHS:
                raise SandboxError(
                    f"the sandbox's server failed {deaths} times: {error}; see whether its machine is "
                    "out of memory"
                ) from error
        except UnreachableError as error:
            backoff.wait(error)
    return executions


def longest_run(limits: Limits, inputs: int) -> float:
    """Give the seconds after which a run that has a server must be over, whatever the program does.

    The module may run again for each input. Not counted are servers that die, which are replaced, and the
    program's first wish for a package.
    """
    return max(2 * inputs, 1) * _wall_seconds(limits) + SILENCE_SECONDS


def ask_hello(pool: ServerPool) -> Hello:
    """Give what the pool's servers say of themselves; start one where there is none yet.

    Raises ``SandboxError`` where that is impossible, after the pool's patience where it may pass.
    """
    cancellation = Cancellation()
    backoff = _Backoff(pool, cancellation)
    while pool.hello is None:
        try:
            with pool.lend(cancellation) as server:
                return server.hello
        except UnreachableError as error:
            backoff.wait(error)
    return pool.hello


class _Backoff:
    """Waits longer and longer for a server that cannot be reached, until the pool's patience is at an end."""

    def __init__(self, pool: ServerPool, cancellation: Cancellation) -> None:
        self._pool = pool
        self._cancellation = cancellation
        self._seconds = 0.05
        self._deadline: float | None = None

    def wait(self, error: UnreachableError) -> None:
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._pool.patience
        left = self._deadline - now
        if left <= 0:
            raise error
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 - so that many callers do not come back all at once
        self._pool.wait(min(self._seconds * jitter, left), self._cancellation)
        self._seconds = min(2 * self._seconds, 2.0)


def _obtainable(program: Program, packages: Iterable[str]) -> frozenset[str]:
    allowed = frozenset(packages)
    return (allowed if program.packages is None else allowed & program.packages) | {LIBRARY}


def _mentioned(program: Program, inputs: Sequence[str], packages: Iterable[str]) -> frozenset[str]:
    """Guess which packages the program will import; one that it imports by surprise, it will want."""
    found = {name for name in packages if name in program.source}
    if program.call == "grid_ndarray" or any('"$ndarray"' in text for text in inputs):
        found.add("numpy")
    if found or not {*_IMPORTED.findall(program.source)}.issubset(CORE):
        found.add(LIBRARY)
    return frozenset(found)


def _wall_seconds(limits: Limits) -> float:
    return WALL_FACTOR * limits.seconds + WALL_EXTRA


class _Fork:
    """A program in one fork, with some packages loaded and more of them obtainable."""

    def __init__(self, packages: frozenset[str], obtainable: frozenset[str], limits: Limits) -> None:
        self._packages = packages
        self._more = obtainable - packages
        self._limits = limits
        self.wanted: frozenset[str] = frozenset()

    def run(self, server: Connection, program: Program, inputs: Sequence[str]) -> list[Execution]:
        """Run the program as far as it gets: on all inputs, or to the one it dies on.

        A module that fails or dies does so for all inputs. Where the program turns out to want a package, it
        is named in ``wanted``, and there are no executions. Raises ``ServerDiedError``.
        """
        limits = self._limits
        server.send(self._request(program, inputs))
        executions: list[Execution] = []
        loaded = forged = False
        frames = 0
        while frames < len(inputs) + 3:  # LOADED, one for each input, at most a wish, END
            kind, payload = server.receive(_wall_seconds(limits) + SILENCE_SECONDS)
            frames += kind != wire.WAITING
            if kind == wire.LOADED:
                loaded = True
            elif kind == wire.END:
                death = _read_death(payload)
                if self.wanted:
                    return []
                if death is not None and not forged:
                    executions += [death] if loaded else [death] * len(inputs)
                if not 0 < len(executions) <= len(inputs):
                    raise ServerDiedError("it broke the protocol: a wrong number of results")
                return executions
            elif kind == wire.WANT and payload.decode("utf-8", "replace") in self._more:
                self.wanted = frozenset({payload.decode()})
            elif kind in (wire.RESULT, wire.LAST, wire.FAILED, wire.WANT):
                if forged:
                    continue
                try:
                    execution = _read_execution(payload, limits)
                except NotDataError:
                    forged = True
                    execution = Execution("killed", error="the program forged a message")
                executions += [execution] * (1 if loaded else len(inputs))
            elif kind == wire.BUSY:
                raise UnreachableError("the sandbox service has too many requests already; try again later")
            elif kind == wire.REFUSED:
                raise SandboxError(
                    f"the sandbox service refuses: {_one_line(payload.decode('utf-8', 'replace'))}"
                )
            elif kind != wire.WAITING:
                raise ServerDiedError(payload.decode("utf-8", "replace"))
        raise ServerDiedError("it broke the protocol: more frames than there can be")

    def _request(self, program: Program, inputs: Sequence[str]) -> bytes:
        limits = self._limits
        request = {
            "inputs": len(inputs),
            "seconds": limits.seconds,
            "wall_seconds": _wall_seconds(limits),
            "memory_mb": limits.memory_mb,
            "output_bytes": min(limits.output_bytes, wire.MAX_FRAME // 8),
            "packages": sorted(self._packages),
            "obtainable": sorted(self._more),
        }
        body = _body(program, inputs)
        return wire.frame(wire.REQUEST, json.dumps(request).encode()) + wire.frame(wire.PROGRAM, body)


def _body(program: Program, inputs: Sequence[str]) -> bytes:
    head = {"source": program.source, "entry_point": program.entry_point, "call": program.call}
    body = f'{json.dumps(head)[:-1]}, "inputs": [{", ".join(inputs)}]}}'.encode()
    if len(body) > wire.MAX_FRAME:
        raise ValueError(
            f"program and inputs take {len(body)} bytes as JSON, and {wire.MAX_FRAME} can travel; "
            "run it on fewer inputs at a time"
        )
    return body


def _read_death(payload: bytes) -> Execution | None:
    """Read what a server says of a fork's end: ``None`` where it had a result for each input before."""
    try:
        fields = json.loads(payload)
        if fields == {}:
            return None
        status, error, seconds = fields["status"], fields["error"], float(fields["seconds"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as cause:
        raise ServerDiedError("it broke the protocol: not the end of a fork") from cause
    if status not in _DEATHS or not isinstance(error, str) or not math.isfinite(seconds):
        raise ServerDiedError("it broke the protocol: not the end of a fork")
    return Execution(status, error=_one_line(error), seconds=seconds)


def _read_execution(payload: bytes, limits: Limits) -> Execution:
    """Read what a child sent, which a program may have forged. Raises ``NotDataError``."""
    head, _, rest = payload.partition(b"\n")
    value, _, printed = rest.partition(b"\n")
    if len(head) > wire.MAX_HEAD or max(len(value), len(printed)) > limits.output_bytes:
        raise NotDataError("more than a result may hold")  # before time and memory go into reading it
    try:
        fields = json.loads(head)
        status, error, seconds = fields["status"], fields["error"], float(fields["seconds"])
        stdout = printed.decode()
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as cause:
        raise NotDataError("not a result") from cause
    if (
        status not in _REPORTED
        or type(error) is not (type(None) if status == "ok" else str)
        or not 0 <= seconds < math.inf
    ):
        raise NotDataError("not a result")
    return Execution(status, loads(value), _one_line(error), stdout, seconds)


def _one_line(error: str | None) -> str | None:
    """Keep what cannot be printed, such as a terminal's control sequences, out of an error."""
    if error is None:
        return None
    printable = "".join(character if character.isprintable() else " " for character in error[:_MAX_ERROR])
    return " ".join(printable.split())
