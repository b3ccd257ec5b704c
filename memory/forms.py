"""What of a program does not depend on how it is written: without formatting, docstrings and local names.

Nothing is run. Two programs of the same form do the same; of two that do the same, the forms may differ.
"""

from __future__ import annotations

import ast

from memory.naming import numbering
from memory.syntax import entry_function, is_literal, keyword_defaults, parse
from sandboxes import Program

_NAMED = ("id", "arg", "name", "asname", "rest")
_BLANK = "?"  # no identifier begins so


def program_form(program: Program) -> str:
    """Give a program as text that only what it does depends on; as it is written where it is no Python."""
    as_written = f"{program.entry_point}\n{program.source.strip()}"
    tree = parse(program.source)
    if tree is None:
        return as_written
    try:
        return _written(program, tree)
    except RecursionError:
        return as_written


def skeleton(program: Program) -> str:
    """Give a program's form with its literals blanked, or nothing where it is not Python or is all literals.

    A keyword-only parameter of the entry point that has a literal as its default is a literal too.
    """
    tree = parse(program.source)
    if tree is None:
        return ""
    try:
        _Blank(_take_parameters(tree, program.entry_point)).visit(tree)
        looks = any(isinstance(node, ast.Name) and node.id != _BLANK for node in ast.walk(tree))
        return _written(program, tree) if looks else ""
    except RecursionError:
        return ""


def _written(program: Program, tree: ast.Module) -> str:
    names = numbering(tree)
    for node in ast.walk(tree):
        for field in _NAMED:
            name = getattr(node, field, None)
            if isinstance(name, str) and not (isinstance(node, ast.alias) and field == "name"):
                setattr(node, field, names.get(name, name))
        if isinstance(node, ast.Global | ast.Nonlocal):
            node.names = [names.get(name, name) for name in node.names]
    return f"{names.get(program.entry_point, program.entry_point)}\n{ast.dump(tree, annotate_fields=False)}"


class _Blank(ast.NodeTransformer):
    """Blanks literals, and the parameters that stand for some."""

    def __init__(self, parameters: frozenset[str]) -> None:
        self._parameters = parameters

    def visit(self, node: ast.AST) -> ast.AST:
        if is_literal(node) or (isinstance(node, ast.Name) and node.id in self._parameters):
            return ast.Name(_BLANK, ast.Load())
        if isinstance(node, ast.JoinedStr | ast.pattern):  # nothing can vary in there
            return node
        return super().generic_visit(node)


def _take_parameters(tree: ast.Module, entry_point: str) -> frozenset[str]:
    """Take away the entry point's keyword-only parameters with literals as defaults; give their names."""
    function = entry_function(tree, entry_point)
    if function is None:
        return frozenset()
    taken = frozenset(keyword_defaults(function))
    arguments = function.args
    kept = [
        (one, value)
        for one, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if one.arg not in taken
    ]
    arguments.kwonlyargs = [one for one, _ in kept]
    arguments.kw_defaults = [value for _, value in kept]
    return taken
