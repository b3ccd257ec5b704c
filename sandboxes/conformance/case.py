"""What a conforming sandbox must do, case by case: a program, its inputs, and what must become of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sandboxes.execution import Execution, Status
from sandboxes.limits import Limits
from sandboxes.program import CallStyle, Program
from sandboxes.sandbox import Sandbox
from sandboxes.values import NotDataError, canonical


class _Anything:
    """Stands for a value that does not matter."""

    def __repr__(self) -> str:
        return "anything"


ANYTHING: Final = _Anything()
"""The value of an ``Outcome`` whose value does not matter."""

QUICK = Limits(seconds=0.3, memory_mb=64, output_bytes=10_000)
"""The budget of a case unless it names its own."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What must become of one input.

    ``statuses`` are those that are right, nearly always one. ``value`` must come back equal and of the same
    types all the way down; ``error`` must be a part of the error, ``stdout`` all that was printed. What is
    left out does not matter.
    """

    statuses: tuple[Status, ...]
    value: Any = ANYTHING
    error: str | None = None
    stdout: str | None = None

    def problem(self, execution: Execution) -> str | None:
        """Say how an execution differs from this, ``None`` where it does not."""
        if execution.status not in self.statuses:
            return f"{_short(execution)} where {' or '.join(self.statuses)} is right"
        if execution.ok and self.value is not ANYTHING and not same(execution.value, self.value):
            return f"the value {_cut(execution.value)} where {_cut(self.value)} is right"
        if self.error is not None and not execution.ok and self.error not in (execution.error or ""):
            return f"the error {execution.error!r} where {self.error!r} is part of the right one"
        if self.stdout is not None and execution.stdout != self.stdout:
            return f"the output {_cut(execution.stdout)} where {_cut(self.stdout)} is right"
        if execution.ok != (execution.error is None):
            return f"{_short(execution)}: a value and an error exclude each other"
        if not execution.seconds >= 0:
            return f"{execution.seconds} seconds"
        return None


@dataclass(frozen=True, slots=True)
class Case:
    """A program, its inputs, and an ``Outcome`` for each.

    ``hostile`` asks for one thing more: that the next program is answered right. ``destructive`` says that
    the program does lasting harm where nothing contains it; ``needs`` names what it imports beyond the
    standard library.
    """

    name: str
    group: str
    source: str
    inputs: tuple[Any, ...]
    expected: tuple[Outcome, ...]
    limits: Limits = QUICK
    call: CallStyle = "single"
    entry_point: str = "f"
    hostile: bool = False
    destructive: bool = False
    needs: tuple[str, ...] = ()

    def run(self, sandbox: Sandbox) -> str | None:
        """Run the program and say what went wrong, ``None`` where nothing did. Raises ``SandboxError``."""
        program = Program(self.source, self.entry_point, self.call)
        executions = sandbox.run(program, self.inputs, self.limits)
        if len(executions) != len(self.expected):
            return f"{len(executions)} results for {len(self.expected)} inputs"
        for number, (outcome, execution) in enumerate(zip(self.expected, executions, strict=True), 1):
            if (problem := outcome.problem(execution)) is not None:
                return problem if len(executions) == 1 else f"input {number} of {len(executions)}: {problem}"
        return next_program(sandbox) if self.hostile else None


@dataclass(frozen=True, slots=True)
class Check:
    """What takes more than one program to see. ``run`` says what went wrong, ``None`` where nothing did."""

    name: str
    group: str
    run: Callable[[Sandbox], str | None]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case went: what went wrong, or why it was skipped, and how long it took in wall-clock seconds."""

    case: Case | Check
    problem: str | None = None
    skipped: str | None = None
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the case was run and nothing went wrong."""
        return self.problem is None and self.skipped is None


def same(value: Any, other: Any) -> bool:
    """Whether two values are equal and of the same types all the way down, which is data where they are."""
    try:
        return canonical(value) == canonical(other)
    except NotDataError:
        return False


def next_program(sandbox: Sandbox) -> str | None:
    """Run a program that does no harm, and say what went wrong."""
    [execution] = sandbox.run(Program("def f(x): return x + 1", "f"), [41], QUICK)
    return None if same(execution.value, 42) else f"the next program: {_short(execution)}"


def _short(execution: Execution) -> str:
    if execution.ok:
        return f"ok with the value {_cut(execution.value)}"
    return f"{execution.status} ({execution.error})"


def _cut(value: Any, longest: int = 200) -> str:
    text = repr(value)
    return text if len(text) <= longest else f"{text[:longest]}…"
