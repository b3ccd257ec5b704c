"""Expressions of Python's become neurons, copies along edges and aggregations."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from itertools import pairwise

from gnn_compile.algorithm import Bounds
from gnn_compile.domains import ABSORBED, INFINITY
from gnn_compile.gadgets import Gadgets
from gnn_compile.targets import Target
from gnn_compile.units import Builder, Inexact, Kind, Place, Reduction

NEIGHBOURS, EVERYBODY = "incoming", "nodes"
_IDENTITY = {"min": INFINITY, "max": -INFINITY, "sum": 0.0, "any": 0.0, "all": 1.0}
"""What these give of nothing."""


class Lowering:
    """Reads expressions for all nodes at once.

    ``values`` holds what names mean at this point of a round; ``edges`` the features of edges. Raises
    ``Inexact`` for what is not among the exact operations.
    """

    def __init__(
        self,
        builder: Builder,
        values: dict[str, int],
        edges: Mapping[str, int],
        bounds: Bounds,
        target: Target,
    ) -> None:
        self.builder, self.values, self.edges = builder, values, edges
        self._bounds = bounds
        self._gadgets = Gadgets(builder, target)
        self._meaning: dict[str, ast.expr] = {}

    def assign(self, target: str, expression: ast.expr, place: Place | None = None) -> None:
        """Compute an expression, and give its value a name from now on."""
        self.values[target] = self.value(expression)
        if place is Place.GRAPH and self.builder.parts[self.values[target]].place is not Place.GRAPH:
            raise Inexact(f"{target} is the graph's, and this has a value for each node")
        self._meaning = {
            name: meant for name, meant in self._meaning.items() if target not in _read_by(meant)
        }
        self._meaning.pop(target, None)
        if target not in _read_by(expression):  # else it speaks of what is no more
            self._meaning[target] = expression

    def value(self, expression: ast.expr, scope: Mapping[str, str] | None = None) -> int:
        """Give an expression's value; ``scope`` says what a generator's names are."""
        scope = scope or {}
        match expression:
            case ast.Constant(value=bool() | int() | float() as number):
                return self._number(number)
            case ast.Name(id=name):
                return self._named(name, scope)
            case ast.Attribute(value=ast.Name(id=who), attr=name):
                return self._of(who, name, scope)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return self._gadgets.times(self.value(inner, scope), -1.0)
            case ast.UnaryOp(op=ast.UAdd(), operand=inner):
                return self.value(inner, scope)
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                return self._gadgets.opposite(self._flag(inner, scope))
            case ast.BinOp(left=left, op=op, right=right):
                return self._arithmetic(left, op, right, scope)
            case ast.BoolOp(op=op, values=parts):
                flags = [self._flag(part, scope) for part in parts]
                return self._gadgets.both(flags) if isinstance(op, ast.And) else self._gadgets.either(flags)
            case ast.Compare(left=left, ops=ops, comparators=others):
                values = [self.value(one, scope) for one in (left, *others)]
                found = [self._compared(*pair, op) for pair, op in zip(pairwise(values), ops, strict=True)]
                return self._gadgets.both(found)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._choice(test, body, orelse, scope)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if arguments:
                return self._called(name, arguments, scope)
        raise Inexact(
            f"{ast.unparse(expression)!r} is not among the exact operations, which are +, -, * by a number, "
            "comparisons, and, or, not, … if … else …, min, max, abs, and min, max, sum, any, all over "
            "`u, e in incoming` or `v in nodes`"
        )

    def _number(self, number: float) -> int:
        if number == math.inf:
            return self.builder.constant(INFINITY)
        if abs(number) > ABSORBED:
            raise Inexact("a number here is beyond 2^66, up to which infinity absorbs numbers; say inf")
        if float(number) != number:
            raise Inexact(f"a float64 does not hold {number} exactly")
        return self.builder.constant(float(number))

    def _named(self, name: str, scope: Mapping[str, str]) -> int:
        if name == "inf":
            return self.builder.constant(INFINITY)
        if name in scope:
            raise Inexact(f"{name} is a node or an edge: say which of its fields, such as {name}.index")
        if name not in self.values:
            hint = ": that of an edge is e." + name if name in self.edges else ""
            raise Inexact(f"nothing is called {name} here{hint}")
        value = self.values[name]
        if self.builder.parts[value].place is Place.GRAPH:
            return value
        if NEIGHBOURS in scope.values():
            return self.builder.copied(value, Kind.RECEIVER)
        if EVERYBODY in scope.values():
            whose = next(iter(scope))
            raise Inexact(f"whose {name} is meant over all nodes? Say {whose}.{name}")
        return value

    def _of(self, who: str, name: str, scope: Mapping[str, str]) -> int:
        match scope.get(who):
            case "edge":
                if name not in self.edges:
                    known = ", ".join(self.edges) or "none"
                    raise Inexact(f"edges have no {name}; their fields are: {known}")
                return self.edges[name]
            case None:
                raise Inexact(f"{who} is no node or edge here")
            case role:
                if name not in self.values:
                    raise Inexact(f"nodes have no {name}")
                value = self.values[name]
                return self.builder.copied(value, Kind.SENDER) if role == NEIGHBOURS else value

    def _flag(self, expression: ast.expr, scope: Mapping[str, str]) -> int:
        value = self.value(expression, scope)
        if not (domain := self.builder.domains[value]).flag:
            raise Inexact(f"{ast.unparse(expression)!r} is no flag but {domain}: compare it with something")
        return value

    def _arithmetic(self, left: ast.expr, op: ast.operator, right: ast.expr, scope: Mapping[str, str]) -> int:
        one, other = self.value(left, scope), self.value(right, scope)
        match op:
            case ast.Add():
                return self._gadgets.plus(one, other)
            case ast.Sub():
                return self._gadgets.plus(one, other, -1.0)
            case ast.Mult():
                for value, by in ((one, other), (other, one)):
                    factor = self.builder.constant_of(by)
                    if factor is not None and abs(factor) < INFINITY:
                        return self._gadgets.times(value, factor)
                for value, by in ((one, other), (other, one)):
                    if self.builder.domains[by].flag:
                        return self._gadgets.select(by, value, self.builder.constant(0))
                raise Inexact(
                    f"{ast.unparse(ast.BinOp(left, op, right))!r} is the product of two values, which no "
                    "weights give exactly; one must be a number or a flag"
                )
            case ast.Div():
                divisor = self.builder.constant_of(other)
                if divisor and math.frexp(divisor)[0] in (0.5, -0.5):
                    return self._gadgets.times(one, 1.0 / divisor)
        raise Inexact(
            f"{ast.unparse(ast.BinOp(left, op, right))!r} is not among the exact operations, which are +, -, "
            "* by a number or a flag, and / by a power of two"
        )

    def _compared(self, one: int, other: int, op: ast.cmpop) -> int:
        match op:
            case ast.Lt():
                return self._gadgets.less(one, other)
            case ast.Gt():
                return self._gadgets.less(other, one)
            case ast.LtE():
                return self._gadgets.opposite(self._gadgets.less(other, one))
            case ast.GtE():
                return self._gadgets.opposite(self._gadgets.less(one, other))
            case ast.Eq():
                return self._gadgets.equal(one, other)
            case ast.NotEq():
                return self._gadgets.opposite(self._gadgets.equal(one, other))
        raise Inexact(f"{type(op).__name__} is no comparison of numbers")

    def _choice(self, test: ast.expr, body: ast.expr, orelse: ast.expr, scope: Mapping[str, str]) -> int:
        flag = self._flag(test, scope)
        one, other = self.value(body, scope), self.value(orelse, scope)
        domain = self.builder.domains[one]
        if any(
            ast.unparse(condition) == f"{ast.unparse(body)} < inf" for condition in self._conditions(test)
        ):
            domain = replace(domain, above=False)
        return self._gadgets.select(flag, one, other, knowing=domain | self.builder.domains[other])

    def _conditions(self, test: ast.expr) -> list[ast.expr]:
        """Give what must all hold where a test does, as far as it says so."""
        match test:
            case ast.BoolOp(op=ast.And(), values=parts):
                return [one for part in parts for one in self._conditions(part)]
            case ast.Name(id=name) if name in self._meaning:
                return self._conditions(self._meaning[name])
        return [test]

    def _called(self, name: str, arguments: Sequence[ast.expr], scope: Mapping[str, str]) -> int:
        match name, arguments:
            case (
                ("min" | "max" | "sum" | "any" | "all"),
                [ast.GeneratorExp(elt=inner, generators=[generator])],
            ):
                if scope:
                    raise Inexact(f"{name}(…) stands within another generator; give it a line of its own")
                return self._reduced(name, inner, generator)
            case "abs", [inner]:
                value = self.value(inner, scope)
                return self._gadgets.greatest(value, self._gadgets.times(value, -1.0))
            case (("min" | "max"), [_, _, *_]):
                values = [self.value(one, scope) for one in arguments]
                return reduce(self._gadgets.least if name == "min" else self._gadgets.greatest, values)
        raise Inexact(f"{name}(…) is not among the exact operations: min, max, abs, sum, any, all")

    def _reduced(self, name: str, inner: ast.expr, generator: ast.comprehension) -> int:
        match generator:
            case ast.comprehension(
                target=ast.Tuple(elts=[ast.Name(id=u), ast.Name(id=e)]),
                iter=ast.Name(id="incoming"),
                is_async=0,
            ) if u != e:
                scope = {u: NEIGHBOURS, e: "edge"}
            case ast.comprehension(target=ast.Name(id=v), iter=ast.Name(id="nodes"), is_async=0):
                scope = {v: EVERYBODY}
            case _:
                raise Inexact(
                    f"a generator goes over `u, e in incoming` or `v in nodes`, not "
                    f"`{ast.unparse(generator.target)} in {ast.unparse(generator.iter)}`"
                )
        value = (self._flag if name in ("any", "all") else self.value)(inner, scope)
        if generator.ifs:
            counts = self._gadgets.both([self._flag(one, scope) for one in generator.ifs])
            value = self._gadgets.only_if(counts, value, _IDENTITY[name])
        reduction = {"any": Reduction.MAX, "all": Reduction.MIN}.get(name) or Reduction(name)
        return self._over(value, reduction, _IDENTITY[name], EVERYBODY in scope.values())

    def _over(self, value: int, reduction: Reduction, default: float, everybody: bool) -> int:
        flag = self.builder.domains[value].flag and default in (0.0, 1.0) and reduction is not Reduction.SUM
        if everybody:
            reduced = self.builder.pool(value, reduction, default, self._bounds.nodes)
        else:
            reduced = self.builder.aggregate(value, reduction, default, self._bounds.degree)
        return self._gadgets.snapped(reduced) if flag else reduced


def _read_by(expression: ast.expr) -> set[str]:
    """Give the names of the fields, and whatever else is named, that an expression reads."""
    nodes = list(ast.walk(expression))
    return {one.id for one in nodes if isinstance(one, ast.Name)} | {
        one.attr for one in nodes if isinstance(one, ast.Attribute)
    }
