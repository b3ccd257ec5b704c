"""Requests and answers as a client keeps them, and logs in files and on a server."""

import contextlib
from dataclasses import dataclass
from itertools import count

import pytest
from postgresql_server import new_databases, running_server

from hypotheses.hypothesis import Completion
from hypotheses.models.chat import ChatRequest, Message, Sampling, request_key
from hypotheses.run_log import RunInfo, RunLog

NEW_NUMBERS = count()
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


@pytest.fixture(scope="session")
def postgresql():
    """The URL of a server, without a database."""
    with running_server() as server:
        yield server.url


@pytest.fixture(scope="session")
def runs_database(postgresql):
    """The URL of a database for runs."""
    with new_databases(postgresql) as make:
        yield make()


@pytest.fixture
def server_address(runs_database):
    """Give addresses of runs on a server, by names that are a test's own."""
    number = next(NEW_NUMBERS)
    return lambda name="run": f"{runs_database}#{number}-{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def new_address(request, tmp_path):
    """Give addresses of runs by name, of one kind after the other."""
    if request.param == "postgresql":
        return request.getfixturevalue("server_address")
    return lambda name="run.sqlite": str(tmp_path / name)


@pytest.fixture
def address(new_address):
    return new_address()


@pytest.fixture
def new_log(new_address):
    """Make new logs, in files and on a server, which are closed after the test."""
    with _logs(new_address) as make:
        yield make


@pytest.fixture
def new_file(tmp_path):
    """Make new logs in files."""
    with _logs(lambda name: str(tmp_path / name)) as make:
        yield make


@pytest.fixture
def server_log(server_address):
    """Make new logs on a server."""
    with _logs(server_address) as make:
        yield make


@contextlib.contextmanager
def _logs(new_address):
    made = []

    def make(name="run.sqlite"):
        made.append(RunLog.create(new_address(name), INFO))
        return made[-1]

    yield make
    for log in made:
        log.close()
