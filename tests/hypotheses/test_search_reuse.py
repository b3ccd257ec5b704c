"""Solutions of other tasks are tried as they are and with a part changed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_expressions import expressions

from hypotheses.search import Library, search
from hypotheses.search.comprehensions import Source, endings, loops_over
from hypotheses.search.language import UNDEFINED, Call, Constant, Variable, evaluate, holds
from hypotheses.search.languages import engines_of
from hypotheses.search.library_text import read_expression, read_term, write_term
from hypotheses.search.list_operators import OPERATORS as LIST_OPERATORS
from hypotheses.search.reuse import Remembered, bound, changes, operators_of, parts_of, replaced
from hypotheses.search.search import Search
from hypotheses.search.value_operators import OPERATORS
from hypotheses.search.values import VALUES
from hypotheses.sygus.semantics import is_term_of
from hypotheses.sygus.terms import parse_define_fun
from hypotheses.task import Task
from induce.tasks.sygus import parse_sygus
from sandboxes import Limits

NUMBERS = st.integers(-3, 9)
LISTS = st.lists(NUMBERS, max_size=5)
XS, N = Variable("x", "list", 0), Variable("n", "int", 1)
TWO = VALUES.problem(Task.from_pairs([([[1, 2], 3], [1]), ([[4], 0], [])], call="positional"))
GRAMMAR = """
(set-logic SLIA)
(synth-fun f ((name String)) String ((Start String) (I Int))
 ((Start String (name {constants} (str.++ Start Start) (str.substr Start I I)))
  (I Int (0 1 2 3 4 5 (str.indexof Start Start I)))))
