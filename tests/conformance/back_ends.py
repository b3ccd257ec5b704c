"""The back ends that the conformance suite runs on. Add one here, and it has to pass all of it."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import container_engine

from sandboxes import EmbeddedSandbox, Environment, Execution, Sandbox
from sandboxes.fast_path import FastSandbox
from sandboxes.remote.background import remote_back_end


@dataclass(frozen=True)
class BackEnd:
    """How to open a sandbox, and why that is not possible here, ``None`` where it is."""

    name: str
    open: Callable[[], Sandbox]
    skip_reason: Callable[[], str | None]


class Loopback:
    """A sandbox on the other side of a socket, whose service ends with it."""

    def __init__(self) -> None:
        self._service = contextlib.ExitStack()
        self._sandbox = self._service.enter_context(remote_back_end(servers=1))

    @property
    def concurrency(self) -> int:
        return self._sandbox.concurrency

    @property
    def environment(self) -> Environment:
        return self._sandbox.environment

    def run(self, *arguments: Any) -> list[Execution]:
        return self._sandbox.run(*arguments)

    def close(self) -> None:
        self._sandbox.close()
        self._service.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _needs_linux() -> str | None:
    return None if sys.platform.startswith("linux") else "the embedded sandbox needs Linux"


def _needs_monty() -> str | None:
    return _needs_linux() or (
        None if importlib.util.find_spec("pydantic_monty") else "the fast path needs the extra monty"
    )


BACK_ENDS = [
    # One server: what a program leaves behind would meet the next one.
    BackEnd("embedded", lambda: EmbeddedSandbox(servers=1), _needs_linux),
    BackEnd("docker", container_engine.docker_back_end, container_engine.skip_reason),
    BackEnd("remote", Loopback, _needs_linux),
    BackEnd("embedded + monty", lambda: FastSandbox(EmbeddedSandbox(servers=1)), _needs_monty),
]
