"""Proposes graph algorithms that are compiled into the weights of networks: exact neural baselines."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from functools import cache

from gnn_compile import algorithm_names, compile_algorithm, load_algorithm
from gnn_compile.python_export import to_python
from hypotheses.hypothesis import Hypothesis, Proposal, Report, Usage
from hypotheses.proposer import Request
from sandboxes import Program

_KEYS = {"nodes", "directed", "edges"}


class CompiledNetworksProposer:
    """Proposes each output of each algorithm of the library, as a program that holds the network's weights.

    A task's inputs must be graphs, ``{"nodes": n, "directed": …, "edges": [[u, v, weight], …]}``, and its
    outputs lists with a value for each node. Which network is meant, the examples tell.
    """

    name = "gnn-compiled"

    async def propose(self, request: Request) -> AsyncGenerator[Proposal | Report, None]:
        """Yield the programs in the first round, shorter ones first."""
        inputs = [one.input for one in request.task.examples]
        if request.round or not all(isinstance(one, dict) and one.keys() >= _KEYS for one in inputs):
            note = "" if request.round else "compiled networks take graphs; the inputs of this task are none"
            yield Report(Usage(), note)
            return
        sourced = all("source" in one for one in inputs)
        for title, source in _programs(sourced):
            yield Proposal(Hypothesis(title, proposer=self.name), Program(source, "f"))


def how_many() -> int:
    """Give the number of programs at most."""
    return max(len(_programs(sourced)) for sourced in (False, True))


@cache
def _programs(sourced: bool) -> tuple[tuple[str, str], ...]:
    """Give what each program does, and its source, for graphs with or without a source."""
    return tuple(sorted(_written(sourced), key=lambda one: (len(one[1]), one)))


def _written(sourced: bool) -> Iterator[tuple[str, str]]:
    for name in algorithm_names():
        algorithm = load_algorithm(name)
        if ("source" in algorithm.inputs_of_nodes) > sourced:
            continue
        network = compile_algorithm(algorithm)
        for output in algorithm.outputs:
            yield f"{algorithm.title}. Give {output} of each node.", to_python(network, output)
