"""What went wrong in a program, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

FILENAME = "program.py"
"""The name under which a program is compiled."""

_MAX_MESSAGE = 500
_MAX_LINE = 100


def describe(error: BaseException, source: str) -> str:
    """Give type, message and place, as in ``ZeroDivisionError: division by zero (line 3: return 1 / x)``.

    The place is the innermost line of the program's own source.
    """
    name = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename == FILENAME:
        message, number = str(error.msg), error.lineno
    else:
        message, number = _message(error), _line_number(error.__traceback__)
    message = " ".join(message[:_MAX_MESSAGE].split())
    head = f"{name}: {message}" if message else name
    return head + _place(source, number)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # the program's own __str__
        return "its message cannot be printed"


def _line_number(traceback: TracebackType | None) -> int | None:
    number = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == FILENAME:
            number = traceback.tb_lineno
        traceback = traceback.tb_next
    return number


def _place(source: str, number: int | None) -> str:
    lines = source.splitlines()
    if number is None or not 1 <= number <= len(lines):
        return "" if number is None else f" (line {number})"
    line = lines[number - 1].strip()
    if len(line) > _MAX_LINE:
        line = line[: _MAX_LINE - 1] + "…"
    return f" (line {number}: {line})"
