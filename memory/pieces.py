"""Pieces that programs share, as functions: helpers, runs of statements, expressions.

Pieces are the same up to local names and literals; literals that differ become keyword-only parameters, as
``generalise`` has them. Nothing is run.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from memory.anti_unification import MOST_PARAMETERS, describe, fresh, noun
from memory.free_names import Reads, own_names, stands_alone
from memory.naming import BUILTINS, BY_NAME, bound, identifiers
from memory.syntax import DAMAGED, is_scalar, literal_node, parse
from sandboxes import Program

MOST_ARGUMENTS = 6

_LONGEST_RUN = 8
_HOLE = 2
"""What it costs to pass an argument, in nodes of a tree."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece that several programs share, as a function.

    ``source`` is a module with the function ``name``. ``parameters`` are what it takes: names from around it,
    then what varies (``number: int = 3 | 5``). ``uses`` are the positions of the programs that have it,
    ``saved`` how many nodes they would be shorter by if they called it.
    """

    source: str
    name: str
    parameters: tuple[str, ...]
    uses: tuple[int, ...]
    saved: int


def fragments(
    programs: Sequence[Program], *, tasks: Sequence[str] = (), least: int = 12, most: int = 200
) -> list[Fragment]:
    """Give what at least two programs of different ``tasks`` share, what saves most first, up to ``most``.

    Without ``tasks`` each program counts as one of its own. A piece has at least ``least`` nodes, refers to
    no other function of its program, does not return, and gives one value at most.
    """
    owners = [*tasks] if tasks else [str(number) for number in range(len(programs))]
    if len(owners) != len(programs):
        raise ValueError(f"there are {len(programs)} programs and {len(owners)} tasks; give one for each")
    pieces = [piece for number, one in enumerate(programs) for piece in _pieces(number, one, least)]
    groups = [group for rough in _grouped(pieces, owners, _Piece.rough) for group in _same(rough, owners)]
    made = [one for group in groups if (one := _fragment(group)) is not None]
    made.sort(key=lambda one: (-one[0].saved, one[0].uses, one[0].source))
    return _without_parts(made)[:most]


class _Surroundings(NamedTuple):
    """What a program has around its functions."""

    position: int
    imports: dict[str, str]
    """The names that its top level imports and nothing else binds there, and the statements that do it."""


class _Scope(NamedTuple):
    """A function that pieces are in, and the names that it binds, in it and below."""

    function: ast.FunctionDef
    local: frozenset[str]


class _Piece(NamedTuple):
    """A helper, some statements of a block, or an expression; ``rough`` is equal where two may be alike."""

    kind: str
    nodes: tuple[ast.AST, ...]
    size: int
    hash: int
    around: _Surroundings
    scope: _Scope

    def rough(self) -> tuple[Any, ...]:
        return self.kind, self.size, self.hash


def _pieces(position: int, program: Program, least: int) -> list[_Piece]:
    tree = parse(program.source)
    if tree is None or not BY_NAME.isdisjoint(identifiers(tree)):
        return []
    try:
        return list(_Sizes(least).pieces(position, tree, program.entry_point))
    except RecursionError:
        return []


class _Sizes:
    """Gives each node its size, and a hash in which local names and literals are blank."""

    def __init__(self, least: int) -> None:
        self._least = least
        self._known: dict[int, tuple[int, int]] = {}
        self._free: frozenset[str] = frozenset()

    def pieces(self, position: int, tree: ast.Module, entry_point: str) -> Iterator[_Piece]:
        imports: dict[str, str] = {}
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    single = copy.copy(node)
                    single.names = [alias]
                    imports[alias.asname or alias.name.partition(".")[0]] = ast.unparse(single)
        own = own_names(tree.body)
        around = _Surroundings(position, {name: one for name, one in imports.items() if name not in own})
        for function in tree.body:
            if isinstance(function, ast.FunctionDef):
                yield from self._in_function(function, around, helper=function.name != entry_point)

    def _in_function(
        self, function: ast.FunctionDef, around: _Surroundings, *, helper: bool
    ) -> Iterator[_Piece]:
        local = frozenset(name for node in ast.walk(function) for name in bound(node)) | {function.name}
        scope = _Scope(function, local)
        self._free = local
        self._measure(function)
        if helper and not function.decorator_list and self._known[id(function)][0] >= self._least:
            yield _Piece("helper", (function,), *self._known[id(function)], around, scope)
        if any(isinstance(node, ast.Nonlocal | ast.Global) for node in ast.walk(function)):
            return  # names may change while a piece runs
        for node in _walk(function.body):
            if isinstance(node, ast.expr) and _is_whole(node):
                size, digest = self._known[id(node)]
                if size >= self._least:
                    yield _Piece("expression", (node,), size, digest, around, scope)
            for name in ("body", "orelse", "finalbody"):
                block = getattr(node, name, None)
                if isinstance(block, list):
                    yield from self._runs(block, around, scope)
        yield from self._runs(function.body, around, scope)

    def _runs(self, block: list[ast.stmt], around: _Surroundings, scope: _Scope) -> Iterator[_Piece]:
        for start in range(len(block)):
            size, digests = 0, []
            for end in range(start, min(len(block), start + _LONGEST_RUN)):
                one, digest = self._known[id(block[end])]
                size += one
                digests.append(digest)
                if size >= self._least:
                    run = tuple(block[start : end + 1])
                    yield _Piece("block", run, size, hash(tuple(digests)), around, scope)

    def _measure(self, node: ast.AST) -> tuple[int, int]:
        if is_scalar(node):
            self._known[id(node)] = measured = (1, hash("literal"))
            return measured
        size, parts = 1, [hash(type(node).__name__)]
        for _, value in ast.iter_fields(node):
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, ast.AST):
                    if not isinstance(one, ast.expr_context):
                        below, digest = self._measure(one)
                        size += below
                        parts.append(digest)
                elif isinstance(one, str) and one not in self._free:
                    parts.append(hash(one))
                elif one is None or isinstance(one, str):
                    parts.append(0)
                else:
                    parts.append(hash(repr(one)))
            parts.append(1)
        self._known[id(node)] = measured = (size, hash(tuple(parts)))
        return measured


def _walk(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Give all nodes but what is inside f-strings and patterns, where not everything is an expression."""
    for node in body:
        yield node
        if not isinstance(node, ast.JoinedStr | ast.pattern):
            yield from _walk(ast.iter_child_nodes(node))


