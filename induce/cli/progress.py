"""What a person sees while tasks are being solved."""

from __future__ import annotations

import sys
from typing import Self

from rich.console import RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from induce.cli.output import console, error_console, print_line
from induce.cli.picking import TerminalPicker


class Display:
    """A progress bar with the time left, and results above it.

    The bar is drawn where the results are when those go to a terminal, else on standard error, and only on a
    terminal; machine-readable output on a terminal goes without.
    """

    def __init__(self, total: int, *, json: bool) -> None:
        self._results = console()
        self._remarks = error_console()
        on = self._results if sys.stdout.isatty() else self._remarks
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[solved]} solved"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=on,
            transient=True,
            disable=not on.is_terminal or (json and sys.stdout.isatty()),
        )
        self._bar = self._progress.add_task("solving", total=total, solved=0)
        self._solved = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._progress.stop()

    def show(self, *parts: RenderableType) -> None:
        """Print the parts of a result below each other, texts without breaking their lines."""
        for part in parts:
            self._results.print(part, soft_wrap=isinstance(part, Text))

    def advance(self, *, solved: bool) -> None:
        """Count one more task as done."""
        self._solved += solved
        self._progress.update(self._bar, advance=1, solved=self._solved)

    def remark(self, text: str) -> None:
        """Say something that is no result."""
        self._progress.stop()
        print_line(self._remarks, text)

    @property
    def picker(self) -> TerminalPicker | None:
        """The person at the terminal, if there is one."""
        if not sys.stdin.isatty() or not self._remarks.is_terminal:
            return None
        return TerminalPicker(self._remarks, self._progress.stop, self._progress.start)

    def finish(self, text: str) -> None:
        """Say how it went, in place of the bar."""
        self.remark(text)
