"""Play back what a model once answered, through the same pipeline as a live one.

A transcript is JSONL, one completion a line: ``task``, ``round`` (from 0), ``sample``, ``kind``, and the
model's ``response`` (or, where only that was kept, the ``hypothesis`` or ``program`` read from it), with
``prompt``, ``model`` and ``temperature`` where they are known. Kinds: ``hypothesis`` (a rule in words),
``translation`` (the rule named in ``hypothesis``, put into Python) and ``program`` (Python directly).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from hypotheses.extraction import extract_code, extract_prose, extract_rule, make_program
from hypotheses.hypothesis import Completion, Hypothesis, Implementation, Proposal, Report
from hypotheses.proposer import Request
from hypotheses.task import Signature
from sandboxes import Program, ProposerError

CACHED_TASKS = 64
"""How many tasks' lines are kept in memory while those tasks are being solved."""


class TranscriptLine(BaseModel):
    """One completion of a transcript; other fields are allowed and ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    task: str
    round: int = 0
    sample: int = 0
    kind: Literal["hypothesis", "translation", "program"]
    response: str | None = None
    hypothesis: str | None = None
    program: str | None = None
    prompt: str = ""
    model: str = ""
    temperature: float | None = None

    @model_validator(mode="after")
    def _holds_an_answer(self) -> TranscriptLine:
        kept = self.hypothesis if self.kind == "hypothesis" else self.program
        if self.response is None and kept is None:
            raise ValueError(f"a {self.kind} needs a response")
        if self.kind == "translation" and self.hypothesis is None:
            raise ValueError("a translation needs the hypothesis it translates")
        return self

    @property
    def rule(self) -> str:
        """The rule in words; empty for code that came without any."""
        if self.kind == "program":
            return extract_prose(self.response or "")
        if self.response is None or self.kind == "translation":
            return self.hypothesis or ""
        return extract_rule(self.response)

    def read_program(self, signature: Signature) -> Program | None:
        """Read the program out of the response; ``None`` where it holds no complete code."""
        code = self.program if self.response is None else extract_code(self.response)
        return None if code is None else make_program(code, signature)

    @cached_property
    def completion(self) -> Completion | None:
        """What was asked and answered, for the run log; ``None`` where the response itself was not kept."""
        if self.response is None:
            return None
        return Completion(self.kind, self.prompt, self.response, self.model, self.temperature, self.sample)


class RecordedProposer:
    """Both proposer and implementer, from one transcript.

    Only the places of the lines are held in memory; a task's lines are read when its turn comes. Raises
    ``ProposerError`` for a transcript that is missing or malformed, with its path and line.
    """

    name = "recorded"

    def __init__(self, transcript: str | Path) -> None:
        self._path = Path(transcript)
        if self._path.exists() and not self._path.is_file():
            raise ProposerError(f"the transcript {self._path} is not a file")
        self._places: dict[str, list[_Place]] = defaultdict(list)
        digest = hashlib.sha256()
        offset = 0
        with self._reading() as file:
            for number, raw in enumerate(file, 1):
                digest.update(raw)
                if raw.strip():
                    self._places[self._parse(raw, number).task].append(_Place(offset, number))
                offset += len(raw)
        if not self._places:
            raise ProposerError(f"the transcript {self._path} is empty; it needs one completion a line")
        self.content_hash = digest.hexdigest()
        self._lines = lru_cache(maxsize=CACHED_TASKS)(self._read)

    async def propose(self, request: Request) -> AsyncGenerator[Proposal | Report, None]:
        """Yield the round's recorded rules, or programs, by sample."""
        lines = [line for line in self._lines(request.task.id) if line.round == request.round]
        parents = tuple(one.candidate.hypothesis.text for one in request.feedback[-1:])
        proposed = 0
        for line in sorted(lines, key=lambda line: line.sample):
            program = line.read_program(request.task.signature) if line.kind == "program" else None
            if line.kind == "translation" or proposed == request.n:
                continue
            if line.kind == "program" and program is None:
                yield _unread(line)
                continue
            proposed += 1
            yield Proposal(Hypothesis(line.rule, parents, self.name), program, line.completion)

    async def implement(
        self, request: Request, hypothesis: Hypothesis
    ) -> AsyncGenerator[Implementation | Report, None]:
        """Yield the recorded translations of ``hypothesis`` in this round; repeats of one count once."""
        programs: set[str] = set()
        for line in self._lines(request.task.id):
            if (line.kind, line.round, line.rule) != ("translation", request.round, hypothesis.text):
                continue
            program = line.read_program(request.task.signature)
            if program is None or program.key in programs or len(programs) == request.n:
                yield _unread(line)
            else:
                programs.add(program.key)
                yield Implementation(program, line.completion)

    def _read(self, task_id: str) -> tuple[TranscriptLine, ...]:
        """Read a task's lines; the same objects as long as they are cached, so that each counts once."""
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


def _unread(line: TranscriptLine) -> Report:
    return Report(completions=() if line.completion is None else (line.completion,))
