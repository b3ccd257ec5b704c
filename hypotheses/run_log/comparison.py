"""Whether two runs have the same record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from hypotheses.hypothesis import Candidate, Completion, Solution, Trace, Verdict
from hypotheses.run_log.log import RunLog
from hypotheses.run_log.schema import to_json
from sandboxes import Execution, RunLogError
from sandboxes.values import encode

SHOWN = 60
"""How many characters of a differing text are shown."""


def differences(a: RunLog, b: RunLog) -> list[str]:
    """Say in words how the records of two runs differ, task by task; nothing where they are the same.

    Compared are, for each finished task, its outcome, predictions, chosen candidate and usage, and its
    completions, hypotheses, programs and verdicts. Left out are all timings, the order in which anything
    came within a round, what the settings were, and completions that no solution was made from.

    Raises ``RunLogError`` where a log cannot be read.
    """
    found = []
    ours, theirs = a.task_ids(), b.task_ids()
    for one, other, missing in ((a, b, set(ours) - set(theirs)), (b, a, set(theirs) - set(ours))):
        found += [
            f"task {task_id}: finished in {one.address} only, not in {other.address}"
            for task_id in sorted(missing)
        ]
    shared = set(theirs)
    for task_id in ours:
        if task_id in shared:
            found += [f"task {task_id}: {difference}" for difference in _of_task(a, b, task_id)]
    return [_printable(line) for line in found]


def common_prefix(one: str, other: str) -> int:
    """Count the characters at the beginning of two texts that are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))


@dataclass(frozen=True, slots=True)
class _Record:
    """One thing that a log holds: what it is, in words, and all that is compared, by name."""

    words: str
    fields: tuple[tuple[str, str], ...]


def _of_task(a: RunLog, b: RunLog, task_id: str) -> list[str]:
    one, other = a.solution(task_id), b.solution(task_id)
    if one is None or other is None:  # a log only grows, so what was finished is
        raise RunLogError(f"the task {task_id} has gone from {a.address} or {b.address} while it was read")
    ours, theirs = a.trace(task_id), b.trace(task_id)
    found = _of_solution(one, other)
    for describe in (_completions, _hypotheses, _candidates):
        found += _of_records(Counter(describe(ours)), Counter(describe(theirs)))
    return found


def _of_solution(one: Solution, other: Solution) -> list[str]:
    ours, theirs = (
        {
            "the outcome": solution.outcome,
            "the predictions": _predictions(solution),
            "the chosen candidate": _chosen(solution),
        }
        | {
            f"usage.{name}": _text(value)
            for name, value in asdict(solution.usage).items()
            if name != "seconds"
        }
        for solution in (one, other)
    )
    return [_differing(name, ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]]


def _of_records(ours: Counter[_Record], theirs: Counter[_Record]) -> list[str]:
    """Say which records only one of two runs has; those that are called the same are taken together."""
    unmatched: dict[str, tuple[list[_Record], list[_Record]]] = {}
    for which, more in enumerate((ours - theirs, theirs - ours)):
        for record in more.elements():
            unmatched.setdefault(record.words, ([], []))[which].append(record)
    found = []
    for words, (first, second) in unmatched.items():
        for one, other in zip(first, second, strict=False):
            differing = [
                _differing(name, was, is_)
                for (name, was), (_, is_) in zip(one.fields, other.fields, strict=True)
                if was != is_
            ]
            found.append(f"{words}: {', '.join(differing)}")
        surplus = len(first) - len(second)
        if surplus:
            times = f", {abs(surplus)} times" if abs(surplus) > 1 else ""
            found.append(f"{words}: in the {'first' if surplus > 0 else 'second'} only{times}")
    return found


def _completions(trace: Trace) -> Iterator[_Record]:
    for round_, one in trace.completions:
        called = f"the completion {one.key[:12] or 'without a key'}, sample {one.sample}"
        yield _record(f"{called} ({one.kind}, round {round_})", **asdict(one))


def _hypotheses(trace: Trace) -> Iterator[_Record]:
    for entry in trace.entries:
        hypothesis = entry.proposal.hypothesis
        yield _record(
            f"the hypothesis {_short(_text(hypothesis.text))} (round {entry.round})",
            **asdict(hypothesis),
            completion=_name(entry.proposal.completion),
        )


def _candidates(trace: Trace) -> Iterator[_Record]:
    for entry in trace.entries:
        for one in entry.judged:
            program, hypothesis = one.candidate.program, one.candidate.hypothesis
            called = f"program {program.key[:12]}" if program else "candidate without a program"
            yield _record(
                f"the {called} for {_short(_text(hypothesis.text))} (round {entry.round})",
                hypothesis=asdict(hypothesis),
                program=_program(one.candidate),
                completion=_name(one.candidate.completion),
                **_verdict(one.verdict),
            )


def _record(words: str, **fields: object) -> _Record:
    return _Record(words, tuple((name, _text(value)) for name, value in fields.items()))


def _program(candidate: Candidate) -> list[str] | None:
    program = candidate.program
    return None if program is None else [program.source, program.entry_point, program.call]


def _name(completion: Completion | None) -> list[object] | None:
    """Give what tells a completion from the others of its task."""
    if completion is None:
        return None
    return [completion.key, completion.sample, completion.kind, completion.response]


def _verdict(verdict: Verdict) -> dict[str, object]:
    return {
        "correct": verdict.correct,
        "executions": _executions(verdict.executions),
        "query_executions": _executions(verdict.query_executions),
    }


def _executions(executions: Iterable[Execution]) -> list[list[object]]:
    return [[one.status, encode(one.value), one.error, one.stdout] for one in executions]


def _predictions(solution: Solution) -> str:
    return _text([[encode(value) for value in values] for values in solution.predictions])


def _chosen(solution: Solution) -> str:
    candidate, verdict = solution.candidate, solution.verdict
    if candidate is None or verdict is None:
        return "none"
    chosen = [_program(candidate), candidate.hypothesis.text, candidate.round, _verdict(verdict)]
    return _text(chosen)


def _text(record: object) -> str:
    return to_json(record)


def _differing(name: str, one: str, other: str) -> str:
    """Say that a thing differs, and show both from shortly before the place where they do."""
    start = max(0, common_prefix(one, other) - SHOWN // 3)
    dots = "…" if start else ""
    shown = [f"{dots}{_short(text[start:])}" for text in (one, other)]
    return f"{name} is {shown[0]} in the first and {shown[1]} in the second"


def _printable(text: str) -> str:
    """Make a text fit to be shown: what a model wrote can neither command the terminal nor break a line."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
