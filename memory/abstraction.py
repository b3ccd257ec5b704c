"""From what was tried on a task to concepts, by a language model.

After ArcMemo (Ho et al. 2025, sections 3.2 and 3.3): first the steps of a solution in words, then concepts
from these, in sight of the concepts that are known. An answer that cannot be read costs its tokens alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError

from memory.answers import values
from memory.asking import Answer, ask, filled
from memory.concept import Concept, Provenance
from memory.fencing import block, fenced, line
from memory.records import check
from sandboxes import MemoryStoreError, Program

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

MOST_ENTRIES = 12
"""How many parameters, cues and notes a concept has at most, those that it had before included."""

_MOST_WORDS = 2_000
_MOST_PROGRAM = 8_000
_MOST_STEPS = 3_000
_MOST_FEEDBACK = 800
_MOST_KNOWN = 30
_MOST_KNOWN_LINE = 240
_MOST_ENTRY = 300
_KINDS = ("routine", "structure", "lesson")


@dataclass(frozen=True, slots=True)
class Solved:
    """A candidate that concepts are made from: its rule in ``words``, its program, and whether it was right.

    ``feedback`` says what was wrong with one that was not. What a task asks for is no part of it.
    """

    words: str
    program: Program | None
    family: str
    task: str
    solved: bool
    feedback: str = ""


@dataclass(frozen=True, slots=True)
class Abstracted:
    """The concepts that a model made, in how many tokens; ``note`` says what went wrong, if anything did.

    A concept with an id is a known one with what is new about it.
    """

    concepts: tuple[Concept, ...] = ()
    tokens_in: int = 0
    tokens_out: int = 0
    note: str = ""


async def abstract(
    model: BaseChatModel, solved: Solved, known: Sequence[Concept] = (), *, most: int = 5
) -> Abstracted:
    """Have a model make up to ``most`` concepts of a candidate. Raises what the model raises.

    ``known`` are concepts that it may add to; show those that are recalled for the task.
    """
    spent = _Spent()
    words = fenced("words", solved.words, _MOST_WORDS)
    source = "" if solved.program is None else fenced("solution", solved.program.source, _MOST_PROGRAM)
    if not words and not source:
        return Abstracted(note="there are neither words nor a program to learn from")
    system = ("system", filled("system"))
    steps = ""
    if source:
        asked = [system, ("human", filled("pseudocode", words=words, program=source))]
        steps = fenced("steps", spent.on(await ask(model, asked)), _MOST_STEPS)
    if not steps and not words:
        return spent.total((), "the model said nothing about the program")
    known = known[:_MOST_KNOWN]
    asked = [system, ("human", _question(solved, words, steps, known, most))]
    text = spent.on(await ask(model, asked))
    found, error = _read(text)
    if error:
        repair = filled("repair", error=line(error, _MOST_ENTRY))
        asked += [("ai", block(text, _MOST_STEPS) or "{}"), ("human", repair)]
        again, still = _read(spent.on(await ask(model, asked)))
        if again or not still:
            found, error = again, still
    # What could be read of an answer that is cut off, or wrong in part, is better than nothing.
    concepts = _concepts(found[: max(0, most)], solved, known)
    return spent.total(concepts, f"the answer could not be read: {error}" if error else "")


@dataclass(slots=True)
class _Spent:
    tokens_in: int = 0
    tokens_out: int = 0

    def on(self, answer: Answer) -> str:
        self.tokens_in += answer.tokens_in
        self.tokens_out += answer.tokens_out
        return answer.text

    def total(self, concepts: tuple[Concept, ...], note: str) -> Abstracted:
        return Abstracted(concepts, self.tokens_in, self.tokens_out, note)


def _question(solved: Solved, words: str, steps: str, known: Sequence[Concept], most: int) -> str:
    listed = "\n".join(f"- {_known_line(one)}" for one in known)
    outcome = (
        "The rule of a puzzle that was solved, and the steps of its solution:"
        if solved.solved
        else "What was tried on a puzzle, and did not solve it. Its lesson is when not to do so:"
    )
    return filled(
        "concepts",
        known=fenced("notebook", listed, _MOST_KNOWN * _MOST_KNOWN_LINE) or "Nothing yet.",
        outcome=outcome,
        words=words,
        steps=steps,
        feedback=fenced("failures", solved.feedback, _MOST_FEEDBACK),
        most=str(most),
    )


def _known_line(concept: Concept) -> str:
    cues = f" (when: {'; '.join(concept.cues)})" if concept.cues else ""
    return line(f"{concept.name}: {concept.description}{cues}", _MOST_KNOWN_LINE)


def _entries(value: Any) -> Any:
    """Take one text, or a mapping from names to types, for a list of texts, and leave out what is empty."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, dict):
        value = [f"{name}: {kind}" for name, kind in value.items()]
    if not isinstance(value, list):
        return [] if value is None else value
    return [one for one in map(_entry, value) if one][:MOST_ENTRIES]


