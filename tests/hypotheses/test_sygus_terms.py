"""Terms are read into one form, whatever version of SyGuS-IF wrote them, and have the sorts they should."""

from __future__ import annotations

import pytest

from hypotheses.sygus.grammar import AnyConstant, Apply, Grammar, Literal, Nonterminal, Symbol, to_sexpr
from hypotheses.sygus.semantics import is_term_of
from hypotheses.sygus.sexpr import SexprError, read_sexpr
from hypotheses.sygus.sorts import parameter_sorts, result_sort, sort_of
from hypotheses.sygus.terms import Definitions, parse_define_fun, parse_term, read_term, symbols
from hypotheses.task import Example, Parameter, Signature, Task

X = Symbol("x")
ONE = Literal(1, "Int")
BYTE = "(_ BitVec 8)"


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("(int.to.str (str.to.int x))", Apply("str.from_int", (Apply("str.to_int", (X,)),))),
        ("-1", Literal(-1, "Int")),
        ("(- 1)", Literal(-1, "Int")),
        ("(- x)", Apply("-", (X,))),
        ("(- 0)", Apply("-", (Literal(0, "Int"),))),
        ("true", Literal(True, "Bool")),
        ("#x0f", Literal(15, BYTE)),
        ("(_ bv15 8)", Literal(15, BYTE)),
        ("((_ extract 3 0) x)", Apply("(_ extract 3 0)", (X,))),
        ("(Constant String)", AnyConstant("String")),
        ("(let ((y 1)) (+ y x))", Apply("+", (ONE, X))),
        ("(let ((x 1)) (let ((x 2) (y x)) (+ x y)))", Apply("+", (Literal(2, "Int"), ONE))),
        ("(let ((y Int 1)) y)", ONE),
    ],
)
def test_terms(text: str, term: object) -> None:
    assert parse_term(text) == term


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("()", "expected a term"),
        ("(f)", "expected a term"),
        ("1.5", "found the decimal 1.5"),
        ("((_ extract 3 -1) x)", "expected a term"),
        ("((_ extract a b) x)", "expected a term"),
        ("(forall ((x Int)) true)", "(forall …) is not supported"),
        ("(_ bv256 8)", "does not fit into 8 bits"),
        ("(Constant Real)", "sort Real is not supported"),
        ("(let (y) y)", "expected (name value)"),
    ],
)
def test_what_is_no_term_is_refused(text: str, message: str) -> None:
    with pytest.raises(SexprError) as error:
        parse_term(text)
    assert message in str(error.value)


def test_define_fun() -> None:
    function = parse_define_fun("(define-fun f ((x String)) Int (str.len x))")
    assert (function.name, function.parameters, function.sort) == ("f", (("x", "String"),), "Int")
    assert to_sexpr(function.body) == "(str.len x)"
    assert symbols(function.body) == {"x"}
    for text in ("(define-fun f)", "(define-fun f ((x)) Int 1)", "(define-fun f ((x Int) (x Int)) Int x)"):
        with pytest.raises(SexprError, match="expected"):
            parse_define_fun(text)


@pytest.mark.parametrize(
    ("text", "sort"),
    [
        ('(str.++ "a" s)', "String"),
        ("(ite b 1 i)", "Int"),
        ("(= s s)", "Bool"),
        ("(bvadd v #x01)", BYTE),
        ("(bvult v v)", "Bool"),
        ("(concat v #b1)", "(_ BitVec 9)"),
        ("((_ extract 3 1) v)", "(_ BitVec 3)"),
        ("((_ sign_extend 4) v)", "(_ BitVec 12)"),
        ("((_ repeat 2) v)", "(_ BitVec 16)"),
        ("(bvcomp v v)", "(_ BitVec 1)"),
        ("(str.++ s i)", None),
        ("(str.len s s)", None),
        ("(and b)", None),
        ("(ite b 1 s)", None),
        ("(= s i)", None),
        ("(bvadd v #b1)", None),
        ("(bvadd i i)", None),
        ("((_ extract 8 0) v)", None),
        ("(str.rev s)", None),
        ("((_ char 1) s)", None),
        ("unknown", None),
    ],
)
def test_sorts(text: str, sort: str | None) -> None:
    variables = {"s": "String", "i": "Int", "b": "Bool", "v": BYTE}
    if sort is None:
        with pytest.raises(ValueError, match=r"not fit together|not supported|not declared"):
            sort_of(parse_term(text), variables)
    else:
        assert sort_of(parse_term(text), variables) == sort


def test_widths_of_bit_vectors_are_recovered_from_the_grammar() -> None:
    grammar = Grammar((Nonterminal("Start", BYTE, (X, Apply("bvnot", (Symbol("Start"),)))),))
    signature = Signature((Parameter("x", "int"), Parameter("n", "int")), "int", call="positional")
    task = Task("t", (Example([1, 2], 254),), (), signature, "sygus", grammar=grammar)
    assert parameter_sorts(task) == {"x": BYTE, "n": "Int"}
    assert result_sort(task) == BYTE


STRINGS = Grammar(
    (
        Nonterminal("Start", "String", (Symbol("S"), Symbol("T"))),
        Nonterminal("T", "String", (Symbol("Start"), Literal("-", "String"))),
        Nonterminal("S", "String", (X, Apply("str.at", (Symbol("S"), Apply("-", (Symbol("I"), ONE)))))),
        Nonterminal("I", "Int", (AnyConstant("Int"), Apply("str.len", (Symbol("S"),)))),
    )
)


@pytest.mark.parametrize(
    ("text", "derived"),
    [
        ("x", True),
        ('"-"', True),
        ('"+"', False),
        ("y", False),
        ("S", False),
        ("(str.at x (- 5 1))", True),
        ("(str.at x (- (str.len x) 1))", True),
        ('(str.at "-" (- 5 1))', False),
        ("(str.at x (- 5 2))", False),
        ("(str.at x 5)", False),
        ("(str.len x)", False),
    ],
)
def test_membership_in_a_grammar(text: str, derived: bool) -> None:
    assert is_term_of(parse_term(text), STRINGS) is derived


def test_a_negative_literal_may_come_from_unary_minus() -> None:
    grammar = Grammar((Nonterminal("I", "Int", (ONE, Apply("-", (Symbol("I"),)))),))
    assert is_term_of(parse_term("(- 1)"), grammar)
    assert is_term_of(parse_term("(- (- 1))"), grammar)
    assert not is_term_of(parse_term("(- 2)"), grammar)
    assert not is_term_of(parse_term("0"), grammar)
    assert not is_term_of(parse_term("(- 0)"), grammar)


def test_expansions_of_one_file_share_a_bounded_room() -> None:
    square = parse_define_fun("(define-fun g ((x Int)) Int (* x x))")
    definitions = Definitions(functions={"g": square}, room=10)
    assert to_sexpr(read_term(read_sexpr("(g (g 2))"), definitions)) == "(* (* 2 2) (* 2 2))"
    assert definitions.room == 0
    assert to_sexpr(read_term(read_sexpr("(+ 1 2 3)"), definitions)) == "(+ 1 2 3)"
    with pytest.raises(SexprError, match="expand to more than"):
        read_term(read_sexpr("(let ((y 1)) y)"), definitions)
