"""Runs networks on graphs, in float64: neuron by neuron, each for all nodes or edges at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from gnn_compile.domains import INFINITY, Domain
from gnn_compile.executor import Executor
from gnn_compile.gating import Gating, gating
from gnn_compile.graphs import Column, Graph
from gnn_compile.network import Network
from sandboxes.errors import AlgorithmError

Input = int | Sequence[int] | npt.ArrayLike


@dataclass(frozen=True, slots=True)
class Run:
    """What a network gave for a graph."""

    outputs: Mapping[str, Column]
    """Each [nodes]; ``inf`` where there is none."""
    rounds: int
    """How many rounds changed something."""
    hints: Sequence[Mapping[str, Column]] = ()
    """If they were asked for: before the first round, and after each that changed something."""


def run_network(
    network: Network,
    graph: Graph,
    *,
    outputs: Iterable[str] | None = None,
    trace: bool = False,
    **inputs: Input,
) -> Run:
    """Run a network on a graph until a round changes nothing.

    ``inputs`` are the algorithm's, for nodes: a column [nodes], or the number of the node whose flag is 1.
    Edges have their ``weight``. ``outputs`` are those wanted, all of the algorithm's by default: what others
    need is not computed. They are off by ``network.error`` at most, which is 0 unless messages are averaged.
    Raises ``AlgorithmError`` for a graph that lies outside the network's bounds, or that the algorithm
    refuses.
    """
    algorithm = network.algorithm
    wanted = tuple(algorithm.outputs if outputs is None else outputs)
    for one in wanted:
        if one not in algorithm.state_of_nodes:
            raise AlgorithmError(
                f"{algorithm.name} has no output {one}; it has {', '.join(algorithm.outputs)}"
            )
    shown = tuple(dict.fromkeys((*wanted, *(algorithm.hints if trace else ()))))
    plan = _plan(network, shown)
    if algorithm.both_ways:
        graph = graph.both_ways()
    given = checked_inputs(network, graph, inputs)
    state = _begun(plan, graph, given)
    number = np.zeros(1)
    processor = Executor(
        plan.network.processor,
        plan.processor,
        graph,
        {**given, **state, "round": number},
        frozenset(given),
        network.target.sharpness,
    )
    hints = [told(state, shown)] if trace else []
    most = algorithm.most_rounds(graph.size)
    rounds = 0
    while True:
        number.fill(rounds + 1)
        processor.run()
        if not take_over(state, processor.outputs, network.error):
            break
        rounds += 1
        if rounds == most:
            raise AlgorithmError(f"{algorithm.name} refuses this graph: {algorithm.unfinished}")
        if trace:
            hints.append(told(state, shown))
    _refuse(plan, graph, {**given, **state})
    return Run(told(state, wanted), rounds, hints)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A network without what is not asked for, and what matters only where in it."""

    network: Network
    encoder: Gating
    processor: Gating
    refusals: Gating


@lru_cache(maxsize=64)
def _plan(network: Network, shown: tuple[str, ...]) -> _Plan:
    needed = network.only(shown)
    return _Plan(needed, gating(needed.encoder), gating(needed.processor), gating(needed.refusals))


def _begun(plan: _Plan, graph: Graph, given: Mapping[str, Column]) -> dict[str, Column]:
    """Give the state before the first round, each field a column of its own."""
    encoder = Executor(plan.network.encoder, plan.encoder, graph, given)
    encoder.run()
    of_graph = plan.network.algorithm.state_of_graph
    return {
        name: np.array(np.broadcast_to(value, (1 if name in of_graph else graph.size,)))
        for name, value in encoder.outputs.items()
    }


def take_over(state: Mapping[str, Column], after: Mapping[str, Column], off: float) -> bool:
    """Take over the state after a round; whether it changed by more than fields may be off."""
    changed = {name: after[name] for name, field in state.items() if (field != after[name]).any()}
    moved = any(
        not off or bool((np.abs(state[name] - column) > 2 * off).any()) for name, column in changed.items()
    )
    fields = {id(field) for field in state.values()}
    for name, column in changed.items():
        if id(column) in fields:  # what another field was before this round
            changed[name] = column.copy()
    for name, column in changed.items():
        np.copyto(state[name], column)
    return moved


