"""Whether an input fits the way a program is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandboxes.errors import SandboxError
from sandboxes.guest import values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxes.limits import Limits
    from sandboxes.program import CallStyle

_INT64 = range(-(2**63), 2**63)


def encode_inputs(call: CallStyle, inputs: Sequence[Any]) -> list[str]:
    """Write inputs as JSON texts, for a program that is called as ``call`` says.

    Raises ``ValueError``, with the index of the input, for one that is not data or does not fit ``call``.
    """
    texts = []
    for index, value in enumerate(inputs):
        try:
            _check(call, value)
            texts.append(values.dumps(value))
        except ValueError as error:
            raise ValueError(f"input {index}: {error}") from error
    return texts


def refuse_processes(limits: Limits) -> None:
    """Raise ``SandboxError`` where ``limits`` ask for what no sandbox gives: more than one process."""
    if limits.processes > 1:
        raise SandboxError(f"a sandbox gives a program one process, not {limits.processes}; set processes=1")


def _check(call: CallStyle, value: Any) -> None:
    if call == "positional" and not isinstance(value, (list, tuple)):
        raise ValueError(f"a positional call takes a list or tuple of arguments, not {type(value).__name__}")
    if call == "keyword" and not (isinstance(value, dict) and all(isinstance(key, str) for key in value)):
        raise ValueError("a keyword call takes a dict from parameter name to argument")
    if call in ("grid_list", "grid_ndarray"):
        _check_grid(value)


def _check_grid(grid: Any) -> None:
    if not isinstance(grid, list) or not all(isinstance(row, list) for row in grid):
        raise ValueError("a grid is a list of rows, and a row a list of integers")
    if len({len(row) for row in grid}) > 1:
        raise ValueError("a grid's rows must all have the same length")
    for row in grid:
        if not {int}.issuperset(map(type, row)) or any(cell not in _INT64 for cell in row):
            raise ValueError("a grid holds integers of at most 64 bits")
