"""The operators of the language of strings: cutting, joining and rewriting, as in a spreadsheet.

Every row pairs what evaluates an operator with the Python it is printed as; the two mean the same. A
``mark`` is a constant that separates parts of a text. Positions are Python's: they count from 0, and negative
ones from the end.
"""

from __future__ import annotations

import re

from hypotheses.search.language import Operator, choosing, joining, on_values

IMPORTS = {"re": "import re\n"}
"""What the printed Python must import for such a name."""

MAX_WIDTH = 64
"""Texts are not padded beyond this width."""


def _pad(text: str, width: int) -> str:
    if width > MAX_WIDTH:
        raise ValueError(f"a text of {width} characters is too long")
    return text.zfill(width)


KINDS = ("str", "int", "bool")

_PARTS = (
    on_values(
        "str mark -> str", lambda x, m: x.split(m)[0], "_0.split(_1)[0]", "the part of _0 before the first _1"
    ),
    on_values(
        "str mark -> str", lambda x, m: x.split(m)[-1], "_0.split(_1)[-1]", "the part of _0 after the last _1"
    ),
    on_values(
        "str mark -> str",
        lambda x, m: x.split(m, 1)[1],
        "_0.split(_1, 1)[1]",
        "the part of _0 after the first _1",
    ),
    on_values(
        "str mark -> str",
        lambda x, m: x.rsplit(m, 1)[0],
        "_0.rsplit(_1, 1)[0]",
        "the part of _0 before the last _1",
    ),
    on_values(
        "str mark int -> str",
        lambda x, m, i: x.split(m)[i],
        "_0.split(_1)[_2]",
        "the _2th part of _0 split at each _1",
    ),
    on_values("str int -> str", lambda x, i: x.split()[i], "_0.split()[_1]", "the _1th word of _0"),
    on_values("str -> str", lambda x: x[0], "_0[0]", "the first character of _0"),
    on_values("str int -> str", lambda x, i: x[i], "_0[_1]", "the _1th character of _0"),
    on_values(
        "str int int -> str",
        lambda x, i, j: x[i:j],
        "_0[_1:_2]",
        "_0 from position _1 up to before position _2",
    ),
    on_values("str int -> str", lambda x, n: x[:n], "_0[:_1]", "_0 up to before position _1"),
    on_values("str int -> str", lambda x, n: x[n:], "_0[_1:]", "_0 from position _1 on"),
    on_values(
        "str int -> str",
        lambda x, i: re.findall("[0-9]+", x)[i],
        "re.findall('[0-9]+', _0)[_1]",
        "the _1th number in _0",
        cost=2,
    ),
    on_values(
        "str int -> str",
        lambda x, i: re.findall("[A-Za-z]+", x)[i],
        "re.findall('[A-Za-z]+', _0)[_1]",
        "the _1th run of letters in _0",
        cost=2,
    ),
)

_REWRITES = (
    on_values("str -> str", str.upper, "_0.upper()", "_0 in upper case"),
    on_values("str -> str", str.lower, "_0.lower()", "_0 in lower case"),
    on_values("str -> str", str.title, "_0.title()", "_0 with each word capitalised"),
    on_values(
        "str -> str",
        str.capitalize,
        "_0.capitalize()",
        "_0 in lower case but for its first character, in upper case",
        cost=2,
    ),
    on_values("str -> str", str.strip, "_0.strip()", "_0 without surrounding spaces"),
    on_values("str mark -> str", lambda x, m: x.replace(m, ""), "_0.replace(_1, '')", "_0 without every _1"),
    on_values(
        "str mark mark -> str",
        lambda x, m, n: x.replace(m, n),
        "_0.replace(_1, _2)",
        "_0 with every _1 replaced by _2",
    ),
    on_values(
        "str mark -> str",
        lambda x, m: m.join(x.split()),
        "_1.join(_0.split())",
        "the words of _0 joined by _1",
    ),
    on_values(
        "str -> str",
        lambda x: "".join([c for c in x if c.isdigit()]),
        "''.join([item for item in _0 if item.isdigit()])",
        "the digits of _0",
    ),
    on_values(
        "str -> str",
        lambda x: "".join([c for c in x if c.isalpha()]),
        "''.join([item for item in _0 if item.isalpha()])",
        "the letters of _0",
        cost=2,
    ),
    on_values(
        "str -> str",
        lambda x: "".join([c for c in x if c.isupper()]),
        "''.join([item for item in _0 if item.isupper()])",
        "the upper-case letters of _0",
        cost=2,
    ),
    on_values(
        "str -> str",
        lambda x: "".join([word[0] for word in x.split()]),
        "''.join([item[0] for item in _0.split()])",
        "the first characters of the words of _0",
        cost=2,
    ),
    on_values("str -> str", lambda x: x[::-1], "_0[::-1]", "_0 reversed"),
    on_values("str int -> str", _pad, "_0.zfill(_1)", "_0 padded with zeros to _1 characters"),
    on_values("int -> str", str, "str(_0)", "_0 in decimal digits"),
)

_NUMBERS = (
    on_values("str -> int", len, "len(_0)", "the length of _0"),
    on_values("str -> int", lambda x: len(x.split()), "len(_0.split())", "the number of words in _0"),
    on_values(
        "str mark -> int", lambda x, m: x.count(m), "_0.count(_1)", "how often _1 occurs in _0", cost=2
    ),
    on_values(
        "str mark -> int",
        lambda x, m: x.index(m),
        "_0.index(_1)",
        "the position of the first _1 in _0",
        cost=2,
    ),
    on_values("str -> int", int, "int(_0)", "_0 as a number"),
    on_values("int int -> int", lambda a, b: a * b, "_0 * _1", "_0 times _1", commutative=True),
    on_values("int int -> int", lambda a, b: a + b, "_0 + _1", "_0 plus _1", commutative=True),
    on_values("int int -> int", lambda a, b: a - b, "_0 - _1", "_0 minus _1"),
)

_CONDITIONS = (
    on_values("str mark -> bool", lambda x, m: m in x, "_1 in _0", "_0 contains _1"),
    on_values("str mark -> bool", str.startswith, "_0.startswith(_1)", "_0 starts with _1"),
    on_values("str mark -> bool", str.endswith, "_0.endswith(_1)", "_0 ends with _1"),
    on_values("str -> bool", str.isdigit, "_0.isdigit()", "_0 is all digits"),
    on_values("str -> bool", str.isalpha, "_0.isalpha()", "_0 is all letters", cost=2),
    on_values("str -> bool", str.isupper, "_0.isupper()", "_0 is in upper case", cost=2),
    on_values("str str -> bool", lambda x, y: x == y, "_0 == _1", "_0 equals _1", commutative=True),
    on_values("str str -> bool", lambda x, y: x in y, "_0 in _1", "_0 occurs in _1"),
    on_values("int int -> bool", lambda a, b: a == b, "_0 == _1", "_0 equals _1", commutative=True),
    on_values("int int -> bool", lambda a, b: a < b, "_0 < _1", "_0 is less than _1"),
    on_values("bool -> bool", lambda a: not a, "not _0", "it is not so that _0"),
)

OPERATORS: tuple[Operator, ...] = (
    *(*_PARTS, *_REWRITES, *_NUMBERS, *_CONDITIONS),
    *(joining("str"), *map(choosing, KINDS)),
)
"""All operators of the language."""
