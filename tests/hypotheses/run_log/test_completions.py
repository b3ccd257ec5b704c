"""Completions are kept as they come: whole, once, and for good."""

import contextlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_logs import rows

from hypotheses.budget import Cost
from hypotheses.hypothesis import (
    Candidate,
    Completion,
    Entry,
    Hypothesis,
    Judged,
    Proposal,
    Solution,
    Trace,
    Verdict,
)
from hypotheses.models.chat import PART, ChatRequest, Message, Sampling, request_key
from hypotheses.run_log import RunInfo, RunLog
from hypotheses.task import Task
from sandboxes import Execution, Program, RunLogError

TASK = Task.from_pairs([(1, 2)], queries=[3], id="one")

ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    [
        "",
        "\0",
        "before\0after",
        "\ud800",
        "\udfff\ud83d",
        "\ud83d\ude00",
        "🙂\0\udc80",
        "'; DROP TABLE run; --",
    ]
)
COUNTS = st.integers(0, 2**40)


def test_what_is_kept_is_recalled(new_log, asked):
    log = new_log()
    kept = asked(5)
    log.keep(kept.request, kept.completions)
    assert log.recall(kept.key, 0, 5) == kept.completions
    assert log.recall(kept.key, 1, 2) == kept.completions[1:3]
    assert log.recall(kept.key, 3, 10) == kept.completions[3:]
    assert log.recall(kept.key, 5, 10) == []
    assert log.recall("another key", 0, 5) == []


def test_what_is_kept_already_changes_nothing(new_log, asked):
    log = new_log()
    early, late = asked(3), asked(6, response="something else {}")
    log.keep(early.request, early.completions)
    log.keep(late.request, late.completions)
    log.keep(late.request, late.completions)
    assert log.recall(early.key, 0, 6) == early.completions + late.completions[3:]
    assert log.spent().completion_tokens == 6 * 5


def test_samples_share_their_prompt_and_tasks_their_system_message(new_log, asked):
    log = new_log()
    for number in range(4):
        kept = asked(8, user=f"task {number}", task_id=str(number))
        log.keep(kept.request, kept.completions)
    assert rows(log.address, "SELECT count(*) FROM completions") == [(32,)]
    assert rows(log.address, "SELECT count(*) FROM requests") == [(4,)]
    texts = rows(log.address, "SELECT text FROM messages")
    assert sorted(texts) == [("You write Python.",), *((f"task {number}",) for number in range(4))]
    assert log.recall(kept.key, 0, 8)[7].prompt == "[system]\nYou write Python.\n\n[user]\ntask 3"


def test_a_request_comes_back_with_roles_and_parameters(new_log, asked):
    log = new_log()
    parameters = {"temperature": 0.7, "max_tokens": 99, "top_p": 0.5, "stop": ("\n\n", "#"), "seed": 7}
    kept = asked(2, first=4, schema='{"type": "object"}', round_=2, **parameters)
    log.keep(kept.request, kept.completions)
    [recorded] = log.requests()
    assert (recorded.key, recorded.model, recorded.request) == (kept.key, "small", kept.request)
    assert request_key(recorded.model, recorded.request) == kept.key
    for matching in ({"key": kept.key}, {"task_id": "one"}, {"messages": kept.request.messages}):
        assert list(log.requests(**matching)) == [recorded]
    for other in ({"key": "x"}, {"task_id": "two"}, {"messages": kept.request.messages[:1]}):
        assert list(log.requests(**other)) == []


def test_the_log_says_what_was_spent(new_log, asked):
    log = new_log()
    assert log.spent() == Cost(0, 0, 0.0)
    finished = Task.from_pairs([(1, 2)], id="finished")
    for task_id in ("finished", "unfinished"):
        kept = asked(4, user=task_id, task_id=task_id)
        log.keep(kept.request, kept.completions)
    foreign = Completion("program", "?", "!", prompt_tokens=7)
    log.record(finished, Trace(completions=((0, foreign),)), unsolved("finished"))
    assert log.spent() == Cost(2 * 20 + 7, 8 * 5, 8 * 0.25)
    assert log.spent(unfinished=False) == Cost(20 + 7, 4 * 5, 4 * 0.25)


def test_what_was_put_together_from_parts_is_spent_once(new_log, asked):
    log = new_log()
    kept = asked(3)
    parts = [replace(one, kind=PART, key="a part's key", finish="length") for one in kept.completions[:2]]
    log.keep(kept.request, [*parts, kept.completions[2]])  # two were cut off
    more = asked(2, kind=PART, system="Go on.")
    log.keep(more.request, more.completions)
    whole = [replace(one, completion_tokens=10, money=0.5) for one in kept.completions[:2]]
    log.keep(kept.request, whole)
    assert log.recall(kept.key, 0, 3) == [*whole, kept.completions[2]]
    assert log.spent() == Cost(20, 5 * 5, 5 * 0.25)


