"""Terms and sorts of SyGuS-IF, read from text.

Operators carry one name each, that of version 2.1; the names of version 1 are translated. ``let`` and defined
functions are expanded, since a ``Term`` has neither; how much they may add is bounded.

Source: The SyGuS Language Standard, version 2.1, sections 2.4 (sorts) and 2.5 (terms).
"""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypotheses.sygus.grammar import AnyConstant, Apply, Literal, Symbol, Term
from hypotheses.sygus.sexpr import Atom, Sexpr, SexprError, SList, flat, read_sexpr

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES_OF_VERSION_1 = {
    "int.to.str": "str.from_int",
    "str.to.int": "str.to_int",
    "str.replaceall": "str.replace_all",
    "str.code": "str.to_code",
}
"""Operators that version 2 renamed, by their old names."""

MOST_EXPANDED = 100_000
"""How many nodes of terms one file's ``let`` and defined functions may expand to."""

WIDEST_BIT_VECTOR = 4096
"""The most bits of a bit-vector."""

_QUANTIFIERS = ("exists", "forall", "match", "!")


@dataclass(frozen=True, slots=True)
class Function:
    """A function by definition, ``(define-fun name ((parameter sort)…) sort body)``."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    sort: str
    body: Term


@dataclass(slots=True)
class Definitions:
    """What a file has defined: sorts by their aliases, and functions.

    ``room`` is how many nodes expansions may still take; a few short lines can ask for 2⁴⁰ of them.
    """

    aliases: dict[str, str] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    room: int = MOST_EXPANDED

    def spend(self, nodes: int, line: int) -> None:
        """Take room for nodes about to be built. Raises ``SexprError`` where there is too little."""
        if nodes > self.room:
            raise SexprError(
                line, f"the file's definitions expand to more than the {MOST_EXPANDED} nodes that are read"
            )
        self.room -= nodes


def bit_vector_width(sort: str) -> int | None:
    """The width of ``(_ BitVec width)``; ``None`` for every other sort."""
    return int(sort.split()[2].rstrip(")")) if sort.startswith("(_ BitVec ") else None


def substitute(term: Term, values: Mapping[str, Term]) -> Term:
    """Replace the symbols that ``values`` names."""
    match term:
        case Symbol(name=name):
            return values.get(name, term)
        case Apply(operator=operator, arguments=arguments):
            return Apply(operator, tuple(substitute(argument, values) for argument in arguments))
    return term


def symbols(term: Term) -> frozenset[str]:
    """The names of all symbols of ``term``: variables and, inside a grammar, non-terminals."""
    match term:
        case Symbol(name=name):
            return frozenset((name,))
        case Apply(arguments=arguments):
            return frozenset().union(*map(symbols, arguments))
    return frozenset()


def read_sort(sexpr: Sexpr, aliases: Mapping[str, str] | None = None) -> str:
    """Read a sort; ``aliases`` are the sorts that the file defined. Raises ``SexprError`` for any other."""
    match sexpr:
        case Atom(kind="symbol", text=("Int" | "Bool" | "String") as name):
            return name
        case Atom(kind="symbol", text=name) if aliases and name in aliases:
            return aliases[name]
        case SList(
            items=(Atom(text="_"), Atom(text="BitVec"), Atom(kind="numeral", text=width))
            | (Atom(text="BitVec"), Atom(kind="numeral", text=width))
        ) if 0 < int(width) <= WIDEST_BIT_VECTOR:
            return f"(_ BitVec {width})"
    raise SexprError(
        sexpr.line,
        f"sort {flat(sexpr)} is not supported; expected Int, Bool, String or (_ BitVec n) "
        f"with n from 1 to {WIDEST_BIT_VECTOR}",
    )


def read_term(sexpr: Sexpr, definitions: Definitions | None = None) -> Term:
    """Read a term, and expand what it uses of ``definitions``.

    Raises ``SexprError`` for what is no term, and for one that expands to too many nodes.
    """
    return _TermReader(definitions or Definitions()).term(sexpr, ChainMap())


def parse_term(text: str) -> Term:
    """Read a term from text. Raises ``SexprError`` (a ``ValueError``) for what is no term."""
    return read_term(read_sexpr(text))


def read_define_fun(sexpr: Sexpr, definitions: Definitions | None = None) -> Function:
    """Read ``(define-fun name ((parameter sort)…) sort body)``. Raises ``SexprError`` as ``read_term``."""
    known = definitions or Definitions()
    match sexpr:
        case SList(
            items=(
                Atom(text="define-fun"),
                Atom(kind="symbol", text=name),
                SList() as parameters,
                sort,
                body,
            )
        ):
            return Function(
                name,
                read_parameters(parameters, known.aliases),
                read_sort(sort, known.aliases),
                read_term(body, known),
            )
    raise SexprError(sexpr.line, "expected (define-fun name ((parameter sort)…) sort body)")


def parse_define_fun(text: str) -> Function:
    """Read a function's definition from text. Raises ``SexprError`` (a ``ValueError``) for anything else."""
    return read_define_fun(read_sexpr(text))


