"""Errors of others in a line of bearable length."""

from __future__ import annotations

LONGEST = 300


def first_line(error: BaseException) -> str:
    """Give the first line of what an error says, or else its kind."""
    return next(iter(_lines(error)))[:LONGEST]


def last_line(error: BaseException) -> str:
    """Give the last line of what an error says, where Ray puts what was raised, or else its kind."""
    return _lines(error)[-1][:LONGEST]


def _lines(error: BaseException) -> list[str]:
    lines = [line.strip() for line in str(error).splitlines()]
    return [line for line in lines if line] or [type(error).__name__]
