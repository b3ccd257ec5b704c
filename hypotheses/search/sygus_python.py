"""SyGuS terms as readable Python: plain expressions where they mean the same, small helpers elsewhere.

Python's slices and ``find`` count negative positions from the end, SMT-LIB's ``str.substr`` and
``str.indexof`` do not; so plain Python stands only where a lower bound proves a position not negative.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from hypotheses.search import bit_vector_operators
from hypotheses.search.python_code import fill, hexadecimal, identifiers, literal, program
from hypotheses.sygus.grammar import Apply, Literal, Symbol, Term, to_sexpr
from hypotheses.sygus.sorts import sort_of
from hypotheses.sygus.terms import bit_vector_width
from hypotheses.task import Signature
from sandboxes import Program

_HELPERS = {
    "str_at": '''\
def str_at(text, position):
    """The character at a position, empty outside the text (SMT-LIB str.at)."""
    return text[position : position + 1] if position >= 0 else ""
''',
    "str_substr": '''\
def str_substr(text, start, length):
    """The part of a text from a start, empty outside it (SMT-LIB str.substr)."""
    return text[start : start + length] if start >= 0 and length > 0 else ""
''',
    "str_indexof": '''\
def str_indexof(text, part, start):
    """The first position of a part from a start on, or -1 (SMT-LIB str.indexof)."""
    return text.find(part, start) if start >= 0 else -1
''',
    "str_replace_all": '''\
def str_replace_all(text, old, new):
    """Replace every occurrence; an empty one is none (SMT-LIB str.replace_all)."""
    return text.replace(old, new) if old else text
''',
    "str_from_int": '''\
def str_from_int(number):
    """The decimal digits of a number, empty for a negative one (SMT-LIB str.from_int)."""
    return str(number) if number >= 0 else ""
''',
    "str_to_int": '''\
def str_to_int(text):
    """The number that a text of digits writes, or -1 (SMT-LIB str.to_int)."""
    return int(text) if text.isascii() and text.isdigit() else -1
''',
    "int_div": '''\
def int_div(a, b):
    """Division whose remainder is never negative (SMT-LIB div); by zero it is 0."""
    return 0 if b == 0 else a // b if b > 0 else -(a // -b)
''',
    "int_mod": '''\
def int_mod(a, b):
    """The remainder, never negative (SMT-LIB mod); by zero it is the number itself."""
    return a % abs(b) if b else a
''',
}

HELPERS = _HELPERS | bit_vector_operators.HELPERS
"""Functions with SMT-LIB's exact meaning, put before a program that needs them."""

_PLAIN = {
    "str.++": "_0 + _1",
    "str.len": "len(_0)",
    "str.replace": "_0.replace(_1, _2, 1)",
    "str.prefixof": "_1.startswith(_0)",
    "str.suffixof": "_1.endswith(_0)",
    "str.contains": "_1 in _0",
    "str.<": "_0 < _1",
    "str.<=": "_0 <= _1",
    "str.is_digit": "len(_0) == 1 and '0' <= _0 <= '9'",
    "*": "_0 * _1",
    "abs": "abs(_0)",
    "<": "_0 < _1",
    "<=": "_0 <= _1",
    ">": "_0 > _1",
    ">=": "_0 >= _1",
    "=": "_0 == _1",
    "distinct": "_0 != _1",
    "not": "not _0",
    "and": "_0 and _1",
    "or": "_0 or _1",
    "xor": "_0 != _1",
    "=>": "not _0 or _1",
    "ite": "_1 if _0 else _2",
}

_WITH_HELPER = {
    "str.at": "str_at",
    "str.substr": "str_substr",
    "str.indexof": "str_indexof",
    "str.replace_all": "str_replace_all",
    "str.from_int": "str_from_int",
    "str.to_int": "str_to_int",
    "div": "int_div",
    "mod": "int_mod",
}

_KNOWN = _PLAIN.keys() | _WITH_HELPER.keys() | {"+", "-"}


def program_of(
    term: Term, signature: Signature, names: dict[str, str], sorts: Mapping[str, str] | None = None
) -> Program:
    """Write ``term`` as a Python function; ``names`` and ``sorts`` are those of its parameters."""
    printer = _Printer(names, sorts or {})
    body = printer.write(term)
    return program(signature, names, body, [HELPERS[name] for name in sorted(printer.used)])


