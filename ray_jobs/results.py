"""The solutions of a run as Parquet files, in a folder or a bucket.

A run log is append-only, so part ``k`` always holds the solutions ``k * n`` … ``(k + 1) * n - 1`` in the
order in which they were recorded. Parts are written in this order, each under its name only when it is whole,
and a part that is full never changes: so writing can stop anywhere and go on anywhere, by another process or
on another machine, as long as one writes at a time.

``_manifest.json`` says whose results these are and how many; it is there before the first part. Readers of
Parquet folders (pyarrow, pandas, Spark) skip it for its underscore. Numbers are int64 and float64; all else
but ``solved`` is text. ``predictions`` is JSON: for each query a list of values as ``sandboxes.values``
encodes them. A text that Parquet cannot hold, for its lone surrogates, is written as the JSON of
``{"$str": …}``, as ``sandboxes.values`` does; ``read_text`` gives it back.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

from hypotheses.hypothesis import Solution, Usage
from hypotheses.run_log import RunLog
from sandboxes import RunLogError, SettingsError
from sandboxes.values import encode, loads

SCHEMA_VERSION = 1
"""Raised with every change of the columns; a folder of another version is not written to."""

MANIFEST = "_manifest.json"

_PART = re.compile(r"part-(\d{6,})\.parquet")
_TAGGED = '{"$str":'
_STORES = frozenset({"s3", "gcs", "abfs"})
"""Where an object appears under its name only when it is whole, and there are no folders to make."""


class ResultsWriter:
    """Writes the solutions of a run to ``uri``: ``s3://bucket/folder``, ``gs://…``, or a folder.

    With ``filesystem``, one of pyarrow's, ``uri`` is a path in it. It needs the extra ``parquet``.

    Raises ``SettingsError`` where pyarrow is missing or the address makes no sense, and ``RunLogError`` where
    the bucket cannot be reached.
    """

    def __init__(self, uri: str | Path, rows_per_part: int = 1000, filesystem: Any = None) -> None:
        if rows_per_part < 1:
            raise SettingsError(f"rows_per_part must be at least 1, not {rows_per_part}")
        self._shown = _without_secrets(str(uri))
        self._rows = rows_per_part
        if filesystem is None:
            self._files, self._folder = _open(uri)
        else:
            _pyarrow()
            self._files, self._folder = filesystem, str(uri).rstrip("/")

    def write(self, log: RunLog, *, final: bool) -> int:
        """Write what is not there yet, and give the number of parts written.

        Only full parts are; with ``final`` the last, shorter one as well, which a later call replaces where
        more has been recorded. Parts that are there are known by their names and never read.

        Raises ``RunLogError`` where the log cannot be read, a part cannot be written, or the folder holds
        something else; ``SettingsError`` where its parts have another number of rows.
        """
        run = _identity(log)
        there = self._parts()
        manifest = self._manifest(run)
        if manifest is None:
            if there:
                raise RunLogError(
                    f"{self._shown} has parts but no {MANIFEST}, so whose are they? name another folder"
                )
            manifest = _Manifest(run, self._rows, 0, False)
            self._put(MANIFEST, manifest.text())
        held = self._held(there, manifest)
        first = next(number for number in range(len(there) + 1) if held.get(number, 0) < self._rows)
        solutions = _solutions(log, first * self._rows)
        number, written, rows, recorded = first, 0, manifest.rows, first * self._rows
        while batch := list(islice(solutions, self._rows)):
            recorded += len(batch)
            whole = len(batch) == self._rows
            if len(batch) > held.get(number, 0) and (whole or final):
                self._put(f"part-{number:06}.parquet", self._table(batch))
                written += 1
            if whole or final:
                rows = max(rows, recorded)
            number += 1
        complete = final or (manifest.final and rows >= recorded)
        after = _Manifest(run, self._rows, rows, complete)
        if after != manifest:
            self._put(MANIFEST, after.text())
        return written

    def _held(self, there: set[int], manifest: _Manifest) -> dict[int, int]:
        """Give how many rows each part surely has.

        Every part before the last was full when the next was begun. Of the last one only the manifest knows:
        where we were stopped between the two, it is written again.
        """
        last = max(there, default=0)
        return {
            number: self._rows
            if number < last
            else min(self._rows, max(0, manifest.rows - number * self._rows))
            for number in there
        }

    def _parts(self) -> set[int]:
        """Give the numbers of the parts that are there; an empty file is what a broken upload leaves."""
        from pyarrow import fs  # noqa: PLC0415 - optional

        with self._failures("list"):
            found = self._files.get_file_info(fs.FileSelector(self._folder, allow_not_found=True))
        return {
            int(match[1])
            for info in found
            if (match := _PART.fullmatch(info.base_name)) and info.is_file and info.size != 0
        }

    def _manifest(self, run: dict[str, Any]) -> _Manifest | None:
        """Read the manifest, and refuse one that is not of this run with parts of this size."""
        from pyarrow import fs  # noqa: PLC0415 - optional

        path = f"{self._folder}/{MANIFEST}"
        with self._failures("read"):
            if self._files.get_file_info(path).type == fs.FileType.NotFound:
                return None
            with self._files.open_input_stream(path) as file:
                text = file.read()
        if not text:  # as above
            return None
        try:
            found = json.loads(text)
            version = found["schema_version"]
            if version != SCHEMA_VERSION:
                raise RunLogError(
                    f"{self._shown} holds results of schema version {version}, and this induce writes "
                    f"{SCHEMA_VERSION}: name another folder"
                )
            manifest = _Manifest(
                found["run"], int(found["rows_per_part"]), int(found["rows"]), found["final"]
            )
        except (ValueError, TypeError, KeyError, RecursionError):
            raise RunLogError(
                f"{self._shown}: its {MANIFEST} is none of ours, or damaged: name another folder"
            ) from None
        if manifest.run != run:
            raise RunLogError(f"{self._shown} holds the results of another run: name another folder")
        if manifest.rows_per_part != self._rows:
            raise SettingsError(
                f"{self._shown} has parts of {manifest.rows_per_part} rows: use rows_per_part="
                f"{manifest.rows_per_part}, not {self._rows}, or name another folder"
            )
        return manifest

    def _table(self, batch: list[Solution]) -> Any:
        """Give the content of a part, as it is to be written."""
        pa = _pyarrow()
        from pyarrow import parquet  # noqa: PLC0415 - optional

        try:
            table = pa.Table.from_pylist([_row(solution) for solution in batch], schema=_schema(pa))
        except (ValueError, TypeError, OverflowError) as error:
            between = f"{batch[0].task_id!a} … {batch[-1].task_id!a}"
            raise RunLogError(
                f"a solution among {between} does not fit the columns: {_cause(error)}"
            ) from error
        sink = pa.BufferOutputStream()
        parquet.write_table(table, sink, compression="zstd")
        return sink.getvalue()

    def _put(self, name: str, content: Any) -> None:
        """Make a file be there, wholly or as it was."""
        path = f"{self._folder}/{name}"
        with self._failures(f"write {name} to"):
            if self._files.type_name in _STORES:
                with self._files.open_output_stream(path) as file:
                    file.write(content)
                return
            self._files.create_dir(self._folder, recursive=True)
            draft = f"{self._folder}/.{name}.{uuid.uuid4().hex}"  # a dot: no reader takes it for a part
            try:
                with self._files.open_output_stream(draft) as file:
                    file.write(content)
                if self._files.type_name == "local":
                    _to_disk(draft)
                self._files.move(draft, path)
            except BaseException:
                with contextlib.suppress(Exception):
                    self._files.delete_file(draft)
                raise

    @contextlib.contextmanager
    def _failures(self, verb: str) -> Iterator[None]:
        pa = _pyarrow()
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise RunLogError(
                f"cannot {verb} the results {self._shown}: {_cause(error)}; what was written "
                "before is safe: mend the address, the rights or the network, and write again"
            ) from error


@dataclass(frozen=True, slots=True)
class _Manifest:
    """Whose results a folder holds: the first ``rows`` solutions, all there are where ``final``."""

    run: dict[str, Any]
    rows_per_part: int
    rows: int
    final: bool

    def text(self) -> bytes:
        return f"{json.dumps({'schema_version': SCHEMA_VERSION, **asdict(self)}, indent=1)}\n".encode()


def read_text(text: str) -> str:
    """Give the text that a column holds, also where it has lone surrogates.

    Raises ``ValueError`` for what was never written.
    """
    if not text.startswith(_TAGGED):
        return text
    found = loads(text)
    if not isinstance(found, str):
        raise ValueError(f"a text was expected, not {text!r}")  # noqa: TRY004 - no text of ours
    return found


def _written_text(text: str) -> str:
    """Give a text as a column can hold it; ``read_text`` is the way back.

    A text that only looks as if it were tagged is tagged too, so that no two are written alike.
    """
    if not text.startswith(_TAGGED):
        try:
            text.encode()
        except UnicodeEncodeError:
            pass
        else:
            return text
    return f'{_TAGGED}"{text.encode("utf-8", "surrogatepass").hex()}"}}'


def _row(solution: Solution) -> dict[str, Any]:
    candidate, verdict = solution.candidate, solution.verdict
    program = candidate.program if candidate else None
    texts = {
        "task_id": solution.task_id,
        "program": program.source if program else None,
        "entry_point": program.entry_point if program else None,
        "call": program.call if program else None,
        "hypothesis": candidate.hypothesis.text if candidate else None,
        "note": solution.note,
    }
    predictions = [[encode(value) for value in values] for values in solution.predictions]
    return {
        **{name: None if text is None else _written_text(text) for name, text in texts.items()},
        "outcome": solution.outcome,
        "solved": solution.solved,
        "predictions": json.dumps(predictions, ensure_ascii=False, separators=(",", ":")),
        "passed": verdict.passed if verdict else 0,
        "total": verdict.total if verdict else 0,
        **asdict(solution.usage),
    }


def _schema(pa: Any) -> Any:
    """Give the columns in the order in which people read them."""
    texts = ("predictions", "program", "entry_point", "call", "hypothesis")
    # This module's annotations are texts, so the type of a number is told by its default.
    usage = [
        (one.name, pa.float64() if isinstance(one.default, float) else pa.int64()) for one in fields(Usage)
    ]
    return pa.schema(
        [
            ("task_id", pa.string()),
            ("outcome", pa.string()),
            ("solved", pa.bool_()),
            *((name, pa.string()) for name in texts),
            ("passed", pa.int64()),
            ("total", pa.int64()),
            *usage,
            ("note", pa.string()),
        ]
    )


def _solutions(log: RunLog, first: int) -> Iterator[Solution]:
    """Yield the solutions of a run from a position on."""
    return islice(log.solutions(), first, None)


def _identity(log: RunLog) -> dict[str, Any]:
    """Give what tells a run from others, as it comes back from JSON."""
    info = log.info
    identity = {
        "created": info.created,
        "source": info.source,
        "content_hash": info.content_hash,
        "tasks": info.tasks,
        "proposer": info.proposer,
        "induce_version": info.induce_version,
    }
    return dict(json.loads(json.dumps(identity)))


def _open(uri: str | Path) -> tuple[Any, str]:
    """Give the file system of an address, and the folder in it."""
    _pyarrow()
    from pyarrow import fs  # noqa: PLC0415 - optional

    text, shown = str(uri), _without_secrets(str(uri))
    if "://" not in text:
        return fs.LocalFileSystem(), str(Path(uri).expanduser().absolute())
    try:
        files, folder = fs.FileSystem.from_uri(text)
    except (ValueError, NotImplementedError) as error:  # pyarrow's own are among them
        raise SettingsError(
            f"{shown} is no place for results: {_cause(error).replace(text, shown)}; "
            "name a folder, s3://bucket/folder or gs://bucket/folder"
        ) from None
    except OSError as error:
        raise RunLogError(
            f"cannot reach the results {shown}: {_cause(error).replace(text, shown)}; "
            "mend the address, the rights or the network"
        ) from None
    folder = folder.rstrip("/")
    if not folder:
        raise SettingsError(f"{shown} names no folder: say where, such as s3://bucket/folder")
    return files, folder


def _pyarrow() -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415 - optional
    except ImportError:
        raise SettingsError(
            "results as Parquet need the package pyarrow, which is not installed: pip install induce[parquet]"
        ) from None
    return pa


def _without_secrets(uri: str) -> str:
    """Give an address as messages may show it: pyarrow takes keys in it."""
    head, separator, rest = uri.partition("://")
    if not separator:
        return uri
    place = rest.partition("?")[0]
    host, slash, path = place.partition("/")
    return f"{head}://{host.rpartition('@')[2]}{slash}{path}"


def _to_disk(path: str) -> None:
    """Have a file survive a power cut, so that a name never stands for less than the whole."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cause(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
