"""What a reader hands over: a task and, apart from it, the answers to its queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hypotheses.task import Task
from sandboxes import TaskFormatError


@dataclass(frozen=True, slots=True)
class LabelledTask:
    """A task, and the answers by the index of their query; a query without a known answer is absent."""

    task: Task
    answers: Mapping[int, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a user may ask of a reader.

    ``shots`` is how many of a task's examples to show, for benchmarks that carry many; ``output_column``
    names a spreadsheet's column with the outputs (default: the last).
    """

    shots: int | None = None
    output_column: str | None = None


class Reader(Protocol):
    """Reads one benchmark's own files."""

    @property
    def format(self) -> str:
        """A short name for the format, as in ``--format``."""
        ...

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether a file, judged by its name and its first 64 KiB, is in this format."""
        ...

    def read(self, path: Path, options: ReadOptions) -> Iterator[LabelledTask | TaskFormatError]:
        """Yield the file's tasks in order, streaming where the file is large.

        A task that cannot be read is *yielded* as an error, so that the caller decides whether to go on; a
        file that cannot be read at all *raises* ``TaskFormatError``. Both name the path and, where there is
        one, the line, and say what was expected.
        """
        ...
