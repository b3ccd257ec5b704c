"""Judge a program by the only thing that counts: running it."""

from __future__ import annotations

from collections.abc import Sequence

from hypotheses.equality import canonical, equal
from hypotheses.hypothesis import Verdict
from hypotheses.task import Task
from sandboxes import Cancellation, Execution, Limits, Program, Sandbox


def verify(
    program: Program,
    task: Task,
    sandbox: Sandbox,
    limits: Limits,
    cancellation: Cancellation | None = None,
) -> Verdict:
    """Run ``program`` on every example and every query of ``task``, in one go, and compare the outputs.

    A program that satisfies every example is run once more, on each input in a process of its own: what it
    keeps from one input to the next cannot make it look right. That second run is what counts.

    Raises ``SandboxError`` where the sandbox, not the program, failed.
    """
    inputs = [*(example.input for example in task.examples), *task.queries]
    verdict = _compare(task, sandbox.run(program, inputs, limits, cancellation))
    if verdict.consistent and len(inputs) > 1:
        apart = [run for value in inputs for run in sandbox.run(program, [value], limits, cancellation)]
        verdict = _compare(task, apart)
    return verdict


def _compare(task: Task, runs: Sequence[Execution]) -> Verdict:
    executions, query_executions = runs[: len(task.examples)], runs[len(task.examples) :]
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
