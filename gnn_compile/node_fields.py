"""Which fields hold nodes, by their numbers, such as parents; as far as the source tells."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from enum import IntEnum

from gnn_compile.algorithm import Algorithm


class _Sort(IntEnum):
    NOTHING = 0
    """Not known yet, or infinity, which stands for none."""
    NODE = 1
    NUMBER = 2


def node_fields(algorithm: Algorithm) -> frozenset[str]:
    """Give the fields of the state whose values are always numbers of nodes, or infinite."""
    sorts: dict[str, _Sort] = {"index": _Sort.NODE, "inf": _Sort.NOTHING}
    for name in (*algorithm.inputs_of_nodes, *algorithm.inputs_of_edges, "N", "round"):
        sorts[name] = _Sort.NUMBER
    inputs = {**algorithm.inputs_of_nodes, **algorithm.inputs_of_edges}
    sorts |= {name: _Sort.NODE for name, domain in inputs.items() if domain.strip() == "index"}
    starts = {**algorithm.state_of_nodes, **algorithm.state_of_graph}
    sorts |= {name: _sort(expression, sorts) for name, expression in starts.items()}
    while True:  # sorts only ever rise
        before = {name: sorts[name] for name in starts}
        for line in algorithm.step:
            found = _sort(line.value, sorts)
            sorts[line.target] = max(found, before.get(line.target, found))
        if before == {name: sorts[name] for name in starts}:
            return frozenset(name for name in starts if sorts[name] is _Sort.NODE)


def _sort(expression: ast.expr, sorts: Mapping[str, _Sort]) -> _Sort:
    match expression:
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(), attr=name):
            return sorts.get(name, _Sort.NOTHING)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Name(id="inf")):
            return _Sort.NOTHING
        case ast.IfExp(body=body, orelse=orelse):
            return max(_sort(body, sorts), _sort(orelse, sorts))
        case ast.Call(func=ast.Name(id="min" | "max"), args=[ast.GeneratorExp(elt=inner)]):
            return _sort(inner, sorts)
        case ast.Call(func=ast.Name(id="min" | "max"), args=[_, _, *_] as values):
            return max(_sort(one, sorts) for one in values)
    return _Sort.NUMBER