def test_a_completion_that_answers_something_else_is_refused_whole(new_log, asked):
    log = new_log()
    kept = asked(2)
    wrong = [kept.completions[0], replace(kept.completions[1], prompt="another")]
    with pytest.raises(ValueError, match="sample 1 was not asked what the request says"):
        log.keep(kept.request, wrong)
    assert log.recall(kept.key, 0, 2) == []
    log.keep(kept.request, kept.completions)
    assert log.recall(kept.key, 0, 2) == kept.completions


def unsolved(task_id="one"):
    return Solution(task_id, "unsolved")


class TestAFinishedTask:
    def test_refers_to_what_was_kept_before(self, new_log, asked):
        log = new_log()
        kept = asked(3)
        log.keep(kept.request, kept.completions)
        trace, solution = of_program(kept.completions[1])
        log.record(TASK, trace, solution)
        assert rows(log.address, "SELECT count(*) FROM completions") == [(3,)]
        assert log.trace("one") == trace
        assert list(log.completions("one")) == [
            (0, kept.completions[1]),
            (0, kept.completions[0]),
            (0, kept.completions[2]),
        ]

    def test_has_its_completions_also_where_another_asked_the_same_before(self, new_log, asked):
        log = new_log()
        kept = asked(1, task_id="other")
        log.keep(kept.request, kept.completions)
        trace, solution = of_program(log.recall(kept.key, 0, 1)[0])
        log.record(TASK, trace, solution)
        assert list(log.completions("one")) == [(0, kept.completions[0])]
        assert list(log.completions("other")) == [(0, kept.completions[0])]
        assert [one.request.n for one in log.requests(task_id="one")] == [1]

    def test_keeps_those_that_never_were(self, new_log, asked):
        log = new_log()
        foreign = Completion("program", "Python!", "no", "gpt", 0.7, 3)
        twin = replace(foreign)
        keyed = replace(asked(1).completions[0], prompt="as one text", temperature=None)
        trace = Trace(completions=((0, foreign), (0, twin), (1, keyed)))
        log.record(TASK, trace, unsolved())
        assert log.trace("one") == trace
        assert log.recall(keyed.key, 0, 1) == [keyed]

    def test_uses_a_completion_once_though_it_was_recalled_twice(self, new_log, asked):
        log = new_log()
        kept = asked(1)
        log.keep(kept.request, kept.completions)
        twice = [(0, log.recall(kept.key, 0, 1)[0]) for _ in range(2)]
        log.record(TASK, Trace(completions=(*twice, (1, twice[0][1]))), unsolved())
        assert list(log.completions("one")) == [(0, kept.completions[0]), (1, kept.completions[0])]

    def test_leaves_completions_without_a_key_to_its_recording(self, new_log, asked):
        log = new_log()
        kept = asked(1)
        foreign = replace(kept.completions[0], key="")
        log.keep(kept.request, [foreign])
        assert list(log.completions("one")) == []
        log.record(TASK, Trace(completions=((0, foreign),)), unsolved())
        assert list(log.completions("one")) == [(0, foreign)]

    def test_may_have_been_answered_without_any_program(self, new_log, asked):
        log = new_log()
        kept = asked(2, kind="answer")
        log.keep(kept.request, kept.completions)
        entries = []
        for sample, completion in enumerate(kept.completions):
            verdict = Verdict((), (), (Execution("ok", sample),))
            hypothesis = Hypothesis("", proposer="direct")
            candidate = Candidate(hypothesis, None, 0, sample, None)
            proposal = Proposal(hypothesis, completion=completion)
            entries.append(Entry(0, sample, proposal, (Judged(candidate, verdict),)))
        best = entries[1].judged[0]
        solution = Solution("one", "answered", ((1,),), best.candidate, best.verdict)
        log.record(
            TASK, Trace(tuple(entries), ((0, kept.completions[0]), (0, kept.completions[1]))), solution
        )
        assert [one.verdict.query_executions[0].value for one in log.judged("one")] == [0, 1]
        assert log.solution("one") == solution
        assert list(log.solutions()) == [solution]
        assert log.trace("one").entries == tuple(entries)
        assert log.count() == {"answered": 1}


def test_of_an_unfinished_task_all_that_was_kept_can_be_read(new_log, asked):
    log = new_log()
    for round_ in range(2):
        kept = asked(2, user=f"round {round_}", round_=round_)
        log.keep(kept.request, kept.completions)
    assert [(round_, one.sample) for round_, one in log.completions("one")] == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    ]
    assert log.trace("one") == Trace()
    assert log.solution("one") is None
    assert log.task_ids() == []


