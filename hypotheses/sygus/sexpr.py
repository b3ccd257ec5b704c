"""S-expressions of SMT-LIB and SyGuS-IF, each with the line it starts on.

Source: The SMT-LIB Standard, version 2.6, section 3.1 (lexicon), and its theory of Unicode strings (escapes).
The public benchmark files write negative integers as ``-1``, which the standard reads as a symbol; here it is
a numeral.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from typing import Literal as OneOf

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

AtomKind = OneOf["symbol", "keyword", "numeral", "decimal", "hexadecimal", "binary", "string"]

LARGEST_CODE_POINT = 0x2FFFF
"""The last character of SMT-LIB's strings."""

LONGEST_WORD = 4_000
"""How many characters a symbol or number may have: Python converts integers of about as many digits."""

LONGEST_QUOTE = 80
"""How many characters of an expression a message repeats."""


@dataclass(frozen=True, slots=True)
class Atom:
    """A word of the text. A string's ``text`` is its value: quotes removed and escapes resolved."""

    kind: AtomKind
    text: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class SList:
    """A parenthesised list."""

    items: tuple[Sexpr, ...]
    line: int = field(default=0, compare=False)

    @property
    def head(self) -> str:
        """The symbol that the list starts with, empty where it starts with something else."""
        match self.items:
            case (Atom(kind="symbol", text=text), *_):
                return text
        return ""


Sexpr = Atom | SList


class SexprError(ValueError):
    """A text is not what was expected; ``line`` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


_TOKEN = re.compile(
    r"""
    (?P<blank>   [ \t\r\n]+ | ;[^\n]*             )
  | (?P<open>    \(                               )
  | (?P<close>   \)                               )
  | (?P<string>  "(?:[^"]|"")*"                   )
  | (?P<quoted>  \|[^|\\]*\|                      )
  | (?P<word>    [^ \t\r\n()";|]+                 )
    """,
    re.VERBOSE,
)
_WORDS: tuple[tuple[AtomKind, re.Pattern[str]], ...] = (
    ("numeral", re.compile(r"-?(0|[1-9][0-9]*)")),
    ("decimal", re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")),
    ("hexadecimal", re.compile(r"#x[0-9a-fA-F]+")),
    ("binary", re.compile(r"#b[01]+")),
    ("keyword", re.compile(r":[A-Za-z0-9~!@$%^&*_+=<>.?/-]+")),
    ("symbol", re.compile(r"[A-Za-z~!@$%^&*_+=<>.?/-][A-Za-z0-9~!@$%^&*_+=<>.?/-]*")),
)
_ESCAPE = re.compile(r"\\u(?:([0-9a-fA-F]{4})|\{([0-9a-fA-F]{1,4}|[0-2][0-9a-fA-F]{4})\})")


def read_sexprs(text: str) -> Iterator[Sexpr]:
    """Yield the s-expressions of ``text`` in order. Raises ``SexprError`` where it is malformed."""
    open_lists: list[tuple[int, list[Sexpr]]] = []
    position, line = 0, 1
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            kind = "string" if text[position] == '"' else "quoted symbol"
            raise SexprError(line, f"the {kind} that starts here is never closed")
        sexpr: Sexpr | None = None
        match token.lastgroup:
            case "open":
                open_lists.append((line, []))
            case "close":
                if not open_lists:
                    raise SexprError(line, "this ')' closes nothing")
                start, items = open_lists.pop()
                sexpr = SList(tuple(items), start)
            case "string":
                sexpr = Atom("string", _string_value(token[0], line), line)
            case "quoted":
                sexpr = Atom("symbol", _simplest_symbol(token[0], line), line)
            case "word":
                sexpr = Atom(_word_kind(token[0], line), token[0], line)
        if sexpr is not None and open_lists:
            open_lists[-1][1].append(sexpr)
        elif sexpr is not None:
            yield sexpr
        position = token.end()
        line += token[0].count("\n")
    if open_lists:
        raise SexprError(open_lists[-1][0], "the '(' here is never closed")


def read_sexpr(text: str) -> Sexpr:
    """Return the only s-expression of ``text``. Raises ``SexprError`` where there is none or a second one."""
    sexprs = list(read_sexprs(text))
    if not sexprs:
        raise SexprError(1, "expected an s-expression, found nothing")
    if len(sexprs) > 1:
        raise SexprError(sexprs[1].line, "expected one s-expression, found another after it")
    return sexprs[0]


def flat(sexpr: Sexpr) -> str:
    """Print an s-expression for a message, shortened. Strings keep their value, not their escapes."""
    return shorten(_pieces(sexpr))


def shorten(pieces: Iterable[str]) -> str:
    """Join pieces of text for a message, no more of them than its ``LONGEST_QUOTE`` characters hold."""
    text = ""
    for piece in pieces:
        text += piece[: LONGEST_QUOTE + 1]
        if len(text) > LONGEST_QUOTE:
            return text[: LONGEST_QUOTE - 1] + "…"
    return text


def _pieces(sexpr: Sexpr) -> Iterator[str]:
    if isinstance(sexpr, SList):
        yield "("
        for index, item in enumerate(sexpr.items):
            yield " " if index else ""
            yield from _pieces(item)
        yield ")"
    elif sexpr.kind == "string":
        yield from ('"', sexpr.text, '"')
    else:
        yield sexpr.text


def _check_length(word: str, line: int) -> None:
    if len(word) > LONGEST_WORD:
        raise SexprError(line, f"a word of {len(word)} characters; at most {LONGEST_WORD} are read")


def _word_kind(word: str, line: int) -> AtomKind:
    _check_length(word, line)
    for kind, pattern in _WORDS:
        if pattern.fullmatch(word):
            return kind
    raise SexprError(line, f"{shorten([repr(word)])} is neither a symbol nor a constant of SMT-LIB")


def _simplest_symbol(quoted: str, line: int) -> str:
    """``|x|`` and ``x`` are the same symbol; the bars stay only where the symbol needs them."""
    _check_length(quoted, line)
    inner = quoted[1:-1]
    kinds = [kind for kind, pattern in _WORDS if pattern.fullmatch(inner)]
    return inner if kinds == ["symbol"] else quoted


def _string_value(literal: str, line: int) -> str:
    """Resolve ``""``, ``\\ud₃d₂d₁d₀`` and ``\\u{…}``; any other backslash stands for itself."""
    value = _ESCAPE.sub(lambda m: chr(int(m[1] or m[2], 16)), literal[1:-1].replace('""', '"'))
    if beyond := [c for c in value if ord(c) > LARGEST_CODE_POINT]:
        raise SexprError(
            line, f"the character {beyond[0]!r} lies beyond U+2FFFF, the last of SMT-LIB's strings"
        )
    return value
