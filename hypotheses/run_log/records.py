"""How tasks, candidates and solutions become rows, and rows become them again."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, get_args

from hypotheses.hypothesis import (
    Candidate,
    Completion,
    Entry,
    Hypothesis,
    Judged,
    Outcome,
    Solution,
    Trace,
    Usage,
    Verdict,
)
from hypotheses.run_log import completions
from hypotheses.run_log.database import Driver
from hypotheses.run_log.moment import now
from hypotheses.run_log.schema import to_column, to_json
from sandboxes import Execution, Program
from sandboxes.values import decode, encode

KEPT_OUTPUT = 4_000
"""How many characters of what a program printed are kept for each input."""


class TaskWriter:
    """Writes one task's records into an open transaction: table by table, so that many rows go at once."""

    def __init__(self, driver: Driver, task_id: str) -> None:
        self._driver = driver
        self._id = task_id
        self._task_id = to_column(task_id)
        self._completion_ids: dict[Hashable, int] = {}

    def write(self, trace: Trace, solution: Solution, token: int | None) -> None:
        """Write completions, entries, and the solution that was chosen among them."""
        ids = completions.write(self._driver, self._id, trace.completions)
        for id_, (_, completion) in zip(ids, trace.completions, strict=True):
            self._completion_ids[completion.identity] = id_
        candidate_ids = self._write_candidates(trace.entries)
        chosen = None if solution.candidate is None else candidate_ids[id(solution.candidate)]
        predictions = [[encode(value) for value in values] for values in solution.predictions]
        self._driver.insert(
            "INSERT INTO solutions "
            "(task_id, outcome, predictions, candidate_id, usage, note, finished, token) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._task_id,
                solution.outcome,
                to_column(to_json(predictions)),
                chosen,
                to_json(asdict(solution.usage)),
                to_column(solution.note),
                now(),
                token,
            ),
        )

    def _write_candidates(self, entries: Sequence[Entry]) -> dict[int, int]:
        """Write what came of all proposals; give the ids of the candidates."""
        judged = [one for entry in entries for one in entry.judged]
        verdict_ids = self._write_verdicts(judged)
        hypothesis_ids = self._driver.insert_many(
            "hypotheses (task_id, round, sample, proposer, text, parents, completion_id)",
            [self._hypothesis_row(entry) for entry in entries],
        )
        rows = [
            (hypothesis_id, self._completion_id(one.candidate.completion))
            for hypothesis_id, entry in zip(hypothesis_ids, entries, strict=True)
            for one in entry.judged
        ]
        ids = self._driver.insert_many(
            "candidates (hypothesis_id, completion_id, verdict_id)",
            [(*row, verdict_id) for row, verdict_id in zip(rows, verdict_ids, strict=True)],
        )
        return {id(one.candidate): id_ for one, id_ in zip(judged, ids, strict=True)}

    def _hypothesis_row(self, entry: Entry) -> tuple[Any, ...]:
        hypothesis = entry.proposal.hypothesis
        return (
            self._task_id,
            entry.round,
            entry.sample,
            to_column(hypothesis.proposer),
            to_column(hypothesis.text),
            to_column(to_json(hypothesis.parents)),
            self._completion_id(entry.proposal.completion),
        )

    def _completion_id(self, completion: Completion | None) -> int | None:
        return None if completion is None else self._completion_ids[completion.identity]

    def _write_verdicts(self, judged: Sequence[Judged]) -> list[int]:
        """Write programs and verdicts, once for each program; give the verdict's id for each candidate."""
        distinct: dict[Hashable, tuple[Program | None, Verdict]] = {}
        for one in judged:
            distinct.setdefault(_verdict_key(one), (one.candidate.program, one.verdict))
        programs = {program.key: program for program, _ in distinct.values() if program is not None}
        self._driver.add_many(
            "programs (key, source, entry_point, call)",  # what it may import is in the run's settings
            # In one order, so that those who write the same do not wait for each other in a circle.
            [_program_row(programs[key]) for key in sorted(programs)],
        )
        ids = self._driver.insert_many(
            "verdicts (task_id, program_key, passed, total, correct, executions, query_executions)",
            [self._verdict_row(program, verdict) for program, verdict in distinct.values()],
        )
        by_key = dict(zip(distinct, ids, strict=True))
        return [by_key[_verdict_key(one)] for one in judged]

    def _verdict_row(self, program: Program | None, verdict: Verdict) -> tuple[Any, ...]:
        return (
            self._task_id,
            None if program is None else program.key,
            verdict.passed,
            verdict.total,
            to_json(verdict.correct),
            to_column(_write_executions(verdict.executions)),
            to_column(_write_executions(verdict.query_executions)),
        )


def _verdict_key(one: Judged) -> Hashable:
    """Give what those have in common that share a verdict; without a program every one has its own."""
    return one.candidate.program.key if one.candidate.program is not None else id(one)


def _program_row(program: Program) -> tuple[Any, ...]:
    return program.key, to_column(program.source), to_column(program.entry_point), to_column(program.call)


def read_solution(row: Mapping[Any, Any]) -> Solution:
    """Make a solution of a row of solutions joined with its candidate, which may be absent.

    Raises ``ValueError``, ``TypeError`` or ``KeyError`` for a row that no run log of ours holds.
    """
    if row["outcome"] not in get_args(Outcome):
        raise ValueError(f"there is no outcome {row['outcome']!r}")
    judged = None if row["candidate_id"] is None else read_judged(row)
    return Solution(
        row["task_id"],
        row["outcome"],
        tuple(tuple(decode(value) for value in values) for values in json.loads(row["predictions"])),
        judged.candidate if judged else None,
        judged.verdict if judged else None,
        Usage(**json.loads(row["usage"])),
        row["note"],
    )


def _write_executions(executions: Sequence[Execution]) -> str:
    return to_json(
        [
            [e.status, encode(e.value), e.error, e.stdout[:KEPT_OUTPUT], round(e.seconds, 6)]
            for e in executions
        ]
    )


def _read_executions(text: str) -> tuple[Execution, ...]:
    return tuple(
        Execution(status, decode(value), error, stdout, seconds)
        for status, value, error, stdout, seconds in json.loads(text)
    )


def read_hypothesis(row: Mapping[Any, Any]) -> Hypothesis:
    """Make a hypothesis of its row."""
    return Hypothesis(row["text"], tuple(json.loads(row["parents"])), row["proposer"])


def read_judged(row: Mapping[Any, Any], completion: Completion | None = None) -> Judged:
    """Make a judged candidate of a row of candidates joined with hypothesis, verdict and program, if any.

    ``completion`` is what the program was read from.
    """
    program = None
    if row["program_key"] is not None:
        if row["source"] is None:
            raise ValueError(f"program {row['program_key']} is missing")
        program = Program(row["source"], row["entry_point"], row["call"])
    verdict = Verdict(
        _read_executions(row["executions"]),
        tuple(json.loads(row["correct"])),
        _read_executions(row["query_executions"]),
    )
    return Judged(Candidate(read_hypothesis(row), program, row["round"], row["sample"], completion), verdict)
