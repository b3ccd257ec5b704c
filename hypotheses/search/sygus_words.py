"""SyGuS terms in English: what a solution does, as a person would say it.

Whatever could be read in two ways stands in brackets, and what a reader may not expect of SMT-LIB's operators
is said once, at the end: two terms with the same sentence mean the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal as OneOf

from hypotheses.sygus.grammar import AnyConstant, Apply, Literal, Symbol, Term, to_sexpr
from hypotheses.sygus.terms import bit_vector_width

Form = OneOf["word", "leading", "open"]
"""How a phrase nests. A ``word`` is never misread. A ``leading`` phrase (the length of x) says at once what
it is, so it may end another one; an ``open`` one (x plus 1) could be torn apart."""


@dataclass(frozen=True, slots=True)
class _Phrase:
    text: str
    form: Form


_LEADING = {
    "str.len": "the length of _0",
    "str.at": "the character at position _1 in _0",
    "str.substr": "at most _2 characters of _0 from position _1 on",
    "str.indexof": "the first position of _1 in _0 from position _2 on",
    "str.from_int": "the decimal digits of _0",
    "str.to_int": "the number written in _0",
    "abs": "the absolute value of _0",
    "div": "the whole quotient of _0 by _1",
    "mod": "the remainder of _0 divided by _1",
    "bvnot": "the bitwise complement of _0",
    "bvneg": "the negative of _0",
    "bvand": "the bitwise and of _0 and _1",
    "bvor": "the bitwise or of _0 and _1",
    "bvxor": "the bitwise exclusive or of _0 and _1",
    "bvnand": "the bitwise nand of _0 and _1",
    "bvnor": "the bitwise nor of _0 and _1",
    "bvxnor": "the bitwise exclusive nor of _0 and _1",
    "bvudiv": "the unsigned quotient of _0 by _1",
    "bvurem": "the unsigned remainder of _0 divided by _1",
    "bvsdiv": "the signed quotient of _0 by _1",
    "bvsrem": "the signed remainder, with the sign of the first, of _0 divided by _1",
    "bvsmod": "the signed remainder, with the sign of the second, of _0 divided by _1",
    "concat": "the bits of _0 followed by those of _1",
}
_OPEN = {
    "str.replace": "_0 with the first _1 replaced by _2",
    "str.replace_all": "_0 with every _1 replaced by _2",
    "str.prefixof": "_1 starts with _0",
    "str.suffixof": "_1 ends with _0",
    "str.contains": "_0 contains _1",
    "str.<": "_0 sorts before _1",
    "str.<=": "_0 equals or sorts before _1",
    "str.is_digit": "_0 is a single digit",
    "-": "_0 minus _1",
    "<": "_0 is less than _1",
    "<=": "_0 is at most _1",
    ">": "_0 is greater than _1",
    ">=": "_0 is at least _1",
    "=": "_0 equals _1",
    "distinct": "_0 differs from _1",
    "not": "it is not so that _0",
    "xor": "either _0 or _1 but not both",
    "=>": "_0 implies _1",
    "bvsub": "_0 minus _1",
    "bvshl": "_0 shifted left by _1 bits",
    "bvlshr": "_0 shifted right by _1 bits",
    "bvashr": "_0 shifted right, keeping its sign, by _1 bits",
    "bvcomp": "1 if _0 equals _1, otherwise 0",
    "bvult": "_0 is less than _1",
    "bvule": "_0 is at most _1",
    "bvugt": "_0 is greater than _1",
    "bvuge": "_0 is at least _1",
    "bvslt": "_0 is, signed, less than _1",
    "bvsle": "_0 is, signed, at most _1",
    "bvsgt": "_0 is, signed, greater than _1",
    "bvsge": "_0 is, signed, at least _1",
}
_INDEXED = {
    "extract": "bits {1} to {0} of _0",
    "zero_extend": "_0 extended by {0} zero bits",
    "sign_extend": "_0 extended by {0} copies of its sign bit",
    "rotate_left": "_0 rotated left by {0} bits",
    "rotate_right": "_0 rotated right by {0} bits",
    "repeat": "_0 written {0} times in a row",
}
_NEGATED = {
    "str.prefixof": "_1 does not start with _0",
    "str.suffixof": "_1 does not end with _0",
    "str.contains": "_0 does not contain _1",
    "str.is_digit": "_0 is not a single digit",
    "=": "_0 differs from _1",
}
_TRUTHS = frozenset(
    "str.prefixof str.suffixof str.contains str.< str.<= str.is_digit < <= > >= = distinct not and or xor => "
    "bvult bvule bvugt bvuge bvslt bvsle bvsgt bvsge".split()
)
_JOINED = {
    "str.++": ", then ",
    "and": " and ",
    "or": " or ",
    "+": " plus ",
    "*": " times ",
    "bvadd": " plus ",
    "bvmul": " times ",
}
"""What associates is said in one breath."""

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")

_FROM_0 = "Positions count from 0."
_ABSENT = "What does not occur has the position -1."
_NO_NUMBER = "A text that is no number is read as -1."
_NEGATIVE = "A negative number is written as the empty text."
_REMAINDER = "A remainder is never negative."
_BY_ZERO = "Division by 0 gives 0, with what is divided as the remainder."
_WRAPS = "Sums, differences and products keep as many bits as their parts have."
_BITS_BY_ZERO = (
    "Division by 0 gives all ones, but 1 for a negative signed number, with what is divided as the remainder."
)
_REMARKS = {
    "str.at": (_FROM_0,),
    "str.substr": (_FROM_0,),
    "str.indexof": (_FROM_0, _ABSENT),
    "str.to_int": (_NO_NUMBER,),
    "str.from_int": (_NEGATIVE,),
    "div": (_REMAINDER,),
    "mod": (_REMAINDER,),
    **dict.fromkeys(("bvadd", "bvsub", "bvmul", "bvneg"), (_WRAPS,)),
}
_REMARKS_BY_ZERO = {
    **dict.fromkeys(("div", "mod"), _BY_ZERO),
    **dict.fromkeys(("bvudiv", "bvurem", "bvsdiv", "bvsrem", "bvsmod"), _BITS_BY_ZERO),
}
_ORDER = (_FROM_0, _ABSENT, _NO_NUMBER, _NEGATIVE, _REMAINDER, _BY_ZERO, _WRAPS, _BITS_BY_ZERO)


def sentence_of_term(term: Term) -> str:
    """Say what a term gives, in a sentence, and after it what must be known to read it."""
    writer = _Writer()
    phrase = writer.phrase(term)
    whether = "whether " if _is_truth(term) else ""
    remarks = [remark for remark in _ORDER if remark in writer.remarks]
    return " ".join([f"The output is {whether}{phrase.text}.", *remarks])


def _is_truth(term: Term) -> bool:
    match term:
        case Apply(operator="ite", arguments=(_, yes, no)):
            return _is_truth(yes) or _is_truth(no)
        case Apply(operator=operator):
            return operator in _TRUTHS
    return False


class _Writer:
    """Writes phrases, noting the remarks that they call for."""

    def __init__(self) -> None:
        self.remarks: set[str] = set()

    def phrase(self, term: Term) -> _Phrase:
        match term:
            case Literal():
                return _Phrase(_literal(term), "word")
            case Symbol(name=name):
                return _Phrase(name if name.replace("-", "_").isidentifier() else f"`{name}`", "word")
            case Apply(operator=operator, arguments=arguments):
                return (
                    self._idiom(operator, arguments)
                    or self._joined(operator, arguments)
                    or self._application(operator, arguments)
                    or _Phrase(f"`{to_sexpr(term)}`", "word")
                )
            case AnyConstant(sort=sort):
                return _Phrase(f"a constant of sort {sort}", "leading")
        raise TypeError(f"not a term: {term!r}")

    def _idiom(self, operator: str, arguments: tuple[Term, ...]) -> _Phrase | None:
        for idiom in _IDIOMS.get(operator, ()):
            if (found := idiom(self, *arguments)) is not None:
                return found
        return None

    def _joined(self, operator: str, arguments: tuple[Term, ...]) -> _Phrase | None:
        """Say what associates without brackets of its own."""
        if operator not in _JOINED:
            return None
        self.remarks |= set(_REMARKS.get(operator, ()))
        parts = list(_flat(operator, arguments))
        ends = operator == "str.++"  # a comma tells where a part of a text ends
        texts = [self._nested(part, ends=ends or place == len(parts)) for place, part in enumerate(parts, 1)]
        return _Phrase(_JOINED[operator].join(texts), "open")

    def _application(self, operator: str, arguments: tuple[Term, ...]) -> _Phrase | None:
        template, form = _template(operator, len(arguments))
        if template.count("_") != len(arguments):
            return None
        self.remarks |= set(_REMARKS.get(operator, ()))
        if operator in _REMARKS_BY_ZERO and not (isinstance(arguments[1], Literal) and arguments[1].value):
            self.remarks.add(_REMARKS_BY_ZERO[operator])
        return self.fill(template, arguments, form, verb=operator in _TRUTHS)

    def fill(
        self, template: str, arguments: Sequence[Term], form: Form = "leading", *, verb: bool = False
    ) -> _Phrase:
        """Put phrases into a template, in brackets where they could be misread.

        What comes first ends where a ``verb`` follows.
        """

        def place(found: re.Match[str]) -> str:
            ends = found.end() == len(template) or (verb and found.start() == 0)
            return self._nested(arguments[int(found[1])], ends=ends)

        return _Phrase(re.sub(r"_(\d)", place, template), form)

    def _nested(self, term: Term, *, ends: bool) -> str:
        """Give a phrase as a part of another one; ``ends`` where nothing follows that could belong to it."""
        phrase = self.phrase(term)
        plain = phrase.form == "word" or (phrase.form == "leading" and ends)
        return phrase.text if plain else f"({phrase.text})"

    def choice(self, condition: Term, yes: Term, no: Term) -> _Phrase:
        """Say which of two values it is; a choice among more than two is one list of cases."""
        truth = self.phrase(condition).text
        if isinstance(condition, Symbol):
            truth = f"{truth} is true"
        elif isinstance(condition, Apply) and condition.operator == "ite":
            truth = f"({truth})"
        chained = isinstance(no, Apply) and no.operator == "ite"
        other = self.phrase(no).text if chained else self._nested(no, ends=True)
        return _Phrase(f"{self._nested(yes, ends=True)} if {truth}, otherwise {other}", "open")

    def beginning(self, text: Term, start: Term, length: Term) -> _Phrase | None:
        """Say that a part is the beginning of a text."""
        if start != Literal(0, "Int"):
            return None
        match length:
            case Literal(value=1):
                return self.fill("the first character of _0", (text,))
            case Apply("str.indexof", (whole, Literal(value=str(mark)) as part, Literal(value=0))) if (
                whole == text and mark
            ):
                return self.fill("the part of _0 before its first _1 (empty if it has none)", (text, part))
            case Apply("-", (Apply("str.len", (whole,)), Literal(value=int(less)))) if (
                whole == text and less > 0
            ):
                return self.fill(f"_0 without {_characters('last', less)}", (text,), "open")
        return self.fill("the first _1 characters of _0", (text, length))

    def end(self, text: Term, start: Term, length: Term) -> _Phrase | None:
        """Say that a part goes on to the end of a text."""
        if length != Apply("str.len", (text,)):
            return None
        if isinstance(start, Literal) and int(start.value) > 0:
            return self.fill(f"_0 without {_characters('first', int(start.value))}", (text,), "open")
        self.remarks.add(_FROM_0)
        return self.fill("the part of _0 from position _1 on", (text, start))

    def character(self, text: Term, position: Term) -> _Phrase | None:
        """Say which character stands at a position, counted from the start or from the end."""
        match position:
            case Literal(value=int(place)) if 0 <= place < len(_ORDINALS):
                return self.fill(f"the {_ORDINALS[place]} character of _0", (text,))
            case Apply("-", (Apply("str.len", (whole,)), Literal(value=int(place)))) if (
                whole == text and 0 < place <= len(_ORDINALS)
            ):
                ordinal = "last" if place == 1 else f"{_ORDINALS[place - 1]}-last"
                return self.fill(f"the {ordinal} character of _0", (text,))
        return None

    def first_position(self, text: Term, part: Term, start: Term) -> _Phrase | None:
        """Say that the first occurrence of a part is meant."""
        if start != Literal(0, "Int"):
            return None
        self.remarks |= {_FROM_0, _ABSENT}
        return self.fill("the position of the first _1 in _0", (text, part))

    def replaced(self, text: Term, old: Term, new: Term) -> _Phrase | None:
        """Say that something is removed, or put before a text: the first empty part is there."""
        if old == _EMPTY:
            return self.fill("_0 with _1 put before it", (text, new), "open")
        return self.fill("_0 without the first _1", (text, old), "open") if new == _EMPTY else None

    def all_replaced(self, text: Term, old: Term, new: Term) -> _Phrase | None:
        """Say that something is removed wherever it stands."""
        return self.fill("_0 without every _1", (text, old), "open") if new == _EMPTY else None

    def negated(self, term: Term) -> _Phrase | None:
        """Say of something that it does not hold."""
        if isinstance(term, Apply) and term.operator in _NEGATED:
            template = _NEGATED[term.operator]
            if template.count("_") == len(term.arguments):
                return self.fill(template, term.arguments, "open", verb=True)
        return None


def _template(operator: str, arguments: int) -> tuple[str, Form]:
    """Give an operator's phrase, and how it nests; an empty one where there is none."""
    if operator == "-" and arguments == 1:
        return "the negative of _0", "leading"
    if operator.startswith("(_ "):
        name, *indices = operator[3:-1].split()
        return _INDEXED.get(name, "").format(*indices), "leading" if name == "extract" else "open"
    return (_LEADING[operator], "leading") if operator in _LEADING else (_OPEN.get(operator, ""), "open")


