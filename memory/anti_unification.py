"""What programs have in common: the least general generalisation of their syntax trees (Plotkin 1970).

For Python as in Bulychev & Minea (2008), but with holes for literals alone, which become parameters: programs
of another shape are left apart. Nothing is run.
"""

from __future__ import annotations

import ast
import copy
import keyword
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from memory.naming import BUILTINS, BY_NAME, bound, identifiers, numbering
from memory.syntax import (
    DAMAGED,
    entry_function,
    is_scalar,
    keyword_defaults,
    literal_node,
    parse,
)
from sandboxes import Program

MOST_PARAMETERS = 4

_PAIR = 3
"""Lists and tuples with up to so many elements are gone into; longer ones are data, and vary as a whole."""

_MOST_SHOWN = 8
_MOST_SHOWN_CHARACTERS = 60
_MARK = "?"  # no identifier begins so
_NAMED = frozenset({"id", "arg", "name", "asname", "rest"})
_OUTSIDE = frozenset({"annotation", "returns", "pattern"})
"""Fields that no parameter can stand in."""


@dataclass(frozen=True, slots=True)
class Generalised:
    """A program with what varies as keyword-only ``parameters`` of its entry point.

    It is called as before: the values of the first program are the defaults. ``parameters`` say what is known
    of each (``number: int = 3 | 5``); ``bindings[i]`` are the values, in the order of the parameters, with
    which it is program ``i``.
    """

    program: Program
    parameters: tuple[str, ...]
    bindings: tuple[tuple[Any, ...], ...]


def generalise(programs: Sequence[Program]) -> Generalised | None:
    """Give what programs are that differ in names and in literals only, or nothing where they are others.

    Literals that vary together are one parameter. Parameters that a program has already remain: what was
    generalised can be generalised further, one by one or all at once. Only literals in the body of the entry
    point may differ, up to ``MOST_PARAMETERS`` of them; parts of f-strings and of patterns may not.
    Docstrings and comments are not compared, and lost where there is something to generalise.
    """
    if not programs or len({(one.call, one.packages) for one in programs}) > 1:
        return None
    if len({one.key for one in programs}) == 1 and not parameters_of(programs[0]):
        return _as_it_is(programs)
    try:
        read = [_read(one) for one in programs]
        forms = [one for one in read if one is not None]
        if len(forms) < len(programs) or len({one.point for one in forms}) > 1:
            return None
        return _generalised(programs, forms)
    except (*DAMAGED, _OtherwiseError):
        return None