def read_parameters(sexpr: SList, aliases: Mapping[str, str] | None = None) -> tuple[tuple[str, str], ...]:
    """Read ``((name sort)…)``. Raises ``SexprError`` for anything else, and for a name that comes twice."""
    parameters: dict[str, str] = {}
    for item in sexpr.items:
        match item:
            case SList(items=(Atom(kind="symbol", text=name), sort)) if name not in parameters:
                parameters[name] = read_sort(sort, aliases)
            case _:
                raise SexprError(item.line, f"expected (name sort) with a new name, found {flat(item)}")
    return tuple(parameters.items())


@dataclass(frozen=True, slots=True)
class _TermReader:
    definitions: Definitions

    def term(self, sexpr: Sexpr, bound: ChainMap[str, Term]) -> Term:
        if isinstance(sexpr, Atom):
            return self._atom(sexpr, bound)
        match sexpr.items:
            case (Atom(text="-"), Atom(kind="numeral", text=number)) if int(number) > 0:
                return Literal(-int(number), "Int")
            case (Atom(text="_"), Atom(text=value), Atom(kind="numeral", text=width)) if _is_bv(value):
                return self._bit_vector(int(value[2:]), int(width), sexpr)
            case (Atom(text="Constant"), sort):
                return AnyConstant(read_sort(sort, self.definitions.aliases))
            case (Atom(text="let"), SList() as bindings, body):
                return self.term(body, bound.new_child(dict(self._binding(b, bound) for b in bindings.items)))
            case (Atom(kind="symbol", text=operator), *_) if operator in _QUANTIFIERS:
                raise SexprError(sexpr.line, f"({operator} …) is not supported")
            case (Atom(kind="symbol", text=operator), _, *_):
                arguments = tuple(self.term(item, bound) for item in sexpr.items[1:])
                return self._application(operator, arguments, sexpr)
            case (SList(items=(Atom(text="_"), Atom(kind="symbol", text=name), *indices)), _, *_) if all(
                map(_is_index, indices)
            ):
                numerals = (index.text for index in indices if isinstance(index, Atom))
                operator = " ".join(["(_", name, *numerals]) + ")"
                return Apply(operator, tuple(self.term(item, bound) for item in sexpr.items[1:]))
        raise SexprError(sexpr.line, f"expected a term, found {flat(sexpr)}")

    def _atom(self, atom: Atom, bound: ChainMap[str, Term]) -> Term:
        match atom.kind:
            case "string":
                return Literal(atom.text, "String")
            case "numeral":
                return Literal(int(atom.text), "Int")
            case "hexadecimal":
                return self._bit_vector(int(atom.text[2:], 16), 4 * (len(atom.text) - 2), atom)
            case "binary":
                return self._bit_vector(int(atom.text[2:], 2), len(atom.text) - 2, atom)
            case "symbol" if atom.text in ("true", "false"):
                return Literal(atom.text == "true", "Bool")
            case "symbol" if atom.text in bound:
                self.definitions.spend(_size(bound[atom.text]), atom.line)
                return bound[atom.text]
            case "symbol" if atom.text in self.definitions.functions:
                return self._application(atom.text, (), atom)
            case "symbol":
                return Symbol(atom.text)
        raise SexprError(atom.line, f"expected a term, found the {atom.kind} {flat(atom)}")

    def _bit_vector(self, value: int, width: int, sexpr: Sexpr) -> Literal:
        if width > WIDEST_BIT_VECTOR:
            raise SexprError(sexpr.line, f"{flat(sexpr)} has more than {WIDEST_BIT_VECTOR} bits")
        if value.bit_length() > width:
            raise SexprError(sexpr.line, f"{flat(sexpr)} does not fit into {width} bits")
        return Literal(value, f"(_ BitVec {width})")

    def _binding(self, sexpr: Sexpr, bound: ChainMap[str, Term]) -> tuple[str, Term]:
        match sexpr:
            # Version 1 gives the sort as well: (name sort value).
            case SList(
                items=(Atom(kind="symbol", text=name), value) | (Atom(kind="symbol", text=name), _, value)
            ):
                return name, self.term(value, bound)
        raise SexprError(sexpr.line, f"expected (name value), found {flat(sexpr)}")

    def _application(self, operator: str, arguments: tuple[Term, ...], sexpr: Sexpr) -> Term:
        function = self.definitions.functions.get(operator)
        if function is None:
            return Apply(NAMES_OF_VERSION_1.get(operator, operator), arguments)
        names = [name for name, _ in function.parameters]
        if len(names) != len(arguments):
            raise SexprError(sexpr.line, f"{operator} takes {len(names)} arguments, found {len(arguments)}")
        self.definitions.spend(
            _size(function.body, dict(zip(names, map(_size, arguments), strict=True))), sexpr.line
        )
        return substitute(function.body, dict(zip(names, arguments, strict=True)))


def _size(term: Term, sizes: Mapping[str, int] | None = None) -> int:
    """How many nodes a term has once its symbols are replaced by terms of these sizes."""
    match term:
        case Symbol(name=name):
            return sizes.get(name, 1) if sizes else 1
        case Apply(arguments=arguments):
            return 1 + sum(_size(argument, sizes) for argument in arguments)
    return 1


def _is_index(sexpr: Sexpr) -> bool:
    return isinstance(sexpr, Atom) and sexpr.kind == "numeral" and not sexpr.text.startswith("-")


def _is_bv(symbol: str) -> bool:
    return symbol.startswith("bv") and symbol[2:].isascii() and symbol[2:].isdigit()
