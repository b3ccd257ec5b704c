"""The project's own format: JSON lines, one task a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hypotheses.task import Example, Parameter, Signature, Task
from induce.tasks.building import build_task
from induce.tasks.jsontext import parse_json, read_lines, top_level_keys
from induce.tasks.labelled import LabelledTask, ReadOptions
from induce.tasks.messages import place, shorten
from sandboxes import CallStyle, TaskFormatError
from sandboxes.values import NotDataError, decode, encode


class _Record(BaseModel):
    """A part of a line. An unknown field is refused, for it is most likely a typing error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class OwnExample(_Record):
    """An input and the output it must give."""

    input: Any
    output: Any


class OwnQuery(_Record):
    """An input to answer. ``output`` is the held-out answer, if known; it never becomes part of the task."""

    input: Any
    output: Any = None

    @property
    def answered(self) -> bool:
        """Whether the answer is given; it may be ``null``."""
        return "output" in self.model_fields_set


class OwnParameter(_Record):
    """A parameter of the function to be found; ``type`` is a Python annotation."""

    name: str = Field(min_length=1)
    type: str = "Any"


class OwnSignature(_Record):
    """The function to be found: its name, its parameters and the type it returns."""

    name: str = Field(default="f", min_length=1)
    parameters: tuple[OwnParameter, ...] = Field(min_length=1, strict=False)
    returns: str = "Any"


class OwnTask(_Record):
    """One line: a task, and the answers to those of its queries that have an ``output``.

    ``call`` says how an input becomes the arguments of a call: as the one argument (``single``), a list with
    one element an argument (``positional``), an object from parameter name to argument (``keyword``), or a
    grid of integers passed as lists (``grid_list``) or as a NumPy array (``grid_ndarray``). ``signature`` is
    inferred from the examples where it is absent. ``tolerance`` is the absolute and relative error allowed
    for floats; without it they are compared exactly.
    """

    id: str = Field(min_length=1)
    examples: tuple[OwnExample, ...] = Field(min_length=1, strict=False)
    queries: tuple[OwnQuery, ...] = Field(default=(), strict=False)
    call: CallStyle = "single"
    family: str = Field(default="own", min_length=1)
    description: str = ""
    signature: OwnSignature | None = None
    tolerance: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class OwnReader:
    """Reads one ``OwnTask`` a line."""

    format = "own"

    def claims(self, path: Path, head: bytes) -> bool:
        """Whether the first line has the key ``examples``, or the name says JSON lines."""
        return "examples" in top_level_keys(head) or path.suffix.lower() in (".jsonl", ".ndjson")

    def read(self, path: Path, options: ReadOptions) -> Iterator[LabelledTask | TaskFormatError]:  # noqa: ARG002 - the protocol's
        """Yield one task a line."""
        for number, line in read_lines(path):
            try:
                yield own_task(parse_json(line, path, number), place(path, number))
            except TaskFormatError as error:
                yield error


def own_task(record: Any, where: str) -> LabelledTask:
    """Build a task from one line, already parsed.

    Raises ``TaskFormatError``, starting with ``where``, that names the field that does not fit.
    """
    try:
        own = OwnTask.model_validate(record)
    except ValidationError as error:
        raise TaskFormatError(f"{where}: {_describe(error)}") from None
    return build_task(
        where,
        id=own.id,
        examples=[
            Example(
                _value(pair.input, f"{where}: example {number}, input"),
                _value(pair.output, f"{where}: example {number}, output"),
            )
            for number, pair in enumerate(own.examples, start=1)
        ],
        queries=[
            _value(query.input, f"{where}: query {number}, input")
            for number, query in enumerate(own.queries, start=1)
        ],
        answers={
            index: _value(query.output, f"{where}: query {index + 1}, output")
            for index, query in enumerate(own.queries)
            if query.answered
        },
        call=own.call,
        family=own.family,
        signature=_signature(own),
        description=own.description,
        tolerance=own.tolerance,
    )


def own_record(task: Task, answers: Mapping[int, Any]) -> dict[str, Any]:
    """Write a task as one line holds it, with the answers that are given; ``own_task`` reads it again.

    Values are encoded, so that the record is ready for JSON. A grammar has no place in the format and is
    left out.
    """
    queries: list[dict[str, Any]] = [{"input": encode(query)} for query in task.queries]
    for index, answer in answers.items():
        queries[index]["output"] = encode(answer)
    signature = task.signature
    record = {
        "id": task.id,
        "family": task.family,
        "description": task.description,
        "call": signature.call,
        "signature": {
            "name": signature.name,
            "parameters": [{"name": p.name, "type": p.type} for p in signature.parameters],
            "returns": signature.returns,
        },
        "tolerance": task.tolerance,
        "examples": [
            {"input": encode(example.input), "output": encode(example.output)} for example in task.examples
        ],
        "queries": queries,
    }
    return {key: value for key, value in record.items() if value not in ("", None)}


def own_schema() -> dict[str, Any]:
    """Give the JSON schema (draft 2020-12) of one line."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **OwnTask.model_json_schema(),
        "title": "One task of induce's own JSON lines",
    }


def _signature(own: OwnTask) -> Signature | None:
    if own.signature is None:
        return None
    parameters = tuple(Parameter(p.name, p.type) for p in own.signature.parameters)
    return Signature(parameters, own.signature.returns, own.signature.name, own.call)


def _value(encoded: Any, where: str) -> Any:
    """Read a value in tagged JSON (see ``sandboxes.values``)."""
    try:
        return decode(encoded)
    except NotDataError as error:
        raise TaskFormatError(f"{where}: {error}") from None


def _describe(error: ValidationError) -> str:
    """Say the first thing that is wrong, in one line, naming the field as ``examples[0].input``."""
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "extra_forbidden":
        *owner, unknown = first["loc"]
        inside = f" in {_field(owner)}" if owner else ""
        return f"unknown field {shorten(unknown)}{inside}; `induce tasks schema` prints the known ones"
    field = _field(first["loc"])
    if first["type"] == "missing":
        return f"the field {field!r} is missing"
    message = first["msg"][0].lower() + first["msg"][1:]
    return f"{field}: {message}" if field else f"expected one task as a JSON object: {message}"


def _field(location: Sequence[int | str]) -> str:
    """Name a known field as ``examples[0].input``."""
    field = ""
    for part in location:
        field += f"[{part}]" if isinstance(part, int) else f".{part}" if field else part
    return field
