"""Completions of a model as the costs of a grammar's rules."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypotheses.search import Guide, search
from hypotheses.sygus.grammar import Apply, Literal, Symbol
from hypotheses.sygus.semantics import is_term_of
from hypotheses.sygus.terms import parse_define_fun
from induce.tasks.sygus import parse_sygus

TEXT, NUMBER = Symbol("S"), Symbol("I")
RULES = [
    Symbol("x"),
    Literal(" ", "String"),
    Literal('"', "String"),
    Apply("str.++", (TEXT, TEXT)),
    Apply("str.substr", (TEXT, NUMBER, NUMBER)),
    Apply("str.at", (TEXT, NUMBER)),
]


@pytest.mark.parametrize(
    "completion",
    [
        '(str.++ x (str.++ " " x))',
        'Here it is:\n```lisp\n(define-fun f () String\n  (str.++ x (str.++ " " x)))\n```\nNo str.at.',
        '```\n(str.++ x (str.++ " " x',
    ],
)
def test_what_completions_use_is_cheap(completion):
    costs = dict(
        zip(
            ["x", "space", "quote", "++", "substr", "at"],
            Guide.from_completions([completion]).costs(RULES),
            strict=True,
        )
    )
    assert costs["x"] <= costs["++"] < costs["at"] == costs["substr"] == costs["quote"]
    assert costs["space"] < costs["at"]


def test_quotes_in_a_literal_are_read():
    guide = Guide.from_completions(['(str.++ x """")'])
    assert guide.counts == {"str.++": 1, "x": 1, '""""': 1}
    assert guide.costs(RULES)[2] < guide.costs(RULES)[1]


def test_without_completions_all_rules_cost_the_same():
    assert len(set(Guide.from_completions([]).costs(RULES))) == 1
    assert Guide.from_completions(["no term at all"]).costs(RULES[:1]) == [1]


@given(st.lists(st.text(max_size=40), max_size=5))
def test_any_text_makes_costs_of_a_probability(texts):
    costs = Guide.from_completions(texts).costs(RULES)
    assert all(cost >= 1 for cost in costs)
    assert max(costs) <= round(-math.log2(0.1 / len(RULES)))


TASK = """(set-logic SLIA)
(synth-fun f ((x String)) String ((S String) (I Int))
  ((S String (x "" " " "-" "." "," (str.++ S S) (str.substr S I I) (str.replace S S S) (str.at S I)))
   (I Int (0 1 2 3 (+ I I) (- I I) (str.len S) (str.indexof S S I)))))
(constraint (= (f "ab-cde-f") "cde"))
(constraint (= (f "x-yz-uvw") "yz"))
(constraint (= (f "1234-5-6") "5"))
(check-synth)
"""


def test_a_guided_search_takes_fewer_terms_to_a_term_of_the_grammar():
    task = parse_sygus(TASK, "middle")
    wrong = '(str.substr x (+ 1 (str.indexof x "-" 0)) (- (str.indexof x "-" 3) (str.indexof x "-" 0)))'
    plain = search(task, seconds=None, max_terms=3_000_000)
    guided = search(task, seconds=None, max_terms=3_000_000, guide=Guide.from_completions([wrong]))
    assert guided.report.reason == "solved"
    assert is_term_of(parse_define_fun(guided.found.definition).body, task.grammar)
    assert guided.report.terms < plain.report.terms / 2
