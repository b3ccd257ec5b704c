"""Putting Python together from templates, so that it reads as a person would write it."""

from __future__ import annotations

import ast
import builtins
import copy
import keyword
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from functools import cache

from hypotheses.task import Signature
from sandboxes import Program


def fill(template: str, *arguments: ast.expr, taken: Collection[str] = ()) -> ast.expr:
    """Parse ``template`` and put ``arguments`` in the places of ``_0``, ``_1`` and so on.

    Loop variables of the template that are ``taken`` get other names.
    """
    places: dict[str, ast.expr] = {f"_{i}": argument for i, argument in enumerate(arguments)}
    loops = sorted(_loop_variables(template))
    used = {*taken, *loops}
    for name in loops:
        if name in taken:
            free = name
            while free in used:
                free += "_"
            used.add(free)
            places[name] = ast.Name(free, ast.Load())
    filled: ast.expr = _Fill(places).visit(copy.deepcopy(_parse(template)))
    return filled


def literal(value: object) -> ast.expr:
    """Give the expression that ``repr`` writes for ``value``; a tuple is written as a list."""
    return copy.deepcopy(_parse(repr(_listed(value))))


def _listed(value: object) -> object:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def hexadecimal(value: int, width: int) -> ast.expr:
    """Give the expression for an unsigned number of ``width`` bits: small as it is, else its digits in full.

    ``ast.unparse`` knows decimals only, but writes a name as it stands.
    """
    return literal(value) if value < 10 else ast.Name(f"0x{value:0{-(-width // 4)}x}", ast.Load())


def identifiers(signature: Signature, reserved: Collection[str] = ()) -> dict[str, str]:
    """Give the Python identifier of each parameter, none of them a keyword, a built-in or ``reserved``."""
    taken = {*reserved, *keyword.kwlist, *dir(builtins)}
    found: dict[str, str] = {}
    for parameter in signature.parameters:
        name = re.sub(r"\W", "_", unicodedata.normalize("NFKC", parameter.name))  # as Python reads names
        if not f"x{name}".isidentifier():
            name = re.sub(r"[^a-zA-Z0-9_]", "_", name)
        name = name if name.isidentifier() else f"x_{name}"
        while name in taken:
            name += "_"
        taken.add(name)
        found[parameter.name] = name
    return found


def program(
    signature: Signature,
    names: Mapping[str, str],
    body: ast.expr,
    helpers: Iterable[str] = (),
    *,
    tidy: bool = True,
) -> Program:
    """Write the function that returns ``body``; ``names`` are its parameters' identifiers.

    Where arguments are passed by names that are none of these, another function takes them. ``tidy`` sums up
    constants and leaves out brackets, which changes what sums of decimals come to.
    """
    helpers = list(helpers)
    function = _function_name(signature.name, body, helpers)
    body = copy.deepcopy(body)
    expression = ast.unparse(ast.fix_missing_locations(_Tidy().visit(body) if tidy else body))
    passed_on = signature.call == "keyword" and any(old != new for old, new in names.items())
    rule = f"{function}_of" if passed_on else function
    sources = [f"def {rule}({', '.join(names.values())}):\n    return {expression}\n"]
    if passed_on:
        taken = ", ".join(f"arguments[{name!r}]" for name in names)
        sources.append(f"def {function}(**arguments):\n    return {rule}({taken})\n")
    return Program("\n\n".join([*helpers, *sources]), function, signature.call)


def _function_name(name: str, body: ast.expr, helpers: Iterable[str]) -> str:
    """Give the function's name, or one like it where Python has no such name, or the body uses it."""
    name = unicodedata.normalize("NFKC", name)  # as Python reads it
    if not name.isidentifier():
        name = re.sub(r"[^a-zA-Z0-9_]", "_", f"f_{name}")
    words = {node.id for node in ast.walk(body) if isinstance(node, ast.Name)}
    words.update(word for helper in helpers for word in re.findall(r"\w+", helper))
    while name in words or keyword.iskeyword(name):
        name += "_"
    return name


@cache
def _parse(template: str) -> ast.expr:
    return ast.parse(template, mode="eval").body


@cache
def _loop_variables(template: str) -> frozenset[str]:
    """Give the names that the template's comprehensions and lambdas bind."""
    nodes = list(ast.walk(_parse(template)))
    targets = [node.target for node in nodes if isinstance(node, ast.comprehension)]
    named = [node for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    return frozenset([node.id for node in named] + [node.arg for node in nodes if isinstance(node, ast.arg)])


class _Fill(ast.NodeTransformer):
    """Replaces placeholders by expressions."""

    def __init__(self, places: Mapping[str, ast.expr]) -> None:
        self.places = places

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return copy.deepcopy(self.places.get(node.id, node))

    def visit_arg(self, node: ast.arg) -> ast.arg:
        renamed = self.places.get(node.arg)
        return ast.arg(renamed.id) if isinstance(renamed, ast.Name) else node


class _Tidy(ast.NodeTransformer):
    """Rewrites what templates leave behind: ``a + (b + c)``, ``1 + 2``, ``a + -1``, ``x[0 + 1:]``."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Add | ast.Sub):
            return node
        terms: list[tuple[bool, ast.expr]] = []
        for negative, term in _terms(node):
            value = _constant(term)
            before = _constant(terms[-1][1]) if terms else None
            if isinstance(value, str) and isinstance(before, str):
                terms[-1] = (False, ast.Constant(before + value))
            elif terms and isinstance(term, ast.List) and isinstance(displayed := terms[-1][1], ast.List):
                terms[-1] = (False, ast.List([*displayed.elts, *term.elts], ast.Load()))
            else:
                terms.append((negative, term))
        return _sum(terms)


def _terms(node: ast.expr, negative: bool = False) -> list[tuple[bool, ast.expr]]:
    """List the summands of nested sums and differences, each with whether it is taken away."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        flipped = negative != isinstance(node.op, ast.Sub)
        return _terms(node.left, negative) + _terms(node.right, flipped)
    return [(negative, node)]


def _constant(node: ast.expr) -> object:
    """Give the value of a constant, ``None`` where the node is none."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _constant(node.operand)
        return -inner if isinstance(inner, int) else None
    return node.value if isinstance(node, ast.Constant) else None


def _sum(terms: list[tuple[bool, ast.expr]]) -> ast.expr:
    """Write a sum from the left, its integer constants added up and put last."""
    total = 0
    rest: list[tuple[bool, ast.expr]] = []
    for negative, term in terms:
        value = _constant(term)
        if isinstance(value, int) and not isinstance(value, bool):
            total += -value if negative else value
        else:
            rest.append((negative, term))
    rest.sort(key=lambda one: one[0]) if rest and rest[0][0] else None
    if not rest:
        return ast.Constant(total) if total >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-total))
    negative, result = rest[0]
    if negative:
        result = ast.BinOp(ast.Constant(total), ast.Sub(), result)
        total = 0
    for negative, term in rest[1:]:
        result = ast.BinOp(result, ast.Sub() if negative else ast.Add(), term)
    if total:
        result = ast.BinOp(result, ast.Add() if total > 0 else ast.Sub(), ast.Constant(abs(total)))
    return result