def names_of(signature: Signature) -> dict[str, str]:
    """Give the identifiers of the parameters."""
    return identifiers(signature, HELPERS)


class _Printer:
    """Writes terms as Python, noting the helpers used."""

    def __init__(self, names: dict[str, str], sorts: Mapping[str, str]) -> None:
        self.names = names
        self.sorts = sorts
        self.used: set[str] = set()

    def write(self, term: Term) -> ast.expr:
        match term:
            case Literal(value=int(value), sort=sort) if width := bit_vector_width(sort):
                return hexadecimal(value, width)
            case Literal(value=value):
                return literal(value)
            case Symbol(name=name):
                return fill(self.names[name])
            case Apply(operator=operator, arguments=arguments):
                parts = [self.write(argument) for argument in arguments]
                if operator not in _KNOWN:
                    return self._bit_vectors(operator, arguments, parts)
                return fill(self._template(operator, arguments), *parts)
        raise TypeError(f"no Python for {to_sexpr(term)}")

    def _bit_vectors(self, operator: str, arguments: tuple[Term, ...], parts: list[ast.expr]) -> ast.expr:
        widths = [bit_vector_width(sort_of(argument, self.sorts)) or 0 for argument in arguments]
        last = arguments[-1]
        shift = int(last.value) if isinstance(last, Literal) else None
        template = bit_vector_operators.python_template(operator, widths, shift)
        if template is None:
            raise TypeError(f"no Python for {operator}")
        for name in bit_vector_operators.HELPERS:
            if f"{name}(" in template:
                self.used |= {name, *bit_vector_operators.NEEDS.get(name, ())}
        mask = hexadecimal((1 << widths[0]) - 1, widths[0])
        return fill(template.replace("_mask", f"_{len(parts)}"), *parts, mask)

    def _template(self, operator: str, arguments: tuple[Term, ...]) -> str:
        if operator in ("+", "-"):
            return " ".join([f"{operator} _0" if len(arguments) == 1 else f"_0 {operator} _1"])
        template = _PLAIN.get(operator) or _if_not_negative(operator, arguments)
        if template is None:
            helper = _WITH_HELPER[operator]
            self.used.add(helper)
            template = f"{helper}({', '.join(f'_{i}' for i in range(len(arguments)))})"
        return template


def _if_not_negative(operator: str, arguments: tuple[Term, ...]) -> str | None:
    """Give the plain Python for an operator whose positions are proved not negative."""
    match operator, arguments:
        case "str.at", (_, Literal(value=int(position))) if position >= 0:
            return f"_0[{position}:{position + 1}]"
        case "str.at", (_, position) if least(position) >= 0:
            return "_0[_1:_1 + 1]"
        case "str.substr", (text, start, length) if least(start) >= 0:
            start_code = "" if start == Literal(0, "Int") else "_1"
            if length == Apply("str.len", (text,)):
                return f"_0[{start_code}:]"
            if least(length) >= 0:
                return f"_0[{start_code}:_1 + _2]" if start_code else "_0[:_2]"
            return f"_0[{start_code}:_1 + max(0, _2)]" if start_code else "_0[:max(0, _2)]"
        case "str.indexof", (_, _, start) if least(start) >= 0:
            return "_0.find(_1)" if start == Literal(0, "Int") else "_0.find(_1, _2)"
        case "str.from_int", (number,) if least(number) >= 0:
            return "str(_0)"
        case "str.replace_all", (_, Literal(value=str(old)), _) if old:
            return "_0.replace(_1, _2)"
        case "div", (_, Literal(value=int(divisor))) if divisor > 0:
            return "_0 // _1"
        case "mod", (_, Literal(value=int(divisor))) if divisor > 0:
            return "_0 % _1"
    return None


def least(term: Term) -> float:
    """Give a lower bound of an integer term's value."""
    match term:
        case Literal(value=int(value)):
            return value
        case Apply(operator="str.len"):
            return 0
        case Apply(operator="str.indexof" | "str.to_int"):
            return -1
        case Apply(operator="+", arguments=arguments):
            return sum(map(least, arguments))
        case Apply(operator="-", arguments=(first, Literal(value=int(taken)))):
            return least(first) - taken
        case Apply(operator="-", arguments=(Literal(value=int(value)),)):
            return -value
        case Apply(operator="abs"):
            return 0
        case Apply(operator="ite", arguments=(_, yes, no)):
            return min(least(yes), least(no))
    return float("-inf")
