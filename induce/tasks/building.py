"""From what a reader found to a task: the checks that every format shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from keyword import iskeyword
from typing import Any

from hypotheses.task import Example, Signature, Task, infer_signature, infer_type
from induce.tasks.labelled import LabelledTask
from induce.tasks.messages import shorten
from sandboxes import CallStyle, TaskFormatError
from sandboxes.values import NotDataError, encode


def build_task(
    where: str,
    *,
    id: str,  # noqa: A002 - the field's name
    examples: Sequence[Example],
    queries: Sequence[Any],
    answers: Mapping[int, Any],
    call: CallStyle,
    family: str,
    name: str = "f",
    names: Sequence[str] = (),
    signature: Signature | None = None,
    description: str = "",
    tolerance: float | None = None,
) -> LabelledTask:
    """Build a task whose inputs, queries included, all fit ``call``.

    ``signature`` is inferred from the examples where it is absent, with ``name`` for the function and
    ``names`` for its parameters.

    Raises ``TaskFormatError``, starting with ``where``, for a task without examples, for a value that is not
    data (see ``sandboxes.values``), and for an input or a signature that does not fit.
    """
    if not examples:
        raise TaskFormatError(
            f"{where}: task {shorten(id)} has no examples; give it at least one input with its output"
        )
    inputs = [(f"example {i}", example.input) for i, example in enumerate(examples, start=1)]
    inputs += [(f"query {i}", query) for i, query in enumerate(queries, start=1)]
    outputs = [(f"example {i}", example.output) for i, example in enumerate(examples, start=1)]
    outputs += [(f"query {index + 1}", answer) for index, answer in answers.items()]
    _check_data(where, "input", inputs)
    _check_data(where, "output", outputs)
    if call == "keyword":
        _check_keywords(where, inputs)
    elif call == "positional":
        _check_positions(where, inputs)
    elif call in ("grid_list", "grid_ndarray"):
        for label, value in inputs:
            check_grid(value, f"{where}: {label}, input")
    if signature is None:
        signature = infer_signature(examples, call, names=names, name=name)
        if call in ("grid_list", "grid_ndarray") and not all(is_grid(e.output) for e in examples):
            signature = replace(signature, returns=infer_type([e.output for e in examples]))
    else:
        _check_signature(where, signature, examples[0].input)
    task = Task(id, tuple(examples), tuple(queries), signature, family, description, tolerance=tolerance)
    return LabelledTask(task, dict(answers))


def read_pairs(pairs: Any, where: str) -> list[Example]:
    """Read ``[{"input": …, "output": …}, …]``; further keys are passed over.

    Raises ``TaskFormatError``, starting with ``where``, that names the pair.
    """
    if not isinstance(pairs, list):
        raise TaskFormatError(f"{where}: expected a list of pairs, not {shorten(pairs)}")
    for number, pair in enumerate(pairs, start=1):
        if not isinstance(pair, dict) or not {"input", "output"} <= pair.keys():
            raise TaskFormatError(f'{where} pair {number}: expected an object with "input" and "output"')
    return [Example(pair["input"], pair["output"]) for pair in pairs]


def read_id(value: Any, where: str) -> str:
    """Read a task's id, a string or an integer. Raises ``TaskFormatError``, starting with ``where``."""
    if not isinstance(value, str | int):
        raise TaskFormatError(f"{where}: expected an id, a string or an integer, not {shorten(value)}")
    return str(value)


def choose_shots(pairs: list[Example], shots: int | None, default: int, where: str) -> list[Example]:
    """Take the first ``shots`` pairs, or up to ``default`` where the user asked for no number.

    Raises ``TaskFormatError`` where there are fewer than asked for.
    """
    if shots is not None and shots > len(pairs):
        raise TaskFormatError(f"{where}: has {len(pairs)} shots, {shots} were asked for; ask for fewer")
    return pairs[: default if shots is None else shots]


