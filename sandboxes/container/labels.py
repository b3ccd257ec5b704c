"""How a container tells whose it is, so that it can be removed once nobody is."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

SANDBOX = "induce.sandbox"
"""On every container: the sandbox that it belongs to."""

VERSION = "induce.version"
IMAGE = "induce.sandbox.image"
"""On every image that was built for the purpose: the hash of what it was built from."""

IMAGE_PYTHON = "induce.sandbox.python"
"""On such an image: the version of its Python."""

INTERPRETER = "induce.sandbox.interpreter"
"""On such an image: the path of its Python; ``python3`` otherwise."""

SCRATCH = "induce.sandbox.scratch"
"""On such an image: the folder that a container may write to; ``/tmp`` otherwise."""

_MACHINE, _PID, _STARTED = "induce.owner.machine", "induce.owner.pid", "induce.owner.started"


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: where, which one, and since when, as process ids are used again.

    ``machine`` is one boot of one machine, and the process's namespace on it.
    """

    machine: str
    pid: int
    started: str

    @classmethod
    def this_process(cls) -> Self:
        """Say who we are."""
        return cls(_this_machine(), os.getpid(), _started(os.getpid()))

    @classmethod
    def read(cls, labels: Mapping[str, str]) -> Self | None:
        """Read the owner off a container's labels, ``None`` where they do not tell."""
        try:
            return cls(labels[_MACHINE], int(labels[_PID]), labels[_STARTED])
        except (KeyError, ValueError):
            return None

    @property
    def labels(self) -> dict[str, str]:
        """Give what ``read`` reads."""
        return {_MACHINE: self.machine, _PID: str(self.pid), _STARTED: self.started}

    def lives(self) -> bool | None:
        """Whether the process is still there; ``None`` where that cannot be known from here."""
        if self.machine != _this_machine() or sys.platform == "win32":
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass  # another user's
        started = _started(self.pid)
        return started == self.started if started else None


def version() -> str:
    """Give the version of the package that this is a part of."""
    try:
        return importlib.metadata.version("induce")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _this_machine() -> str:
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.stat('/proc/self/ns/pid').st_ino}"
    return platform.node()


def _started(pid: int) -> str:
    """Give the time at which a process was started, in ticks since the boot; empty where it is not known."""
    with contextlib.suppress(OSError, IndexError):
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return stat.rpartition(")")[2].split()[19]  # the name before may hold anything
    return ""
