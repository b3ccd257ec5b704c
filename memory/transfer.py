"""Memories as files: JSON, one version of a concept a line, or YAML, a list of them.

Exported and imported again a memory is the same, with all versions, archived concepts and counters. A file
by hand needs no more than names and descriptions.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from memory.records import Record, check, from_dict, to_dict
from memory.store import ConceptStore
from sandboxes import MemoryStoreError

LONGEST_LINE = 4_000_000
"""A line of more characters is no concept: all of its fields together may have a tenth of that."""


def export_memory(store: ConceptStore, path: str | Path, *, history: bool = True) -> int:
    """Write a memory to ``path`` (.jsonl, .yaml or .yml), and give the number of versions written.

    The file is there when it is whole. ``history=False`` writes only the concepts that can be recalled, as
    they are; what was written with its history may be purged from the store afterwards.
    """
    path = Path(path)
    write = {".jsonl": _write_json, ".yaml": _write_yaml, ".yml": _write_yaml}.get(path.suffix.lower())
    if write is None:
        raise MemoryStoreError(f"a memory is exported as .jsonl, .yaml or .yml, not as {path.name}")
    newest: dict[str, int] = {}
    written = 0
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            for record in store.records() if history else map(Record, store.concepts()):
                write(file, to_dict(record))
                newest[record.concept.id] = max(record.concept.version, newest.get(record.concept.id, 0))
                written += 1
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise MemoryStoreError(f"cannot write {path}: {error.strerror}; check its folder and disk") from error
    finally:
        draft.unlink(missing_ok=True)
    if history and not store.frozen:
        store.mark_exported(newest)
    return written


def import_memory(store: ConceptStore, path: str | Path) -> int:
    """Add what a file of ``export_memory`` or by hand holds, all or nothing; give how much was new.

    What it holds may be recalled from now on: the store's clock is later than all of it afterwards.
    """
    return store.restore(read_records(path))


def read_records(path: str | Path) -> Iterator[Record]:
    """Yield the versions in a file. Raises ``MemoryStoreError`` that says where it is wrong, and why."""
    path = Path(path)
    read = {".jsonl": read_lines, ".yaml": read_yaml_list, ".yml": read_yaml_list}.get(path.suffix.lower())
    if read is None:
        raise MemoryStoreError(f"{path} is no memory's file: it would be named .jsonl, .yaml or .yml")
    for where, values in read(path):
        try:
            record = from_dict(values)
            check(record.concept)
        except (ValueError, TypeError, MemoryStoreError) as error:
            raise MemoryStoreError(f"{where}: {error}") from error
        yield record


def read_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield what the lines of a file of JSON hold, each after where it stands; empty ones are left out."""
    with reading(path), path.open(encoding="utf-8") as file:
        number = 0
        while line := file.readline(LONGEST_LINE):
            number += 1
            where = f"{path}:{number}"
            if len(line) == LONGEST_LINE:
                raise MemoryStoreError(f"{where}: the line has {LONGEST_LINE:,} characters or more; split it")
            if not line.strip():
                continue
            try:
                yield where, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise MemoryStoreError(f"{where}: this is no JSON: {error}; one object a line") from error


def read_yaml_list(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a YAML file that holds a list, each after where it stands."""
    yaml = _yaml()
    with reading(path):
        text = path.read_text(encoding="utf-8")
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        node = loader.get_single_node()
        if node is None:
            return
        if not isinstance(node, yaml.SequenceNode):
            raise MemoryStoreError(f"{path}: this is no list of concepts; begin each with `- name:`")
        for entry in node.value:
            yield f"{path}:{entry.start_mark.line + 1}", loader.construct_object(entry, deep=True)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise MemoryStoreError(f"{where}: this is no YAML: {problem}; quote texts with : or #") from error


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the system says of a file into our error."""
    try:
        yield
    except OSError as error:
        raise MemoryStoreError(f"cannot read {path}: {error.strerror}; check its name and rights") from error
    except UnicodeDecodeError as error:
        raise MemoryStoreError(f"cannot read {path}: it is not UTF-8; save it as that") from error


def _write_json(file: TextIO, values: dict[str, Any]) -> None:
    file.write(json.dumps(values, ensure_ascii=False) + "\n")


def _write_yaml(file: TextIO, values: dict[str, Any]) -> None:
    yaml = _yaml()
    yaml.dump([values], file, Dumper=yaml.SafeDumper, sort_keys=False, allow_unicode=False, width=100)


def _yaml() -> ModuleType:
    try:
        import yaml  # noqa: PLC0415  only where YAML is read or written
    except ImportError as error:
        raise MemoryStoreError(
            "YAML is read by PyYAML, which is missing: pip install 'induce[memory]', or use .jsonl"
        ) from error
    return yaml
