"""Which names a piece of a function needs, gives and leaves bound: what it takes to make it a function."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from memory.naming import bound

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_NOWHERE_ELSE = (
    *(ast.Return, ast.Yield, ast.YieldFrom, ast.Await, ast.AsyncFor, ast.AsyncWith),
    *(ast.Global, ast.Nonlocal, ast.NamedExpr, ast.Delete, ast.Import, ast.ImportFrom),
    *(ast.ClassDef, ast.AsyncFunctionDef),
)


@dataclass(slots=True)
class Reads:
    """Collects the names that are read before they are certainly bound, in the order of evaluation.

    What is read in a nested function counts as read where it is defined.
    """

    names: dict[str, None] = field(default_factory=dict)

    def expression(self, node: ast.AST | None, known: frozenset[str]) -> None:
        """Read an expression, with what is ``known`` to be bound."""
        match node:
            case None:
                return
            case ast.Name(id=name):
                if not isinstance(node.ctx, ast.Store) and name not in known:
                    self.names[name] = None
            case ast.Lambda(args=arguments, body=body):
                self._signature(arguments, known)
                self.expression(body, known | _arguments(arguments))
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                self._comprehension(node, known)
            case _:
                for child in ast.iter_child_nodes(node):
                    self.expression(child, known)

    def statements(self, body: Sequence[ast.stmt], known: frozenset[str]) -> frozenset[str]:
        """Read statements, and give what is bound after them for certain."""
        for one in body:
            known = self._statement(one, known)
        return known

    def _statement(self, node: ast.stmt, known: frozenset[str]) -> frozenset[str]:
        match node:
            case ast.Assign(targets=targets, value=value):
                for part in (value, *targets):
                    self.expression(part, known)
                return known | _stored(targets)
            case ast.AnnAssign(target=target, value=value):
                self.expression(value, known)
                self.expression(target, known)
                return known | _stored([target]) if value is not None else known
            case ast.AugAssign(target=target, value=value):
                for part in (_loaded(target), value):
                    self.expression(part, known)
                return known | _stored([target])
            case ast.For(target=target, iter=over, body=body, orelse=otherwise):
                self.expression(over, known)
                self.expression(target, known)
                self.statements(body, known | _stored([target]))
                self.statements(otherwise, known)
                return known
            case ast.While(test=test, body=body, orelse=otherwise):
                self.expression(test, known)
                self.statements(body, known)
                self.statements(otherwise, known)
                return known
            case ast.If(test=test, body=body, orelse=otherwise):
                self.expression(test, known)
                return self.statements(body, known) & self.statements(otherwise, known)
            case ast.FunctionDef(name=name, args=arguments, body=body):
                self._signature(arguments, known)
                for decorator in node.decorator_list:
                    self.expression(decorator, known)
                inner = known | _arguments(arguments) | {name} | own_names(body)
                self.statements(body, inner)
                return known | {name}
        self._other(node, known)
        return known

    def _other(self, node: ast.AST, known: frozenset[str]) -> None:
        """Read any other statement: what it binds is not certain to be bound."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                self._statement(child, known)
            elif isinstance(child, ast.expr):
                self.expression(child, known)
            else:
                self._other(child, known | frozenset(bound(child)))

    def _comprehension(self, node: ast.expr, known: frozenset[str]) -> None:
        generators: list[ast.comprehension] = getattr(node, "generators", [])
        for one in generators:
            self.expression(one.iter, known)
            self.expression(one.target, known)
            known |= _stored([one.target])
            for condition in one.ifs:
                self.expression(condition, known)
        for name in ("key", "value", "elt"):
            self.expression(getattr(node, name, None), known)

    def _signature(self, arguments: ast.arguments, known: frozenset[str]) -> None:
        for one in (*arguments.defaults, *arguments.kw_defaults):
            self.expression(one, known)


def own_names(body: Iterable[ast.AST]) -> frozenset[str]:
    """Give the names that statements bind in their own scope."""
    found: set[str] = set()
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, _COMPREHENSIONS):
            continue
        found.update(bound(node))
        if not isinstance(node, _SCOPES):
            waiting.extend(ast.iter_child_nodes(node))
    return frozenset(found)


def stands_alone(body: Sequence[ast.AST]) -> bool:
    """Whether a piece leaves its place at its end alone, and binds nothing in another scope."""
    return all(_stays(node, in_loop=False, in_function=False) for node in body)


def _stays(node: ast.AST, *, in_loop: bool, in_function: bool) -> bool:
    if isinstance(node, _NOWHERE_ELSE) and not (in_function and isinstance(node, ast.Return)):
        return False
    if isinstance(node, ast.Break | ast.Continue):
        return in_loop
    nested = isinstance(node, ast.FunctionDef)
    return all(
        _stays(
            child,
            in_loop=(in_loop or isinstance(node, _LOOPS)) and not nested,
            in_function=in_function or nested,
        )
        for child in ast.iter_child_nodes(node)
    )


def _arguments(arguments: ast.arguments) -> frozenset[str]:
    return frozenset(one.arg for one in ast.walk(arguments) if isinstance(one, ast.arg))


def _stored(targets: Iterable[ast.AST]) -> frozenset[str]:
    return frozenset(
        node.id
        for target in targets
        for node in ast.walk(target)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )


def _loaded(target: ast.expr) -> ast.expr:
    """Give the target of ``+=`` as what it reads."""
    return ast.Name(target.id, ast.Load()) if isinstance(target, ast.Name) else target
