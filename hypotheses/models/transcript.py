"""Transcripts: what a model answered in somebody's experiment, behind the same seam as a live model.

A transcript is JSONL, one completion a line: ``task``, ``round`` (from 0), ``sample``, ``kind``, and the
model's ``response``, with ``prompt``, ``model`` and ``temperature`` where they are known. Kinds:

``hypothesis``   a rule in words
``summary``      many rules put together into few
``translation``  the rule named in ``hypothesis``, put into Python
``program``      Python directly

Where the response itself was not kept, what was read from it will do: the ``hypothesis``, the ``hypotheses``
of a summary, or the ``program``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from hypotheses.models.chat import Answer, ChatRequest, Choice, EndpointError
from sandboxes import ProposerError

CACHED_TASKS = 64
"""How many tasks' lines are kept in memory while those tasks are being solved."""

TranscriptKind = Literal["hypothesis", "summary", "translation", "program"]

_FENCE = re.compile(r"^[ \t]*(`{3,})", re.MULTILINE)


class TranscriptLine(BaseModel):
    """One completion of a transcript; other fields are allowed and ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    task: str
    round: int = 0
    sample: int = 0
    kind: TranscriptKind
    response: str | None = None
    hypothesis: str | None = None
    hypotheses: tuple[str, ...] | None = None
    program: str | None = None
    prompt: str = ""
    model: str = ""
    temperature: float | None = None

    @model_validator(mode="after")
    def _holds_an_answer(self) -> TranscriptLine:
        if self.response is None and self._kept is None:
            raise ValueError(f"a {self.kind} needs a response")
        if self.kind == "translation" and self.hypothesis is None:
            raise ValueError("a translation needs the hypothesis it translates")
        return self

    @property
    def text(self) -> str:
        """The response; where it was not kept, one from which the same is read as was read from it."""
        if self.response is not None:
            return self.response
        match self.kind:
            case "hypothesis":
                return f"Rule: {self.hypothesis}"
            case "summary":
                return json.dumps({"rules": self.hypotheses}, ensure_ascii=False)
        return _fenced(self.program or "")

    @property
    def _kept(self) -> object:
        match self.kind:
            case "hypothesis":
                return self.hypothesis
            case "summary":
                return self.hypotheses
        return self.program


@dataclass(frozen=True, slots=True)
class RecordedChoice(Choice):
    """A choice with what is known of the request that it really answered, which was not ours."""

    prompt: str = ""
    model: str = ""
    temperature: float | None = None


class TranscriptEndpoint:
    """Answers requests from a transcript by their address.

    The address is task, kind, round, sample and, for a translation, rule. A request for the samples ``first``
    … ``first + n - 1`` gets the lines at these places among those of its address, ordered by ``sample``;
    fewer, or none, where the transcript has no more. A translation that is there twice, with the same sample
    and the same answer, is one answer written down twice, and counts once.

    Only the places of the lines are held in memory; a task's lines are read when its turn comes. Raises
    ``ProposerError`` for a transcript that is missing or malformed, with its path and line.

    ``kinds`` are the kinds of completions it holds. ``model`` is the name of the model that answered, empty
    where no line names it or they name several. ``content_hash`` is the SHA-256 of the file.
    """

    exhaustible = True
    multiple = True

    def __init__(self, transcript: str | Path) -> None:
        self._path = Path(transcript)
        if self._path.exists() and not self._path.is_file():
            raise ProposerError(f"the transcript {self._path} is not a file")
        self._places: dict[str, list[_Place]] = defaultdict(list)
        kinds: set[TranscriptKind] = set()
        models: set[str] = set()
        digest = hashlib.sha256()
        offset = 0
        with self._reading() as file:
            for number, raw in enumerate(file, 1):
                digest.update(raw)
                if raw.strip():
                    line = self._parse(raw, number)
                    self._places[line.task].append(_Place(offset, number))
                    kinds.add(line.kind)
                    models.add(line.model)
                offset += len(raw)
        if not self._places:
            raise ProposerError(f"the transcript {self._path} is empty; it needs one completion a line")
        self.kinds = frozenset(kinds)
        self.model = models.pop() if len(models) == 1 else ""
        self.content_hash = digest.hexdigest()
        self._lines = lru_cache(maxsize=CACHED_TASKS)(self._read)

    @property
    def name(self) -> str:
        """The path of the transcript."""
        return str(self._path)

    async def ask(self, request: ChatRequest) -> Answer:
        """Give the recorded samples of the request's address, whatever its messages are.

        Raises ``EndpointError`` where the file can no longer be read.
        """
        try:
            lines = self._lines(request.task_id)
        except ProposerError as error:
            raise EndpointError(str(error), retryable=False) from error
        found = _addressed(lines, request)[request.first : request.first + request.n]
        return Answer(
            tuple(
                RecordedChoice(line.text, prompt=line.prompt, model=line.model, temperature=line.temperature)
                for line in found
            )
        )

    def kinds_in(self, task_id: str, round_: int) -> frozenset[TranscriptKind]:
        """Give the kinds of completions that it holds of a task's round.

        Raises ``ProposerError`` where the file can no longer be read.
        """
        return frozenset(line.kind for line in self._lines(task_id) if line.round == round_)

    async def aclose(self) -> None:
        """Do nothing: the file is open only while it is read."""

    def _read(self, task_id: str) -> tuple[TranscriptLine, ...]:
        lines = []
        with self._reading() as file:
            for place in self._places.get(task_id, ()):
                file.seek(place.offset)
                lines.append(self._parse(file.readline(), place.number))
        return tuple(lines)

    @contextmanager
    def _reading(self) -> Iterator[BinaryIO]:
        try:
            with self._path.open("rb") as file:
                yield file
        except OSError as error:
            raise ProposerError(f"cannot read the transcript {self._path}: {error.strerror}") from error

    def _parse(self, raw: bytes, number: int) -> TranscriptLine:
        try:
            return TranscriptLine.model_validate_json(raw)
        except ValidationError as error:
            first = error.errors()[0]
            what = ": ".join([*map(str, first["loc"]), first["msg"]])
            raise ProposerError(f"{self._path}:{number}: not a line of a transcript: {what}") from error


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a line is: in bytes for us, by its number for people."""

    offset: int
    number: int


def _addressed(lines: Sequence[TranscriptLine], request: ChatRequest) -> list[TranscriptLine]:
    found = [line for line in lines if (line.kind, line.round) == (request.kind, request.round)]
    if request.kind == "translation":
        rule = request.rule.strip()
        about = [line for line in found if (line.hypothesis or "").strip() == rule]
        found = list({(line.sample, line.text): line for line in about}.values())
    return sorted(found, key=lambda line: line.sample)


def _fenced(code: str) -> str:
    """Fence code, with a fence that no line of it can close."""
    inside = max((len(run) for run in _FENCE.findall(code)), default=0)
    fence = "`" * max(3, inside + 1)
    return f"{fence}python\n{code}\n{fence}"
