"""How a solution looks: to a person in the terminal, and to a machine as a record."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from hypotheses.hypothesis import Solution, Verdict
from hypotheses.task import Task
from induce.render import render_predictions, render_value, visible
from sandboxes.values import encode

_STYLES = {"solved": "green", "unsolved": "red", "answered": "cyan", "infeasible": "yellow"}


def solution_record(solution: Solution) -> dict[str, Any]:
    """Give what ``induce solve --json`` prints of a solution; predictions are encoded as JSON."""
    candidate, verdict = solution.candidate, solution.verdict
    program = candidate.program if candidate else None
    return {
        "task_id": solution.task_id,
        "solved": solution.solved,
        "outcome": solution.outcome,
        "passed": verdict.passed if verdict else 0,
        "total": verdict.total if verdict else 0,
        "examples": [
            {"correct": correct, "status": run.status, "error": run.error}
            for correct, run in zip(verdict.correct, verdict.executions, strict=True)
        ]
        if verdict
        else [],
        "hypothesis": candidate.hypothesis.text if candidate else None,
        "definition": (candidate.hypothesis.definition or None) if candidate else None,
        "program": program.source if program else None,
        "entry_point": program.entry_point if program else None,
        "call": program.call if program else None,
        "predictions": [[encode(value) for value in values] for values in solution.predictions],
        "usage": asdict(solution.usage),
        "note": solution.note,
    }


def render_line(solution: Solution) -> Text:
    """Show a solution in one line."""
    return Text.assemble(
        (f"{solution.outcome:10}", _STYLES[solution.outcome]),
        " ",
        visible(solution.task_id),
        " ",
        (_counts(solution), "dim"),
    )


def render_solution(task: Task, solution: Solution) -> list[RenderableType]:
    """Show a solution in full: the rule in words, the program, the verdict and the predictions.

    Texts are to be printed as they are; code that were wrapped would be no code any more.
    """
    style = _STYLES[solution.outcome]
    head = Text.assemble((visible(solution.task_id), "bold"), "  ", (solution.outcome, style))
    parts: list[RenderableType] = [Rule(head, align="left", style=style)]
    if solution.note:
        parts.append(Padding(Text(visible(solution.note), style=style), (0, 2), expand=False))
    if solution.candidate is not None:
        definition = solution.candidate.hypothesis.definition
        rule = solution.candidate.hypothesis.text.removesuffix(definition).rstrip("\n")
        if rule:
            parts.append(Padding(Text(_safe(rule), style="italic"), (0, 2), expand=False))
        parts += [Text(), Text(f"    {_safe(definition)}")] if definition else []
        program = solution.candidate.program
        parts += [] if program is None else [Text(), highlighted(program.source), Text()]
        parts.append(Text(f"  {_counts(solution)}", style))
    if solution.verdict is not None and not all(solution.verdict.correct):
        parts.append(Padding(_first_failure(task, solution.verdict), (0, 2), expand=False))
    if any(solution.predictions):
        parts.append(Padding(render_predictions(task, solution.predictions), (0, 2), expand=False))
    return [*parts, Text()]


def highlighted(source: str) -> Text:
    """Give a program in colour, indented."""
    code = Syntax("", "python", theme="ansi_dark", background_color="default").highlight(_safe(source))
    lines = code.split("\n", allow_blank=True)
    while lines and not lines[-1].plain:
        lines.pop()
    return Text("\n").join(Text.assemble("    ", line) if line.plain else line for line in lines)


def _counts(solution: Solution) -> str:
    verdict, usage = solution.verdict, solution.usage
    programs = usage.programs
    if verdict is None:
        passed = "no candidate, "
    elif verdict.total:
        passed = f"{verdict.passed} of {verdict.total} examples right, "
    else:
        passed = "not tried on the examples, "
    asked = ""
    if usage.completions:
        asked = f"{usage.completions} completion{'' if usage.completions == 1 else 's'}, "
        asked += f"{usage.completion_tokens:,} tokens, " if usage.completion_tokens else ""
        asked += f"${usage.money:.4f}, " if usage.money else ""
    return f"{passed}{programs} program{'' if programs == 1 else 's'} run, {asked}{usage.seconds:.2f} s"


def _first_failure(task: Task, verdict: Verdict) -> Text:
    """Say which example the program fails first, and how."""
    index = verdict.correct.index(False)
    run, expected = verdict.executions[index], render_value(task.examples[index].output)
    if not run.ok:
        return Text(f"example {index + 1}: {visible(run.error or run.status)}", style="red")
    got = render_value(run.value)
    if isinstance(expected, Text) and isinstance(got, Text):
        return Text.assemble((f"example {index + 1}: ", "red"), "expected ", expected, ", got ", got)
    return Text(f"example {index + 1} comes out wrong", style="red")


def _safe(text: str) -> str:
    """Make a model's text fit to be shown: nothing in it can command the terminal."""
    return "\n".join(visible(line) for line in text.expandtabs(4).splitlines())