def bind(program: Program, values: Mapping[str, Any]) -> Program:
    """Give a program with other values for its parameters.

    Raises ``ValueError`` for parameters that it has not, and for values that no literal stands for.
    """
    tree = parse(program.source)
    function = None if tree is None else entry_function(tree, program.entry_point)
    known = {} if function is None else keyword_defaults(function)
    for name in values:
        if name not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise ValueError(f"the program has no parameter {name!r} with a literal as its default; {has}")
    if tree is None or function is None or not values:
        return program
    arguments = function.args
    arguments.kw_defaults = [
        literal_node(values[one.arg]) if one.arg in values else default
        for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    return Program(_write(tree), program.entry_point, program.call, program.packages)


def parameters_of(program: Program) -> dict[str, Any]:
    """Give the keyword-only parameters of the entry point that have literals as defaults, and these."""
    tree = parse(program.source)
    function = None if tree is None else entry_function(tree, program.entry_point)
    if function is None:
        return {}
    return {name: ast.literal_eval(value) for name, value in keyword_defaults(function).items()}


class _OtherwiseError(Exception):
    """Programs have another shape."""


@dataclass(slots=True)
class _Form:
    """A program to be compared: its parameters taken out of the signature, its names numbered."""

    tree: ast.Module
    function: ast.FunctionDef
    parameters: dict[str, ast.expr]
    names: dict[str, str]

    @property
    def point(self) -> str:
        """The entry point, as it is numbered."""
        return self.named(self.function.name)

    def named(self, name: str) -> str:
        return self.names.get(name, name)

    def filled(self, node: ast.AST) -> Any:
        """Give a literal with its parameters' defaults in their places."""
        return _Filled(self.parameters).visit(copy.deepcopy(node))


def _read(program: Program) -> _Form | None:
    tree = parse(program.source)
    function = None if tree is None else entry_function(tree, program.entry_point)
    if tree is None or function is None:
        return None
    parameters = _take_parameters(tree, function)
    arguments = frozenset(one.arg for one in _arguments(function.args)) if program.call == "keyword" else ()
    return _Form(tree, function, parameters, numbering(tree, frozenset(arguments)))


def _take_parameters(tree: ast.Module, function: ast.FunctionDef) -> dict[str, ast.expr]:
    """Take keyword-only parameters out of a signature that stand for literals, and for nothing else."""
    defaults = keyword_defaults(function)
    if not defaults:
        return {}
    bindings: dict[str, int] = {}
    uses: dict[str, int] = {}
    copied: dict[str, int] = {}
    for node in ast.walk(tree):
        for name in bound(node):
            bindings[name] = bindings.get(name, 0) + 1
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                uses[name] = uses.get(name, 0) + 1
            case ast.List(elts=[ast.Starred(value=ast.Name(id=name))], ctx=ast.Load()):
                copied[name] = copied.get(name, 0) + 1
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                bindings |= dict.fromkeys(names, 2)
    inside = {
        name: sum(
            isinstance(node, ast.Name) and node.id == name for one in function.body for node in ast.walk(one)
        )
        for name in defaults
    }
    taken = {
        name: value
        for name, value in defaults.items()
        if bindings[name] == 1
        and uses.get(name, 0) == inside[name] > 0
        and (_is_fixed(value) or (_is_flat_list(value) and copied.get(name) == uses[name]))
    }
    arguments = function.args
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    kept = [(one, value) for one, value in pairs if one.arg not in taken]
    arguments.kwonlyargs = [one for one, _ in kept]
    arguments.kw_defaults = [value for _, value in kept]
    return taken


def _is_fixed(node: ast.AST) -> bool:
    """Whether a literal's value cannot be changed, so that sharing it between calls makes no difference."""
    if isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load):
        return all(map(_is_fixed, node.elts))
    return is_scalar(node)


def _is_flat_list(node: ast.AST) -> bool:
    return isinstance(node, ast.List) and isinstance(node.ctx, ast.Load) and all(map(_is_fixed, node.elts))


def _generalised(programs: Sequence[Program], forms: Sequence[_Form]) -> Generalised | None:
    alignment = _Alignment(forms)
    tree = alignment.align([one.tree for one in forms])
    columns = alignment.columns
    if not columns:
        return _as_it_is(programs)
    function = entry_function(tree, programs[0].entry_point)
    looks_up = any(isinstance(node, ast.Name) and node.id in BY_NAME for node in ast.walk(tree))
    if len(columns) > MOST_PARAMETERS or function is None or looks_up:
        return None
    if programs[0].call == "keyword" and _meets_inputs(function, columns):
        return None
    names = _name(columns, forms, grids=programs[0].call in ("grid_list", "grid_ndarray"))
    _Renamed({f"{_MARK}{number}": name for number, name in enumerate(names)}).visit(tree)
    function.args.kwonlyargs += [ast.arg(name) for name in names]
    function.args.kw_defaults += [column.nodes[0] for column in columns]
    first = programs[0]
    return Generalised(
        Program(_write(tree), first.entry_point, first.call, first.packages),
        tuple(describe(name, column.values) for name, column in zip(names, columns, strict=True)),
        tuple(zip(*(column.values for column in columns), strict=True)),
    )


def _meets_inputs(function: ast.FunctionDef, columns: Sequence[_Column]) -> bool:
    """Whether inputs, which are parameters by name too, might now mean something else."""
    own = [one.own for one in columns if one.own]
    return function.args.kwarg is not None or len(set(own)) < len(own)


def _as_it_is(programs: Sequence[Program]) -> Generalised:
    return Generalised(programs[0], (), ((),) * len(programs))


@dataclass(frozen=True, slots=True)
class _Column:
    """What stands in one place, or in several that vary together: a literal from each program.

    ``own`` is what the first program calls it, if it has a parameter there, ``others`` what others call it.
    """

    nodes: Sequence[ast.expr]
    values: Sequence[Any]
    own: str
    others: Sequence[str]


