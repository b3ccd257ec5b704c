"""Solving from Python."""

import asyncio
import signal
import threading
import time

import pytest

import induce
from hypotheses.run_log import RunLog

TASK = induce.Task.from_pairs([([3, 1], [1, 3]), ([2, 9, 4], [2, 4, 9])], queries=[[5, 4]], id="sort")


def test_one_task_gives_one_solution():
    solution = induce.solve(TASK)
    assert solution.solved
    assert solution.predictions == (([4, 5],),)


def test_many_tasks_keep_their_order():
    tasks = [TASK, induce.Task.from_pairs([([1, 2], 3), ([4], 4)], id="sum")]
    seen = []
    solutions = induce.solve(tasks, on_solution=seen.append)
    assert [solution.task_id for solution in solutions] == ["sort", "sum"]
    assert {solution.task_id for solution in seen} == {"sort", "sum"}


def test_tasks_of_one_name_keep_their_order_too():
    def task(k):
        return induce.Task.from_pairs([(1, 1 + k), (2, 2 + k)], queries=[10])

    solutions = induce.solve([task(1), task(2), task(3)])
    assert [solution.predictions for solution in solutions] == [((11,),), ((12,),), ((13,),)]


def test_a_misspelt_option_is_refused():
    with pytest.raises(TypeError, match="no option 'attemps'"):
        induce.solve(TASK, attemps=5)


def test_a_consumer_that_raises_leaves_nothing_behind():
    def stop(solution):
        raise RuntimeError("enough")

    async def run():
        tasks = [induce.Task.from_pairs([(1, 2)], id=str(n)) for n in range(5)]
        with pytest.raises(RuntimeError, match="enough"):
            await induce.asolve(tasks, on_solution=stop)
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1


def test_solve_works_inside_a_running_event_loop():
    async def notebook_cell():
        return induce.solve(TASK), await induce.asolve(TASK)

    here, awaited = asyncio.run(notebook_cell())
    assert here.predictions == awaited.predictions == (([4, 5],),)


def test_an_interrupt_in_a_notebook_reaches_the_work():
    """The thread that waits is interrupted while the search would go on for minutes."""
    pairs = [(f"{n}", f"{n * n * 7919 % 1009:x}!") for n in range(1, 12)]
    endless = induce.Task.from_pairs(pairs, id="endless")

    async def notebook_cell():
        main = threading.main_thread().ident
        threading.Timer(1.0, signal.pthread_kill, (main, signal.SIGUSR1)).start()
        return induce.solve(endless, seconds=200)

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(notebook_cell())
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert time.monotonic() - started < 60


def test_a_run_log_can_be_asked_for(small_tasks, tmp_path):
    solutions = induce.solve(small_tasks, out=tmp_path / "run.sqlite", attempts=2)
    with RunLog.open(tmp_path / "run.sqlite") as log:
        assert [one.predictions for one in log.solutions()] == [one.predictions for one in solutions]
        assert log.info.settings["solver"]["attempts"] == 2


def test_a_run_log_needs_tasks_with_a_source(tmp_path):
    with pytest.raises(ValueError, match="tasks that can be read again"):
        induce.solve([TASK], out=tmp_path / "run.sqlite")
    with pytest.raises(induce.InduceError, match="missing"):
        induce.solve(tmp_path / "missing.jsonl")


def test_the_solver_can_be_put_together_by_hand():
    with induce.EmbeddedSandbox(servers=1) as sandbox:
        solver = induce.Solver(induce.SearchProposer(seconds=None, max_terms=10_000), sandbox)
        assert asyncio.run(solver.solve(TASK)).solved


def test_a_budget_in_terms_is_repeatable():
    def predictions():
        with induce.EmbeddedSandbox(servers=1) as sandbox:
            solver = induce.Solver(induce.SearchProposer(seconds=None, max_terms=20_000), sandbox)
            solution = asyncio.run(solver.solve(TASK))
        return solution.predictions, solution.candidate.program, solution.usage.terms

    assert predictions() == predictions()