def _is_whole(node: ast.expr) -> bool:
    """Whether an expression has a value on the spot, which a function could return."""
    if isinstance(node, ast.Constant | ast.Starred | ast.Slice | ast.Lambda | ast.GeneratorExp):
        return False
    if isinstance(node, ast.Tuple) and any(isinstance(one, ast.Slice | ast.Starred) for one in node.elts):
        return False
    return isinstance(getattr(node, "ctx", None), ast.Load | None)


def _grouped(pieces: Iterable[_Piece], owners: Sequence[str], key: Any) -> Iterator[list[_Piece]]:
    """Give those that are alike by a key, and are of two tasks at least."""
    found: dict[Any, list[_Piece]] = {}
    for one in pieces:
        if (own := key(one)) is not None:
            found.setdefault(own, []).append(one)
    for group in found.values():
        if len({owners[one.around.position] for one in group}) > 1:
            yield group


class _Written(NamedTuple):
    """A piece as a function of its own, in its own names, and what it is equal to others by."""

    key: tuple[Any, ...]
    piece: _Piece
    free: tuple[str, ...]
    output: str
    literals: tuple[str, ...]


def _same(rough: list[_Piece], owners: Sequence[str]) -> Iterator[list[_Written]]:
    """Give those among pieces that may be alike which are, each of a program's pieces once."""
    found: dict[tuple[Any, ...], list[_Written]] = {}
    for piece in rough:
        written = _write(piece)
        if written is not None:
            group = found.setdefault(written.key, [])
            if all(one.piece.around.position != piece.around.position for one in group):
                group.append(written)
    for group in found.values():
        if len({owners[one.piece.around.position] for one in group}) > 1:
            yield group