class _Alignment:
    """Goes through trees side by side and gives the first with marks for what differs."""

    def __init__(self, forms: Sequence[_Form]) -> None:
        self._forms = forms
        self._numbers: dict[tuple[str, ...], int] = {}
        self._reachable = False
        self.columns: list[_Column] = []

    def align(self, nodes: Sequence[Any]) -> Any:
        first = nodes[0]
        if isinstance(first, list):
            if len({len(one) for one in nodes}) > 1:
                raise _OtherwiseError
            return [self.align(parts) for parts in zip(*nodes, strict=True)]
        if not isinstance(first, ast.AST):
            if len({(type(one), repr(one)) for one in nodes}) > 1:
                raise _OtherwiseError
            return first
        if (aligned := self._aligned_literal(nodes)) is not None:
            return aligned
        if len({type(one) for one in nodes}) > 1:
            raise _OtherwiseError
        fields = {name: self._align_field(name, nodes) for name in first._fields if hasattr(first, name)}
        made: ast.AST = type(first)(**fields)
        return made

    def _align_field(self, name: str, nodes: Sequence[Any]) -> Any:
        parts = [getattr(node, name, None) for node in nodes]
        if name in _NAMED and not (isinstance(nodes[0], ast.alias) and name == "name"):
            return self._align_names(parts)
        if isinstance(nodes[0], ast.Global | ast.Nonlocal):
            return [self._align_names(ones) for ones in zip(*parts, strict=True)]
        before = self._reachable
        entry = [one.function for one in self._forms]
        if name == "body" and all(node is one for node, one in zip(nodes, entry, strict=True)):
            self._reachable = True
        elif name in _OUTSIDE or _is_fixed_in_place(nodes[0]):
            self._reachable = False
        try:
            return self.align(parts)
        finally:
            self._reachable = before

    def _align_names(self, names: Sequence[Any]) -> Any:
        known = [
            one if one is None else form.named(one) for one, form in zip(names, self._forms, strict=True)
        ]
        if len(set(known)) > 1:
            raise _OtherwiseError
        return names[0]

    def _aligned_literal(self, nodes: Sequence[ast.AST]) -> ast.AST | None:
        """Give what stands for literals, or nothing where one is none, or where they are to be gone into."""
        kinds = {self._kind(node, form) for node, form in zip(nodes, self._forms, strict=True)}
        if "" in kinds:
            return None
        varies = len({ast.dump(node) for node in nodes}) > 1 or any(
            isinstance(node, ast.Name) and node.id in form.parameters
            for top, form in zip(nodes, self._forms, strict=True)
            for node in ast.walk(top)
        )
        if not varies:
            return copy.deepcopy(nodes[0])
        if _is_pair(nodes):
            return None
        if len(kinds) > 1 or not self._reachable:
            raise _OtherwiseError
        mark = ast.Name(f"{_MARK}{self._number(nodes)}", ast.Load())
        if kinds == {"list"}:  # a new list for each call, as the literal is
            return ast.List([ast.Starred(mark, ast.Load())], ast.Load())
        return mark

    def _number(self, nodes: Sequence[ast.AST]) -> int:
        """Give the number of the column; a parameter and a literal are two things, whatever their values."""
        key = tuple(map(ast.dump, nodes))
        if key not in self._numbers:
            self._numbers[key] = len(self.columns)
            filled = [form.filled(node) for node, form in zip(nodes, self._forms, strict=True)]
            own, *others = map(_parameter_of, nodes)
            values = [ast.literal_eval(node) for node in filled]
            self.columns.append(_Column(filled, values, own, list(filter(None, others))))
        return self._numbers[key]

    def _kind(self, node: ast.AST, form: _Form) -> Literal["", "value", "list"]:
        match node:
            case ast.List(elts=[ast.Starred(value=ast.Name(id=name))]) if name in form.parameters:
                return "list" if isinstance(form.parameters[name], ast.List | ast.Tuple) else ""
            case ast.List(elts=elements, ctx=ast.Load()):
                return "list" if all(self._kind(one, form) == "value" for one in elements) else ""
            case ast.Tuple(elts=elements, ctx=ast.Load()):
                return "value" if all(self._kind(one, form) == "value" for one in elements) else ""
            case ast.Name(id=name, ctx=ast.Load()):
                return "value" if name in form.parameters else ""
        return "value" if is_scalar(node) else ""


