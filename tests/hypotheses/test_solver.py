"""The loop, with a scripted proposer and a real sandbox."""

import asyncio
import gc
import itertools
import threading

import pytest

from hypotheses.hypothesis import Completion, Hypothesis, Implementation, Proposal, Report, Usage
from hypotheses.solver import Solver, SolverConfig
from hypotheses.task import Task
from sandboxes import EmbeddedSandbox, Limits, Program, ProposerError, SandboxError

TASK = Task.from_pairs([(1, 2), (5, 6)], queries=[41], id="increment")


class Scripted:
    """Proposes, round by round, the expressions it was given, as programs of ``x``."""

    name = "scripted"

    def __init__(self, *rounds):
        self.rounds = rounds
        self.feedback = []
        self.closed = 0

    async def propose(self, request):
        self.feedback.append(list(request.feedback))
        try:
            script = self.rounds[request.round] if request.round < len(self.rounds) else ()
            for item in itertools.islice(script, request.n):
                if isinstance(item, Report | Proposal):
                    yield item
                elif isinstance(item, Exception):
                    raise item
                else:
                    yield Proposal(Hypothesis(item), Program(f"def f(x):\n    return {item}", "f"))
        finally:
            self.closed += 1


class Kept:
    """A recorder that keeps what it is given."""

    def __init__(self):
        self.records = []

    def record(self, task, trace, solution):
        self.records.append((task, trace, solution))


def solve(sandbox, proposer, task=TASK, **options):
    config = SolverConfig(**options.pop("config", {}))
    return asyncio.run(Solver(proposer, sandbox, config=config, **options).solve(task))


def test_the_program_that_fits_answers_the_queries(sandbox):
    solution = solve(sandbox, Scripted(["x", "x + 1", "x * 2"]))
    assert solution.outcome == "solved"
    assert solution.candidate.hypothesis.text == "x + 1"
    assert solution.predictions == ((42,),)
    assert solution.verdict.passed == solution.verdict.total == 2
    assert (solution.usage.programs, solution.usage.executions, solution.usage.rounds) == (3, 9, 1)


def test_feedback_is_the_best_of_the_round_and_rounds_end_at_success(sandbox):
    proposer = Scripted(["x", "x * 2"], ["x + 1"], ["never asked for"])
    solution = solve(sandbox, proposer)
    assert solution.solved
    assert solution.usage.rounds == 2
    [[], [feedback]] = proposer.feedback
    assert feedback.candidate.hypothesis.text == "x * 2"
    assert feedback.verdict.correct == (True, False)


def test_rounds_end_when_the_proposer_falls_silent(sandbox):
    solution = solve(sandbox, Scripted(["x"], ["x * 2"], []), config={"rounds": None})
    assert solution.outcome == "unsolved"
    assert solution.candidate.hypothesis.text == "x * 2"
    assert solution.predictions == ((82,),)


def test_an_earlier_better_round_is_not_forgotten(sandbox):
    proposer = Scripted(["x * 2"], ["x - 100"], [])
    assert solve(sandbox, proposer).candidate.hypothesis.text == "x * 2"
    assert solve(sandbox, proposer, config={"selection": "last-round"}).candidate.hypothesis.text == "x - 100"


def test_crashes_and_timeouts_are_never_answers(sandbox):
    loop = "[None for _ in iter(int, 1)]"
    task = Task.from_pairs([(1, None)], queries=[1])
    solution = solve(sandbox, Scripted([loop, "1 / 0", "x.y"]), task, limits=Limits(seconds=0.1))
    assert solution.outcome == "unsolved"
    assert solution.predictions == ((),)


def test_identical_programs_run_once_and_vote_each(sandbox):
    task = Task.from_pairs([(1, 1)], queries=[2])
    solution = solve(sandbox, Scripted(["x", "x * x + 0", "x * x + 0"]), task)
    assert (solution.usage.programs, solution.usage.hypotheses) == (2, 3)
    assert solution.predictions == ((4,),)  # two votes, though the other program is shorter


def test_contradictory_examples_are_infeasible_and_cost_nothing(sandbox):
    proposer = Scripted(["x"])
    solution = solve(sandbox, proposer, Task.from_pairs([("a", 1), ("b", 2), ("a", 3)], queries=["a"]))
    assert solution.outcome == "infeasible"
    assert "examples 1 and 3" in solution.note
    assert solution.predictions == ((),)
    assert proposer.feedback == []


def test_reports_are_added_up_and_explain_a_failure(sandbox):
    script = ["x", Report(Usage(terms=7)), Report(Usage(terms=5), "the grammar is exhausted")]
    solution = solve(sandbox, Scripted(script), config={"rounds": 1})
    assert solution.usage.terms == 12
    assert solution.note == "the grammar is exhausted"


def test_an_implementer_writes_what_the_proposer_only_words(sandbox):
    class Translator:
        async def implement(self, request, hypothesis):
            for source in ["def f(x):\n    return x", "def f(x):\n    return x + 1"][: request.n]:
                completion = Completion("translation", "?", "!", completion_tokens=3)
                yield Implementation(Program(source, "f"), completion)
            yield Report(completions=(Completion("translation", "?", "no code", completion_tokens=4),))

    kept = Kept()
    proposer = Scripted([Proposal(Hypothesis("one more"), None, Completion("hypothesis", "?", "!"))])
    solution = solve(sandbox, proposer, implementer=Translator(), recorder=kept)
    assert solution.solved
    assert (solution.usage.completions, solution.usage.completion_tokens) == (4, 10)
    [(task, trace, recorded)] = kept.records
    assert (task, recorded) == (TASK, solution)
    assert [one.verdict.passed for one in trace.entries[0].judged] == [0, 2]
    assert len(trace.completions) == 4


