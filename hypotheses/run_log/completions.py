"""Completions as rows, and rows as completions.

They are written one request at a time while a task is under way, on the thread of the event loop, so this
speaks to SQLite directly: an SQL toolkit's statements would cost more than the writing.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from hypotheses.budget import Cost
from hypotheses.hypothesis import Completion
from hypotheses.models.chat import PART, ChatRequest, Message, Sampling
from hypotheses.run_log.schema import from_column, to_column, to_json

_INSERT = (
    "INSERT INTO completions (id, request_id, sample, task_id, round, kind, finish, prompt_tokens, "
    "completion_tokens, cached_tokens, money, logprob, response, reasoning) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (request_id, sample) DO NOTHING"
)
_FIELDS = (
    "r.key, r.model, r.sampling, r.messages, c.sample, c.kind, c.finish, c.prompt_tokens, "
    "c.completion_tokens, c.cached_tokens, c.money, c.logprob, c.response, c.reasoning"
)


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request of which a log holds completions: ``request.n`` of them, from sample ``request.first`` on."""

    key: str
    model: str
    request: ChatRequest


def keep(connection: sqlite3.Connection, request: ChatRequest, completions: Sequence[Completion]) -> None:
    """Write the completions of a request that have a key, but for those that are there already.

    Raises ``ValueError`` where a completion says it was asked something other than ``request``.
    """
    request_ids: dict[tuple[str, str], int] = {}
    given = (request.prompt, request.sampling.temperature)
    for one in completions:
        if not one.key:
            continue
        if (one.prompt, one.temperature) != given:
            raise ValueError(f"sample {one.sample} was not asked what the request says that it is kept under")
        asked = (one.key, one.model)
        if asked not in request_ids:
            messages = [(message.role, message.content) for message in request.messages]
            request_ids[asked] = _request_id(connection, *asked, asdict(request.sampling), messages)
        connection.execute(_INSERT, (None, *_row(request_ids[asked], one, request.task_id, request.round)))


def recall(connection: sqlite3.Connection, key: str, first: int, n: int) -> list[Completion]:
    """Give those of the samples ``first`` … ``first + n - 1`` that are kept under ``key``, by sample."""
    rows = connection.execute(
        f"SELECT {_FIELDS} FROM requests r JOIN completions c ON c.request_id = r.id "  # noqa: S608  no input
        "WHERE r.key = ? AND c.sample >= ? AND c.sample < ? ORDER BY c.sample",
        (key, first, first + n),
    )
    reader = CompletionReader(connection)
    return [reader.read(row) for row in rows.fetchall()]


def write(
    connection: sqlite3.Connection,
    task_id: str,
    round_: int,
    completion: Completion,
    own_id: int | None = None,
) -> int:
    """Write that a finished task used a completion, and the completion unless it is kept; give its id.

    ``own_id`` is the id that a completion without a key is to have; without one it gets the next.
    """
    completion_id = _find(connection, completion) if completion.key else None
    if completion_id is None:
        sampling = {} if completion.temperature is None else {"temperature": completion.temperature}
        asked = (completion.key or None, completion.model)
        request_id = _request_id(connection, *asked, sampling, [("", completion.prompt)])
        added = connection.execute(_INSERT, (own_id, *_row(request_id, completion, task_id, round_)))
        completion_id = int(added.lastrowid or 0)
    connection.execute(
        "INSERT INTO uses (task_id, round, kind, completion_id) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (task_id, completion_id, round, kind) DO NOTHING",
        (to_column(task_id), round_, to_column(completion.kind), completion_id),
    )
    return completion_id


def used(connection: sqlite3.Connection, task_id: str) -> Iterator[tuple[int, int, Completion]]:
    """Yield what a finished task was made from, as it was recorded: id, round, completion."""
    rows = connection.execute(
        f"SELECT {_FIELDS}, c.id, u.round, u.kind FROM uses u JOIN completions c ON u.completion_id = c.id "  # noqa: S608
        "JOIN requests r ON c.request_id = r.id WHERE u.task_id = ? ORDER BY u.id",
        (to_column(task_id),),
    )
    reader = CompletionReader(connection)
    for *fields, completion_id, round_, kind in rows:
        yield completion_id, round_, replace(reader.read(fields), kind=from_column(kind))


def unused(connection: sqlite3.Connection, task_id: str) -> Iterator[tuple[int, int, Completion]]:
    """Yield what was kept for a task that is not finished, or finished without it: id, round, completion."""
    rows = connection.execute(
        f"SELECT {_FIELDS}, c.id, c.round FROM completions c JOIN requests r ON c.request_id = r.id "  # noqa: S608
        "WHERE c.task_id = ?1 AND NOT EXISTS "
        "(SELECT 1 FROM uses u WHERE u.task_id = ?1 AND u.completion_id = c.id) ORDER BY c.id",
        (to_column(task_id),),
    )
    reader = CompletionReader(connection)
    for *fields, completion_id, round_ in rows:
        yield completion_id, round_, reader.read(fields)


def spent(connection: sqlite3.Connection, *, unfinished: bool) -> Cost:
    """Give what completions cost, those of unfinished tasks included or not."""
    query = (
        "SELECT total(prompt_tokens), total(completion_tokens), total(money) FROM completions WHERE kind <> ?"
    )
    if not unfinished:
        query += " AND (task_id IN (SELECT task_id FROM solutions) OR id IN (SELECT completion_id FROM uses))"
    return Cost(*connection.execute(query, (PART,)).fetchone())


