"""Terms and grammars of SyGuS-IF: what a solution may look like.

Source: The SyGuS Language Standard, version 2.1, sections 2.5 (terms), 2.10 (grammars) and appendix C.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from hypotheses.sygus.sexpr import shorten

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    return "".join(_pieces(term))


def brief(term: Term) -> str:
    """Print a term for a message, shortened."""
    return shorten(_pieces(term))


def _pieces(term: Term) -> Iterator[str]:
    match term:
        case Literal(value=bool() as truth):
            yield "true" if truth else "false"
        case Literal(value=int() as number, sort=sort):
            if sort.startswith("(_ BitVec"):
                width = int(sort.split()[-1].rstrip(")"))
                yield f"#x{number:0{width // 4}x}" if width % 4 == 0 else f"#b{number:0{width}b}"
            else:
                yield str(number) if number >= 0 else f"(- {-number})"
        case Literal(value=str() as text):
            yield '"'
            yield from map(_string_character, text)
            yield '"'
        case Symbol(name=name):
            yield name
        case AnyConstant(sort=sort):
            yield f"(Constant {sort})"
        case Apply(operator=operator, arguments=arguments):
            yield f"({operator}"
            for argument in arguments:
                yield " "
                yield from _pieces(argument)
            yield ")"
        case _:
            raise TypeError(f"not a term: {term!r}")


def _string_character(character: str) -> str:
    if character == '"':
        return '""'
    if " " <= character <= "~" and character != "\\":
        return character
    return f"\\u{{{ord(character):x}}}"
