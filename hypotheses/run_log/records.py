"""How tasks, candidates and solutions become rows, and rows become them again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, get_args

import sqlalchemy as sa

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
from hypotheses.run_log import completions, schema
from hypotheses.run_log.schema import to_json
from sandboxes import Execution, Program
from sandboxes.values import decode, encode

KEPT_OUTPUT = 4_000
"""How many characters of what a program printed are kept for each input."""


class TaskWriter:
    """Writes one task's records into an open transaction."""

    def __init__(self, connection: sa.Connection, task_id: str) -> None:
        self._connection = connection
        self._driver = driver_of(connection)
        self._task_id = task_id
        self._verdict_ids: dict[str, int] = {}
        self._candidate_ids: dict[int, int] = {}
        self._completion_ids: dict[Hashable, int] = {}

    def write(self, trace: Trace, solution: Solution) -> None:
        """Write completions, entries, and the solution that was chosen among them."""
        for round_, completion in trace.completions:
            written = completions.write(self._driver, self._task_id, round_, completion)
            self._completion_ids[completion.identity] = written
        for entry in trace.entries:
            self._write_entry(entry)
        chosen = None if solution.candidate is None else self._candidate_ids[id(solution.candidate)]
        self._insert(
            schema.SOLUTIONS,
            task_id=self._task_id,
            outcome=solution.outcome,
            predictions=to_json([[encode(value) for value in values] for values in solution.predictions]),
            candidate_id=chosen,
            usage=to_json(asdict(solution.usage)),
            note=solution.note,
            finished=now(),
        )

    def _write_entry(self, entry: Entry) -> None:
        hypothesis = entry.proposal.hypothesis
        hypothesis_id = self._insert(
            schema.HYPOTHESES,
            task_id=self._task_id,
            round=entry.round,
            sample=entry.sample,
            proposer=hypothesis.proposer,
            text=hypothesis.text,
            parents=to_json(hypothesis.parents),
            completion_id=self._completion_id(entry.proposal.completion),
        )
        for one in entry.judged:
            self._candidate_ids[id(one.candidate)] = self._insert(
                schema.CANDIDATES,
                hypothesis_id=hypothesis_id,
                verdict_id=self._write_verdict(one),
                completion_id=self._completion_id(one.candidate.completion),
            )

    def _completion_id(self, completion: Completion | None) -> int | None:
        return None if completion is None else self._completion_ids[completion.identity]

    def _write_verdict(self, one: Judged) -> int:
        program = one.candidate.program
        if program is None:
            return self._insert_verdict(None, one.verdict)
        if program.key not in self._verdict_ids:
            known = sa.select(schema.PROGRAMS.c.key).where(schema.PROGRAMS.c.key == program.key)
            if self._connection.execute(known).first() is None:
                self._insert(
                    schema.PROGRAMS,
                    key=program.key,
                    source=program.source,
                    entry_point=program.entry_point,
                    call=program.call,  # the packages it may import are in the run's settings
                )
            self._verdict_ids[program.key] = self._insert_verdict(program.key, one.verdict)
        return self._verdict_ids[program.key]

    def _insert_verdict(self, program_key: str | None, verdict: Verdict) -> int:
        return self._insert(
            schema.VERDICTS,
            task_id=self._task_id,
            program_key=program_key,
            passed=verdict.passed,
            total=verdict.total,
            correct=to_json(verdict.correct),
            executions=_write_executions(verdict.executions),
            query_executions=_write_executions(verdict.query_executions),
        )

    def _insert(self, table: sa.Table, **values: Any) -> int:
        key = self._connection.execute(table.insert().values(values)).inserted_primary_key
        return int(key[0]) if key is not None and isinstance(key[0], int) else 0


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


def driver_of(connection: sa.Connection) -> sqlite3.Connection:
    """Give SQLite's own connection."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError(f"a run log needs sqlite3, not {driver!r}")
    return driver


def now() -> str:
    """Give the present time, to the second, with its zone."""
    return datetime.now(UTC).isoformat(timespec="seconds")