def of_program(completion):
    hypothesis = Hypothesis("double it", ("an older rule",), "model")
    program = Program("def f(x): return 2 * x", "f")
    verdict = Verdict((Execution("ok", 2),), (True,), (Execution("ok", 6),))
    judged = Judged(Candidate(hypothesis, program, 0, 0, completion), verdict)
    trace = Trace((Entry(0, 0, Proposal(hypothesis), (judged,)),), ((0, completion),))
    return trace, Solution("one", "solved", ((6,),), judged.candidate, verdict)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def lasting_log(request, tmp_path_factory):
    info = RunInfo("t", {}, "", 0, "m", "", {}, "0")
    if request.param == "postgresql":
        address = f"{request.getfixturevalue('runs_database')}#lasting"
    else:
        address = tmp_path_factory.mktemp("log") / "run.sqlite"
    with RunLog.create(address, info) as log:
        yield log


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.builds(Message, st.sampled_from(["system", "user", "assistant"]), ANY_TEXT), min_size=1, max_size=4
    ),
    st.lists(st.tuples(ANY_TEXT, ANY_TEXT, COUNTS, st.none() | st.floats(allow_nan=False)), max_size=3),
    ANY_TEXT,
    ANY_TEXT,
)
def test_any_text_comes_back_as_it_was(lasting_log, messages, answers, model, task_id):
    request = ChatRequest("program", tuple(messages), Sampling(stop=(model,)), len(answers), 0, task_id)
    key = request_key(model, request)
    completions = [
        Completion("program", request.prompt, response, model, 1.0, sample, number, number, number, 0.5, key,
                   reasoning, "stop", logprob)
        for sample, (response, reasoning, number, logprob) in enumerate(answers)
    ]  # fmt: skip
    lasting_log.keep(request, completions)
    known = lasting_log.recall(key, 0, len(answers))
    if all(one in known for one in completions):  # else an earlier example kept others under this key
        assert known == completions
    assert [one.prompt for one in known] == [request.prompt] * len(answers)
    if answers:
        [recorded] = lasting_log.requests(key=key)
        assert (recorded.model, recorded.request.messages) == (model, request.messages)
        assert recorded.request.sampling == request.sampling


TEXTS = st.tuples(*[ANY_TEXT] * 7)


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_any_task_comes_back_as_it_was(lasting_log, texts):
    rule, parent, source, note, prompt, response, name = texts
    task_id = f"{name}{len(lasting_log.task_ids())}"
    task = Task.from_pairs([(1, 2)], id=task_id)
    completion = Completion(name, prompt, response, name, 0.5, 1, 2, 3)
    hypothesis = Hypothesis(rule, (parent, rule), name)
    verdict = Verdict((Execution("raised", None, note, response[:100]),), (False,), ())
    judged = Judged(Candidate(hypothesis, Program(source, "f"), 1, 2, completion), verdict)
    trace = Trace((Entry(1, 2, Proposal(hypothesis, None, completion), (judged,)),), ((1, completion),))
    solution = Solution(task_id, "unsolved", (), judged.candidate, verdict, note=note)
    lasting_log.record(task, trace, solution)
    assert lasting_log.trace(task_id) == trace
    found = lasting_log.solution(task_id)
    assert replace(found, candidate=replace(found.candidate, completion=completion)) == solution
    assert lasting_log.finished(task_id)


class TestThreads:
    def test_keep_recall_and_record_at_the_same_time(self, new_log, asked):
        log = new_log()
        errors = []
        start = threading.Barrier(4)

        def keep_and_recall(worker):
            start.wait()
            for number in range(60):
                own = asked(4, user=f"{worker} asks {number}", task_id=f"{worker}")
                shared = asked(4, user=f"all ask {number}", task_id=f"{worker}")
                for kept in (own, shared):
                    log.keep(kept.request, kept.completions)
                    if log.recall(kept.key, 0, 4) != kept.completions:
                        errors.append(kept.key)

        def record():
            start.wait()
            for number in range(60):
                trace, solution = of_program(Completion("program", "p", "r"))
                task = Task.from_pairs([(1, 2)], id=f"task {number}")
                log.record(task, trace, replace(solution, task_id=task.id))

        workers = [threading.Thread(target=keep_and_recall, args=(n,)) for n in range(3)]
        workers.append(threading.Thread(target=record))
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert errors == []
        assert log.count() == {"solved": 60}
        assert log.spent().completion_tokens == (3 * 60 + 60) * 4 * 5


