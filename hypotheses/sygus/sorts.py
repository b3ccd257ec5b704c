"""Which sort a term has, and whether it has one at all.

Source: SMT-LIB 2.6, theories Core, Ints, UnicodeStrings and FixedSizeBitVectors, with the logic QF_BV's
abbreviations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypotheses.sygus.grammar import AnyConstant, Apply, Literal, Symbol, Term, brief
from hypotheses.sygus.sexpr import shorten
from hypotheses.sygus.terms import WIDEST_BIT_VECTOR, bit_vector_width

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hypotheses.task import Task

# A star marks the operators that take two arguments or more, of one sort.
_RANKS = {
    "not": "Bool -> Bool",
    "and": "Bool* -> Bool",
    "or": "Bool* -> Bool",
    "xor": "Bool* -> Bool",
    "=>": "Bool* -> Bool",
    "+": "Int* -> Int",
    "*": "Int* -> Int",
    "-": "Int* -> Int",
    "div": "Int* -> Int",
    "mod": "Int Int -> Int",
    "abs": "Int -> Int",
    "<": "Int* -> Bool",
    "<=": "Int* -> Bool",
    ">": "Int* -> Bool",
    ">=": "Int* -> Bool",
    "str.++": "String* -> String",
    "str.len": "String -> Int",
    "str.at": "String Int -> String",
    "str.substr": "String Int Int -> String",
    "str.prefixof": "String String -> Bool",
    "str.suffixof": "String String -> Bool",
    "str.contains": "String String -> Bool",
    "str.indexof": "String String Int -> Int",
    "str.replace": "String String String -> String",
    "str.replace_all": "String String String -> String",
    "str.from_int": "Int -> String",
    "str.to_int": "String -> Int",
    "str.<": "String* -> Bool",
    "str.<=": "String* -> Bool",
    "str.is_digit": "String -> Bool",
    "str.to_code": "String -> Int",
    "str.from_code": "Int -> String",
}
_PLAIN_SORTS = {"str": "String", "bool": "Bool", "int": "Int"}
_WIDTH_KEEPING = frozenset(
    "bvand bvor bvxor bvnand bvnor bvxnor bvadd bvsub bvmul bvudiv bvurem bvsdiv bvsrem bvsmod bvshl bvlshr "
    "bvashr".split()
)
_COMPARING = frozenset("bvult bvule bvugt bvuge bvslt bvsle bvsgt bvsge".split())
_BIT_VECTOR_OPERATORS = (
    _WIDTH_KEEPING
    | _COMPARING
    | frozenset(
        "bvnot bvneg bvcomp concat extract zero_extend sign_extend rotate_left rotate_right repeat".split()
    )
)


def sort_of(term: Term, sorts: Mapping[str, str]) -> str:
    """Give the sort of ``term``; ``sorts`` are those of its variables (or non-terminals).

    Raises ``ValueError`` for an undeclared symbol, an unsupported operator, or arguments of the wrong sorts.
    """
    match term:
        case Literal(sort=sort) | AnyConstant(sort=sort):
            return sort
        case Symbol(name=name):
            if name not in sorts:
                raise ValueError(f"{name} is not declared")
            return sorts[name]
        case Apply(operator=operator, arguments=arguments):
            found = [sort_of(argument, sorts) for argument in arguments]
            result = _result_sort(operator, found)
            if result is None:
                given = shorten(sort if index == 0 else f", {sort}" for index, sort in enumerate(found))
                raise ValueError(f"{brief(term)} does not fit together: {operator} is given {given}")
            return result
    raise TypeError(f"not a term: {term!r}")


def parameter_sorts(task: Task) -> dict[str, str]:
    """Give the sort of each of the task's parameters, for a task of family ``sygus``.

    A signature says ``int`` for integers and bit-vectors alike; the width is that of the non-terminal which
    has the parameter as a production.
    """
    sorts = {p.name: _PLAIN_SORTS[p.type] for p in task.signature.parameters}
    for nonterminal in task.grammar.nonterminals if task.grammar else ():
        for production in nonterminal.productions:
            if isinstance(production, Symbol) and production.name in sorts:
                sorts[production.name] = nonterminal.sort
    return sorts


def result_sort(task: Task) -> str:
    """Give the sort of the function that a task of family ``sygus`` asks for."""
    return task.grammar.nonterminals[0].sort if task.grammar else _PLAIN_SORTS[task.signature.returns]


def bit_vector_sort(operator: str, widths: Sequence[int]) -> str | None:
    """Give the sort of a bit-vector operator's result, ``None`` where the arguments' widths do not fit.

    Raises ``ValueError`` for an unsupported operator, and for a result wider than ``WIDEST_BIT_VECTOR``.
    """
    name, *indices = operator[3:-1].split() if operator.startswith("(_ ") else [operator]
    if name not in _BIT_VECTOR_OPERATORS:
        raise ValueError(f"operator {operator} is not supported")
    width = _result_width(name, [int(index) for index in indices], widths)
    if width is None:
        return None
    if width > WIDEST_BIT_VECTOR:
        raise ValueError(f"{shorten([operator])} gives more than {WIDEST_BIT_VECTOR} bits")
    return "Bool" if operator in _COMPARING else f"(_ BitVec {width})"


def _result_sort(operator: str, found: Sequence[str]) -> str | None:
    """The sort of the result, ``None`` where the arguments do not fit."""
    one_sort = found[0] if len(set(found)) == 1 else None
    if operator in ("=", "distinct"):
        return "Bool" if one_sort and len(found) >= 2 else None
    if operator == "ite":
        return found[1] if len(found) == 3 and found[0] == "Bool" and found[1] == found[2] else None
    if operator in _RANKS:
        wanted, result = _RANKS[operator].split(" -> ")
        if wanted.endswith("*"):
            fits = one_sort == wanted[:-1] and (len(found) >= 2 or operator == "-")
        else:
            fits = list(found) == wanted.split()
        return result if fits else None
    widths = [width for sort in found if (width := bit_vector_width(sort)) is not None]
    return bit_vector_sort(operator, widths if len(widths) == len(found) else [])


def _result_width(name: str, indices: Sequence[int], widths: Sequence[int]) -> int | None:
    """The width of the result, or of what is compared; ``None`` where the arguments do not fit."""
    match name, indices, widths:
        case "bvnot" | "bvneg", [], [width]:
            return width
        case "bvcomp", [], [left, right]:
            return 1 if left == right else None
        case "concat", [], [_, _, *_]:
            return sum(widths)
        case "extract", [high, low], [width]:
            return high - low + 1 if width > high >= low else None
        case "zero_extend" | "sign_extend", [more], [width]:
            return width + more
        case "rotate_left" | "rotate_right", [_], [width]:
            return width
        case "repeat", [times], [width]:
            return width * times or None
        case _, [], [left, right] if name in _WIDTH_KEEPING | _COMPARING:
            return left if left == right else None
    return None
