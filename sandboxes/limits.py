"""The budget of one program on one input."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """A budget *per input*, so that one bad input cannot starve the others.

    ``seconds``       CPU seconds; a generous wall-clock limit follows from it, for sleepers
    ``memory_mb``     mebibytes that the program may allocate beyond the bare interpreter
    ``output_bytes``  bytes of the encoded value, and separately of the captured standard output
    ``processes``     processes and threads, the program itself included

    Raises ``ValueError`` for a budget that is not positive and finite.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012  for the settings that hold it

    seconds: float = 2.0
    memory_mb: int = 256
    output_bytes: int = 100_000
    processes: int = 1

    def __post_init__(self) -> None:
        for name in ("seconds", "memory_mb", "output_bytes", "processes"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"Limits.{name} must be positive and finite, not {value!r}")
            if name != "seconds" and not isinstance(value, int):
                raise ValueError(f"Limits.{name} must be a whole number, not {value!r}")
