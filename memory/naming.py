"""Which names of a program are its own affair, and how two programs that differ in them are compared."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

BUILTINS = frozenset(dir(builtins))

BY_NAME = frozenset({"dir", "eval", "exec", "getattr", "globals", "inspect", "locals", "setattr", "vars"})
"""What a program may find its own names by."""

_MARK = "@"  # no identifier begins so


def numbering(tree: ast.Module, kept: frozenset[str] = frozenset()) -> dict[str, str]:
    """Give each name that may be exchanged throughout a number, in the order in which they come up.

    One number for one name, whatever its scope: whoever puts other names in their places, each another one,
    changes nothing that the program does. Left alone are names that something other than their uses refers
    to: builtins, keywords of calls, what a class body binds, ``kept``; and all names of a program that may
    look them up.
    """
    own: set[str] = set()
    fixed = {*BUILTINS, *kept}
    for node in ast.walk(tree):
        own.update(bound(node))
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) if name in BY_NAME:
                return {}
            case ast.keyword(arg=str(name)) | ast.alias(name=name, asname=None):
                fixed.add(name.partition(".")[0])
            case ast.MatchClass(kwd_attrs=names):
                fixed.update(names)
            case ast.ClassDef(body=body):
                fixed.update(name for one in body for part in _in_class(one) for name in bound(part))
    order = dict.fromkeys(name for name in _appearing(tree) if name in own and name not in fixed)
    return {name: f"{_MARK}{number}" for number, name in enumerate(order) if not name.startswith("__")}


def bound(node: ast.AST) -> Iterator[str]:
    """Give the names that a node itself binds."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.ExceptHandler(name=str(name)) | ast.alias(asname=str(name)):
            yield name
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            yield name


def identifiers(tree: ast.AST) -> set[str]:
    """Give every name that a program mentions."""
    found: set[str] = set()
    for node in ast.walk(tree):
        found.update(bound(node))
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                found.add(name)
            case ast.alias(name=name):
                found.add(name.partition(".")[0])
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                found.update(names)
    return found


def _in_class(statement: ast.stmt) -> Iterator[ast.AST]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement  # its own name; what is in it has another scope
    else:
        yield from ast.walk(statement)


def _appearing(node: ast.AST) -> Iterator[str]:
    """Give all names in the order of the tree, which does not depend on formatting."""
    yield from bound(node)
    if isinstance(node, ast.Name):
        yield node.id
    for child in ast.iter_child_nodes(node):
        yield from _appearing(child)
