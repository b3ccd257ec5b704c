"""One program after another, as one program."""

from __future__ import annotations

import ast

from hypotheses.extraction import MAX_READ
from sandboxes import Program

_CONVERSIONS = {
    "grid_ndarray": "numpy.array(value)",
    "grid_list": "[list(row) for row in getattr(value, 'tolist', lambda: value)()]",
}
"""What is done to a grid that the first program gives, for the second to take it."""


def compose(second: Program, first: Program) -> Program | None:
    """Give the program that applies ``first`` and, to what it gives, ``second``.

    ``None`` where that cannot be written: ``second`` takes several arguments, or one of them is no module
    that could stand in a function (it has ``global``, or ``import *``), or too long.
    """
    if second.call not in ("single", *_CONVERSIONS):
        return None
    names = ("first", "second")
    parts = [_enclosed(program, name) for program, name in zip((first, second), names, strict=True)]
    if parts[0] is None or parts[1] is None:
        return None
    packages = None
    if first.packages is not None and second.packages is not None:
        packages = first.packages | second.packages
    handed_over = _CONVERSIONS.get(second.call, "value")
    source = "\n\n\n".join(
        [
            "import numpy" if second.call == "grid_ndarray" else "",
            *map(str, parts),
            "first = first()\nsecond = second()",
            "def compose(*args, **kwargs):\n    value = first(*args, **kwargs)\n"
            f"    return second({handed_over})",
        ]
    )
    return Program(source.lstrip() + "\n", "compose", first.call, packages)


def _enclosed(program: Program, name: str) -> str | None:
    """Write a module as a function that gives the module's entry point."""
    if len(program.source) > MAX_READ:
        return None
    try:
        module = ast.parse(program.source)
        for node in ast.walk(module):
            starred = isinstance(node, ast.ImportFrom) and (
                node.module == "__future__" or any(alias.name == "*" for alias in node.names)
            )
            if starred or isinstance(node, ast.Global):
                return None
        entry = ast.parse(program.entry_point, mode="eval").body
        function = ast.parse(f"def {name}():\n    pass").body[0]
        assert isinstance(function, ast.FunctionDef)  # noqa: S101 - for the type checker
        function.body = [*module.body, ast.Return(entry)]
        return ast.unparse(ast.fix_missing_locations(function))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
