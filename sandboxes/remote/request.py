"""What a client asks for, checked before a server hears of it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandboxes.fork_runner import WALL_EXTRA, WALL_FACTOR
from sandboxes.guest import wire

if TYPE_CHECKING:
    from collections.abc import Collection

LONGEST_REQUEST = 1 << 16
"""Bytes of the longest request, which holds a few numbers and the names of packages."""

_KEYS = {"inputs", "seconds", "wall_seconds", "memory_mb", "output_bytes", "packages", "obtainable"}


class RefusedError(Exception):
    """The service does not do what the client asks for; the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What each client may have at most.

    ``in_flight``     runs at the same time, ``None`` for as many as there are servers
    ``waiting``       requests that wait for a server; one more is turned away
    ``inputs``        inputs of one request, for all of which it keeps its server
    ``program_bytes`` bytes of a program and its inputs as JSON; reading them takes some twenty times as many
    ``seconds``       CPU seconds for an input
    ``memory_mb``     mebibytes of a program
    ``output_bytes``  bytes of an encoded value, and of what is printed

    Raises ``ValueError`` for a limit that is not positive.
    """

    in_flight: int | None = None
    waiting: int = 256
    inputs: int = 10_000
    program_bytes: int = 16 * 1024 * 1024
    seconds: float = 60.0
    memory_mb: int = 2048
    output_bytes: int = wire.MAX_FRAME // 8

    def __post_init__(self) -> None:
        for name in (
            "in_flight",
            "waiting",
            "inputs",
            "program_bytes",
            "seconds",
            "memory_mb",
            "output_bytes",
        ):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ValueError(f"ClientLimits.{name} must be positive and finite, not {value!r}")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A request that was found to be sound."""

    payload: bytes
    wall_seconds: float


def read_request(payload: bytes, limits: ClientLimits, packages: Collection[str]) -> RunRequest:
    """Check a request against the limits and the packages that there are. Raises ``RefusedError``.

    What a server gets is written anew from what was checked, so that nothing else reaches it.
    """
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError):
        raise RefusedError("the request is not JSON") from None
    if not isinstance(fields, dict) or set(fields) != _KEYS:
        raise RefusedError(
            "the request does not have the fields that it should; is the client's induce older?"
        )
    _whole("inputs", fields["inputs"], limits.inputs)
    _at_most("seconds", fields["seconds"], limits.seconds)
    _at_most("wall_seconds", fields["wall_seconds"], WALL_FACTOR * limits.seconds + WALL_EXTRA)
    _whole("memory_mb", fields["memory_mb"], limits.memory_mb)
    _whole("output_bytes", fields["output_bytes"], limits.output_bytes)
    for name in ("packages", "obtainable"):
        _packages(name, fields[name], packages)
    return RunRequest(json.dumps(fields).encode(), fields["wall_seconds"])


def _at_most(name: str, value: Any, cap: float) -> None:
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise RefusedError(f"{name} is not a positive number")
    if value > cap:
        raise RefusedError(
            f"{name}={str(value)[:20]} is more than the {cap:g} that a client may use; lower the limit"
        )


def _whole(name: str, value: Any, cap: int) -> None:
    if type(value) is not int:
        raise RefusedError(f"{name} is not a whole number")
    _at_most(name, value, cap)


def _packages(name: str, value: Any, known: Collection[str]) -> None:
    """Let through one way only to write each set: a server has a process for each list that it has met."""
    if not isinstance(value, list) or not all(isinstance(package, str) for package in value):
        raise RefusedError(f"{name} is not a list of names")
    if value != sorted(set(value)):
        raise RefusedError(f"{name} is not in order")
    if not set(value).issubset(known):
        raise RefusedError(f"{name} holds a package that programs cannot import here")
