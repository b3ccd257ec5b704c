"""Completions as rows, and rows as completions.

They are written one request at a time while a task is under way, on the thread of the event loop, so this
speaks to the database directly: an SQL toolkit's statements would cost more than the writing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from hypotheses.budget import Cost
from hypotheses.hypothesis import Completion
from hypotheses.models.chat import PART, ChatRequest, Message, Sampling
from hypotheses.run_log.database import Driver
from hypotheses.run_log.schema import from_column, to_column, to_json

_COLUMNS = (
    "request_id, sample, task_id, round, kind, finish, prompt_tokens, completion_tokens, cached_tokens, "
    "money, logprob, response, reasoning"
)
_KEYS_AT_ONCE = 500
_UNLESS_KEPT = "ON CONFLICT (request_id, sample) DO NOTHING"
_INSERT = (
    f"INSERT INTO completions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) {_UNLESS_KEPT}"  # noqa: S608
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


def keep(driver: Driver, request: ChatRequest, completions: Sequence[Completion]) -> None:
    """Write the completions of a request that have a key, but for those that are there already.

    Raises ``ValueError`` where a completion says it was asked something other than ``request``.
    """
    request_ids: dict[tuple[str, str], int] = {}
    rows = []
    given = (request.prompt, request.sampling.temperature)
    for one in completions:
        if not one.key:
            continue
        if (one.prompt, one.temperature) != given:
            raise ValueError(f"sample {one.sample} was not asked what the request says that it is kept under")
        asked = (one.key, one.model)
        if asked not in request_ids:
            messages = [(message.role, message.content) for message in request.messages]
            request_ids[asked] = _request_id(driver, *asked, asdict(request.sampling), messages)
        rows.append(_row(request_ids[asked], one, request.task_id, request.round))
    driver.add_many(f"completions ({_COLUMNS})", rows)


def recall(driver: Driver, key: str, first: int, n: int) -> list[Completion]:
    """Give those of the samples ``first`` … ``first + n - 1`` that are kept under ``key``, by sample."""
    rows = driver.execute(
        f"SELECT {_FIELDS} FROM requests r JOIN completions c ON c.request_id = r.id "  # noqa: S608  no input
        "WHERE r.key = ? AND c.sample >= ? AND c.sample < ? ORDER BY c.sample",
        (key, first, first + n),
    )
    reader = CompletionReader(driver)
    return [reader.read(row) for row in rows.fetchall()]


def write(driver: Driver, task_id: str, completions: Sequence[tuple[int, Completion]]) -> list[int]:
    """Write that a finished task used completions, and those that are not kept; give the ids of all."""
    known = _kept(driver, sorted({completion.key for _, completion in completions if completion.key}))
    ids = [
        known.get((completion.key, completion.sample)) or _written(driver, task_id, round_, completion)
        for round_, completion in completions
    ]
    uses = [
        (to_column(task_id), round_, to_column(completion.kind), id_)
        for id_, (round_, completion) in zip(ids, completions, strict=True)
    ]
    driver.add_many("uses (task_id, round, kind, completion_id)", uses)
    return ids


def write_as(driver: Driver, own_id: int, task_id: str, round_: int, completion: Completion) -> None:
    """Write a completion without a key, and that a finished task used it, under an id of its own."""
    row = (own_id, *_row(_request_of(driver, completion), completion, task_id, round_))
    driver.insert_many(f"completions (id, {_COLUMNS})", [row])
    use = (to_column(task_id), round_, to_column(completion.kind), own_id)
    driver.add_many("uses (task_id, round, kind, completion_id)", [use])


def used(driver: Driver, task_id: str) -> Iterator[tuple[int, int, Completion]]:
    """Yield what a finished task was made from, as it was recorded: id, round, completion."""
    rows = driver.execute(
        f"SELECT {_FIELDS}, c.id, u.round, u.kind FROM uses u JOIN completions c ON u.completion_id = c.id "  # noqa: S608
        "JOIN requests r ON c.request_id = r.id WHERE u.task_id = ? ORDER BY u.id",
        (to_column(task_id),),
    )
    reader = CompletionReader(driver)
    for *fields, completion_id, round_, kind in rows:
        yield completion_id, round_, replace(reader.read(fields), kind=from_column(kind))


def unused(driver: Driver, task_id: str) -> Iterator[tuple[int, int, Completion]]:
    """Yield what was kept for a task that is not finished, or finished without it: id, round, completion."""
    rows = driver.execute(
        f"SELECT {_FIELDS}, c.id, c.round FROM completions c JOIN requests r ON c.request_id = r.id "  # noqa: S608
        "WHERE c.task_id = ? AND NOT EXISTS "
        "(SELECT 1 FROM uses u WHERE u.task_id = ? AND u.completion_id = c.id) ORDER BY c.id",
        [to_column(task_id)] * 2,
    )
    reader = CompletionReader(driver)
    for *fields, completion_id, round_ in rows:
        yield completion_id, round_, reader.read(fields)


def spent(driver: Driver, *, unfinished: bool) -> Cost:
    """Give what completions cost, those of unfinished tasks included or not."""
    query = (
        "SELECT CAST(coalesce(sum(prompt_tokens), 0) AS bigint), "
        "CAST(coalesce(sum(completion_tokens), 0) AS bigint), coalesce(sum(money), 0.0) "
        "FROM completions WHERE kind <> ?"
    )
    if not unfinished:
        query += " AND (task_id IN (SELECT task_id FROM solutions) OR id IN (SELECT completion_id FROM uses))"
    return Cost(*driver.execute(query, (PART,)).fetchone())


def find_requests(
    driver: Driver,
    *,
    key: str | None = None,
    task_id: str | None = None,
    messages: Sequence[Message] | None = None,
    after: int = 0,
    most: int = 100,
) -> list[tuple[int, RecordedRequest]]:
    """Give requests with a key for which all that is given holds, with their numbers, as they came."""
    conditions, values = ["r.key IS NOT NULL", "r.id > ?"], list[Any]([after])
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
        ids = [_message_id(driver, message.content) for message in messages]
        if None in ids:
            return []
        pairs = [[message.role, id_] for message, id_ in zip(messages, ids, strict=True)]
        conditions.append("r.messages = ?")
        values.append(to_json(pairs))
    rows = driver.execute(
        "SELECT r.id, r.key, r.model, r.sampling, r.messages, "  # noqa: S608
        "(SELECT count(*) FROM completions a WHERE a.request_id = r.id), "
        "c.sample, c.kind, c.task_id, c.round "
        "FROM requests r JOIN completions c ON c.request_id = r.id "
        "AND c.sample = (SELECT min(sample) FROM completions f WHERE f.request_id = r.id) "
        f"WHERE {' AND '.join(conditions)} ORDER BY r.id LIMIT ?",
        [*values, most],
    )
    reader = CompletionReader(driver)
    found = []
    for id_, known, model, sampling, pairs_text, n, first, kind, kept_for, round_ in rows.fetchall():
        request = ChatRequest(
            from_column(kind),
            tuple(Message(role, text) for role, text in reader.messages(pairs_text)),
            _read_sampling(sampling),
            n,
            first,
            from_column(kept_for),
            round_,
        )
        found.append((id_, RecordedRequest(known, from_column(model), request)))
    return found


class CompletionReader:
    """Reads rows of ``_FIELDS``; those with the same prompt share one text."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
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
            row = self._driver.execute("SELECT text FROM messages WHERE id = ?", (message_id,)).fetchone()
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
    driver: Driver,
    key: str | None,
    model: str,
    sampling: dict[str, Any],
    messages: Sequence[tuple[str, str]],
) -> int:
    """Give the id of a request, which is written if it is not there yet; those without a key never are."""
    if key is not None:
        row = driver.execute("SELECT id FROM requests WHERE key = ?", (key,)).fetchone()
        if row is not None:
            return int(row[0])
    # In one order, so that those who write the same do not wait for each other in a circle.
    message_ids = {text: _message_id_of(driver, text) for text in sorted({text for _, text in messages})}
    pairs = [[role, message_ids[text]] for role, text in messages]
    added = driver.insert(
        "INSERT INTO requests (key, model, sampling, messages) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (key) DO NOTHING",
        (key, to_column(model), to_column(to_json(sampling)), to_json(pairs)),
    )
    if added is None:  # another writer was faster
        [added] = driver.execute("SELECT id FROM requests WHERE key = ?", (key,)).fetchone()
    return int(added)