def _write(piece: _Piece) -> _Written | None:
    """Give a piece with what it needs and gives, or nothing where it cannot stand alone."""
    reads = Reads()
    output = ""
    match piece.kind, piece.nodes:
        case "expression", (node,):
            reads.expression(node, frozenset())
        case _:
            after = reads.statements([one for one in piece.nodes if isinstance(one, ast.stmt)], frozenset())
    if piece.kind != "helper" and not stands_alone(piece.nodes):
        return None
    if piece.kind == "block":
        stored = own_names(piece.nodes)
        outputs = stored & (_read_outside(piece) | reads.names.keys())
        if len(outputs) > 1 or not outputs <= after | reads.names.keys() or _is_lazy(piece, outputs):
            return None
        output = next(iter(outputs), "")
    function, local = piece.scope
    free = tuple(name for name in reads.names if name in local)
    needed = [name for name in reads.names if name not in local and name not in BUILTINS]
    if len(free) > (0 if piece.kind == "helper" else MOST_ARGUMENTS) or function.name in reads.names:
        return None
    if any(name not in piece.around.imports for name in needed) or not _bound_outside(piece, free):
        return None
    shape = _Shape(local)
    for node in piece.nodes:
        shape.visit(node)
    numbers = tuple(shape.names.index(name) for name in free)
    statements = tuple(piece.around.imports[name] for name in needed)
    given = shape.names.index(output) if output else -1
    key = (piece.kind, tuple(shape.parts), statements, numbers, given)
    return _Written(key, piece, free, output, tuple(shape.literals))


def _is_lazy(piece: _Piece, outputs: frozenset[str]) -> bool:
    """Whether a piece gives something that looks names up later, when they may be something else."""
    nodes = [node for top in piece.nodes for node in ast.walk(top)]
    assigned = [node.value for node in nodes if isinstance(node, ast.Assign | ast.AnnAssign)]
    defined = any(isinstance(node, ast.FunctionDef) for node in nodes)
    later = any(isinstance(node, ast.Lambda | ast.GeneratorExp) for node in assigned)
    return bool(outputs) and (defined or later)


def _bound_outside(piece: _Piece, names: Iterable[str]) -> bool:
    inside = {id(node) for top in piece.nodes for node in ast.walk(top)}
    function = piece.scope.function
    others = {name for node in ast.walk(function) if id(node) not in inside for name in bound(node)}
    return others.issuperset(names)


def _read_outside(piece: _Piece) -> set[str]:
    """Give the names that the function reads outside of the piece."""
    inside = {id(node) for top in piece.nodes for node in ast.walk(top)}
    return {
        node.id
        for node in ast.walk(piece.scope.function)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store) and id(node) not in inside
    } | {
        node.target.id
        for node in ast.walk(piece.scope.function)
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and id(node) not in inside
    }


class _Shape:
    """A piece without its literals, its local names numbered in the order in which they come up."""

    def __init__(self, local: frozenset[str]) -> None:
        self._local = local
        self.names: list[str] = []
        self.parts: list[Any] = []
        self.literals: list[str] = []

    def visit(self, node: ast.AST) -> None:
        if is_scalar(node):
            self.parts.append("?")
            self.literals.append(ast.unparse(node))
            return
        if isinstance(node, ast.JoinedStr | ast.pattern):
            self.parts.append(ast.dump(node))  # no parameter can stand in these
        if not self.parts and isinstance(node, ast.FunctionDef):
            # Nor in the signature of a helper, which is read where it is defined.
            signature = [*node.args.defaults, *node.args.kw_defaults]
            self.parts.append(tuple(ast.dump(one) if one else "" for one in signature))
        named = not isinstance(node, ast.Attribute | ast.keyword)
        self.parts.append(type(node).__name__)
        for _, value in ast.iter_fields(node):
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, ast.AST):
                    self.visit(one)
                elif named and isinstance(one, str) and one in self._local:
                    self.parts.append(self._number(one))
                else:
                    self.parts.append((type(one).__name__, repr(one)))
            self.parts.append(";")

    def _number(self, name: str) -> int:
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)


