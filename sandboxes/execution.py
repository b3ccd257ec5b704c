"""What running a program on one input showed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["ok", "raised", "timed_out", "out_of_memory", "killed", "bad_output"]
"""How a run ended.

``ok``             it returned a value that is data
``raised``         it raised, a forbidden system call, file, socket or fork included
``timed_out``      it used up its CPU or wall-clock budget
``out_of_memory``  it allocated beyond its limit (``MemoryError``, or the kernel's kill)
``killed``         it died of a fatal signal, a seccomp kill, ``os._exit`` or a closed result channel
``bad_output``     its value is not data, too large, too deep or cyclic
"""


@dataclass(frozen=True, slots=True)
class Execution:
    """What running a program on one input showed.

    ``value`` is meaningful only when ``status`` is ``ok``; ``error`` is one line, absent when ``ok``;
    ``stdout`` is what the program printed, cut at the limit; ``seconds`` is CPU time.
    """

    status: Status
    value: Any = None
    error: str | None = None
    stdout: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the program returned a value."""
        return self.status == "ok"