KEEPER = """
import os, sys
from hypotheses.hypothesis import Completion
from hypotheses.models.chat import ChatRequest, Message, request_key
from hypotheses.run_log import RunLog

with RunLog.open(sys.argv[1], read_only=False) as log:
    number = int(sys.argv[2])
    while True:
        request = ChatRequest("program", (Message("user", f"prompt {number}" * 50),), n=8)
        key = request_key("m", request)
        answers = [
            Completion("program", request.prompt, "x" * 2000, "m", 1.0, n, key=key) for n in range(8)
        ]
        log.keep(request, answers)
        os.write(1, f"{number}\\n".encode())
        number += 1
"""


def test_kill_9_loses_nothing_that_was_kept(new_log):
    log = new_log()
    path = log.address
    log.close()
    chance = random.Random(4)
    first = 0
    for _ in range(6):
        keeper = subprocess.Popen(
            [sys.executable, "-c", KEEPER, path, str(first)], stdout=subprocess.PIPE, bufsize=0
        )
        keeper.stdout.readline()
        for _ in range(chance.randrange(200)):
            keeper.stdout.readline()
        keeper.send_signal(signal.SIGKILL)
        said = keeper.stdout.read()
        keeper.stdout.close()
        keeper.wait()
        with RunLog.open(path) as opened:
            counts = {
                int(one.request.prompt[7:].split("prompt")[0]): one.request.n for one in opened.requests()
            }
        acknowledged = [int(line) for line in said.split(b"\n")[:-1]]
        known = set(range(max([first, *acknowledged]) + 1))
        assert known <= set(counts)
        assert set(counts.values()) == {8}, "a request was kept in part"
        first = max(counts) + 1


def test_a_full_disk_is_named_and_nothing_is_half_kept(new_file, asked):
    log = new_file()
    [pages] = log._at_hand(lambda driver: driver.execute("PRAGMA page_count").fetchone())
    log._at_hand(lambda driver: driver.execute(f"PRAGMA max_page_count = {pages + 20}"))
    kept = []

    def fill():
        for number in range(1000):
            one = asked(8, user=f"{number}", response="y" * 1000)
            log.keep(one.request, one.completions)
            kept.append(one)

    with pytest.raises(RunLogError, match=r"disk is full; what was recorded before is safe"):
        fill()
    with RunLog.open(log.address) as reader:
        assert kept
        assert [one.key for one in reader.requests()] == [one.key for one in kept]
        assert {one.request.n for one in reader.requests()} == {8}


def test_a_log_that_is_not_open_for_writing_keeps_nothing(new_log, asked):
    log = new_log()
    log.close()
    kept = asked(1)
    with pytest.raises(RunLogError, match="not open for writing"):
        log.keep(kept.request, kept.completions)
    with pytest.raises(RunLogError, match="is closed"):
        log.recall(kept.key, 0, 1)
    with RunLog.open(log.address) as reader:
        with pytest.raises(RunLogError, match="not open for writing"):
            reader.keep(kept.request, kept.completions)
        assert reader.recall(kept.key, 0, 1) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE requests SET sampling = '[]'",
        "UPDATE requests SET sampling = '{\"heat\": 1}'",
        "UPDATE requests SET messages = '[[\"user\", 99]]'",
        "UPDATE requests SET messages = 'no'",
        "UPDATE completions SET response = x'ff'",
        "UPDATE messages SET text = x'ff'",
    ],
)
def test_damaged_completions_are_our_error(new_file, asked, change):
    log = new_file()
    kept = asked(2)
    log.keep(kept.request, kept.completions)
    log.close()
    with contextlib.closing(sqlite3.connect(log.path)) as connection, connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(change)
        for _, sql in triggers:
            connection.execute(sql)

    def read_all(opened):
        opened.recall(kept.key, 0, 2)
        list(opened.completions("one"))
        list(opened.requests())

    with RunLog.open(log.address) as opened, pytest.raises(RunLogError, match="is damaged"):
        read_all(opened)


def test_keeping_eight_completions_takes_little(new_file, asked):
    log = new_file()
    batches = [asked(8, user=f"{n} " + "example " * 500, response="line of code\n" * 60) for n in range(60)]
    seconds = []
    for one in batches:
        began = time.thread_time()
        log.keep(one.request, one.completions)
        seconds.append(time.thread_time() - began)
    assert min(seconds) < 0.0003


def test_a_copy_of_the_file_is_whole_when_the_log_is_closed(new_file, asked, tmp_path):
    log = new_file()
    kept = asked(3)
    log.keep(kept.request, kept.completions)
    log.close()
    copied = Path(shutil.copy(log.path, tmp_path / "copy.sqlite"))
    with RunLog.open(copied) as copy:
        assert copy.recall(kept.key, 0, 3) == kept.completions
