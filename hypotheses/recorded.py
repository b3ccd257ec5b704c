"""Play back what a model once answered, through the same pipeline as a live one.

A transcript is JSONL, one completion a line: ``task``, ``round`` (from 0), ``sample``, ``kind``, and the
model's ``response`` (or, where only that was kept, the ``hypothesis`` or ``program`` read from it), with
``prompt``, ``model`` and ``temperature`` where they are known. Kinds: ``hypothesis`` (a rule in words),
``translation`` (the rule named in ``hypothesis``, put into Python) and ``program`` (Python directly).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from hypotheses.extraction import extract_code, extract_prose, extract_rule, make_program
from hypotheses.hypothesis import Completion, Feedback, Hypothesis, Implementation, Proposal
from hypotheses.task import Signature, Task
from memory import Concept
from sandboxes import Program, ProposerError


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

    @property
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
        self._offsets: dict[str, list[int]] = defaultdict(list)
        digest = hashlib.sha256()
        offset = 0
        if self._path.exists() and not self._path.is_file():
            raise ProposerError(f"the transcript {self._path} is not a file")
        try:
            with self._path.open("rb") as file:
                for number, raw in enumerate(file, 1):
                    digest.update(raw)
                    if raw.strip():
                        self._offsets[self._parse(raw, number).task].append(offset)
                    offset += len(raw)
        except OSError as error:
            raise ProposerError(f"cannot read the transcript {self._path}: {error.strerror}") from error
        if not self._offsets:
            raise ProposerError(f"the transcript {self._path} is empty; it needs one completion a line")
        self.content_hash = digest.hexdigest()

    async def propose(
        self,
        task: Task,
        concepts: Sequence[Concept],  # noqa: ARG002  recorded answers cannot use them
        feedback: Sequence[Feedback],
        n: int,
    ) -> AsyncGenerator[Proposal, None]:
        """Yield the round's recorded rules, or programs, by sample."""
        recorded = (line for line in self._lines(task.id, len(feedback)) if line.kind != "translation")
        parents = tuple(one.candidate.hypothesis.text for one in feedback[-1:])
        for line in sorted(recorded, key=lambda line: line.sample)[:n]:
            hypothesis = Hypothesis(line.rule, parents, self.name)
            if line.kind == "hypothesis":
                yield Proposal(hypothesis, None, line.completion)
            elif (program := line.read_program(task.signature)) is not None:
                yield Proposal(hypothesis, program, line.completion)

    async def implement(
        self, task: Task, hypothesis: Hypothesis, feedback: Sequence[Feedback], n: int
    ) -> Sequence[Implementation]:
        """Return the recorded translations of ``hypothesis`` in this round, repeats of one left out."""
        found: dict[str, Implementation] = {}
        for line in self._lines(task.id, len(feedback)):
            if line.kind == "translation" and line.rule == hypothesis.text:
                program = line.read_program(task.signature)
                if program is not None:
                    found.setdefault(program.key, Implementation(program, line.completion))
        return list(found.values())[:n]

    def _lines(self, task_id: str, round_: int) -> Iterator[TranscriptLine]:
        offsets = self._offsets.get(task_id, ())
        with self._path.open("rb") as file:
            for offset in offsets:
                file.seek(offset)
                line = self._parse(file.readline(), offset)
                if line.round == round_:
                    yield line

    def _parse(self, raw: bytes, number: int) -> TranscriptLine:
        try:
            return TranscriptLine.model_validate_json(raw)
        except ValidationError as error:
            first = error.errors()[0]
            what = ": ".join([*map(str, first["loc"]), first["msg"]])
            raise ProposerError(f"{self._path}:{number}: not a line of a transcript: {what}") from error
