"""A finished run answers instead of its model; what it lacks is an error that says why."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise

import pytest

from hypotheses.budget import Ledger
from hypotheses.hypothesis import Solution, Trace
from hypotheses.models.chat import Answer, Choice, Message
from hypotheses.models.client import ModelClient
from hypotheses.models.replay import ReplayStore
from hypotheses.run_log import RunLog
from hypotheses.run_log.comparison import differences
from hypotheses.task import Task
from sandboxes.errors import ModelError


@pytest.fixture
def run(new_log, asked):
    """A run with one request and four samples, opened to be read."""
    log = new_log("recorded.sqlite")
    kept = asked(4, kind="translation", round_=1)
    log.keep(kept.request, kept.completions)
    log.close()
    with RunLog.open(log.address) as opened:
        yield opened


def miss(store, asked, model="small"):
    with pytest.raises(ModelError) as error:
        asyncio.run(store.endpoint(model).ask(asked.request))
    return str(error.value)


def test_what_the_run_has_is_recalled(run, asked):
    kept = asked(4, kind="translation", round_=1)
    store = ReplayStore(run)
    assert store.recall(kept.key, 0, 4) == kept.completions
    assert store.recall(kept.key, 2, 2) == kept.completions[2:]
    store.keep(kept.request, kept.completions)  # there is nothing to keep them in


def test_what_is_recalled_and_kept_is_in_the_new_run(run, asked, new_log):
    recorded = asked(4, kind="translation", round_=1)
    new = asked(2, user="another")
    log = new_log("new.sqlite")
    store = ReplayStore(run, log)
    store.recall(recorded.key, 1, 2)
    store.recall(recorded.key, 1, 3)
    store.keep(new.request, new.completions)
    assert log.recall(recorded.key, 0, 4) == recorded.completions[1:]
    assert log.recall(new.key, 0, 2) == new.completions
    [copied] = log.requests(key=recorded.key)
    assert (copied.model, copied.request) == ("small", replace(recorded.request, n=3, first=1))


def test_too_few_samples(run, asked):
    message = miss(ReplayStore(run), asked(6, kind="translation", round_=1))
    assert (
        "has not samples 0 to 5 of the request to small for task one (translation, round 1), key " in message
    )
    assert "it has 4 of that request, 4 of those asked for; replay it with the run's own numbers" in message


def test_too_few_samples_by_the_key_alone(run, asked):
    kept = asked(4, kind="translation", round_=1)
    fifth = replace(kept, request=replace(kept.request, first=4, n=1))
    assert "sample 4 of the request to small for task one (translation, round 1)" in miss(
        ReplayStore(run), fifth
    )
    assert ReplayStore(run).recall(kept.key, 3, 2) == kept.completions[3:]


def test_another_model(run, asked):
    message = miss(ReplayStore(run), asked(4, kind="translation"), model="large")
    assert "the messages are the same, but the model was 'small', not 'large'" in message


def test_other_parameters(run, asked):
    message = miss(ReplayStore(run), asked(4, kind="translation", temperature=0.5, stop=("#",)))
    assert (
        "the messages are the same, but temperature was 1.0, not 0.5 and stop was (), not ('#',)" in message
    )


def test_the_nearest_of_several_requests_is_compared(new_log, asked):
    log = new_log()
    for parameters in (
        {"temperature": 0.1, "max_tokens": 5},
        {"temperature": 0.2},
        {"top_p": 0.3, "seed": 1},
    ):
        kept = asked(1, **parameters)
        log.keep(kept.request, kept.completions)
    assert "but temperature was 0.2, not 0.3;" in miss(ReplayStore(log), asked(1, temperature=0.3))


def test_another_version_of_the_prompts(run, asked):
    message = miss(ReplayStore(run), asked(4, kind="translation", user="1 -> 2, 2 -> \ud800"))
    assert "the prompt is another one than the run's: message 2 differs from character 14: " in message
    assert r"'4' was recorded, '\ud800' is asked" in message
    one_more = asked(4, kind="translation")
    longer = replace(one_more.request, messages=(*one_more.request.messages, Message("assistant", "Well")))
    assert "it had 2 messages, not 3" in miss(ReplayStore(run), replace(one_more, request=longer))


def test_another_recipe(run, asked):
    message = miss(ReplayStore(run), asked(4, kind="summary", user="others"))
    assert "for this task the run has only: translation; replay it with the recipe" in message


def test_another_task(run, asked):
    message = miss(ReplayStore(run), asked(1, user="others", task_id="two"))
    assert message.startswith(
        f"the run {run.address} has not sample 0 of the request to small for task two (program"
    )
    assert "it asked nothing about this task" in message


def test_a_run_without_a_model(new_log, asked):
    assert ReplayStore(new_log()).recall("abcdef", 0, 1) == []
    assert "has no completions under a key" in miss(ReplayStore(new_log("2.sqlite")), asked(1))


def test_a_key_that_is_made_otherwise_now(new_log, asked):
    log = new_log()
    kept = asked(1)
    log.keep(kept.request, [replace(kept.completions[0], key="as it was made then")])
    assert "the same request under another key; replay it with the induce that recorded it" in miss(
        ReplayStore(log), kept
    )


class Endpoint:
    """Answers with a number that grows; the second choice of a request for several is cut off."""

    name = "scripted"
    answered = 0

    async def ask(self, request):
        choices = []
        for index in range(request.n):
            self.answered += 1
            choices.append(Choice(f"answer {self.answered}", finish="length" if index == 1 else "stop"))
        return Answer(tuple(choices), 10, 5 * request.n)

    async def aclose(self):
        pass


class NoEndpoint(Endpoint):
    async def ask(self, request):
        raise AssertionError("a replay asks nobody")


def solve(endpoint, store, log, asked):
    """Ask for the samples of two tasks through the client, and record both tasks."""

    async def ask(client, request):
        async with aclosing(client.sample(request, Ledger())) as samples:
            return [one async for one in samples]

    async def run():
        client = ModelClient("small", [endpoint], store=store)
        for task_id in ("one", "two"):
            request = asked(4, user=task_id, task_id=task_id, max_tokens=64).request
            trace = Trace(completions=tuple((0, one) for one in await ask(client, request)))
            assert len(trace.completions) == 4
            log.record(Task.from_pairs([(1, 2)], id=task_id), trace, Solution(task_id, "unsolved"))
        await client.aclose()

    asyncio.run(run())


def test_a_run_replays_to_the_same_record_without_a_model(new_log, asked):
    recorded, replayed, other = (new_log(f"{name}.sqlite") for name in ("recorded", "replayed", "other"))
    endpoint = Endpoint()
    solve(endpoint, recorded, recorded, asked)
    assert endpoint.answered == 2 * (4 + 1)  # one of each four was cut off and asked for again
    recorded.close()
    with RunLog.open(recorded.address) as run:
        solve(NoEndpoint(), ReplayStore(run, replayed), replayed, asked)
        assert differences(run, replayed) == []
        assert replayed.spent() == run.spent()
        solve(endpoint, other, other, asked)
        assert differences(run, other) != []


def test_a_replay_can_be_replayed(new_log, asked):
    logs = [new_log(f"{number}.sqlite") for number in range(3)]
    solve(Endpoint(), logs[0], logs[0], asked)
    for before, after in pairwise(logs):
        solve(NoEndpoint(), ReplayStore(before, after), after, asked)
    assert differences(logs[0], logs[2]) == []