def find_requests(
    connection: sqlite3.Connection,
    *,
    key: str | None = None,
    task_id: str | None = None,
    messages: Sequence[Message] | None = None,
) -> Iterator[RecordedRequest]:
    """Yield the requests with a key for which all that is given holds, as they came."""
    conditions, values = ["r.key IS NOT NULL"], list[Any]()
    if key is not None:
        conditions.append("r.key = ?")
        values.append(key)
    if task_id is not None:
        conditions.append(
            "r.id IN (SELECT request_id FROM completions WHERE task_id = ? UNION SELECT c.request_id "
            "FROM uses u JOIN completions c ON u.completion_id = c.id WHERE u.task_id = ?)"
        )
        values += [to_column(task_id)] * 2
    if messages is not None:
        ids = [_message_id(connection, message.content) for message in messages]
        if None in ids:
            return
        pairs = [[message.role, id_] for message, id_ in zip(messages, ids, strict=True)]
        conditions.append("r.messages = ?")
        values.append(to_json(pairs))
    rows = connection.execute(
        "SELECT r.key, r.model, r.sampling, r.messages, count(*), min(c.sample), c.kind, c.task_id, c.round "  # noqa: S608
        "FROM requests r JOIN completions c ON c.request_id = r.id "
        f"WHERE {' AND '.join(conditions)} GROUP BY r.id ORDER BY r.id",
        values,
    )
    reader = CompletionReader(connection)
    for found, model, sampling, pairs_text, n, first, kind, kept_for, round_ in rows:
        request = ChatRequest(
            from_column(kind),
            tuple(Message(role, text) for role, text in reader.messages(pairs_text)),
            _read_sampling(sampling),
            n,
            first,
            from_column(kept_for),
            round_,
        )
        yield RecordedRequest(found, from_column(model), request)


class CompletionReader:
    """Reads rows of ``_FIELDS``; those with the same prompt share one text."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._prompts: dict[str, str] = {}

    def read(self, row: Sequence[Any]) -> Completion:
        """Make a completion of a row."""
        key, model, sampling, messages, sample, kind, finish, *counts, response, reasoning = row
        prompt_tokens, completion_tokens, cached_tokens, money, logprob = counts
        return Completion(
            from_column(kind),
            self._prompt(messages),
            from_column(response),
            from_column(model),
            json.loads(from_column(sampling)).get("temperature"),
            sample,
            prompt_tokens,
            completion_tokens,
            cached_tokens,
            money,
            key or "",
            from_column(reasoning),
            from_column(finish),
            logprob,
        )

    def messages(self, text: str) -> list[tuple[Any, str]]:
        """Give roles and texts. Raises ``ValueError`` where a text is missing."""
        found = []
        for role, message_id in json.loads(text):
            row = self._connection.execute("SELECT text FROM messages WHERE id = ?", (message_id,)).fetchone()
            if row is None:
                raise ValueError(f"message {message_id} is missing")
            found.append((role, from_column(row[0])))
        return found

    def _prompt(self, text: str) -> str:
        if text not in self._prompts:
            pairs = self.messages(text)
            messages = tuple(Message(role or "user", content) for role, content in pairs)
            self._prompts[text] = ChatRequest("", messages).prompt
        return self._prompts[text]


def _request_id(
    connection: sqlite3.Connection,
    key: str | None,
    model: str,
    sampling: dict[str, Any],
    messages: Sequence[tuple[str, str]],
) -> int:
    """Give the id of a request, which is written if it is not there yet; those without a key never are."""
    if key is not None:
        row = connection.execute("SELECT id FROM requests WHERE key = ?", (key,)).fetchone()
        if row is not None:
            return int(row[0])
    pairs = []
    for role, text in messages:
        message_id = _message_id(connection, text)
        if message_id is None:
            added = connection.execute(
                "INSERT INTO messages (key, text) VALUES (?, ?)", (_text_key(text), to_column(text))
            )
            message_id = int(added.lastrowid or 0)
        pairs.append([role, message_id])
    added = connection.execute(
        "INSERT INTO requests (key, model, sampling, messages) VALUES (?, ?, ?, ?)",
        (key, to_column(model), to_column(to_json(sampling)), to_json(pairs)),
    )
    return int(added.lastrowid or 0)


def _message_id(connection: sqlite3.Connection, text: str) -> int | None:
    row = connection.execute("SELECT id FROM messages WHERE key = ?", (_text_key(text),)).fetchone()
    return None if row is None else int(row[0])


def _text_key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _find(connection: sqlite3.Connection, completion: Completion) -> int | None:
    row = connection.execute(
        "SELECT c.id FROM requests r JOIN completions c ON c.request_id = r.id "
        "WHERE r.key = ? AND c.sample = ?",
        (completion.key, completion.sample),
    ).fetchone()
    return None if row is None else int(row[0])


def _row(request_id: int, one: Completion, task_id: str, round_: int) -> tuple[Any, ...]:
    return (
        request_id,
        one.sample,
        to_column(task_id),
        round_,
        to_column(one.kind),
        to_column(one.finish),
        one.prompt_tokens,
        one.completion_tokens,
        one.cached_tokens,
        one.money,
        one.logprob,
        to_column(one.response),
        to_column(one.reasoning),
    )


def _read_sampling(text: str) -> Sampling:
    values = json.loads(from_column(text))
    if "stop" in values:
        values["stop"] = tuple(values["stop"])
    return Sampling(**values)
