"""Where things are printed, and how records become JSON lines."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console

from sandboxes import TaskFormatError
from sandboxes.values import dumps


def console() -> Console:
    """Give the console on standard output. Rich minds ``NO_COLOR`` and whether a terminal is there."""
    return Console()


def error_console() -> Console:
    """Give the console on standard error, for progress and remarks."""
    return Console(stderr=True)


class BadTasks:
    """Reports each bad task that is skipped, once, however often the tasks are read."""

    def __init__(self) -> None:
        self._reported: set[str] = set()

    def __call__(self, error: TaskFormatError) -> None:
        """Report on standard error that the task is skipped, and why."""
        text = f"skipped: {error}"
        if text not in self._reported:
            self._reported.add(text)
            error_console().print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)


def print_json(record: dict[str, Any]) -> None:
    """Print one record as one line of JSON; values that JSON lacks are tagged (see docs/own-tasks.md)."""
    sys.stdout.write(dumps(record) + "\n")
    sys.stdout.flush()
