"""Searching for functions on bit-vectors."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypotheses.equality import equal
from hypotheses.search import search
from hypotheses.search.language import Call, evaluate
from hypotheses.search.sygus import sygus_problem, term_of
from hypotheses.search.sygus_python import names_of, program_of
from hypotheses.sygus.grammar import Apply, Grammar, Literal, Nonterminal, Symbol
from hypotheses.sygus.semantics import evaluate as evaluate_by_the_standard
from hypotheses.sygus.semantics import is_term_of
from hypotheses.sygus.terms import parse_define_fun
from hypotheses.task import Example, Parameter, Signature, Task
from hypotheses.verification import verify
from induce.tasks.sygus import parse_sygus
from sandboxes import Limits

WIDTHS = {"x": "(_ BitVec 8)", "y": "(_ BitVec 8)", "n": "(_ BitVec 4)"}


def everything():
    """A grammar with every operator that is searched, over 8 and 4 bits."""
    b, n, t = Symbol("B"), Symbol("N"), Symbol("T")
    two = "bvand bvor bvxor bvnand bvnor bvxnor bvadd bvsub bvmul bvudiv bvurem bvsdiv bvsrem bvsmod bvshl "
    two += "bvlshr bvashr"
    byte = [Symbol("x"), Symbol("y"), *(Literal(value, WIDTHS["x"]) for value in (0, 1, 2, 127, 128, 255))]
    byte += [Apply(name, (b, b)) for name in two.split()]
    byte += [Apply("bvnot", (b,)), Apply("bvneg", (b,)), Apply("concat", (n, n)), Apply("ite", (t, b, b))]
    byte += [Apply("(_ zero_extend 4)", (n,)), Apply("(_ sign_extend 4)", (n,))]
    byte += [Apply("(_ rotate_left 3)", (b,)), Apply("(_ rotate_right 11)", (b,))]
    byte += [Apply("bvshl", (b, Literal(value, WIDTHS["x"]))) for value in (3, 9)]
    nibble = [Symbol("n"), Apply("(_ extract 7 4)", (b,)), Apply("(_ extract 4 1)", (b,))]
    relations = "= distinct bvult bvule bvugt bvuge bvslt bvsle bvsgt bvsge".split()
    truths = [Apply(name, (b, b)) for name in relations]
    truths += [Apply("not", (t,)), Apply("=", (Apply("bvcomp", (b, b)), Literal(1, "(_ BitVec 1)")))]
    return Grammar(
        (
            Nonterminal("B", WIDTHS["x"], tuple(byte)),
            Nonterminal("N", WIDTHS["n"], tuple(nibble)),
            Nonterminal("T", "Bool", tuple(truths)),
        )
    )


PARAMETERS = tuple(Parameter(name, "int") for name in WIDTHS)
SIGNATURE = Signature(PARAMETERS, "int", "f", "positional")
TASK = Task("all", (Example([1, 2, 3], 4),), (), SIGNATURE, grammar=everything())
LANGUAGE = sygus_problem(TASK).language
KINDS = {"B": WIDTHS["x"], "N": WIDTHS["n"], "T": "Bool"}


def expressions(kind, depth):
    heads = [operator for operator in LANGUAGE.operators if operator.result == kind]
    leaves = [leaf for leaf in LANGUAGE.leaves if leaf.kind == kind]
    if (depth == 0 and leaves) or not heads:
        return st.sampled_from(leaves)

    def call(operator):
        arguments = [expressions(argument, max(0, depth - 1)) for argument in operator.arguments]
        return st.tuples(*arguments).map(lambda chosen: Call(operator, chosen))

    chosen = st.sampled_from(heads).flatmap(call)
    return st.sampled_from(leaves) | chosen if leaves else chosen


class _Sorts(dict):
    def __missing__(self, kind):
        if kind in KINDS:
            return KINDS[kind]
        return "(_ BitVec 1)" if kind == "#b1" else WIDTHS["x"]


@settings(deadline=None, max_examples=300)
@given(
    expression=st.sampled_from("BNT").flatmap(lambda kind: expressions(kind, 2)),
    rows=st.lists(
        st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 15)), min_size=1, max_size=3
    ),
)
def test_terms_mean_the_same_to_search_standard_and_python(sandbox, expression, rows):
    term = term_of(expression, _Sorts())
    column = evaluate(expression, rows)
    assert column == tuple(
        evaluate_by_the_standard(term, dict(zip(WIDTHS, row, strict=True)), WIDTHS) for row in rows
    )
    program = program_of(term, SIGNATURE, names_of(SIGNATURE), WIDTHS)
    runs = sandbox.run(program, [list(row) for row in rows], Limits())
    assert all(run.ok for run in runs), (program.source, runs)
    assert all(equal(run.value, value) for run, value in zip(runs, column, strict=True)), program.source


HEADER = """(set-logic BV)
(define-fun shr1 ((x (_ BitVec 64))) (_ BitVec 64) (bvlshr x #x0000000000000001))
(define-fun shl1 ((x (_ BitVec 64))) (_ BitVec 64) (bvshl x #x0000000000000001))
(define-fun if0 ((x (_ BitVec 64)) (y (_ BitVec 64)) (z (_ BitVec 64))) (_ BitVec 64)
  (ite (= x #x0000000000000001) y z))
(synth-fun f ((x (_ BitVec 64))) (_ BitVec 64)
  ((Start (_ BitVec 64)))
  ((Start (_ BitVec 64) (#x0000000000000000 #x0000000000000001 x (bvnot Start) (shl1 Start) (shr1 Start)
    (bvand Start Start) (bvor Start Start) (bvxor Start Start) (bvadd Start Start) (if0 Start Start Start)))))
"""
MASK = 2**64 - 1
INPUTS = [0, 1, 6, 0xFF00, 0x8000000000000000, 0xDEADBEEF12345678, 0x0F0F0F0F0F0F0F0F, MASK]


@pytest.mark.parametrize(
    "rule",
    [
        lambda x: x & (x - 1) & MASK,  # clear the lowest bit that is set
        lambda x: x & -x & MASK,  # keep it alone
        lambda x: (x ^ (x >> 1)) & MASK,  # Gray code
        lambda x: (3 * x + 1) & MASK,
        lambda x: x << 1 & MASK if x & 1 == 1 and x == 1 else x >> 1,
    ],
)
def test_what_is_found_is_a_term_of_the_grammar_right_by_the_standard_and_in_the_sandbox(rule, sandbox):
    constraints = "".join(f"(constraint (= (f #x{x:016x}) #x{rule(x):016x}))\n" for x in INPUTS)
    task = parse_sygus(HEADER + constraints + "(check-synth)", "bits")
    result = search(task, seconds=None, max_terms=2_000_000)
    assert result.report.reason == "solved", result.report
    function = parse_define_fun(result.found.definition)
    assert is_term_of(function.body, task.grammar)
    sorts = {"x": "(_ BitVec 64)"}
    assert all(evaluate_by_the_standard(function.body, {"x": x}, sorts) == rule(x) for x in INPUTS)
    assert verify(result.found.program, task, sandbox, Limits()).consistent, result.found.program.source


def test_programs_on_bits_read_as_a_person_would_write_them():
    x, one = Symbol("x"), Literal(1, WIDTHS["x"])
    minus = Apply("bvsub", (x, one))
    for term, python in (
        (Apply("bvand", (x, minus)), "x & (x - 1 & 0xff)"),
        (Apply("bvshl", (x, one)), "x << 1 & 0xff"),
        (Apply("bvlshr", (x, Symbol("y"))), "x >> y"),
        (Apply("bvor", (x, Literal(240, WIDTHS["x"]))), "x | 0xf0"),
    ):
        source = program_of(term, SIGNATURE, names_of(SIGNATURE), WIDTHS).source
        assert source == f"def f(x, y, n):\n    return {python}\n"


def test_an_operator_that_is_not_searched_is_refused_at_once():
    byte = Symbol("B")
    grammar = Grammar(
        (
            Nonterminal(
                "B", WIDTHS["x"], (Symbol("x"), Apply("(_ extract 7 0)", (Apply("(_ repeat 2)", (byte,)),)))
            ),
        )
    )
    signature = Signature((Parameter("x", "int"),), "int", "f")
    task = Task("t", (Example(1, 1),), (), signature, "sygus", grammar=grammar)
    assert search(task).report.reason == "unsupported"
