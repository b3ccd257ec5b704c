"""Judge a program by the only thing that counts: running it."""

from __future__ import annotations

from hypotheses.equality import canonical, equal
from hypotheses.hypothesis import Verdict
from hypotheses.task import Task
from sandboxes import Limits, Program, Sandbox


def verify(program: Program, task: Task, sandbox: Sandbox, limits: Limits) -> Verdict:
    """Run ``program`` on every example and every query of ``task``, in one go, and compare the outputs.

    Raises ``SandboxError`` where the sandbox, not the program, failed.
    """
    inputs = [example.input for example in task.examples]
    runs = sandbox.run(program, [*inputs, *task.queries], limits)
    executions, query_executions = runs[: len(inputs)], runs[len(inputs) :]
    correct = tuple(
        run.ok and equal(run.value, example.output, task.tolerance)
        for run, example in zip(executions, task.examples, strict=True)
    )
    return Verdict(tuple(executions), correct, tuple(query_executions))


def contradiction(task: Task) -> str | None:
    """Say which two examples no function can satisfy together: one input, two outputs; ``None`` if none."""
    seen: dict[object, int] = {}
    for index, example in enumerate(task.examples):
        first = seen.setdefault(canonical(example.input), index)
        if not equal(task.examples[first].output, example.output, task.tolerance):
            return (
                f"examples {first + 1} and {index + 1} have the same input and different outputs, "
                "so no program satisfies both"
            )
    return None