(declare-var name String)
{examples}
(check-synth)
"""


def solved(pairs, **options):
    return search(Task.from_pairs(pairs), seconds=None, max_terms=2_000_000, **options)


def sygus_task(constants, pairs):
    examples = "\n".join(f'(constraint (= (f "{a}") "{b}"))' for a, b in pairs)
    return parse_sygus(GRAMMAR.format(constants=constants, examples=examples), "t")


@st.composite
def comprehended(draw):
    """A comprehension over the list, with the number in sight of its body."""
    loop = draw(st.sampled_from(loops_over("list")))
    ending = draw(
        st.sampled_from([one for one in endings("list") if len(loop.variables) == 1 or not one.whole])
    )
    outer = [Variable("x", "list", len(loop.variables)), Variable("n", "int", len(loop.variables) + 1)]
    body = draw(expressions(OPERATORS, [*loop.variables, *outer], ending.body, 1))
    return Source((XS,), "list", loop).comprehension(ending, body) or XS


def values_of(expression, rows):
    try:
        return evaluate(expression, rows)
    except UNDEFINED:
        return None


EXPRESSIONS = st.one_of(
    comprehended(),
    *(expressions(OPERATORS, (XS, N), kind, 2) for kind in ("list", "int", "str", "bool")),
    *(expressions(LIST_OPERATORS, (XS, N), kind, 2) for kind in ("list", "int")),
)
KNOWN = operators_of(TWO.language)
ROWS = st.lists(st.tuples(LISTS.map(tuple), NUMBERS), min_size=1, max_size=3)


@settings(deadline=None)
@given(EXPRESSIONS, ROWS)
def test_a_solution_that_was_written_and_read_means_the_same(expression, rows):
    text = write_term(expression)
    try:
        again = read_term(text, KNOWN)
    except LookupError:  # an operator of the small language alone
        return
    assert values_of(again, rows) == values_of(expression, rows)
    assert write_term(again) == text
    assert write_term(read_expression(text)).replace(" ", "") != ""


@settings(deadline=None)
@given(EXPRESSIONS, ROWS, st.data())
def test_a_changed_solution_differs_in_the_part_that_was_changed(expression, rows, data):
    changed = data.draw(st.sampled_from([expression, *list(changes(expression, TWO.language))[:200]]))
    values_of(changed, rows)  # it can be evaluated
    assert changed == expression or write_term(changed) != write_term(expression)
    path, part = data.draw(st.sampled_from(list(parts_of(changed))))
    assert write_term(replaced(changed, path, part)) == write_term(changed)


@given(st.one_of(st.text(), st.binary(), st.recursive(st.none() | st.integers() | st.text(), st.lists)))
def test_what_is_no_term_is_refused(value):
    text = value if isinstance(value, str | bytes) else json.dumps({"term": value})
    with pytest.raises((ValueError, LookupError)):
        read_term(text, KNOWN)


def test_terms_that_cannot_be_are_left_out_of_a_search():
    deep = '{"term":' * 5_000 + "1" + "}" * 5_000
    loop = '{"over":"_0","ending":["map","int"],"sequences":1,"body":{"hole":7,"kind":"int"}}'
    call = '{"term":{"operator":"a","arguments":[{"hole":0,"kind":"list"}],"takes":["list"],"result":"list",'
    wrong = [
        "",
        "{}",
        deep,
        call + f'"loop":{loop}}}}}',
        call + '"loop":null}}',
        '{"term":{"constant":{},"kind":"list"}}',
        '{"term":{"hole":9,"kind":"nothing"}}',
        # Too few arguments, one of another kind, constants that are not what they say.
        '{"term":{"operator":"_0 + _1","arguments":[],"takes":["list","list"],"result":"list"}}',
        '{"term":{"operator":"_0 + _1","arguments":[{"hole":0,"kind":"list"},{"constant":1,"kind":"int"}],'
        '"takes":["list","list"],"result":"list"}}',
        '{"term":{"operator":"_0 + _1","arguments":[{"hole":0,"kind":"list"},{"constant":"x","kind":"list"}],'
        '"takes":["list","list"],"result":"list"}}',
        '{"term":{"constant":null,"kind":"list"}}',
    ]
    result = solved([([1, 2], [2, 1]), ([5], [5]), ([3, 4, 9], [9, 4, 3])], remembered=wrong)
    assert result.found is not None
    assert not result.found.origin


def test_a_solution_with_another_constant_is_found_at_once():
    def insert(x, what, where):
        return [*x[:where], what, *x[where:]]

    lists = [[3, 1, 8, 2, 9, 5], [7, 7, 0, 1, 6, 4, 2], [1, 2, 3, 4, 5, 6, 7, 8]]
    taught = solved([(x, insert(x, 6, 3)) for x in lists])
    pairs = [(x, insert(x, 4, 5)) for x in lists]
    plain, helped = solved(pairs), solved(pairs, remembered=[taught.found.term])
    assert helped.found.origin == taught.found.term
    assert helped.report.terms < plain.report.terms / 10
    assert holds(helped.found.expression, helped.found.problem)


def test_a_comprehension_is_reused_with_another_constant_in_its_body(sandbox):
    texts = [["hello", "world"], ["abcdefg"], ["sesame", "x", "street"], ["quick", "brown", "foxes"]]
    taught = solved([(x, [e[:2] + e[-1] for e in x]) for x in texts])
    assert "loop" in taught.found.term
    helped = solved([(x, [e[:3] + e[-1] for e in x]) for x in texts], remembered=[taught.found.term])
    assert helped.found.origin == taught.found.term
    runs = sandbox.run(helped.found.program, [["grapefruit", "pear"]], Limits())
    assert [run.value for run in runs] == [["grat", "pear"]]


def test_what_is_reused_in_a_grammar_is_a_term_of_that_grammar():
    first = sygus_task('"." "-"', [("ada.l", "a-l"), ("bo.x", "b-x"), ("cyd.w", "c-w")])
    found = search(first, seconds=None, max_terms=2_000_000).found
    other = sygus_task('"." "_"', [("ada.l", "a_l"), ("bo.x", "b_x"), ("cyd.w", "c_w")])
    again = search(other, seconds=None, max_terms=2_000_000, remembered=[found.term]).found
    assert again.origin == found.term
    assert '"_"' in again.definition
    assert is_term_of(parse_define_fun(again.definition).body, other.grammar)


def test_a_remembered_solution_that_fits_comes_before_all_others_and_costs_one_term():
    pairs = [([3, 1, 2], [1, 2, 3]), ([9, 4], [4, 9])]
    known = solved(pairs).found.term
    result = solved(pairs, remembered=["{}", known, known])
    assert (result.found.origin, result.report.terms) == (known, 1)


def test_nothing_remembered_changes_nothing():
    task = Task.from_pairs([([3, 1, 2], [1, 2, 3]), ([9, 4], [4, 9])])
    runs = [Search(task, None, 50_000, remembered=known) for known in ((), ("{}",))]
    founds = [next(found for found in run.steps() if found) for run in runs]
    assert founds[0].text == founds[1].text
    assert [type(one) for one in engines_of(task)] == [
        type(one) for one in engines_of(task, remembered=Remembered(()))
    ]


def test_an_expression_over_more_variables_is_fitted_or_left_out():
    one = VALUES.problem(Task.from_pairs([([1, 2], [1]), ([4], [])])).language
    taken = bound(XS, one)
    assert taken == Variable("x", "list", 0)
    assert bound(N, one) is None  # a number, where a list is wanted
    assert bound(Constant((1,), "list"), one) == Constant((1,), "list")
    assert bound(Variable("y", "list", 5), one) == taken
    assert bound(Call(next(o for o in OPERATORS if o.arguments == ("str",)), (N,)), one) is None


def nested(times, text, call):
    for _ in range(times):
        text = call(text)
    return json.dumps({"term": text})


@pytest.mark.parametrize("length", [1, 9, 9_000])
def test_remembered_terms_that_grow_have_no_value(length):
    """Each operator makes the text many times as long: the host must neither hang nor fill its memory."""
    mark, many = {"constant": "e", "kind": "mark"}, {"constant": "e" * (length + 1), "kind": "mark"}

    def longer(text):
        return {
            "operator": "_0.replace(_1, _2)",
            "arguments": [text, mark, many],
            "takes": ["str", "mark", "mark"],
            "result": "str",
        }

    bomb = nested(40, {"hole": 0, "kind": "str"}, longer)
    pairs = [("eels", "EELS"), ("geese", "GEESE"), ("he", "HE")]
    result = solved(pairs, remembered=[bomb])
    assert result.found is not None
    assert result.report.seconds < 5


def test_loops_in_the_bodies_of_loops_are_refused():
    def looped(body):
        loop = {"over": "_0", "ending": ["sum", "int"], "sequences": 1, "body": body}
        one = {
            "operator": "s",
            "arguments": [{"hole": 9, "kind": "list"}],
            "takes": ["list"],
            "result": "int",
        }
        return one | {"loop": loop}

    inner = looped({"hole": 0, "kind": "int"})
    assert read_term(json.dumps({"term": inner}), KNOWN)
    with pytest.raises(ValueError, match="a loop in the body"):
        read_term(json.dumps({"term": looped(inner)}), KNOWN)


def test_a_remembered_loop_that_would_run_long_does_not_keep_the_search_from_stopping():
    check = {"operator": "is_prime(_0)", "arguments": [{"hole": 0, "kind": "int"}]}
    body = check | {"takes": ["int"], "result": "bool"}
    for _ in range(15):
        body = {
            "operator": "_0 and _1",
            "arguments": [body, body],
            "takes": ["bool", "bool"],
            "result": "bool",
        }
        if len(json.dumps(body)) > 4_000:
            break
    loop = {"over": "range(1, _0 + 1)", "ending": ["count", "bool"], "sequences": 1, "body": body}
    term = {"operator": "s", "arguments": [{"constant": 100_000, "kind": "int"}], "takes": ["int"]}
    text = json.dumps({"term": term | {"result": "int", "loop": loop}})
    pairs = [(number, 3 * number + 100_000) for number in (4, 9, 17)]
    run = Search(Task.from_pairs(pairs), 1.0, None, remembered=[text] * 3)
    for _ in run.steps():
        pass
    assert run.report.seconds < 5


@pytest.mark.parametrize(
    "part",
    [
        {
            "loop": {
                "over": "nothing",
                "ending": ["map", "int"],
                "sequences": 1,
                "body": {"hole": 0, "kind": "int"},
            }
        },
        {"takes": ["nothing"]},
        {"arguments": []},
    ],
)
def test_a_library_that_cannot_be_is_refused(part):
    body = {"operator": "o", "arguments": [{"hole": 0, "kind": "list"}], "takes": ["list"], "result": "list"}
    whole = {
        "abstractions": [{"name": "fn_0", "body": body | part, "uses": 2, "compression": 2.0}],
        "counts": [],
    }
    with pytest.raises(ValueError, match="not a library"):
        Library.from_json(json.dumps(whole))


def test_what_an_abstraction_makes_on_its_way_is_limited():
    body = {"hole": 0, "kind": "str"}
    for _ in range(6):
        body = {"operator": "_0 + _1", "arguments": [body, body], "takes": ["str", "str"], "result": "str"}
        if json.dumps(body).count("operator") > 20:
            break
    text = json.dumps(
        {"abstractions": [{"name": "fn_0", "body": body, "uses": 9, "compression": 2.0}], "counts": []}
    )
    with pytest.raises(ValueError, match="parts"):
        Library.from_json(text)
