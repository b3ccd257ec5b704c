"""The evaluator gives every function the value that SMT-LIB defines, and agrees with cvc5 on random terms."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypotheses.sygus.grammar import Apply, Literal, Symbol, Term, to_sexpr
from hypotheses.sygus.semantics import Value, evaluate
from hypotheses.sygus.sorts import sort_of
from hypotheses.sygus.terms import bit_vector_width, parse_term


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('(str.at "abc" 1)', "b"),
        ('(str.at "abc" 3)', ""),
        ('(str.at "abc" (- 1))', ""),
        ('(str.substr "abc" 1 10)', "bc"),
        ('(str.substr "abc" (- 1) 2)', ""),
        ('(str.substr "abc" 3 1)', ""),
        ('(str.substr "abc" 1 (- 1))', ""),
        ('(str.indexof "abab" "b" 2)', 3),
        ('(str.indexof "abc" "" 3)', 3),
        ('(str.indexof "abc" "" 4)', -1),
        ('(str.indexof "abc" "a" (- 1))', -1),
        ('(str.indexof "" "" 0)', 0),
        ('(str.replace "abab" "b" "-")', "a-ab"),
        ('(str.replace "ab" "" "-")', "-ab"),
        ('(str.replace "" "" "-")', "-"),
        ('(str.replace_all "abab" "b" "-")', "a-a-"),
        ('(str.replace_all "ab" "" "-")', "ab"),
        ("(str.from_int 12)", "12"),
        ("(str.from_int (- 1))", ""),
        ('(str.to_int "012")', 12),
        ('(str.to_int "")', -1),
        ('(str.to_int "-1")', -1),
        ('(str.to_int " 1")', -1),
        ('(str.to_int "²")', -1),
        ('(str.to_int "٣")', -1),
        ('(str.is_digit "7")', True),
        ('(str.is_digit "")', False),
        ('(str.is_digit "77")', False),
        ('(str.to_code "a")', 97),
        ('(str.to_code "ab")', -1),
        ("(str.from_code 97)", "a"),
        ("(str.from_code 196608)", ""),
        ('(str.< "" "a" "b")', True),
        ('(str.<= "b" "a")', False),
        ("(div 7 (- 2))", -3),
        ("(div (- 7) 2)", -4),
        ("(mod (- 7) 2)", 1),
        ("(mod (- 7) (- 2))", 1),
        ("(div 7 0)", 0),
        ("(mod 7 0)", 7),
        ("(- 5 2 1)", 2),
        ("(=> true false true)", True),
        ("(=> true true false)", False),
        ("(xor true true true)", True),
        ("(distinct 1 2 1)", False),
        ("(bvudiv #x0a #x00)", 255),
        ("(bvsdiv #x80 #x00)", 1),
        ("(bvsmod #xf9 #x02)", 1),
        ("(bvsrem #xf9 #x02)", 255),
        ("(bvashr #x80 #x09)", 255),
        ("(bvshl #x01 #xff)", 0),
        ("(concat #b1 #b01)", 5),
    ],
)
def test_values_that_are_easily_got_wrong(text: str, value: Value) -> None:
    found = evaluate(parse_term(text), {})
    assert (found, type(found)) == (value, type(value))


def test_variables_take_their_values_from_the_environment() -> None:
    assert evaluate(parse_term('(str.++ x "-" x)'), {"x": "a"}) == "a-a"
    assert evaluate(parse_term("(bvnot v)"), {"v": 1}, {"v": "(_ BitVec 4)"}) == 14


@pytest.mark.parametrize("text", ["x", '(str.rev "a")', "(Constant Int)", "((_ char 1) #x1)"])
def test_what_has_no_value_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"no value|not supported"):
        evaluate(parse_term(text), {})


TEXTS = st.text(st.sampled_from('aab-01 9"\\é'), max_size=5)
NUMBERS = st.integers(-3, 12)
RANKS = """
str.++ String String -> String
str.++ String String String -> String
str.at String Int -> String
str.substr String Int Int -> String
str.replace String String String -> String
str.replace_all String String String -> String
str.from_int Int -> String
str.from_code Int -> String
ite Bool String String -> String
str.len String -> Int
str.indexof String String Int -> Int
str.to_int String -> Int
str.to_code String -> Int
+ Int Int -> Int
- Int Int Int -> Int
* Int Int -> Int
div Int Positive -> Int
div Int Negative -> Int
mod Int Positive -> Int
mod Int Negative -> Int
abs Int -> Int
ite Bool Int Int -> Int
str.prefixof String String -> Bool
str.suffixof String String -> Bool
str.contains String String -> Bool
str.< String String -> Bool
str.<= String String -> Bool
str.is_digit String -> Bool
= String String -> Bool
= Int Int Int -> Bool
distinct Int Int Int -> Bool
< Int Int -> Bool
<= Int Int -> Bool
> Int Int Int -> Bool
>= Int Int -> Bool
not Bool -> Bool
and Bool Bool Bool -> Bool
or Bool Bool -> Bool
xor Bool Bool Bool -> Bool
=> Bool Bool Bool -> Bool
bvult Byte Byte -> Bool
bvule Byte Byte -> Bool
bvugt Byte Byte -> Bool
bvuge Byte Byte -> Bool
bvslt Byte Byte -> Bool
bvsle Byte Byte -> Bool
bvsgt Byte Byte -> Bool
bvsge Byte Byte -> Bool
bvnot Byte -> Byte
bvneg Byte -> Byte
bvand Byte Byte -> Byte
bvor Byte Byte -> Byte
bvxor Byte Byte -> Byte
bvnand Byte Byte -> Byte
bvnor Byte Byte -> Byte
bvxnor Byte Byte -> Byte
bvadd Byte Byte -> Byte
bvsub Byte Byte -> Byte
bvmul Byte Byte -> Byte
bvudiv Byte Byte -> Byte
bvurem Byte Byte -> Byte
bvsdiv Byte Byte -> Byte
bvsrem Byte Byte -> Byte
bvsmod Byte Byte -> Byte
bvshl Byte Byte -> Byte
bvlshr Byte Byte -> Byte
bvashr Byte Byte -> Byte
concat Nibble Nibble -> Byte
(_ rotate_left 3) Byte -> Byte
(_ rotate_right 9) Byte -> Byte
(_ zero_extend 4) Nibble -> Byte
(_ sign_extend 4) Nibble -> Byte
(_ repeat 2) Nibble -> Byte
ite Bool Byte Byte -> Byte
(_ extract 5 2) Byte -> Nibble
"""


def ranks() -> list[tuple[str, list[str], str]]:
    found = []
    for line in RANKS.strip().splitlines():
        left, result = line.split(" -> ")
        start = left.index(")") + 1 if left.startswith("(") else left.index(" ")
        found.append((left[:start], left[start:].split(), result))
    return found


LITERALS: dict[str, st.SearchStrategy[Literal]] = {
    "String": TEXTS.map(partial(Literal, sort="String")),
    "Int": NUMBERS.map(partial(Literal, sort="Int")),
    "Positive": st.integers(1, 5).map(partial(Literal, sort="Int")),
    "Negative": st.integers(-5, -1).map(partial(Literal, sort="Int")),
    "Bool": st.booleans().map(partial(Literal, sort="Bool")),
    "Byte": st.integers(0, 255).map(partial(Literal, sort="(_ BitVec 8)")),
    "Nibble": st.integers(0, 15).map(partial(Literal, sort="(_ BitVec 4)")),
}


def applied(operator: str, arguments: tuple[Term, ...]) -> Term:
    return Apply(operator, arguments)


def terms(kind: str, depth: int) -> st.SearchStrategy[Term]:
    choices: list[st.SearchStrategy[Term]] = [LITERALS[kind]]
    if depth:
        choices += [
            st.tuples(*(terms(argument, depth - 1) for argument in arguments)).map(partial(applied, operator))
            for operator, arguments, result in ranks()
            if result == kind
        ]
    return st.one_of(choices[::-1])


@pytest.fixture(scope="module")
def reference() -> Callable[[Term], Value]:
    """What cvc5 simplifies a term to."""
    cvc5 = pytest.importorskip("cvc5", reason="cvc5 is not installed (dependency group bench)")
    manager = cvc5.TermManager()
    solver = cvc5.Solver(manager)
    solver.setLogic("ALL")
    symbols = cvc5.SymbolManager(manager)

    def simplified(term: Term) -> Value:
        parser = cvc5.InputParser(solver, symbols)
        parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, to_sexpr(term), "term")
        value = solver.simplify(parser.nextTerm())
        if value.isBooleanValue():
            return bool(value.getBooleanValue())
        if value.isIntegerValue():
            return int(value.getIntegerValue())
        if value.isBitVectorValue():
            return int(value.getBitVectorValue(10))
        return str(value.getStringValue())

    return simplified


@pytest.mark.parametrize("rank", ranks(), ids=lambda rank: f"{rank[0]} {' '.join(rank[1])}")
def test_every_function_agrees_with_cvc5(
    reference: Callable[[Term], Value], rank: tuple[str, list[str], str]
) -> None:
    operator, arguments, _ = rank

    @settings(max_examples=30, deadline=None)
    @given(st.tuples(*(LITERALS[argument] for argument in arguments)))
    def agrees(literals: tuple[Term, ...]) -> None:
        term = Apply(operator, literals)
        assert evaluate(term, {}) == reference(term)

    agrees()


@pytest.mark.parametrize("kind", ["String", "Int", "Bool", "Byte"])
def test_nested_terms_agree_with_cvc5(reference: Callable[[Term], Value], kind: str) -> None:
    @settings(max_examples=100, deadline=None)
    @given(terms(kind, 2))
    def agrees(term: Term) -> None:
        assert evaluate(term, {}) == reference(term)
        assert parse_term(to_sexpr(term)) == term

    agrees()


@given(terms("String", 2) | terms("Byte", 2))
def test_the_value_is_of_the_sort(term: Term) -> None:
    value, sort = evaluate(term, {}), sort_of(term, {})
    width = bit_vector_width(sort)
    assert isinstance(value, str) if width is None else 0 <= int(value) < 2**width


@given(terms("Int", 2))
def test_a_variable_may_stand_for_any_subterm(term: Term) -> None:
    if isinstance(term, Apply):
        names = [f"x{i}" for i in range(len(term.arguments))]
        environment = {n: evaluate(a, {}) for n, a in zip(names, term.arguments, strict=True)}
        assert evaluate(Apply(term.operator, tuple(map(Symbol, names))), environment) == evaluate(term, {})


@pytest.mark.parametrize(
    "text",
    [
        "(str.++ s s)",
        '(str.replace s "" s)',
        '(str.replace_all s "a" "bb")',
        "(* i i i)",
        "((_ repeat 1025) #x1)",
    ],
)
def test_values_too_large_are_refused_before_they_are_built(text: str) -> None:
    with pytest.raises(ValueError, match=r"at most 100000 are supported|more than \d+ bits|not supported"):
        evaluate(parse_term(text), {"s": "a" * 99_999, "i": 10**3000})


def test_strings_of_the_largest_length_are_built() -> None:
    assert evaluate(parse_term('(str.replace_all s "ab" "c")'), {"s": "ab" * 100_000}) == "c" * 100_000
    assert evaluate(parse_term('(str.++ s "b")'), {"s": "a" * 99_999}) == "a" * 99_999 + "b"


def test_a_bit_vector_deep_inside_is_measured_once() -> None:
    text = "(bvnot " * 150 + "(bvadd " + "#x01 " * 2 + ")" + ")" * 150
    assert evaluate(parse_term(text), {}) == 2