def _entry(value: Any) -> str:
    """Give an entry as a line; a parameter may be written as an object with ``name`` and ``type``."""
    if isinstance(value, dict):
        parts = [str(part) for part in value.values() if isinstance(part, str | int | float)]
        value = ": ".join(parts)
    return _line(value) if isinstance(value, str) else ""


def _line(text: str) -> str:
    """Give a text as one line of limited length, without what no store keeps."""
    valid = text[: 2 * _MOST_ENTRY].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    whole = " ".join(valid.split())
    return whole if len(whole) <= _MOST_ENTRY else f"{whole[: _MOST_ENTRY - 3]}..."


_Line = Annotated[str, BeforeValidator(lambda value: _line(value) if isinstance(value, str) else value)]
_Name = Annotated[_Line, StringConstraints(min_length=1)]
_Entries = Annotated[list[str], BeforeValidator(_entries)]


class _Written(BaseModel):
    """A concept as a model writes it."""

    model_config = ConfigDict(extra="ignore")

    name: _Name
    description: _Name
    kind: _Line = ""
    parameters: _Entries = []
    cues: _Entries = []
    notes: _Entries = []


def _read(text: str) -> tuple[list[_Written], str]:
    """Give the concepts in an answer, and what is wrong with it, or nothing."""
    found = [one for one in values(text) if isinstance(one, dict)]
    whole = next((one["concepts"] for one in found if isinstance(one.get("concepts"), list)), None)
    listed = whole if whole is not None else [one for one in found if "name" in one]
    error = "" if whole is not None else "there is no JSON object with a list of concepts"
    read = []
    for number, one in enumerate(listed, start=1):
        try:
            read.append(_Written.model_validate(one))
        except ValidationError as wrong:
            first = wrong.errors()[0]
            place = ".".join(map(str, first["loc"]))
            error = error or f"concept {number}: {place}: {first['msg']}"
    return read, error


def _concepts(found: Sequence[_Written], solved: Solved, known: Sequence[Concept]) -> tuple[Concept, ...]:
    named = {_folded(one.name): one for one in reversed(known)}
    made: dict[str, Concept] = {}
    for one in found:
        key = _folded(one.name)
        before = made.get(key) or named.get(key)
        concept = _new(one, solved) if before is None else _refined(before, one)
        try:
            check(concept)
        except MemoryStoreError:
            continue
        made[key] = concept
    return tuple(made.values())


def _new(written: _Written, solved: Solved) -> Concept:
    kind = written.kind.casefold()
    return Concept(
        written.name,
        written.description,
        tuple(written.parameters),
        tuple(written.cues),
        kind=kind if kind in _KINDS else "routine" if solved.solved else "lesson",
        notes=tuple(written.notes),
        provenance=Provenance(family=solved.family, task=solved.task),
    )


def _refined(known: Concept, written: _Written) -> Concept:
    """Add what is new to a known concept; what it says already stays."""
    return replace(
        known,
        description=known.description or written.description,
        parameters=_added(known.parameters, written.parameters),
        cues=_added(known.cues, written.cues),
        notes=_added(known.notes, written.notes),
    )


def _added(known: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    there = {_folded(one) for one in known}
    new = [one for one in more if _folded(one) not in there]
    return (*known, *new[: max(0, MOST_ENTRIES - len(known))])


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
