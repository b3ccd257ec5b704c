"""Algorithms carried out as they are written, node by node, with Python's own numbers and no compiler."""

import ast
import math
import operator

OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
NOTHING = {"min": math.inf, "max": -math.inf, "sum": 0, "any": False, "all": True}


class Reference:
    """An algorithm on a graph of ``size`` nodes and ``(sender, receiver, weight)`` edges."""

    def __init__(self, algorithm, size, edges, **inputs):
        self.algorithm, self.size = algorithm, size
        both = [(v, u, w) for u, v, w in edges if u != v] if algorithm.both_ways else []
        self.incoming = [[] for _ in range(size)]
        for u, v, w in sorted([*edges, *both], key=lambda edge: edge[:2]):
            self.incoming[v].append((u, {"weight": w}))
        self.graph = {"N": size, "inf": math.inf}
        self.nodes = [{"index": node} for node in range(size)]
        for name, value in inputs.items():
            for node in range(size):
                self.nodes[node][name] = (node == value) if isinstance(value, int) else value[node]
        for name, begins in algorithm.state_of_graph.items():
            self.graph[name] = self.value(begins, {})
        begun = {
            name: [self.value(begins, self.nodes[node]) for node in range(size)]
            for name, begins in algorithm.state_of_nodes.items()
        }
        self._put(begun)

    def run(self):
        """Go on until nothing changes. Give the fields, and how many rounds changed them."""
        for number in range(1, self.algorithm.most_rounds(self.size) + 1):
            before = self.state()
            self.graph["round"] = number
            for line in self.algorithm.step:
                if line.target in self.algorithm.state_of_graph:
                    self.graph[line.target] = self.value(line.value, self.nodes[0], 0)
                else:
                    found = [self.value(line.value, self.nodes[node], node) for node in range(self.size)]
                    self._put({line.target: found})
            if self.state() == before:
                return before, number - 1
        raise OverflowError(self.algorithm.unfinished)

    def state(self):
        fields = {name: [float(node[name]) for node in self.nodes] for name in self.algorithm.state_of_nodes}
        return fields | {name: float(self.graph[name]) for name in self.algorithm.state_of_graph}

    def _put(self, columns):
        for name, column in columns.items():
            for node, value in zip(self.nodes, column, strict=True):
                node[name] = value

    def value(self, expression, scope, node=None):
        """Give an expression's value, where names are fields of the scope, or nodes and edges."""

        def inner(part):
            return self.value(part, scope, node)

        match expression:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return scope[name] if name in scope else self.graph[name]
            case ast.Attribute(value=ast.Name(id=who), attr=name):
                return scope[who][name] if name in scope[who] else self.graph[name]
            case ast.UnaryOp(op=ast.USub(), operand=part):
                return -inner(part)
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return not inner(part)
            case ast.BinOp(left=left, op=op, right=right):
                return OPERATORS[type(op)](inner(left), inner(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return OPERATORS[type(op)](inner(left), inner(right))
            case ast.BoolOp(op=ast.And(), values=parts):
                return all(inner(part) for part in parts)
            case ast.BoolOp(op=ast.Or(), values=parts):
                return any(inner(part) for part in parts)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return inner(body) if inner(test) else inner(orelse)
            case ast.Call(func=ast.Name(id=name), args=[ast.GeneratorExp(elt=part, generators=[generator])]):
                return self._reduced(name, part, generator, scope, node)
            case ast.Call(func=ast.Name(id=name), args=parts):
                return {"min": min, "max": max, "abs": abs}[name](*map(inner, parts))
        raise NotImplementedError(ast.dump(expression))

    def _reduced(self, name, part, generator, scope, node):
        scopes = []
        if generator.iter.id == "incoming":
            u, e = (one.id for one in generator.target.elts)
            scopes = [scope | {u: self.nodes[sender], e: edge} for sender, edge in self.incoming[node]]
        else:
            scopes = [scope | {generator.target.id: one} for one in self.nodes]
        values = [
            self.value(part, inner)
            for inner in scopes
            if all(self.value(condition, inner) for condition in generator.ifs)
        ]
        if not values:
            return NOTHING[name]
        return {"min": min, "max": max, "sum": sum, "any": any, "all": all}[name](values)