def _is_pair(nodes: Sequence[ast.AST]) -> bool:
    """Whether literals are short tuples, or lists, of the same length, which are compared by element."""
    first = nodes[0]
    if len({type(one) for one in nodes}) > 1 or not isinstance(first, ast.Tuple | ast.List):
        return False
    lengths = {len(one.elts) for one in nodes if isinstance(one, ast.Tuple | ast.List)}
    starred = any(isinstance(part, ast.Starred) for one in nodes for part in ast.iter_child_nodes(one))
    return len(lengths) == 1 and max(lengths) <= _PAIR and not starred


def _is_fixed_in_place(node: ast.AST) -> bool:
    """Whether a literal in it means more than its value: in an f-string, a docstring, or beside ``is``."""
    match node:
        case ast.JoinedStr() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Compare(ops=operators):
            return any(isinstance(one, ast.Is | ast.IsNot) for one in operators)
    return False


def _parameter_of(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name) | ast.List(elts=[ast.Starred(value=ast.Name(id=name))]):
            return name
    return ""


class _Filled(ast.NodeTransformer):
    """Puts parameters' defaults in their places."""

    def __init__(self, parameters: Mapping[str, ast.expr]) -> None:
        self._parameters = parameters

    def visit_List(self, node: ast.List) -> ast.expr:
        if len(node.elts) == 1 and isinstance(node.elts[0], ast.Starred):
            default = self.visit(node.elts[0].value)
            return ast.List(default.elts, ast.Load())
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return copy.deepcopy(self._parameters[node.id])


class _Renamed(ast.NodeTransformer):
    """Gives marks their names."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._names.get(node.id, node.id)
        return node


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def _name(columns: Sequence[_Column], forms: Sequence[_Form], *, grids: bool) -> list[str]:
    first = forms[0]
    taken = identifiers(first.tree)
    reserved = {column.own for column in columns}
    names: list[str] = []
    for column in columns:
        if column.own and column.own not in names:
            name = column.own
        else:
            blocked = taken | reserved
            others = (one for one in column.others if _is_free(one, blocked))
            name = next(others, "") or fresh(noun(column.values, grids=grids), blocked)
        taken.add(name)
        names.append(name)
    return names


def fresh(name: str, taken: set[str]) -> str:
    """Give a name that is not taken, with a number at its end where it needs one."""
    number, made = 1, name
    while not _is_free(made, taken):
        number += 1
        made = f"{name}_{number}"
    return made


def _is_free(name: str, taken: set[str]) -> bool:
    return name not in taken and name not in BUILTINS and not keyword.iskeyword(name)


def noun(values: Sequence[Any], *, grids: bool = False) -> str:
    """Give a name for what values are."""
    types = {type(one) for one in values}
    if grids and types == {int} and all(0 <= one <= 9 for one in values):
        return "colour"
    if types <= {int, float, complex}:
        return "number"
    if types <= {list, tuple}:
        return "values"
    return {str: "text", bool: "flag"}.get(types.pop(), "value") if len(types) == 1 else "value"


def describe(name: str, values: Sequence[Any]) -> str:
    """Write what is known of a parameter: its name, types and values, ``number: int = 3 | 5``."""
    types = dict.fromkeys("None" if one is None else type(one).__name__ for one in values)
    known = list(dict.fromkeys(map(repr, values)))
    shown = [
        one if len(one) <= _MOST_SHOWN_CHARACTERS else f"{one[: _MOST_SHOWN_CHARACTERS - 3]}..."
        for one in known[:_MOST_SHOWN]
    ]
    more = ["..."] if len(known) > _MOST_SHOWN else []
    return f"{name}: {' | '.join(types)} = {' | '.join([*shown, *more])}"


def _write(tree: ast.Module) -> str:
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"
