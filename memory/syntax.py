"""Programs as syntax trees: read within limits, without docstrings; and the literals in them."""

from __future__ import annotations

import ast
import warnings
from typing import Any

MOST_CHARACTERS = 100_000
MOST_NODES = 30_000

DAMAGED = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What reading, or writing, an odd program may raise."""


def parse(source: str) -> ast.Module | None:
    """Give the tree of a program without its docstrings, or nothing where it is no Python, or too long."""
    if len(source) > MOST_CHARACTERS:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):  # what a program writes as "\d" is its own affair
            tree = ast.parse(source)
    except DAMAGED:
        return None
    for number, node in enumerate(ast.walk(tree)):
        if number >= MOST_NODES:
            return None
        if isinstance(node, ast.Constant):
            node.kind = None
    if "__doc__" not in source:
        _drop_docstrings(tree)
    return tree


def entry_function(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    """Give the function that a program is called by, if one statement of its top level alone defines it."""
    found = None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            if found is not None:
                return None
            found = node
        elif any(isinstance(one, ast.Name) and one.id == name and _stores(one) for one in ast.walk(node)):
            return None
    return found


def keyword_defaults(function: ast.FunctionDef) -> dict[str, ast.expr]:
    """Give the keyword-only parameters that have a literal as their default."""
    arguments = function.args
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {one.arg: value for one, value in pairs if value is not None and is_literal(value)}


def is_literal(node: ast.AST) -> bool:
    """Whether a node is a number, text, truth value, ``None``, or a tuple or list of such."""
    match node:
        case ast.Tuple(elts=elements, ctx=ast.Load()) | ast.List(elts=elements, ctx=ast.Load()):
            return all(map(is_literal, elements))
    return is_scalar(node)


def is_scalar(node: ast.AST) -> bool:
    """Whether a node is a number, perhaps a negative one, a text, a truth value or ``None``."""
    match node:
        case ast.Constant(value=value):
            return value is not ...
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=value)):
            return isinstance(value, int | float | complex) and not isinstance(value, bool)
    return False


def literal_node(value: Any) -> ast.expr:
    """Give the node of a value. Raises ``ValueError`` for one that no literal stands for."""
    try:
        node = ast.parse(repr(value), mode="eval").body
        same = is_literal(node) and repr(ast.literal_eval(node)) == repr(value)
    except DAMAGED:
        same = False
    if not same:
        raise ValueError(
            f"a parameter is a number, a text, a truth value, None, or a list or tuple of these, not "
            f"{_short(value)}; write it as one of them"
        )
    return node


def _stores(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store | ast.Del)


def _drop_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            while _begins_with_text(node.body):
                del node.body[0]
            if not node.body and not isinstance(node, ast.Module):
                node.body = [ast.Pass()]


def _begins_with_text(body: list[ast.stmt]) -> bool:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *_]:
            return True
    return False


def _short(value: Any) -> str:
    text = f"{type(value).__name__} {object.__repr__(value)}" if callable(value) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
