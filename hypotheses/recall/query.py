"""A task as a memory is asked about it."""

from __future__ import annotations

import hashlib

from hypotheses.recall.relations import looks, relations
from hypotheses.task import Task
from memory import RecallQuery

LONGEST_SIGNATURE = 500


def query_of(task: Task, clock: int | None = None) -> RecallQuery:
    """Describe a task by its words, by what holds in all of its examples, and by its types.

    The features are those that ``Profile.features`` has of a program: relations between outputs and inputs,
    ``out:`` and the outputs' type, ``in:`` and the inputs'. Queries are not looked at.
    """
    call = task.signature.call
    common = [
        relations(example.input, example.output, call)
        | {token for token in looks(example.input, call) if "in:" in token}
        for example in task.examples
    ]
    types = ", ".join(parameter.type for parameter in task.signature.parameters)
    return RecallQuery(
        task.description,
        tuple(sorted(frozenset.intersection(*common))),
        _short(f"({types}) -> {task.signature.returns}"),
        clock,
    )


def _short(signature: str) -> str:
    """Give a signature, or where it is very long, as of a wide table, its beginning and its hash."""
    if len(signature) <= LONGEST_SIGNATURE:
        return signature
    return f"{signature[:100]}… {hashlib.sha256(signature.encode()).hexdigest()}"