def _fragment(group: list[_Written]) -> tuple[Fragment, list[_Piece]] | None:
    """Make a function of pieces that are alike, if it saves something."""
    first = group[0]
    columns = list(zip(*(one.literals for one in group), strict=True))
    numbers: dict[tuple[str, ...], int] = {}
    for column in columns:
        if len(set(column)) > 1:
            numbers.setdefault(column, len(numbers))
    uses = tuple(sorted(one.piece.around.position for one in group))
    passed = len(first.free) + len(numbers)
    saved = first.piece.size * (len(uses) - 1) - (1 + _HOLE * passed) * len(uses)
    if len(numbers) > MOST_PARAMETERS or saved <= 0:
        return None
    try:
        return _made(first, columns, numbers, uses, saved), [one.piece for one in group]
    except DAMAGED:
        return None


def _made(
    first: _Written,
    columns: Sequence[tuple[str, ...]],
    numbers: dict[tuple[str, ...], int],
    uses: tuple[int, ...],
    saved: int,
) -> Fragment:
    taken = {name for node in first.piece.nodes for name in identifiers(node)}
    values = [[ast.literal_eval(one) for one in column] for column in numbers]
    names: list[str] = []
    for one in values:
        names.append(fresh(noun(one), taken | {*names}))
    wanted = iter([names[numbers[column]] if column in numbers else "" for column in columns])
    body = [_Holes(wanted).visit(copy.deepcopy(node)) for node in first.piece.nodes]
    function = _function(first, body, taken | {*names})
    arguments = [one.arg for one in (*function.args.posonlyargs, *function.args.args)]
    function.args.kwonlyargs += [ast.arg(name) for name in names]
    function.args.kw_defaults += [literal_node(one[0]) for one in values]
    imports = dict.fromkeys(first.key[2])
    return Fragment(
        "\n".join(
            [*imports, *([""] if imports else []), ast.unparse(ast.fix_missing_locations(function)), ""]
        ),
        function.name,
        (*arguments, *(describe(name, one) for name, one in zip(names, values, strict=True))),
        uses,
        saved,
    )


def _function(first: _Written, body: list[Any], taken: set[str]) -> ast.FunctionDef:
    if first.piece.kind == "helper":
        made: ast.FunctionDef = body[0]
        return made
    arguments = ast.arguments([], [ast.arg(name) for name in first.free], None, [], [], None, [])
    if first.piece.kind == "expression":
        name, body = "part", [ast.Return(body[0])]
    elif first.output:
        name = f"make_{first.output}"
        body = [*body, ast.Return(ast.Name(first.output, ast.Load()))]
    else:
        name = "step"
    function = ast.parse(f"def {fresh(name, taken)}(): pass").body[0]
    assert isinstance(function, ast.FunctionDef)  # noqa: S101  it was just written so
    function.args, function.body = arguments, body
    return function


class _Holes(ast.NodeTransformer):
    """Puts names in the place of the literals that vary; goes through them in the order of ``_Shape``."""

    def __init__(self, wanted: Iterator[str]) -> None:
        self._wanted = wanted

    def visit(self, node: ast.AST) -> Any:
        if is_scalar(node):
            name = next(self._wanted)
            return ast.Name(name, ast.Load()) if name else node
        return super().generic_visit(node)


def _without_parts(made: Sequence[tuple[Fragment, list[_Piece]]]) -> list[Fragment]:
    """Leave out what is everywhere a part of something that saves more."""
    covered: set[int] = set()
    kept = []
    for fragment, pieces in made:
        if all(id(node) in covered for piece in pieces for node in piece.nodes):
            continue
        kept.append(fragment)
        covered.update(id(node) for piece in pieces for top in piece.nodes for node in ast.walk(top))
    return kept
