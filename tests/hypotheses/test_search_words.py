"""Sentences about SyGuS terms: complete, readable, and never of two meanings."""

from collections import defaultdict
from itertools import chain, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypotheses.hypothesis import Hypothesis
from hypotheses.search import search
from hypotheses.search.bit_vector_operators import column_operator
from hypotheses.search.sygus_operators import OPERATORS
from hypotheses.search.sygus_words import sentence_of_term
from hypotheses.sygus.grammar import Apply, Literal, Symbol, to_sexpr
from hypotheses.sygus.semantics import evaluate
from hypotheses.sygus.sorts import sort_of
from hypotheses.sygus.terms import parse_term
from induce.tasks.sygus import parse_sygus

BYTE = "(_ BitVec 8)"
SORTS = {"x": "String", "y": "String", "n": "Int", "b": "Bool", "v": BYTE, "w": BYTE}
BIT_OPERATORS = (
    "bvand bvor bvxor bvnand bvnor bvxnor bvadd bvsub bvmul bvudiv bvurem bvsdiv bvsrem bvsmod bvshl bvlshr "
    "bvashr bvult bvule bvugt bvuge bvslt bvsle bvsgt bvsge bvcomp concat bvnot bvneg"
).split()
INDEXED = [
    "(_ extract 5 2)",
    "(_ zero_extend 3)",
    "(_ sign_extend 3)",
    "(_ rotate_left 3)",
    "(_ rotate_right 3)",
]


def searched_applications():
    """One application of every operator that is searched."""
    for name, arity in OPERATORS:
        for given_names in product(SORTS, repeat=arity):
            term = Apply(name, tuple(map(Symbol, given_names)))
            try:
                sort_of(term, SORTS)
            except ValueError:
                continue
            yield term
            break
        else:
            raise AssertionError(f"nothing fits {name}")
    for name in [*BIT_OPERATORS, *INDEXED]:
        arity = 1 if name.startswith("(_ ") or name in ("bvnot", "bvneg") else 2
        assert column_operator(name, [8] * arity), name
        yield Apply(name, (Symbol("v"), Symbol("w"))[:arity])


@pytest.mark.parametrize("term", list(searched_applications()), ids=to_sexpr)
def test_every_operator_that_is_searched_has_a_phrase(term):
    sentence = sentence_of_term(term)
    assert "`" not in sentence
    for argument in term.arguments:
        assert (
            argument.name in sentence.split("The output is ")[1].replace(".", " ").replace(",", " ").split()
        )


@pytest.mark.parametrize(
    ("term", "sentence"),
    [
        (
            '(str.++ (str.substr x 0 (str.indexof x " " 0)) (str.++ "-" (str.at x 0)))',
            "the part of x before its first ' ' (empty if it has none), then '-', "
            "then the first character of x.",
        ),
        ("(str.substr x 0 3)", "the first 3 characters of x."),
        ("(str.at x (- (str.len x) 2))", "the second-last character of x."),
        ("(str.substr x 2 (str.len x))", "x without its first 2 characters."),
        ("(str.substr x 0 (- (str.len x) 1))", "x without its last character."),
        (
            '(str.substr x (+ (str.indexof x ":" 0) 1) 4)',
            "at most 4 characters of x from position ((the position of the first ':' in x) plus 1) on. "
            "Positions count from 0. What does not occur has the position -1.",
        ),
        (
            '(str.replace (str.replace x " " "") "(" "[")',
            "(x without the first ' ') with the first '(' replaced by '['.",
        ),
        (
            '(ite (str.contains x " ") "two" (ite (str.prefixof "a" x) "a" "one"))',
            "'two' if x contains ' ', otherwise 'a' if x starts with 'a', otherwise 'one'.",
        ),
        (
            '(and (not (str.suffixof "b" x)) (< (str.len x) 3))',
            "whether (x does not end with 'b') and (the length of x is less than 3).",
        ),
        ("(+ (* 2 n) (- n 1))", "(2 times n) plus (n minus 1)."),
        (
            "(bvand v (bvnot (bvlshr v #x01)))",
            "the bitwise and of v and the bitwise complement of (v shifted right by 1 bit).",
        ),
        (
            "(div n 0)",
            "the whole quotient of n by 0. A remainder is never negative. "
            "Division by 0 gives 0, with what is divided as the remainder.",
        ),
    ],
)
def test_sentences_read_as_a_person_would_write_them(term, sentence):
    assert sentence_of_term(parse_term(term)) == f"The output is {sentence}"


def applications(name, *sorts):
    return st.tuples(*(TERMS[sort] for sort in sorts)).map(lambda arguments: Apply(name, arguments))


def some(*names):
    return st.sampled_from([Symbol(name) for name in names])


