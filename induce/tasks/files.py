"""Which files hold tasks, and in which format: told by name and by content."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from induce.tasks.arc import ArcReader
from induce.tasks.graph import GraphReader
from induce.tasks.jsontext import parse_json, read_bytes, unreadable
from induce.tasks.labelled import LabelledTask, Reader, ReadOptions
from induce.tasks.messages import place
from induce.tasks.mir import MirShotsReader
from induce.tasks.mir_parquet import MirParquetReader
from induce.tasks.own import OwnReader
from induce.tasks.prose import ProseReader
from induce.tasks.qiu import QiuReader
from induce.tasks.spreadsheet import SpreadsheetReader
from induce.tasks.sygus import SygusReader
from sandboxes import TaskFormatError

READERS: tuple[Reader, ...] = (
    SygusReader(),
    ArcReader(),
    ProseReader(),
    QiuReader(),
    MirShotsReader(),
    MirParquetReader(),
    GraphReader(),
    OwnReader(),
    SpreadsheetReader(),
)
"""The first that claims a file reads it."""

FORMATS = {reader.format: reader for reader in READERS}

_WITH_SHOTS = (ProseReader.format, MirShotsReader.format, MirParquetReader.format)

_HEAD_BYTES = 64 * 1024

_SUFFIXES = (".csv", ".json", ".jsonl", ".ndjson", ".parquet", ".sl", ".tsv")
"""What a file in a folder must end in; others (a licence, a README, a script) are passed over."""

_COMPANIONS = frozenset({"meta.json"})
"""Files that lie beside tasks and hold none: what PROSE says about a task."""


class TaskFiles:
    """The tasks of one file, or of all files in a folder, in natural order of their paths.

    In a folder, ``format`` chooses the files that are in that format; a single file is read as that format,
    whatever it looks like.
    """

    def __init__(self, path: Path, format: str | None, options: ReadOptions) -> None:  # noqa: A002
        """Look at the path, and at the head of the file where it is one.

        Raises ``TaskFormatError`` where there is nothing to read, or nothing that looks like tasks.
        """
        if format is not None and format not in FORMATS:
            raise TaskFormatError(
                f"there is no format {format!r}; the known formats are {', '.join(FORMATS)}"
            )
        self._path = path
        self._format = format
        self._options = options
        try:
            path.stat()
        except FileNotFoundError:
            raise TaskFormatError(f"{place(path)}: there is no such file or folder") from None
        except OSError as error:
            raise unreadable(path, error) from None
        self._is_folder = path.is_dir()
        if self._is_folder:
            self._files()
        else:
            self._reader(path)

    @property
    def source(self) -> str:
        """The absolute path."""
        return str(self._path)

    def read(self) -> Iterator[LabelledTask | TaskFormatError]:
        """Yield the tasks, file by file."""
        if not self._is_folder:
            yield from self._read_file(self._path)
            return
        files = self._files()
        names = Counter(map(_natural_id, files))
        empty = True
        for file in files:
            try:
                for item in self._read_file(file):
                    empty = False
                    yield self._unambiguous(item, file, names)
            except TaskFormatError as error:
                empty = False
                yield error
        if empty:
            yield TaskFormatError(
                f"{place(self._path)}: this folder holds no file in the format {self._format!r}"
            )

    def digests(self) -> Iterator[tuple[str, bytes]]:
        """Yield each file's path relative to the folder (a single file's name), and its SHA-256."""
        for file in self._files() if self._is_folder else [self._path]:
            name = file.relative_to(self._path).as_posix() if self._is_folder else file.name
            if not file.is_file():
                raise TaskFormatError(
                    f"{place(file)}: is a stream, which can be read only once; save it to a file"
                )
            try:
                with file.open("rb") as content:
                    yield name, hashlib.file_digest(content, "sha256").digest()
            except OSError as error:
                raise unreadable(file, error) from None

    def _read_file(self, file: Path) -> Iterator[LabelledTask | TaskFormatError]:
        reader = self._reader(file)
        if self._is_folder and self._format not in (None, reader.format):
            return
        _check_options(reader, self._options, file)
        empty = True
        for item in reader.read(file, self._options):
            empty = False
            yield item
        if empty:
            yield TaskFormatError(f"{place(file)}: holds no task")

    def _reader(self, file: Path) -> Reader:
        if self._format is not None and not self._is_folder:
            return FORMATS[self._format]
        return _detect(file)

    def _unambiguous(
        self, item: LabelledTask | TaskFormatError, file: Path, names: Counter[str]
    ) -> LabelledTask | TaskFormatError:
        """Name a task after the file's path where several files would give it the same id."""
        if isinstance(item, TaskFormatError) or names[item.task.id] < 2:
            return item
        return replace(item, task=replace(item.task, id=file.relative_to(self._path).as_posix()))

    def _files(self) -> list[Path]:
        """Find the task files. Raises ``TaskFormatError`` for a folder that is closed or holds none."""
        found: list[Path] = []
        for folder, subfolders, names in os.walk(self._path, onerror=_refuse):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            found += (Path(folder, name) for name in names if _may_hold_tasks(name))
        if not found:
            raise TaskFormatError(
                f"{place(self._path)}: this folder holds no task file; "
                f"their names end in {', '.join(_SUFFIXES)}"
            )
        return sorted(found, key=lambda file: [_natural(part) for part in file.relative_to(self._path).parts])


def _detect(path: Path) -> Reader:
    """Find the reader for a file. Raises ``TaskFormatError`` where no reader claims it."""
    if not path.is_file():
        raise TaskFormatError(
            f"{place(path)}: is a stream, whose format cannot be seen beforehand; name its format"
        )
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise unreadable(path, error) from None
    if not head.strip():
        raise TaskFormatError(f"{place(path)}: is empty; expected tasks")
    for reader in READERS:
        if reader.claims(path, head):
            return reader
    if path.suffix.lower() == ".json":
        parse_json(read_bytes(path), path)  # says where, if it is not even JSON
    raise TaskFormatError(f"{place(path)}: is in no known format; the known ones are {', '.join(FORMATS)}")


def _check_options(reader: Reader, options: ReadOptions, path: Path) -> None:
    """Refuse an option that the format would pass over in silence."""
    if options.shots is not None and reader.format not in _WITH_SHOTS:
        raise TaskFormatError(
            f"{place(path)}: shots can be chosen for {', '.join(_WITH_SHOTS)}; "
            f"the format {reader.format} shows all its examples"
        )
    if options.output_column is not None and reader.format != SpreadsheetReader.format:
        raise TaskFormatError(
            f"{place(path)}: the format {reader.format} has no columns, so none can be the output"
        )


def _may_hold_tasks(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(_SUFFIXES) and name not in _COMPANIONS


def _natural(name: str) -> list[str | int]:
    """A sort key by which ``task_2`` comes before ``task_10``."""
    return [int(part) if index % 2 else part for index, part in enumerate(re.split("([0-9]+)", name))]


def _natural_id(file: Path) -> str:
    """The id that formats with one task a file give it."""
    return file.parent.name if file.name == "spec.json" else file.stem


def _refuse(error: OSError) -> None:
    raise unreadable(Path(error.filename), error)