def test_a_completion_read_three_times_is_counted_once(sandbox):
    completion = Completion("program", "?", "three programs", completion_tokens=50)
    sources = ["def f(x):\n    return x", "def f(x):\n    return -x", "def f(x):\n    return 0"]
    script = [Proposal(Hypothesis(one), Program(one, "f"), completion) for one in sources]
    usage = solve(sandbox, Scripted(script)).usage
    assert (usage.completions, usage.completion_tokens) == (1, 50)


def test_rules_without_programs_need_an_implementer(sandbox):
    with pytest.raises(ProposerError, match="give the solver an implementer"):
        solve(sandbox, Scripted([Proposal(Hypothesis("one more"))]))


def test_a_round_without_programs_does_not_end_the_rounds(sandbox):
    class Slow:
        async def implement(self, request, hypothesis):
            if request.round == 1:
                yield Implementation(Program("def f(x):\n    return x + 1", "f"))

    rules = [Proposal(Hypothesis("one more"))]
    solution = solve(sandbox, Scripted(rules, rules), implementer=Slow())
    assert solution.solved
    assert solution.usage.rounds == 2


@pytest.mark.parametrize("error", [ProposerError("no model"), SandboxError("no sandbox")])
def test_our_own_errors_come_through_and_record_nothing(sandbox, error):
    kept = Kept()
    proposer = Scripted(["x", error])
    with pytest.raises(type(error), match=str(error)):
        solve(sandbox, proposer, recorder=kept)
    assert kept.records == []
    assert proposer.closed == 1


def test_stream_reads_no_further_ahead_than_it_may(sandbox):
    read = []

    def tasks():
        for n in range(20):
            read.append(n)
            yield Task.from_pairs([(1, 2)], id=str(n))

    async def run():
        solver = Solver(Scripted(["x + 1"]), sandbox, config=SolverConfig(concurrency=3))
        done = 0
        async for task, solution in solver.stream(tasks()):
            done += 1
            assert solution.solved
            assert solution.task_id == task.id
            assert len(read) <= done + 3
        return done

    assert asyncio.run(run()) == 20


def test_leaving_the_stream_cancels_what_is_under_way(sandbox):
    class Stuck(Scripted):
        async def propose(self, request):
            try:
                if request.task.id == "0":
                    yield Proposal(Hypothesis("x + 1"), Program("def f(x):\n    return x + 1", "f"))
                else:
                    await asyncio.Event().wait()
            finally:
                self.closed += 1

    async def run():
        proposer = Stuck()
        solver = Solver(proposer, sandbox, config=SolverConfig(concurrency=2))
        stream = solver.stream(Task.from_pairs([(1, 2)], id=str(n)) for n in range(5))
        task, _ = await anext(stream)
        await stream.aclose()
        return task.id, proposer.closed, len(asyncio.all_tasks())

    assert asyncio.run(run()) == ("0", 2, 1)


def test_what_is_finished_with_an_error_is_still_yielded(sandbox):
    class Mixed(Scripted):
        async def propose(self, request):
            if request.task.id != "good":
                raise ExceptionGroup("several", [ProposerError(request.task.id)])
            return
            yield

    async def run():
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        gathered = []
        solver = Solver(Mixed(), sandbox, config=SolverConfig(concurrency=3))
        tasks = [Task.from_pairs([(1, 2)], id=name) for name in ("good", "bad", "worse")]

        async def consume():
            async for task, _ in solver.stream(tasks):
                gathered.append(task.id)

        with pytest.raises(ProposerError, match=r"bad|worse"):
            await consume()
        gc.collect()
        return gathered, len(asyncio.all_tasks()), complaints

    assert asyncio.run(run()) == (["good"], 1, [])


def test_no_more_programs_run_than_the_sandbox_takes():
    class Counting:
        concurrency = 2
        running = most = 0
        lock = threading.Lock()

        def run(self, program, inputs, limits, cancellation=None):
            with self.lock:
                self.running += 1
                self.most = max(self.most, self.running)
            with EmbeddedSandbox(servers=1) as inner:
                executions = inner.run(program, inputs, limits, cancellation)
            with self.lock:
                self.running -= 1
            return executions

    async def run():
        script = [f"x + {n}" for n in range(3)]
        solver = Solver(Scripted(script), counting, config=SolverConfig(concurrency=3))
        async for _ in solver.stream(Task.from_pairs([(1, 9)], id=str(n)) for n in range(3)):
            pass

    counting = Counting()
    asyncio.run(run())
    assert counting.most == 2


@pytest.mark.parametrize("name", ["samples", "programs", "attempts", "concurrency", "rounds"])
def test_senseless_configurations_are_refused(name):
    with pytest.raises(ValueError, match=rf"SolverConfig\.{name} must be at least 1"):
        SolverConfig(**{name: 0})
