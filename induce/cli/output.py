"""Where things are printed, and how records become JSON lines."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from induce.render import visible
from sandboxes import TaskFormatError


def console() -> Console:
    """Give the console on standard output. Rich minds ``NO_COLOR`` and whether a terminal is there."""
    return Console()


def error_console() -> Console:
    """Give the console on standard error, for progress and remarks."""
    return Console(stderr=True)


def print_line(on: Console, text: str, style: str = "") -> None:
    """Print a line as it is: no markup in it counts, and nothing in it can command the terminal."""
    on.print(Text(visible(text), style), soft_wrap=True)


class BadTasks:
    """Reports each bad task that is skipped, once, however often the tasks are read."""

    def __init__(self) -> None:
        self._reported: set[str] = set()

    def __call__(self, error: TaskFormatError) -> None:
        """Report on standard error that the task is skipped, and why."""
        text = f"skipped: {error}"
        if text not in self._reported:
            self._reported.add(text)
            print_line(error_console(), text, style="yellow")


def print_json(record: dict[str, Any]) -> None:
    """Print one record, whose values are encoded already, as one line of JSON."""
    sys.stdout.write(json.dumps(record, separators=(",", ":")) + "\n")
    sys.stdout.flush()
