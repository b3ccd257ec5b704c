"""Networks as proposals, judged by examples like any other program."""

import asyncio

import pytest

from hypotheses.compiled_networks import CompiledNetworksProposer, how_many
from hypotheses.hypothesis import Proposal, Report
from hypotheses.proposer import Request
from hypotheses.solver import Solver, SolverConfig
from hypotheses.task import Task

ROADS = {"nodes": 3, "directed": True, "edges": [[0, 1, 5], [0, 2, 1], [2, 1, 2]], "source": 0}
PATH = {"nodes": 3, "directed": True, "edges": [[0, 1, 2], [1, 2, 2]], "source": 1}
TASKS = {
    "distances": Task.from_pairs([(ROADS, [0, 3, 1])], queries=[PATH]),
    "edges": Task.from_pairs([(ROADS, [0, 1, 1])], queries=[PATH]),
    "reachability": Task.from_pairs([(PATH, [0, 1, 1])], queries=[ROADS]),
    "parents": Task.from_pairs([(ROADS, [0, 2, 0])], queries=[PATH]),
}


def proposed(task, number=0):
    async def collect():
        return [one async for one in CompiledNetworksProposer().propose(Request(task, number))]

    return asyncio.run(collect())


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("distances", [None, 0, 2]),
        ("edges", [None, 0, 1]),
        ("reachability", [1, 1, 1]),
        ("parents", [0, 1, 1]),
    ],
)
def test_the_examples_tell_which_network_is_meant(sandbox, name, answer):
    config = SolverConfig(samples=how_many(), rounds=1)
    solution = asyncio.run(Solver(CompiledNetworksProposer(), sandbox, config=config).solve(TASKS[name]))
    assert solution.outcome == "solved"
    assert solution.predictions[0][0] == answer


def test_all_outputs_of_all_algorithms_are_proposed_shortest_first():
    found = proposed(TASKS["distances"])
    assert len(found) == how_many()
    assert all(isinstance(one, Proposal) for one in found)
    lengths = [len(one.program.source) for one in found]
    assert lengths == sorted(lengths)
    assert len({one.hypothesis.text for one in found}) == len(found)


def test_without_a_source_there_are_those_that_need_none():
    graph = {name: value for name, value in ROADS.items() if name != "source"}
    texts = [one.hypothesis.text for one in proposed(Task.from_pairs([(graph, [0, 0, 0])]))]
    assert any("components" in text for text in texts)
    assert not any("from a source" in text for text in texts)


@pytest.mark.parametrize("value", [5, "text", [1, 2], {"nodes": 3}])
def test_of_other_tasks_it_says_why_there_is_nothing(value):
    [report] = proposed(Task.from_pairs([(value, [0])]))
    assert isinstance(report, Report)
    assert "compiled networks take graphs" in report.note


def test_there_is_one_round():
    assert [type(one) for one in proposed(TASKS["distances"], 1)] == [Report]
