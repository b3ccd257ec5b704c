"""Answer from a finished run, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from hypotheses.hypothesis import Completion
from hypotheses.models.chat import PART, Answer, ChatEndpoint, ChatRequest, Message, request_key
from hypotheses.models.store import CompletionStore
from hypotheses.run_log import RecordedRequest, RunLog
from hypotheses.run_log.comparison import common_prefix
from sandboxes.errors import ModelError

SHOWN = 40
"""How many characters of two prompts are shown from where they differ."""


class ReplayStore:
    """A ``CompletionStore`` that has all that a run has; what is missing, ``endpoint`` takes as an error.

    ``log`` is the run to replay, which the caller closes. What is recalled is kept in ``copy_to``, the log of
    the new run, if there is one: that log can then be resumed and replayed like any other.
    """

    def __init__(self, log: RunLog, copy_to: CompletionStore | None = None) -> None:
        self._log = log
        self._copy_to = copy_to

    def recall(self, key: str, first: int, n: int) -> list[Completion]:
        """Give those of the samples ``first`` … ``first + n - 1`` of this request that the run has."""
        found = self._log.recall(key, first, n)
        if found and self._copy_to is not None:
            for recorded in self._log.requests(key=key):
                self._copy_to.keep(recorded.request, found)
        return found

    def endpoint(self, model: str) -> ChatEndpoint:
        """Give the endpoint of a replay of ``model``, for which every request is a miss.

        A run asks it only for what its budget still allows: what the budget of the first run refused is no
        miss.
        """
        return _NoEndpoint(self, model)

    def miss(self, model: str, request: ChatRequest) -> str:
        """Say that the run has not what is asked for, and what differs from what it has."""
        key, first, n = request_key(model, request), request.first, request.n
        wanted = f"samples {first} to {first + n - 1}" if n > 1 else f"sample {first}"
        known = next(self._log.requests(key=key), None)
        task = f" for task {request.task_id}" if request.task_id else ""
        return (
            f"the run {self._log.address} has not {wanted} of the request to {model}{task} "
            f"({request.kind}, round {request.round}), key {key[:12]}: "
        ) + (
            self._too_few(known, self._log.recall(key, first, n)) if known else self._unknown(model, request)
        )

    def keep(self, request: ChatRequest, completions: Sequence[Completion]) -> None:
        """Keep completions in the new run's log; without one there is nothing to keep them for."""
        if self._copy_to is not None:
            self._copy_to.keep(request, completions)

    def _too_few(self, known: RecordedRequest, found: Sequence[Completion]) -> str:
        among = f", {len(found)} of those asked for" if found else ""
        return (
            f"it has {known.request.n} of that request{among}; replay it with the run's own numbers of "
            "samples and programs, its budget and its limits"
        )

    def _unknown(self, model: str, request: ChatRequest) -> str:
        same_messages = self._log.requests(messages=request.messages)
        alike = [one for one in same_messages if one.request.kind != PART]
        if alike:
            return min((_other_parameters(one, model, request) for one in alike), key=len)
        for_task = [one for one in self._log.requests(task_id=request.task_id) if request.task_id]
        of_kind = [one for one in for_task if one.request.kind == request.kind]
        if of_kind:
            nearest = max(of_kind, key=lambda one: _nearness(one.request, request))
            return (
                f"the prompt is another one than the run's: {_first_difference(nearest.request, request)}; "
                "replay it with the same version of the prompts, recipe and settings, on the same tasks"
            )
        if for_task:
            kinds = ", ".join(sorted({one.request.kind for one in for_task}))
            return f"for this task the run has only: {kinds}; replay it with the recipe that it was made with"
        if next(self._log.requests(), None) is None:
            return "it has no completions under a key; replay a run that a model was asked in"
        return "it asked nothing about this task; replay it on its own tasks, with its own recipe"


class _NoEndpoint:
    can_continue = True  # as the one that was asked might: what it went on with is in the log

    def __init__(self, store: ReplayStore, model: str) -> None:
        self._store = store
        self._model = model

    @property
    def name(self) -> str:
        return "the replay"

    async def ask(self, request: ChatRequest) -> Answer:
        raise ModelError(self._store.miss(self._model, request))

    async def aclose(self) -> None:
        pass


def _other_parameters(recorded: RecordedRequest, model: str, request: ChatRequest) -> str:
    """Say how a request differs from one with the same messages."""
    differing = [f"the model was {recorded.model!r}, not {model!r}"] if recorded.model != model else []
    were, are = asdict(recorded.request.sampling), asdict(request.sampling)
    differing += [f"{name} was {were[name]!r}, not {are[name]!r}" for name in are if were[name] != are[name]]
    if not differing:
        return "it has the same request under another key; replay it with the induce that recorded it"
    return f"the messages are the same, but {' and '.join(differing)}; replay it with what it was made with"


def _nearness(recorded: ChatRequest, request: ChatRequest) -> tuple[bool, bool, int]:
    same_system = recorded.messages[:1] == request.messages[:1]
    return recorded.round == request.round, same_system, common_prefix(recorded.prompt, request.prompt)


def _first_difference(recorded: ChatRequest, request: ChatRequest) -> str:
    for number, (was, is_) in enumerate(zip(recorded.messages, request.messages, strict=False), 1):
        if was.role != is_.role:
            return f"message {number} was the {was.role}'s, not the {is_.role}'s"
        if was.content != is_.content:
            return f"message {number} differs {_where(was, is_)}"
    return f"it had {len(recorded.messages)} messages, not {len(request.messages)}"


def _where(was: Message, is_: Message) -> str:
    at = common_prefix(was.content, is_.content)
    old, new = (message.content[at : at + SHOWN] for message in (was, is_))
    return f"from character {at + 1}: {old!a} was recorded, {new!a} is asked"
