"""From a path or the name of a benchmark to tasks, as a stream that can be read again and again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from hypotheses.task import Task
from induce.tasks.arc_agi import ArcAgi
from induce.tasks.files import TaskFiles
from induce.tasks.graph_sets import GraphSet
from induce.tasks.labelled import LabelledTask, ReadOptions
from induce.tasks.messages import shorten, visible
from sandboxes import TaskFormatError


class _Origin(Protocol):
    """Where tasks come from: files, or a package."""

    @property
    def source(self) -> str:
        """What to give to ``load_tasks``, wherever it is called."""
        ...

    def read(self) -> Iterator[LabelledTask | TaskFormatError]:
        """Yield the tasks, and an error in the place of each bad one."""
        ...

    def digests(self) -> Iterator[tuple[str, bytes]]:
        """Yield a name and the SHA-256 of each part that the tasks are read from."""
        ...


_SETS = (ArcAgi, GraphSet)
"""What a source may name in place of a path."""


class TaskSet:
    """Tasks as a stream: each iteration reads them anew, and only their ids stay in memory.

    Iterating gives tasks, which never hold an answer; ``labelled`` gives them with their answers.
    Both raise ``TaskFormatError`` at the first bad task, or hand it to ``skip_bad`` and go on.
    """

    def __init__(
        self,
        origin: _Origin,
        format: str | None,  # noqa: A002
        options: ReadOptions,
        skip_bad: Callable[[TaskFormatError], None] | None,
    ) -> None:
        """Use ``load_tasks`` instead."""
        self._origin = origin
        self._format = format
        self._options = options
        self._skip_bad = skip_bad

    @property
    def source(self) -> str:
        """The absolute path, or the spec of a set."""
        return self._origin.source

    @property
    def options(self) -> dict[str, str | int | None]:
        """The keyword arguments with which ``load_tasks(source, **options)`` gives the same tasks again."""
        return {
            "format": self._format,
            "shots": self._options.shots,
            "output_column": self._options.output_column,
        }

    @property
    def skips_bad(self) -> bool:
        """Whether bad tasks are reported and skipped."""
        return self._skip_bad is not None

    def __iter__(self) -> Iterator[Task]:
        for labelled in self.labelled():
            yield labelled.task

    def labelled(self) -> Iterator[LabelledTask]:
        """Yield the tasks together with the answers to their queries, for scoring at the very end."""
        seen: set[str] = set()
        for found in self._origin.read():
            if isinstance(found, TaskFormatError):
                self._report(found)
            elif not _is_utf8(found.task.id):
                self._report(
                    TaskFormatError(
                        f"{visible(self.source)}: the id {shorten(found.task.id)} "
                        "cannot be written as UTF-8; rename it"
                    )
                )
            elif found.task.id in seen:
                self._report(
                    TaskFormatError(
                        f"{visible(self.source)}: two tasks have the id {shorten(found.task.id)}; "
                        "rename one, or load their files separately"
                    )
                )
            else:
                seen.add(found.task.id)
                yield found

    def content_hash(self) -> str:
        """Hash (SHA-256, hexadecimal) the names and bytes of all that is read, and the options.

        Raises ``TaskFormatError`` where something cannot be read.
        """
        digest = hashlib.sha256(json.dumps(self.options, sort_keys=True).encode())
        for name, content in self._origin.digests():
            digest.update(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest() + content)
        return digest.hexdigest()

    def _report(self, problem: TaskFormatError) -> None:
        if self._skip_bad is None:
            raise problem
        self._skip_bad(problem)


def load_tasks(
    source: str | Path,
    *,
    format: str | None = None,  # noqa: A002 - the word users know
    shots: int | None = None,
    output_column: str | None = None,
    skip_bad: Callable[[TaskFormatError], None] | None = None,
) -> TaskSet:
    """Open a file or folder of tasks, or a set such as ``arc1:training`` or ``graph:bfs/d?size=8``.

    ``format`` names the format where it cannot be told by name and content; ``shots`` is how many examples to
    show, for benchmarks that carry many; ``output_column`` names a spreadsheet's column of outputs (default:
    the last). A bad task raises ``TaskFormatError`` when it is reached, unless ``skip_bad`` is given, which
    is then called with the error.

    Raises ``TaskFormatError`` at once for a source that does not exist or is in no known format.
    """
    if shots is not None and shots < 1:
        raise TaskFormatError(f"shots must be at least 1, not {shots}")
    options = ReadOptions(shots, output_column)
    origin: _Origin
    named = next((one for one in _SETS if isinstance(source, str) and one.matches(source)), None)
    if isinstance(source, str) and named is not None:
        if (format, options) != (None, ReadOptions()):
            raise TaskFormatError(
                f"{visible(source)}: needs no format, shots or output column; leave them out"
            )
        origin = named(source)
    else:
        origin = TaskFiles(Path(source).absolute(), format, options)
    if not _is_utf8(origin.source):
        raise TaskFormatError(f"{visible(origin.source)}: this path is not UTF-8; rename the file or folder")
    return TaskSet(origin, format, options, skip_bad)


def _is_utf8(text: str) -> bool:
    """Whether text can be recorded: JSON and file names can hold lone surrogates, which UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