def _flat(operator: str, arguments: tuple[Term, ...]) -> Iterator[Term]:
    for argument in arguments:
        if isinstance(argument, Apply) and argument.operator == operator:
            yield from _flat(operator, argument.arguments)
        else:
            yield argument


def _characters(where: str, count: int) -> str:
    return f"its {where} character" if count == 1 else f"its {where} {count} characters"


def _literal(literal: Literal) -> str:
    match literal.value:
        case bool() as truth:
            return "true" if truth else "false"
        case str() as text:
            return repr(text) if text else "the empty text"
        case int() as number if width := bit_vector_width(literal.sort):
            return f"0x{number:0{(width + 3) // 4}x}"
        case number:
            return str(number)


def _shift(template: str) -> Callable[[_Writer, Term, Term], _Phrase | None]:
    """Give the idiom of a shift by a distance that is known."""

    def idiom(writer: _Writer, bits: Term, distance: Term) -> _Phrase | None:
        if not isinstance(distance, Literal):
            return None
        count = "1 bit" if distance.value == 1 else f"{distance.value} bits"
        return writer.fill(template.replace("_1 bits", count), (bits,), "open")

    return idiom


_EMPTY = Literal("", "String")
_IDIOMS: dict[str, tuple[Callable[..., _Phrase | None], ...]] = {
    "ite": (_Writer.choice,),
    "str.substr": (_Writer.beginning, _Writer.end),
    "str.at": (_Writer.character,),
    "str.indexof": (_Writer.first_position,),
    "str.replace": (_Writer.replaced,),
    "str.replace_all": (_Writer.all_replaced,),
    "not": (_Writer.negated,),
    **{name: (_shift(_OPEN[name]),) for name in ("bvshl", "bvlshr", "bvashr")},
}
"""How what is often meant is said shorter, where it means exactly that."""
