"""The back ends that the conformance suite runs on. Add one here, and it has to pass all of it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass

from sandboxes import EmbeddedSandbox, Sandbox
from sandboxes.fast_path import FastSandbox


@dataclass(frozen=True)
class BackEnd:
    """How to open a sandbox, and why that is not possible here, ``None`` where it is."""

    name: str
    open: Callable[[], Sandbox]
    skip_reason: Callable[[], str | None]


def _needs_linux() -> str | None:
    return None if sys.platform.startswith("linux") else "the embedded sandbox needs Linux"


def _needs_monty() -> str | None:
    return _needs_linux() or (
        None if importlib.util.find_spec("pydantic_monty") else "the fast path needs the extra monty"
    )


BACK_ENDS = [
    # One server: what a program leaves behind would meet the next one.
    BackEnd("embedded", lambda: EmbeddedSandbox(servers=1), _needs_linux),
    BackEnd("embedded + monty", lambda: FastSandbox(EmbeddedSandbox(servers=1)), _needs_monty),
]
