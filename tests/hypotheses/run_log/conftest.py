"""Requests and answers as a client keeps them."""

from dataclasses import dataclass

import pytest

from hypotheses.hypothesis import Completion
from hypotheses.models.chat import ChatRequest, Message, Sampling, request_key
from hypotheses.run_log import RunInfo, RunLog

INFO = RunInfo("tasks.jsonl", {}, "abc", 3, "model", "", {}, "0.1.0")


@dataclass(frozen=True)
class Asked:
    """A request with the completions that a model gave."""

    request: ChatRequest
    key: str
    completions: list[Completion]


def ask(
    n=3,
    *,
    kind="program",
    user="1 -> 2, 2 -> 4",
    system="You write Python.",
    model="small",
    task_id="one",
    round_=0,
    first=0,
    response="def f(x): return {}",
    **sampling,
):
    """Make a request and its completions; the first of them carries the prompt's tokens."""
    messages = (Message("system", system), Message("user", user))
    request = ChatRequest(kind, messages, Sampling(**sampling), n, first, task_id, round_)
    key = request_key(model, request)
    completions = [
        Completion(
            kind,
            request.prompt,
            response.format(sample),
            model,
            request.sampling.temperature,
            sample,
            prompt_tokens=0 if index else 20,
            completion_tokens=5,
            cached_tokens=0 if index else 16,
            money=0.25,
            key=key,
            reasoning="they double",
            finish="stop",
            logprob=-0.5,
        )
        for index, sample in enumerate(range(first, first + n))
    ]
    return Asked(request, key, completions)


@pytest.fixture
def asked():
    return ask


@pytest.fixture
def new_log(tmp_path):
    """Make new logs, which are closed after the test."""
    made = []

    def make(name="run.sqlite"):
        made.append(RunLog.create(tmp_path / name, INFO))
        return made[-1]

    yield make
    for log in made:
        log.close()
