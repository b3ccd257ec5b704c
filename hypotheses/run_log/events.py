"""What happened in a run, and when: its timeline, and the words that others leave for its writer."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypotheses.run_log.database import Driver
from hypotheses.run_log.schema import from_column, to_column, to_json

_END_OF_TIME = 2e11
"""In seconds since 1970: datetime goes as far."""


@dataclass(frozen=True, slots=True)
class Event:
    """That something happened, at ``time`` (seconds since 1970), in some place, to some task.

    ``detail`` is anything that JSON can hold.
    """

    time: float
    what: str
    where: str = ""
    task_id: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def write(driver: Driver, events: Sequence[Event]) -> None:
    """Add events to the timeline."""
    rows = [
        (
            one.time,
            None if one.task_id is None else to_column(one.task_id),
            to_column(one.what),
            to_column(one.where),
            to_column(to_json(dict(one.detail))),
        )
        for one in events
    ]
    driver.insert_many("events (time, task_id, what, where_, detail)", rows)


def read(driver: Driver, task_id: str | None, after: int, most: int) -> list[tuple[int, Event]]:
    """Give events, all or those of a task, with their numbers, from ``after`` on."""
    query = "SELECT id, time, what, where_, task_id, detail FROM events WHERE id > ?"
    values: list[Any] = [after]
    if task_id is not None:
        query += " AND task_id = ?"
        values.append(to_column(task_id))
    rows = driver.execute(f"{query} ORDER BY id LIMIT ?", [*values, most]).fetchall()
    return [
        (
            number,
            Event(
                _moment(time_),
                from_column(what),
                from_column(where),
                None if about is None else from_column(about),
                _object(from_column(detail)),
            ),
        )
        for number, time_, what, where, about, detail in rows
    ]


def _moment(time_: object) -> float:
    """Give the time of an event. Raises ``ValueError`` for what none of ours has."""
    if not isinstance(time_, (int, float)) or not 0 <= time_ < _END_OF_TIME:
        raise ValueError(f"an event has no time: {time_!r}")
    return time_


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("the details of an event are none")  # noqa: TRY004 - damage, not a mistake of ours
    return found


def leave_word(driver: Driver, what: str) -> None:
    """Leave a word for whoever writes the run."""
    driver.lock("signals")  # so that no earlier number comes after a later one
    driver.execute("INSERT INTO signals (time, what) VALUES (?, ?)", (time.time(), to_column(what)))


def words(driver: Driver, after: int) -> list[tuple[int, str]]:
    """Give the words that were left after the one with this number."""
    rows = driver.execute("SELECT id, what FROM signals WHERE id > ? ORDER BY id", (after,))
    return [(number, from_column(what)) for number, what in rows.fetchall()]
