"""From what a language model wrote to a rule in words and to a program that stands alone."""

from __future__ import annotations

import ast
import builtins
import re
import warnings

from hypotheses.task import Signature
from sandboxes import Program

MAX_READ = 100_000
"""Source longer than this is run like any other, but not parsed here: that can take a long time."""

MAX_BLOCKS = 50
"""So many blocks at the end of an answer are looked at for one that defines a function."""

_OPENING = re.compile(r"[ \t]*(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)$")

_PYTHON = ("", "python", "python3", "py", "pycon", "ipython")

_MODULES = (
    *("bisect", "collections", "copy", "functools", "heapq", "itertools", "json"),
    *("math", "numpy", "operator", "random", "re", "statistics", "string"),
)
_MEMBERS = {
    "collections": ("Counter", "OrderedDict", "defaultdict", "deque", "namedtuple"),
    "copy": ("deepcopy",),
    "functools": ("lru_cache", "reduce"),
    "itertools": ("accumulate", "chain", "combinations", "groupby", "permutations", "product", "zip_longest"),
    "typing": (
        "Any",
        "Callable",
        "Dict",
        "Iterable",
        "List",
        "Optional",
        "Sequence",
        "Set",
        "Tuple",
        "Union",
    ),
}
_IMPORTS = (
    {"np": "import numpy as np"}
    | {module: f"import {module}" for module in _MODULES}
    | {name: f"from {module} import {name}" for module, names in _MEMBERS.items() for name in names}
)


def extract_rule(response: str) -> str:
    """Give the rule: the text after the first ``Rule:``, or all of it where there is no such mark."""
    mark, rule = response.partition("Rule:")[1:]
    return rule.removeprefix("**").strip() if mark else response.strip()


def extract_code(response: str) -> str | None:
    """Give the last fenced block that defines a function, or else the last one.

    Blocks that are marked as another language than Python are passed over. A response without a fence counts
    as code only if it is a Python module that defines something; a fence that never closes is a truncated
    answer, and gives ``None``.
    """
    blocks = [code.strip("\n") for info, code in _split(response)[0] if info in _PYTHON]
    for block in blocks[:-MAX_BLOCKS:-1]:
        tree = _parse(block)
        if tree is not None and _definitions(tree):
            return block
    if blocks:
        return blocks[-1]
    if "```" in response:
        return None
    tree = _parse(response)
    return response.strip("\n") if tree is not None and _definitions(tree) else None


def extract_prose(response: str) -> str:
    """Give what stands outside the fenced blocks: the rule in words of a model that answered in Python."""
    return _split(response)[1].strip()


def _split(response: str) -> tuple[list[tuple[str, str]], str]:
    """Give the closed fenced blocks, each with the language it is marked as, and what stands outside them.

    Line by line: an answer may be megabytes long, and made to be slow to read.
    """
    blocks: list[tuple[str, str]] = []
    outside: list[str] = []
    inside: list[str] = []
    opened: re.Match[str] | None = None
    for line in response.split("\n"):
        if opened is None:
            opened = _OPENING.match(line)
            if opened is None:
                outside.append(line)
            inside = [line]
        elif line.lstrip(" \t").startswith(opened["fence"]):
            language = (opened["info"].split() or [""])[0].lower()
            blocks.append((language, "\n".join(inside[1:])))
            outside.append("")
            opened = None
        else:
            inside.append(line)
    return blocks, "\n".join(outside if opened is None else [*outside, *inside])


def make_program(code: str, signature: Signature) -> Program:
    """Make extracted code a program that stands alone.

    The entry point is the signature's name where the code defines it, else the last function defined. The
    imports of well-known names (``np``, ``math``, ``Counter``, ``List`` …) that the code uses and nobody
    defines are put in front: models leave them out as often as not, and only then is the source complete.
    Code that does not parse is kept as it is, to be judged by running it like any other.
    """
    tree = _parse(code)
    if tree is None:
        return Program(code, signature.name, signature.call)
    defined = _definitions(tree)
    entry_point = signature.name if signature.name in defined or not defined else defined[-1]
    return Program(_with_imports(code, tree), entry_point, signature.call)


def _parse(code: str) -> ast.Module | None:
    if len(code) > MAX_READ:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):  # "\d" and the like are the model's affair
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _definitions(tree: ast.Module) -> list[str]:
    """Give the functions that the top level defines, in order, lambdas bound to a name included."""
    names = []
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name):
                names.append(name)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda()):
                names.append(name)
    return names


def _with_imports(code: str, tree: ast.Module) -> str:
    used: set[str] = set()
    bound: set[str] = set(dir(builtins))
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.alias(name=name, asname=alias):
                bound.add(alias or name.split(".")[0])
    missing = sorted({_IMPORTS[name] for name in used - bound if name in _IMPORTS})
    if not missing:
        return code
    lines = code.split("\n")
    at = _first_statement(tree)
    return "\n".join([*lines[:at], *missing, "", *lines[at:]])


def _first_statement(tree: ast.Module) -> int:
    """Give how many lines come before the place where imports may stand."""
    for node in tree.body:
        match node:
            case ast.Expr(value=ast.Constant(value=str())) | ast.ImportFrom(module="__future__"):
                continue
            case ast.FunctionDef(decorator_list=[first, *_]) | ast.ClassDef(decorator_list=[first, *_]):
                return first.lineno - 1
        return node.lineno - 1
    return 0