TERMS: dict = {}
TERMS["String"] = st.deferred(
    lambda: (
        some("x", "y")
        | st.sampled_from([Literal(text, "String") for text in ("", " ", "a", "ab, then b")])
        | applications("str.++", "String", "String")
        | applications("str.at", "String", "Int")
        | applications("str.substr", "String", "Int", "Int")
        | applications("str.replace", "String", "String", "String")
        | applications("str.replace_all", "String", "String", "String")
        | applications("str.from_int", "Int")
        | applications("ite", "Bool", "String", "String")
    )
)
TERMS["Int"] = st.deferred(
    lambda: (
        some("n")
        | st.sampled_from([Literal(number, "Int") for number in (-1, 0, 1, 2)])
        | st.sampled_from(["+", "-", "*", "div", "mod"]).flatmap(
            lambda name: applications(name, "Int", "Int")
        )
        | applications("-", "Int")
        | applications("abs", "Int")
        | applications("str.len", "String")
        | applications("str.to_int", "String")
        | applications("str.indexof", "String", "String", "Int")
        | applications("ite", "Bool", "Int", "Int")
    )
)
TERMS["Bool"] = st.deferred(
    lambda: (
        some("b")
        | st.sampled_from(["<", "<=", ">", ">=", "=", "distinct"]).flatmap(
            lambda name: applications(name, "Int", "Int")
        )
        | st.sampled_from(["str.prefixof", "str.suffixof", "str.contains", "str.<", "str.<=", "="]).flatmap(
            lambda name: applications(name, "String", "String")
        )
        | st.sampled_from(["and", "or", "xor", "=>", "="]).flatmap(
            lambda name: applications(name, "Bool", "Bool")
        )
        | applications("not", "Bool")
        | applications("str.is_digit", "String")
        | applications("ite", "Bool", "Bool", "Bool")
    )
)


@settings(deadline=None, max_examples=100)
@given(data=st.data(), sort=st.sampled_from(["String", "Int", "Bool"]))
def test_brackets_balance(data, sort):
    term = data.draw(TERMS[sort])
    sentence = sentence_of_term(term)
    assert sentence.startswith("The output is ")
    assert sentence.endswith(".")
    assert "`" not in sentence
    depth = 0
    for character in sentence:
        depth += {"(": 1, ")": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0


def small_terms():
    """All terms of up to two levels over few leaves, by sort; most third arguments are leaves."""
    leaves = [Symbol("x"), Literal("a", "String")], [Symbol("n"), Literal(1, "Int")], [Symbol("b")]
    strings, numbers, truths = leaves
    for _ in range(2):
        s, i, b = strings, numbers, truths
        strings = [
            *s,
            *apply("str.++", s, s),
            *apply("str.at", s, i),
            *apply("str.substr", s, i, leaves[1]),
            *apply("str.replace", s, s, leaves[0]),
            *apply("str.from_int", i),
            *apply("ite", b, s, s),
        ]
        numbers = [
            *i,
            *(term for name in "+-*" for term in apply(name, i, i)),
            *apply("-", i),
            *apply("str.len", s),
            *apply("str.indexof", s, s, leaves[1]),
        ]
        truths = [
            *b,
            *apply("not", b),
            *(term for name in ("and", "or", "xor", "=") for term in apply(name, b, b)),
            *apply("str.contains", s, s),
            *apply("=", i, i),
        ]
    return strings, numbers, truths


def apply(name, *choices):
    return [Apply(name, arguments) for arguments in product(*choices)]


def test_terms_with_one_sentence_mean_the_same():
    values = product(("", "ba", "aab1"), (-1, 0, 1, 2), (True, False))
    rows = [dict(zip("xnb", row, strict=True)) for row in values]
    by_sentence = defaultdict(list)
    for term in chain.from_iterable(small_terms()):
        by_sentence[sentence_of_term(term)].append(term)
    assert len(by_sentence) > 10_000
    for first, *others in by_sentence.values():
        for other in others:
            for row in rows:
                assert evaluate(first, row) == evaluate(other, row), (to_sexpr(first), to_sexpr(other))


FIRST_WORD = """
(synth-fun first-word ((name String)) String
  ((S String (name " " (str.substr S I I))) (I Int (0 (str.indexof S S I)))))
(constraint (= (first-word "Ann Lee") "Ann"))
(constraint (= (first-word "Bob K") "Bob"))
"""


def test_a_rule_is_a_sentence_with_the_definition_below_it():
    found = search(parse_sygus(FIRST_WORD, "t"), seconds=None, max_terms=10_000).found
    assert found.text == "The output is the part of name before its first ' ' (empty if it has none)."
    assert found.definition == (
        '(define-fun first-word ((name String)) String (str.substr name 0 (str.indexof name " " 0)))'
    )
    assert Hypothesis(found.rule).definition == found.definition
    assert Hypothesis(found.text).definition == ""