def _refuse(plan: _Plan, graph: Graph, columns: Mapping[str, Column]) -> None:
    algorithm = plan.network.algorithm
    executor = Executor(plan.network.refusals, plan.refusals, graph, columns)
    executor.run()
    for condition, met in executor.outputs.items():
        if met.any():
            where = f"node {int(np.argmax(met))}" if len(met) > 1 else "the graph"
            raise AlgorithmError(
                f"{algorithm.name} refuses this graph: {algorithm.refused[condition]} ({where}: {condition})"
            )


def told(state: Mapping[str, Column], names: Iterable[str]) -> dict[str, Column]:
    """Copy fields, with real infinities."""
    told = {}
    for name in names:
        column = np.array(state[name], dtype=np.float64)
        column[column >= INFINITY] = np.inf
        column[column <= -INFINITY] = -np.inf
        told[name] = column
    return told


def checked_inputs(network: Network, graph: Graph, inputs: Mapping[str, Input]) -> dict[str, Column]:
    """See that a graph and its inputs lie within the network's bounds."""
    algorithm, bounds = network.algorithm, network.bounds
    if graph.size > bounds.nodes:
        raise AlgorithmError(
            f"the graph has {graph.size:,} nodes, and this network is exact up to {bounds.nodes:,}: compile "
            f"{algorithm.name} for more"
        )
    if graph.edges and (most := int(np.diff(graph.offsets).max())) > bounds.degree:
        raise AlgorithmError(
            f"{most:,} edges go into one node, and this network is exact up to {bounds.degree:,}: compile "
            f"{algorithm.name} for more"
        )
    most_rounds = algorithm.most_rounds(graph.size)
    if not 1 <= most_rounds <= algorithm.most_rounds(bounds.nodes):
        raise AlgorithmError(
            f"{algorithm.name} has {most_rounds:,} rounds for {graph.size:,} nodes, and this network is "
            f"exact for {algorithm.most_rounds(bounds.nodes):,}: let rounds grow with N"
        )
    given: dict[str, Column] = {
        "index": np.arange(graph.size, dtype=np.float64),
        "N": np.array([float(graph.size)]),
    }
    for name in algorithm.inputs_of_nodes:
        if name not in inputs:
            raise AlgorithmError(f"{algorithm.name} needs {name}: the number of a node, or a value for each")
        try:
            column = np.array(inputs[name], dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise AlgorithmError(f"{name} must be numbers: {error}") from error
        if column.ndim == 0:
            if not 0 <= column < graph.size or column != np.floor(column):
                raise AlgorithmError(
                    f"{name} is {column:g}, and there are the nodes 0 to {graph.size - 1} only"
                )
            column = np.equal(np.arange(graph.size), column).astype(np.float64)
        if column.shape != (graph.size,):
            raise AlgorithmError(f"{name} must have a value for each of the {graph.size} nodes")
        _within(f"{name} of node", column, network.domains[name], algorithm.name)
        given[name] = column
    if unknown := set(inputs) - set(algorithm.inputs_of_nodes):
        raise AlgorithmError(f"{algorithm.name} has no input {', '.join(sorted(unknown))}")
    for name in algorithm.inputs_of_edges:
        if name not in graph.features:
            raise AlgorithmError(
                f"{algorithm.name} needs {name} of each edge, which this graph does not have"
            )
        _within(f"{name} of edge", graph.features[name], network.domains[name], algorithm.name)
        given[name] = graph.features[name]
    return given


def _within(what: str, column: Column, domain: Domain, algorithm: str) -> None:
    inside = (column >= domain.low) & (column <= domain.high)
    if domain.whole:
        inside &= column == np.floor(column)
    if not inside.all():
        place = int(np.argmin(inside))
        raise AlgorithmError(
            f"{what} {place} is {column[place]:g}, and this network of {algorithm} is exact for {domain}: "
            "compile it for larger bounds, or give it another graph"
        )
