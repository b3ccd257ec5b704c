"""Terms and grammars of SyGuS-IF: what a solution may look like.

Source: The SyGuS Language Standard, version 2.1, sections 2.5 (terms), 2.10 (grammars) and appendix C.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant of sort ``Int``, ``Bool``, ``String`` or ``(_ BitVec w)``, the last as an unsigned int."""

    value: bool | int | str
    sort: str


@dataclass(frozen=True, slots=True)
class Symbol:
    """A variable or, inside a grammar, perhaps a non-terminal."""

    name: str


@dataclass(frozen=True, slots=True)
class Apply:
    """An operator applied to terms. An indexed operator keeps its indices: ``(_ extract 7 0)``."""

    operator: str
    arguments: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class AnyConstant:
    """The production ``(Constant sort)``: every constant of the sort."""

    sort: str


Term = Literal | Symbol | Apply | AnyConstant


@dataclass(frozen=True, slots=True)
class Nonterminal:
    """A named set of productions, all of one sort."""

    name: str
    sort: str
    productions: tuple[Term, ...]


@dataclass(frozen=True)
class Grammar:
    """The terms a solution may be built of. The first non-terminal is the start symbol."""

    nonterminals: tuple[Nonterminal, ...]

    @cached_property
    def by_name(self) -> dict[str, Nonterminal]:
        """The non-terminals by name."""
        return {nonterminal.name: nonterminal for nonterminal in self.nonterminals}


def to_sexpr(term: Term) -> str:
    """Print a term as SyGuS-IF 2.1 (SMT-LIB) writes it. A string's quotes are doubled."""
    match term:
        case Literal(value=bool() as truth):
            return "true" if truth else "false"
        case Literal(value=int() as number, sort=sort):
            if sort.startswith("(_ BitVec"):
                width = int(sort.split()[-1].rstrip(")"))
                return f"#x{number:0{width // 4}x}" if width % 4 == 0 else f"#b{number:0{width}b}"
            return str(number) if number >= 0 else f"(- {-number})"
        case Literal(value=str() as text):
            return '"' + "".join(_string_character(c) for c in text) + '"'
        case Symbol(name=name):
            return name
        case AnyConstant(sort=sort):
            return f"(Constant {sort})"
        case Apply(operator=operator, arguments=arguments):
            return "(" + " ".join([operator, *map(to_sexpr, arguments)]) + ")"
    raise TypeError(f"not a term: {term!r}")


def _string_character(character: str) -> str:
    if character == '"':
        return '""'
    if " " <= character <= "~" and character != "\\":
        return character
    return f"\\u{{{ord(character):x}}}"