def check_grid(value: Any, where: str, *, colours: int | None = None) -> None:
    """Check that ``value`` is a non-empty rectangular list of rows of integers, below ``colours`` if given.

    Raises ``TaskFormatError``, starting with ``where``, that names the row.
    """
    if not isinstance(value, list) or not value:
        raise TaskFormatError(f"{where}: expected a grid, a list of rows of integers, not {shorten(value)}")
    for number, row in enumerate(value, start=1):
        if not isinstance(row, list) or not row:
            raise TaskFormatError(f"{where}, row {number}: expected a list of integers, not {shorten(row)}")
        if len(row) != len(value[0]):
            raise TaskFormatError(
                f"{where}, row {number}: has {len(row)} cells where row 1 has {len(value[0])}; "
                "a grid is rectangular"
            )
        for cell in row:
            if type(cell) is not int or not -(2**63) <= cell < 2**63:
                raise TaskFormatError(
                    f"{where}, row {number}: the cell {shorten(cell)} is not an integer of 64 bits"
                )
            if colours is not None and not 0 <= cell < colours:
                raise TaskFormatError(
                    f"{where}, row {number}: the cell {shorten(cell)} is not a colour from 0 to {colours - 1}"
                )


def is_grid(value: Any) -> bool:
    """Whether ``value`` is a non-empty rectangular list of rows of integers."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(row, list) and row and len(row) == len(value[0]) for row in value)
        and all(type(cell) is int for cell in chain.from_iterable(value))
    )


def _check_data(where: str, side: str, values: Iterable[tuple[str, Any]]) -> None:
    for label, value in values:
        try:
            encode(value)
        except NotDataError as error:
            raise TaskFormatError(f"{where}: {label}, {side}: {error}") from None


def _check_keywords(where: str, inputs: Iterable[tuple[str, Any]]) -> None:
    expected: list[Any] | None = None
    for label, value in inputs:
        if not isinstance(value, dict):
            raise TaskFormatError(
                f"{where}: {label}, input: expected an object from parameter name to argument, "
                f"not {shorten(value)}"
            )
        if expected is None:
            expected = list(value)
            for key in expected:
                if not isinstance(key, str) or not key.isidentifier() or iskeyword(key):
                    raise TaskFormatError(
                        f"{where}: {label}, input: {shorten(key)} cannot name a parameter in Python"
                    )
        if set(value) != set(expected):
            raise TaskFormatError(
                f"{where}: {label}, input: has the keys {shorten(list(value))}, "
                f"not {shorten(expected)} as example 1"
            )


def _check_positions(where: str, inputs: Iterable[tuple[str, Any]]) -> None:
    expected: int | None = None
    for label, value in inputs:
        if not isinstance(value, list | tuple):
            raise TaskFormatError(
                f"{where}: {label}, input: expected a list, one element an argument, not {shorten(value)}"
            )
        expected = len(value) if expected is None else expected
        if len(value) != expected:
            raise TaskFormatError(
                f"{where}: {label}, input: has {len(value)} arguments where example 1 has {expected}"
            )


def _check_signature(where: str, signature: Signature, first_input: Any) -> None:
    names = [parameter.name for parameter in signature.parameters]
    if signature.call == "keyword":
        if set(names) != set(first_input):
            raise TaskFormatError(
                f"{where}: signature: has the parameters {shorten(names)}, "
                f"the inputs {shorten(list(first_input))}"
            )
    else:
        count = len(first_input) if signature.call == "positional" else 1
        if len(names) != count:
            raise TaskFormatError(
                f"{where}: signature: takes {len(names)} arguments, but the inputs give {count}"
            )
    count_of = Counter(names)
    for name in (signature.name, *names):
        if not name.isidentifier() or iskeyword(name) or count_of[name] > 1:
            raise TaskFormatError(
                f"{where}: signature: {shorten(name)} is no name in Python, or is there twice"
            )
