"""Runs a program through fork servers: as many forks as it takes to have a result for every input."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from sandboxes.errors import SandboxError
from sandboxes.execution import Execution, Status
from sandboxes.guest import wire
from sandboxes.guest.values import NotDataError, loads
from sandboxes.server_process import ServerDiedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxes.limits import Limits
    from sandboxes.program import Program
    from sandboxes.server_pool import ServerPool
    from sandboxes.server_process import ServerProcess

WALL_FACTOR, WALL_EXTRA = 10.0, 2.0
"""Wall-clock limit of an input: ten times its CPU seconds, and two seconds more. It is for programs that
sleep; a busy machine must not be mistaken for one."""

SILENCE_SECONDS = 30.0
"""How long beyond an input's wall-clock limit a server may be silent before it is taken for dead."""

_MAX_ERROR = 1000
_REPORTED: tuple[Status, ...] = ("ok", "raised", "out_of_memory", "bad_output")


def run_program(pool: ServerPool, program: Program, inputs: Sequence[str], limits: Limits) -> list[Execution]:
    """Run ``program`` on ``inputs``, which are JSON texts; fork anew after each input that it dies on.

    A server that fails is replaced once. Raises ``SandboxError`` where the second fails too, and
    ``ValueError`` where program and inputs are too long to travel.
    """
    executions: list[Execution] = []
    failed_before = False
    while len(executions) < len(inputs):
        try:
            with pool.lend() as server:
                while len(executions) < len(inputs):
                    executions += _run_fork(server, program, inputs[len(executions) :], limits)
        except ServerDiedError as error:
            if failed_before:
                raise SandboxError(
                    f"the sandbox's server failed twice: {error}; see whether this machine is out of memory"
                ) from error
            failed_before = True
    return executions


def _run_fork(
    server: ServerProcess, program: Program, inputs: Sequence[str], limits: Limits
) -> list[Execution]:
    """Run a program in one fork, as far as it gets: on all inputs, or to the one it dies on.

    A module that fails or dies does so for all inputs. Raises ``ServerDiedError``.
    """
    wall_seconds = WALL_FACTOR * limits.seconds + WALL_EXTRA
    server.send(_request(program, inputs, limits, wall_seconds))
    executions: list[Execution] = []
    loaded = forged = False
    while True:
        kind, payload = server.receive(wall_seconds + SILENCE_SECONDS)
        if kind == wire.LOADED:
            loaded = True
        elif kind == wire.END:
            end = json.loads(payload)
            if end and not forged:
                execution = Execution(end["status"], error=end["error"], seconds=end["seconds"])
                executions += [execution] if loaded else [execution] * len(inputs)
            return executions
        elif kind not in (wire.RESULT, wire.LAST, wire.FAILED):
            raise ServerDiedError(payload.decode("utf-8", "replace"))
        elif not forged:
            try:
                execution = _read_execution(payload, limits)
            except NotDataError:
                forged = True
                execution = Execution("killed", error="the program forged a message")
            executions += [execution] * len(inputs) if kind == wire.FAILED else [execution]


def _request(program: Program, inputs: Sequence[str], limits: Limits, wall_seconds: float) -> bytes:
    request = {
        "inputs": len(inputs),
        "seconds": limits.seconds,
        "wall_seconds": wall_seconds,
        "memory_mb": limits.memory_mb,
        "output_bytes": min(limits.output_bytes, wire.MAX_FRAME // 8),
    }
    head = {"source": program.source, "entry_point": program.entry_point, "call": program.call}
    body = f'{json.dumps(head)[:-1]}, "inputs": [{", ".join(inputs)}]}}'.encode()
    if len(body) > wire.MAX_FRAME:
        raise ValueError(
            f"the program and its inputs take {len(body)} bytes as JSON, and {wire.MAX_FRAME} can travel; "
            "run it on fewer inputs at a time"
        )
    return wire.frame(wire.REQUEST, json.dumps(request).encode()) + wire.frame(wire.PROGRAM, body)


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
