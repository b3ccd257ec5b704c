"""Networks in their dense form, as they are exported, and how they are run round after round."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from gnn_compile.any_order import in_any_order
from gnn_compile.dense import DenseCircuit, dense, sparse
from gnn_compile.domains import UNKNOWN, WHOLE
from gnn_compile.graphs import Column, Graph
from gnn_compile.network import Network
from gnn_compile.runtime import Input, Run, checked_inputs, take_over, told
from sandboxes.errors import AlgorithmError

WHOLE_OF_FLOAT32 = 2.0**24

Compute = Callable[[Graph, Mapping[str, Column]], Mapping[str, Column]]
"""A circuit: from columns to outputs, each [nodes] or, of the graph, [1]."""


@dataclass(frozen=True, slots=True, eq=False)
class DenseNetwork:
    """A network whose weights stand in matrices, stage by stage."""

    network: Network
    """What it was made of."""
    encoder: DenseCircuit
    processor: DenseCircuit
    refusals: DenseCircuit
    changed: bool = False
    """Whether its weights are others than the network's."""

    @classmethod
    def of(cls, network: Network, whole: float = WHOLE) -> DenseNetwork:
        """Make it of a network, for floats that have all whole numbers up to ``whole``.

        Raises ``AlgorithmError`` where the network may reach larger ones, or averages by a softmax.
        """
        if network.target.soft:
            raise AlgorithmError(
                f"this network of {network.algorithm.name} averages its messages by a softmax, and matrices "
                "are made of networks that select: compile it without a sharpness"
            )
        circuits = [
            in_any_order(one, whole) for one in (network.encoder, network.processor, network.refusals)
        ]
        for domain in chain.from_iterable(one.domains for one in circuits):
            if domain.whole and domain.size > whole:
                raise AlgorithmError(
                    f"{network.algorithm.name} may reach the whole number {domain.size:.3g} within "
                    f"{network.bounds}, and these floats have them all up to {whole:,.0f} only: compile it "
                    "for smaller bounds, or use float64"
                )
        encoder, processor, refusals = (dense(one, whole) for one in circuits)
        return cls(network, encoder, processor, refusals)

    @property
    def circuits(self) -> dict[str, DenseCircuit]:
        return {"encoder": self.encoder, "processor": self.processor, "refusals": self.refusals}

    @property
    def matrices(self) -> dict[str, Column]:
        """Give all weights and biases, by name."""
        return {
            f"{name}.{one}": matrix
            for name, circuit in self.circuits.items()
            for one, matrix in circuit.matrices.items()
        }

    def with_matrices(self, matrices: Mapping[str, Column]) -> DenseNetwork:
        """Give the same with other weights and biases, by the same names."""
        changed = self.changed or any(
            matrix.tobytes() != matrices[name].tobytes() for name, matrix in self.matrices.items()
        )
        encoder, processor, refusals = (
            circuit.with_matrices({one: matrices[f"{name}.{one}"] for one in circuit.matrices})
            for name, circuit in self.circuits.items()
        )
        return DenseNetwork(self.network, encoder, processor, refusals, changed)

    def sparse(self) -> Network:
        """Give the network of these weights: what it was made of, unless they changed.

        Then nothing is known of what its values can be, and it is run as it is.
        """
        if not self.changed:
            return self.network
        state = dict.fromkeys(self.network.state, UNKNOWN)
        return replace(
            self.network,
            encoder=sparse(self.encoder),
            processor=sparse(self.processor),
            refusals=sparse(self.refusals),
            domains={**self.network.domains, **state},
        )

    def run(
        self,
        graph: Graph,
        *,
        outputs: Iterable[str] | None = None,
        trace: bool = False,
        dtype: npt.DTypeLike = np.float64,
        **inputs: Input,
    ) -> Run:
        """Run it by matrix products; see ``run_network``."""
        computes = {name: partial(one.run, dtype=dtype) for name, one in self.circuits.items()}
        return run_circuits(self.network, computes, graph, inputs, outputs, trace=trace)


def run_circuits(
    network: Network,
    computes: Mapping[str, Compute],
    graph: Graph,
    inputs: Mapping[str, Input],
    outputs: Iterable[str] | None = None,
    *,
    trace: bool = False,
) -> Run:
    """Run what computes a network's ``encoder``, ``processor`` and ``refusals``; see ``run_network``."""
    algorithm = network.algorithm
    wanted = tuple(algorithm.outputs if outputs is None else outputs)
    check_outputs(network, wanted)
    shown = tuple(dict.fromkeys((*wanted, *(algorithm.hints if trace else ()))))
    needed = network.only(shown).state
    if algorithm.both_ways:
        graph = graph.both_ways()
    given = checked_inputs(network, graph, inputs)
    state = {
        name: np.array(np.broadcast_to(value, (1 if name in algorithm.state_of_graph else graph.size,)))
        for name, value in computes["encoder"](graph, given).items()
    }
    hints = [told(state, shown)] if trace else []
    most = algorithm.most_rounds(graph.size)
    rounds = 0
    while True:
        known = {**given, **state, "round": np.array([rounds + 1.0])}
        after = dict(computes["processor"](graph, known))
        moved = take_over({name: state[name] for name in needed}, after, network.error)
        for name in set(state) - set(needed):
            state[name][:] = after[name]
        if not moved:
            break
        rounds += 1
        if rounds == most:
            raise AlgorithmError(f"{algorithm.name} refuses this graph: {algorithm.unfinished}")
        if trace:
            hints.append(told(state, shown))
    refuse(network, computes["refusals"](graph, {**given, **state}))
    return Run(told(state, wanted), rounds, hints)


def check_outputs(network: Network, wanted: Iterable[str]) -> None:
    """Raise ``AlgorithmError`` for an output that a network does not have."""
    algorithm = network.algorithm
    if unknown := set(wanted) - set(algorithm.state_of_nodes):
        raise AlgorithmError(
            f"{algorithm.name} has no output {', '.join(sorted(unknown))}; it has "
            f"{', '.join(algorithm.outputs)}"
        )


def refuse(network: Network, met: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raise ``AlgorithmError`` where a condition is met that the algorithm refuses."""
    algorithm = network.algorithm
    for condition, flags in met.items():
        if flags.any():
            where = f"node {int(np.argmax(flags))}" if len(flags) > 1 else "the graph"
            raise AlgorithmError(
                f"{algorithm.name} refuses this graph: {algorithm.refused[condition]} ({where}: {condition})"
            )
