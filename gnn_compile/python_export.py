"""Networks as self-contained Python: the weights, and the few lines that it takes to run them."""

from __future__ import annotations

import pprint

from gnn_compile.domains import INFINITY
from gnn_compile.network import Network
from gnn_compile.units import Circuit, Kind
from sandboxes.errors import AlgorithmError

_RUNNER = '''
INFINITY = 2.0**120
REDUCE = {"min": min, "max": max, "sum": lambda one, other: one + other}


def run(circuit, columns, size, edges):
    """Compute a circuit: each part for all nodes (n), edges (e) or once for the graph (g)."""
    values = []
    for kind, place, operands, weights, bias, activation, reduction, default in circuit["parts"]:
        given = [values[one] for one in operands]
        if kind == "column":
            values.append(columns[activation])
        elif kind == "sender":
            values.append([given[0][u] for u, _, _ in edges])
        elif kind == "receiver":
            values.append([given[0][v] for _, v, _ in edges])
        elif kind in ("aggregate", "pool"):
            reduced = [None] * (size if kind == "aggregate" else 1)
            messages = given[0] if isinstance(given[0], list) else [given[0]] * (len(edges) or size)
            for number, message in enumerate(messages[: len(edges) if kind == "aggregate" else size]):
                into = edges[number][1] if kind == "aggregate" else 0
                known = reduced[into]
                reduced[into] = message if known is None else REDUCE[reduction](known, message)
            reduced = [default if one is None else one for one in reduced]
            if len(given) > 1:
                reduced = [REDUCE[reduction](one, own) for one, own in zip(reduced, given[1])]
            values.append(reduced if kind == "aggregate" else reduced[0])
        else:
            length = {"n": size, "e": len(edges), "g": 1}[place]
            found = []
            for number in range(length):
                total = 0.0
                for weight, value in zip(weights, given):
                    total += weight * (value[number] if isinstance(value, list) else value)
                total += bias
                if activation == "relu":
                    total = max(total, 0.0)
                elif activation == "step":
                    total = 1.0 if total > 0 else 0.0
                found.append(total)
            values.append(found[0] if place == "g" else found)
    return {name: values[number] for name, number in circuit["outputs"].items()}


def told(value):
    """Give a number as it is written: None for infinity, whole numbers as such."""
    if abs(value) >= INFINITY:
        return None
    return int(value) if value == int(value) else value
'''

_MAIN = '''

def {entry}(graph):
    """Give {output} of each node."""
    size = N = graph["nodes"]
    edges = [(edge[0], edge[1], edge[2] if len(edge) > 2 else 1) for edge in graph["edges"]]
    if {undirected}:
        edges += [(v, u, weight) for u, v, weight in edges if u != v]
    edges.sort(key=lambda edge: (edge[1], edge[0]))
    columns = {{"index": list(range(size)), "N": size, "weight": [weight for _, _, weight in edges]}}
    columns["source"] = [float(node == graph.get("source")) for node in range(size)]
    state = run(ENCODER, columns, size, edges)
    for name in {of_nodes}:
        if not isinstance(state[name], list):
            state[name] = [state[name]] * size
    rounds = 0
    while True:
        after = run(PROCESSOR, {{**columns, **state, "round": rounds + 1}}, size, edges)
        if after == state:
            break
        state, rounds = after, rounds + 1
        if rounds == int({most_rounds}):
            raise ValueError({unfinished!r})
    return [told(value) for value in state[{output!r}]]
'''


def to_python(network: Network, output: str, entry: str = "f") -> str:
    """Write a module whose function takes a graph and gives an output of each node, as the network does.

    The graph is ``{"nodes": n, "directed": …, "edges": [[u, v, weight], …], "source": s}``; ``None`` stands
    for what is infinite. The module imports nothing. Raises ``AlgorithmError`` for an output that the
    algorithm does not have, for networks that average messages, and for inputs other than ``source`` and
    ``weight``.
    """
    algorithm = network.algorithm
    if output not in algorithm.outputs:
        raise AlgorithmError(
            f"{algorithm.name} has no output {output}; it has {', '.join(algorithm.outputs)}"
        )
    if network.target.soft:
        raise AlgorithmError("Python is written of networks that select, not of those that average")
    others = set(algorithm.inputs_of_nodes) - {"source"} | set(algorithm.inputs_of_edges) - {"weight"}
    if others:
        raise AlgorithmError(f"{algorithm.name} needs {', '.join(sorted(others))}, which no graph has here")
    needed = network.only([output])
    sections = [
        f'"""{_line(algorithm.title)}, as the weights of a message-passing network."""\n',
        f"ENCODER = {_literal(needed.encoder)}\n",
        f"PROCESSOR = {_literal(needed.processor)}\n",
        _RUNNER,
        _MAIN.format(
            entry=entry,
            output=output,
            undirected="True" if algorithm.both_ways else 'not graph["directed"]',
            of_nodes=tuple(name for name in needed.state if name in algorithm.state_of_nodes),
            most_rounds=algorithm.rounds,
            unfinished=algorithm.unfinished,
        ),
    ]
    return "\n".join(sections)


def _literal(circuit: Circuit) -> str:
    parts = []
    for part in circuit.parts:
        what = part.name if part.kind is Kind.COLUMN else str(part.activation)
        shape = (str(part.kind), str(part.place)[0], part.operands, part.weights)
        parts.append((*shape, part.bias, what, str(part.reduction), part.default))
    text = pprint.pformat({"parts": parts, "outputs": dict(circuit.outputs)}, width=108, sort_dicts=False)
    return text.replace(repr(INFINITY), "2.0**120")


def _line(text: str) -> str:
    return text.replace("\\", "").replace('"', "'")
