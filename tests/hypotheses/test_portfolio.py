"""Search first, the model with the rest."""

import asyncio

from hypotheses.hypothesis import Hypothesis, Proposal, Report
from hypotheses.portfolio import PortfolioProposer
from hypotheses.solver import Solver, SolverConfig
from hypotheses.task import Task
from sandboxes import Program

TASK = Task.from_pairs([(1, 2), (5, 6)], queries=[41], id="increment")


class Scripted:
    def __init__(self, name, *rounds, note=""):
        self.name = name
        self.rounds = rounds
        self.note = note
        self.requests = []

    async def propose(self, request):
        self.requests.append(request)
        for text in self.rounds[request.round] if request.round < len(self.rounds) else ():
            yield Proposal(
                Hypothesis(text, proposer=self.name), Program(f"def f(x):\n    return {text}", "f")
            )
        if self.note:
            yield Report(note=self.note)


def solve(sandbox, first, second, **options):
    portfolio = PortfolioProposer(first, second, **options)
    return asyncio.run(Solver(portfolio, sandbox, config=SolverConfig(rounds=4)).solve(TASK))


def test_what_the_search_solves_costs_no_model(sandbox):
    model = Scripted("model", ["x"])
    assert solve(sandbox, Scripted("search", ["x + 1"]), model).solved
    assert model.requests == []


def test_where_the_search_is_silent_the_model_begins_at_once(sandbox):
    search = Scripted("search", note="nothing of size 9")
    model = Scripted("model", ["x"], ["x + 1"])
    assert solve(sandbox, search, model, notes=True).solved
    assert [request.round for request in model.requests] == [0, 1]
    assert [request.notes for request in model.requests] == [("nothing of size 9",), ()]
    assert len(search.requests) == 1


def test_the_model_gets_the_rounds_of_its_recipe_and_no_more(sandbox):
    for search in (Scripted("search"), Scripted("search", ["x * 2"])):
        model = Scripted("model", *[["x"]] * 9)
        assert not solve(sandbox, search, model, rounds=2).solved
        assert [request.round for request in model.requests] == [0, 1]


def test_the_model_counts_its_own_rounds_and_sees_its_own_failures(sandbox):
    model = Scripted("model", ["x"], ["x + 1"])
    solution = solve(sandbox, Scripted("search", ["x * 2"]), model)
    assert solution.solved
    assert [request.round for request in model.requests] == [0, 1]
    texts = [[one.candidate.hypothesis.text for one in request.feedback] for request in model.requests]
    assert texts == [[], ["x"]]
    assert model.requests[0].notes == ()
