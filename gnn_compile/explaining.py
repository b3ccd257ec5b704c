"""What a network is made of, what it is exact for, and what became of each line of its source."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gnn_compile.compiler import Job, lowering_of
from gnn_compile.dense import dense
from gnn_compile.domains import ABSORBED, INFINITY, WHOLE
from gnn_compile.gating import gating
from gnn_compile.network import Network
from gnn_compile.units import Circuit, Kind, Place
from sandboxes.errors import AlgorithmError


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the algorithm's round, and which parts of the processor it became.

    What an earlier line made already is counted there; a sum that became part of others has no neuron.
    """

    text: str
    parts: tuple[int, ...]
    neurons: int
    reductions: int
    """Aggregations and poolings."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A network in figures and words; those of a round are the processor's."""

    algorithm: str
    title: str
    reference: str
    ties: str
    target: str
    weights: int
    """That are not 0, of neurons in encoder, processor and refusals."""
    biases: int
    """That are not 0."""
    dense_parameters: int
    """Weights and biases of the same network as matrices, zeros included."""
    neurons: Mapping[str, Mapping[str, int]]
    """Of a round: by place, then by activation."""
    state_width: int
    """Fields that go from one round to the next."""
    message_width: int
    """Values of an edge that are aggregated."""
    depth: int
    """Layers of neurons on the longest way through a round."""
    passes: int
    """How often in a round messages are passed, one after the other."""
    aggregations: int
    pools: int
    gates: int
    """Rectified neurons that a flag shuts."""
    guarded: int
    """Parts that are computed only where a gate is open."""
    rounds: str
    """How many suffice for ``N`` nodes."""
    ranges: Mapping[str, str]
    """What each input and each field of the state can be."""
    largest: float
    """The largest finite number that can occur in it; ``inf`` if that is not known."""
    error: float
    """By how much a field can be off in the end; ``inf`` if that is not known."""
    exact: tuple[str, ...]
    """For which graphs and numbers it is exact."""
    lines: tuple[Line, ...]
    """None where the weights are not those that compiling gives."""

    @property
    def known(self) -> bool:
        """Whether anything is known of what its weights are good for."""
        return math.isfinite(self.largest)

    def as_dict(self) -> dict[str, Any]:
        """Give it as plain data, ``None`` for what is not known."""
        unknown: dict[str, Any] = {} if self.known else {"largest": None, "error": None}
        return asdict(self) | unknown


def explain(network: Network) -> Explanation:
    """Explain a network, which may have been loaded from a file."""
    algorithm, processor = network.algorithm, network.processor
    circuits = (network.encoder, processor, network.refusals)
    kinds = Counter(part.kind for part in processor.parts)
    found = gating(processor)
    return Explanation(
        algorithm=algorithm.name,
        title=algorithm.title,
        reference=algorithm.reference,
        ties=algorithm.ties,
        target=str(network.target),
        weights=sum(1 for one in circuits for part in one.parts for weight in part.weights if weight),
        biases=sum(1 for one in circuits for part in one.parts if part.kind is Kind.NEURON and part.bias),
        dense_parameters=sum(
            matrix.size for circuit in circuits for matrix in dense(circuit).matrices.values()
        ),
        neurons=_neurons(processor),
        state_width=len(network.state),
        message_width=len({part.operands[0] for part in processor.parts if part.kind is Kind.AGGREGATE}),
        depth=_longest(processor, (Kind.NEURON,)),
        passes=_longest(processor, (Kind.AGGREGATE,)),
        aggregations=kinds[Kind.AGGREGATE],
        pools=kinds[Kind.POOL],
        gates=len(found.gates),
        guarded=len(found.guards),
        rounds=algorithm.rounds,
        ranges=_ranges(network),
        largest=_largest(network),
        error=network.error if math.isfinite(_largest(network)) else math.inf,
        exact=tuple(_exact(network)),
        lines=_lines(network),
    )


