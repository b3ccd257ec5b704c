"""What the search's evaluators say, the printed Python does, and the standard says too."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_expressions import NUMBERS, TEXTS, VALUES_OF, assert_agree, expressions, problem_in

from hypotheses.equality import equal
from hypotheses.search.language import Call, Variable, evaluate
from hypotheses.search.list_operators import OPERATORS as LIST_OPERATORS
from hypotheses.search.lists import LISTS
from hypotheses.search.python_code import fill, program
from hypotheses.search.string_operators import OPERATORS as STRING_OPERATORS
from hypotheses.search.strings import STRINGS
from hypotheses.search.sygus import sygus_problem, term_of
from hypotheses.search.sygus_python import names_of, program_of
from hypotheses.sygus.grammar import Apply, Grammar, Literal, Nonterminal, Symbol, to_sexpr
from hypotheses.sygus.semantics import evaluate as evaluate_by_the_standard
from hypotheses.task import Example, Parameter, Signature, Task
from sandboxes import Limits, Program


@settings(deadline=None, max_examples=150)
@given(data=st.data(), kind=st.sampled_from(["list", "int", "bool"]))
def test_python_of_the_list_language_means_what_was_evaluated(sandbox, data, kind):
    variables = (Variable("x0", "list", 0), Variable("x1", "int", 1))
    expression = data.draw(expressions(LIST_OPERATORS, variables, kind, 2))
    rows = data.draw(st.lists(st.tuples(VALUES_OF["list"], NUMBERS), min_size=1, max_size=3))
    problem = problem_in(LISTS, ([1], 2), [1])
    assert_agree(sandbox, problem.language.implement(expression), expression, rows)


@settings(deadline=None, max_examples=150)
@given(data=st.data(), kind=st.sampled_from(["str", "int", "bool"]))
def test_python_of_the_string_language_means_what_was_evaluated(sandbox, data, kind):
    variables = (Variable("x0", "str", 0), Variable("x1", "int", 1))
    expression = data.draw(expressions(STRING_OPERATORS, variables, kind, 2))
    rows = data.draw(st.lists(st.tuples(TEXTS, NUMBERS), min_size=1, max_size=3))
    problem = problem_in(STRINGS, ("a", 2), "a")
    assert_agree(sandbox, problem.language.implement(expression), expression, rows)


def everything() -> Grammar:
    """A grammar with every operator that is searched."""
    s, i, b = Symbol("S"), Symbol("I"), Symbol("B")
    strings = [Symbol("x"), *(Literal(text, "String") for text in ("", " ", "a1", '"'))]
    strings += [Apply("str.++", (s, s)), Apply("str.at", (s, i)), Apply("str.substr", (s, i, i))]
    strings += [Apply("str.replace", (s, s, s)), Apply("str.replace_all", (s, s, s))]
    strings += [Apply("str.from_int", (i,)), Apply("ite", (b, s, s))]
    integers = [Symbol("n"), *(Literal(number, "Int") for number in (-1, 0, 1, 3))]
    integers += [Apply(name, (i, i)) for name in ("+", "-", "*", "div", "mod")]
    integers += [Apply("-", (i,)), Apply("abs", (i,)), Apply("str.len", (s,)), Apply("str.to_int", (s,))]
    integers += [Apply("str.indexof", (s, s, i)), Apply("ite", (b, i, i))]
    truths = [Apply(name, (i, i)) for name in ("<", "<=", ">", ">=", "=", "distinct")]
    truths += [Apply(name, (s, s)) for name in ("=", "str.prefixof", "str.suffixof", "str.contains", "str.<")]
    truths += [Apply(name, (b, b)) for name in ("and", "or", "xor", "=>")]
    truths += [Apply("str.<=", (s, s)), Apply("str.is_digit", (s,)), Apply("not", (b,))]
    truths += [Literal(True, "Bool"), Apply("ite", (b, b, b))]
    return Grammar(
        (
            Nonterminal("S", "String", tuple(strings)),
            Nonterminal("I", "Int", tuple(integers)),
            Nonterminal("B", "Bool", tuple(truths)),
        )
    )


SYGUS_SIGNATURE = Signature((Parameter("x", "str"), Parameter("n", "int")), "str", "f", "positional")
SYGUS_LANGUAGE = sygus_problem(
    Task("all", (Example(["a", 1], "a"),), (), SYGUS_SIGNATURE, grammar=everything())
).language


def sygus_expressions(kind, depth):
    leaves = st.sampled_from([leaf for leaf in SYGUS_LANGUAGE.leaves if leaf.kind == kind])
    heads = [operator for operator in SYGUS_LANGUAGE.operators if operator.result == kind]
    if depth == 0:
        return leaves

    def call(operator):
        arguments = [sygus_expressions(k, depth - 1) for k in operator.arguments]
        return st.tuples(*arguments).map(lambda chosen: Call(operator, chosen))

    return leaves | st.sampled_from(heads).flatmap(call)


@settings(deadline=None, max_examples=200)
@given(
    expression=st.sampled_from("SIB").flatmap(lambda kind: sygus_expressions(kind, 3)),
    rows=st.lists(st.tuples(TEXTS, NUMBERS), min_size=1, max_size=3),
)
def test_sygus_terms_mean_the_same_to_search_standard_and_python(sandbox, expression, rows):
    term = term_of(expression)
    column = evaluate(expression, rows)
    assert column == tuple(evaluate_by_the_standard(term, {"x": x, "n": n}) for x, n in rows)
    program = program_of(term, SYGUS_SIGNATURE, names_of(SYGUS_SIGNATURE))
    runs = sandbox.run(program, [list(row) for row in rows], Limits())
    assert all(run.ok for run in runs), (program.source, runs)
    assert all(equal(run.value, value) for run, value in zip(runs, column, strict=True)), program.source


def sygus_python(term):
    program = program_of(term, SYGUS_SIGNATURE, names_of(SYGUS_SIGNATURE))
    return program.source.rpartition("return ")[2].strip()


@pytest.mark.parametrize(
    ("term", "python"),
    [
        (Apply("str.at", (Symbol("x"), Literal(0, "Int"))), "x[0:1]"),
        (Apply("str.at", (Symbol("x"), Symbol("n"))), "str_at(x, n)"),
        (Apply("str.substr", (Symbol("x"), Literal(0, "Int"), Literal(3, "Int"))), "x[:3]"),
        (
            Apply("str.substr", (Symbol("x"), Literal(1, "Int"), Apply("str.len", (Symbol("x"),)))),
            "x[1:]",
        ),
        (Apply("str.indexof", (Symbol("x"), Literal(" ", "String"), Literal(0, "Int"))), "x.find(' ')"),
        (Apply("str.from_int", (Apply("str.len", (Symbol("x"),)),)), "str(len(x))"),
        (
            Apply("str.++", (Symbol("x"), Apply("str.++", (Literal(",", "String"), Literal(" ", "String"))))),
            "x + ', '",
        ),
        (Apply("-", (Apply("+", (Symbol("n"), Literal(1, "Int"))), Literal(3, "Int"))), "n - 2"),
    ],
    ids=lambda value: to_sexpr(value) if not isinstance(value, str) else "",
)
def test_sygus_terms_read_as_plain_python_where_that_is_proved(term, python):
    assert sygus_python(term) == python


def test_helpers_stand_only_in_programs_that_use_them():
    guarded = program_of(
        Apply("str.at", (Symbol("x"), Symbol("n"))), SYGUS_SIGNATURE, names_of(SYGUS_SIGNATURE)
    )
    assert guarded.source.count("def ") == 2
    assert program_of(Symbol("x"), SYGUS_SIGNATURE, names_of(SYGUS_SIGNATURE)) == Program(
        "def f(x, n):\n    return x\n", "f", "positional"
    )


def test_parameters_that_are_no_identifiers_are_renamed():
    parameters = (Parameter("first-name"), Parameter("len"), Parameter("item"))
    names = names_of(Signature(parameters, call="positional"))
    assert names == {"first-name": "first_name", "len": "len_", "item": "item"}


def test_arguments_passed_by_name_are_passed_on_where_their_names_cannot_be_kept(sandbox):
    signature = Signature((Parameter("first-name"), Parameter("len")), call="keyword")
    written = program(signature, names_of(signature), fill("first_name + len_"))
    (run,) = sandbox.run(written, [{"first-name": "a", "len": "b"}], Limits())
    assert run.value == "ab"


def test_templates_keep_what_they_are_filled_with_apart():
    assert fill("_0[_1]", fill("a + b"), fill("_0", fill("_1"))).slice.id == "_1"
