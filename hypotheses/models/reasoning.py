"""What a reasoning model thought, apart from what it answered."""

from __future__ import annotations

_OPENING = "<think>"
_CLOSING = "</think>"


def split_reasoning(text: str) -> tuple[str, str]:
    """Split a completion into what stands in a leading ``<think>`` block, and the answer after it.

    A block that was never closed is reasoning to its end: there is no answer. A block elsewhere is part of
    the answer, which may well be about such blocks.
    """
    start = text.lstrip()
    if not start.startswith(_OPENING):
        return "", text
    reasoning, _, answer = start[len(_OPENING) :].partition(_CLOSING)
    return reasoning.strip(), answer.lstrip()