def _neurons(circuit: Circuit) -> dict[str, dict[str, int]]:
    neurons = [part for part in circuit.parts if part.kind is Kind.NEURON]
    counted = Counter((part.place, part.activation) for part in neurons)
    return {
        str(place): {
            str(activation): count for (where, activation), count in sorted(counted.items()) if where is place
        }
        for place in Place
        if any(part.place is place for part in neurons)
    }


def _longest(circuit: Circuit, counted: Iterable[Kind]) -> int:
    """Give how many parts of these kinds are on the way that has most of them."""
    lengths: list[int] = []
    for part in circuit.parts:
        before = max((lengths[one] for one in part.operands), default=0)
        lengths.append(before + (part.kind in counted))
    return max((lengths[number] for number in circuit.outputs.values()), default=0)


def _fields(network: Network) -> tuple[str, ...]:
    algorithm = network.algorithm
    return (*algorithm.inputs_of_nodes, *algorithm.inputs_of_edges, *network.state)


def _ranges(network: Network) -> dict[str, str]:
    domains = network.domains
    return {
        name: str(domains[name]) if domains[name].size < math.inf else "not known"
        for name in _fields(network)
    }


def _largest(network: Network) -> float:
    circuits = (network.encoder, network.processor, network.refusals)
    inside = (one for circuit in circuits for one in circuit.domains)
    return float(max(one.size for one in (*inside, *(network.domains[name] for name in _fields(network)))))


def _exact(network: Network) -> Iterator[str]:
    """Say for what it is exact, a sentence each."""
    largest, bounds = _largest(network), network.bounds
    if math.isinf(largest):
        yield "it is not known for what: these weights are not those that compiling the algorithm gives"
        return
    messages = any(part.kind is Kind.AGGREGATE for part in network.processor.parts)
    edges = f" with up to {bounds.degree:,} edges into each" if messages else ""
    yield f"graphs of up to {bounds.nodes:,} nodes{edges}, and inputs in their ranges"
    if network.target.soft:
        yield f"a field is off by less than {network.error:.2g} in the end; rounded, it is exact"
    parts = zip(network.processor.parts, network.processor.domains, strict=True)
    computed = [domain for part, domain in parts if part.kind is not Kind.COLUMN]
    if not network.target.soft:
        most = f"no finite number in it exceeds {largest:,.0f}"
        within = f"{most}, which is" if largest <= WHOLE else "as long as they stay"
        yield f"whole numbers: {within} below 2^53, up to which every sum of them is exact"
    if not all(domain.whole for domain in computed):
        yield "other numbers: to the last bit what float64 gives, added in the order of the source"
    if not all(domain.finite for domain in computed):
        yield (
            f"infinity is the number 2^{math.log2(INFINITY):.0f}, which absorbs whatever is added, up to "
            f"2^{math.log2(ABSORBED):.0f}"
        )


def _lines(network: Network) -> tuple[Line, ...]:
    """Compile line by line anew, and see which parts of the network each of them adds."""
    if math.isinf(_largest(network)):
        return ()
    algorithm = network.algorithm
    lowering = lowering_of(Job(algorithm, network.bounds, network.target), network.domains)
    builder = lowering.builder
    ends = [len(builder.parts)]
    for one in algorithm.step:
        lowering.assign(one.target, one.value)
        ends.append(len(builder.parts))
    values = {name: lowering.values[name] for name in network.state}
    needed = _needed(values.values(), [part.operands for part in builder.parts])
    if builder.circuit(values).parts != network.processor.parts:
        raise AlgorithmError(f"{algorithm.name} cannot be explained: its ranges are not those of its weights")
    lines = []
    for line, first, end in zip(algorithm.step, ends, ends[1:], strict=False):
        made = tuple(number for number, one in enumerate(needed) if first <= one < end)
        kinds = Counter(network.processor.parts[one].kind for one in made)
        reductions = kinds[Kind.AGGREGATE] + kinds[Kind.POOL]
        lines.append(Line(line.text, made, kinds[Kind.NEURON], reductions))
    return tuple(lines)


def _needed(values: Iterable[int], operands: list[tuple[int, ...]]) -> list[int]:
    found: set[int] = set()
    left = list(values)
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left.extend(operands[one])
    return sorted(found)