def _request_of(driver: Driver, completion: Completion) -> int:
    """Give the id of a request of which no more is known than its completion."""
    sampling = {} if completion.temperature is None else {"temperature": completion.temperature}
    asked = (completion.key or None, completion.model)
    return _request_id(driver, *asked, sampling, [("", completion.prompt)])


def _written(driver: Driver, task_id: str, round_: int, completion: Completion) -> int:
    """Give the id of a completion, which is written unless it is kept."""
    id_ = driver.insert(_INSERT, _row(_request_of(driver, completion), completion, task_id, round_))
    if id_ is None:
        id_ = _find(driver, completion)
    if id_ is None:
        raise ValueError(f"sample {completion.sample} of request {completion.key} is neither kept nor new")
    return id_


def _message_id_of(driver: Driver, text: str) -> int:
    """Give the id of a message, which is written if it is not there yet."""
    id_ = _message_id(driver, text)
    if id_ is None:
        sql = "INSERT INTO messages (key, text) VALUES (?, ?) ON CONFLICT (key) DO NOTHING"
        id_ = driver.insert(sql, (_text_key(text), to_column(text)))
    if id_ is None:  # another writer was faster
        id_ = _message_id(driver, text)
    if id_ is None:
        raise ValueError(f"the message {_text_key(text)} is neither there nor new")
    return id_


def _message_id(driver: Driver, text: str) -> int | None:
    row = driver.execute("SELECT id FROM messages WHERE key = ?", (_text_key(text),)).fetchone()
    return None if row is None else int(row[0])


def _text_key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _kept(driver: Driver, keys: Sequence[str]) -> dict[tuple[str, int], int]:
    """Give the ids of completions that are kept under any of some keys, by key and sample."""
    found = {}
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        rows = driver.execute(
            "SELECT r.key, c.sample, c.id FROM requests r JOIN completions c ON c.request_id = r.id "  # noqa: S608
            f"WHERE r.key IN ({', '.join('?' * len(some))})",
            some,
        )
        found.update({(key, sample): id_ for key, sample, id_ in rows})
    return found


def _find(driver: Driver, completion: Completion) -> int | None:
    row = driver.execute(
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
