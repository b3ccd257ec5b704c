"""What solutions share becomes operators that mean, print and cost what they should."""

import json
import re
import sys
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from search_expressions import expressions

from hypotheses.search import Abstraction, Library, learn_library
from hypotheses.search.abstraction import (
    LearnedOperator,
    hole,
    inline,
    is_well_kinded,
    rewrite,
    rule_of,
    size,
)
from hypotheses.search.compression import Terms, parse
from hypotheses.search.engine import Engine
from hypotheses.search.language import UNDEFINED, Call, Constant, Variable, evaluate, holds, walk
from hypotheses.search.list_operators import OPERATORS as LIST_OPERATORS
from hypotheses.search.lists import LISTS
from hypotheses.search.printing import phrase_of, sentence_of
from hypotheses.search.string_operators import OPERATORS as STRING_OPERATORS
from hypotheses.search.sygus import sygus_problem
from hypotheses.sygus.semantics import evaluate as evaluate_by_the_standard
from hypotheses.sygus.semantics import is_term_of
from hypotheses.sygus.terms import parse_define_fun
from hypotheses.task import Example, Parameter, Signature, Task
from induce.tasks.sygus import parse_sygus
from sandboxes import Limits, ProposerError

NUMBERS = st.integers(-3, 9)
VALUES = {
    "int": NUMBERS,
    "bool": st.booleans(),
    "list": st.lists(NUMBERS, max_size=5).map(tuple),
    "str": st.text("aB1 ,.", max_size=6),
    "mark": st.sampled_from([" ", ",", "."]),
}
LANGUAGES = {
    "lists": (LIST_OPERATORS, (Variable("xs", "list", 0), Variable("n", "int", 1)), ("list", "int", "bool")),
    "strings": (STRING_OPERATORS, (Variable("s", "str", 0), Variable("n", "int", 1)), ("str", "int", "bool")),
}


@st.composite
def solutions(draw, depth=3, language=None):
    """The variables of one of the project's languages, and a random expression over them."""
    operators, variables, kinds = LANGUAGES[language or draw(st.sampled_from(sorted(LANGUAGES)))]
    return variables, draw(expressions(operators, variables, draw(st.sampled_from(kinds)), depth))


@st.composite
def abstractions(draw, language=None):
    """A random abstraction of one or two arguments."""
    variables, body = draw(solutions(depth=2, language=language))
    used = {part for part in walk(body) if isinstance(part, Variable)}
    assume(isinstance(body, Call) and used)
    holes = {one: hole(i, one.kind) for i, one in enumerate(v for v in variables if v in used)}
    return Abstraction("fn_0", substituted(body, holes))


def in_one_language(strategy):
    """What ``strategy`` gives for any one of the languages, which share rules but not operators."""
    return st.sampled_from(sorted(LANGUAGES)).flatmap(strategy)


def substituted(expression, replacements):
    if isinstance(expression, Call):
        parts = tuple(substituted(part, replacements) for part in expression.arguments)
        return Call(expression.operator, parts)
    return replacements.get(expression, expression)


def values_of(expression, rows):
    """The values of ``expression``, or None where it has none."""
    try:
        return evaluate(expression, rows)
    except UNDEFINED:
        return None


def operator_of(operators, name, result):
    return next(one for one in operators if (one.name, one.result) == (name, result))


# --- Terms -------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(in_one_language(lambda language: st.lists(solutions(language=language), min_size=1, max_size=4)))
def test_expressions_survive_as_terms_of_stitch(found):
    terms = Terms()
    written = [terms.write(expression, program) for program, (_, expression) in enumerate(found)]
    assert [terms.read(parse(text)) for text in written] == [expression for _, expression in found]


@settings(deadline=None)
@given(in_one_language(lambda language: st.tuples(*[solutions(depth=1, language=language)] * 2)))
def test_expressions_are_written_alike_only_where_they_are_equal(pair):
    one, other = pair
    terms = Terms()
    assert (terms.write(one[1]) == terms.write(other[1])) == (one[1] == other[1])


def test_terms_that_are_no_expression_are_not_read():
    plus = operator_of(LIST_OPERATORS, "_0 + _1", "int")
    join = operator_of(LIST_OPERATORS, "_0 + _1", "list")
    terms = Terms()
    head = terms.write(Call(plus, (Constant(1, "int"), Constant(1, "int"))))[1:].split()[0]
    other = terms.write(Call(join, (Constant((), "list"), Constant((), "list"))))[1:].split()[0]
    assert terms.read(parse(f"({head} #3 ({head} #1 #3))")) == Call(
        plus, (hole(0, "int"), Call(plus, (hole(1, "int"), hole(0, "int"))))
    )
    assert terms.read(parse(f"({head} #0)")) is None  # a function that waits for another argument
    assert terms.read(parse(f"(#0 {head})")) is None  # a function of functions
    assert terms.read(parse(f"({head} #0 {head})")) is None
    assert terms.read(parse(f"({head} #0 ({other} #1 #2))")) is None  # a list where a number belongs
    assert terms.read(parse("#0")) is None


# --- Meaning -----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(data=st.data(), abstraction=abstractions())
def test_an_abstraction_means_what_its_body_means(data, abstraction):
    rows = data.draw(
        st.lists(st.tuples(*(VALUES[kind] for kind in abstraction.arguments)), min_size=1, max_size=3)
    )
    operator = abstraction.operator()
    arguments = tuple(Variable(f"x{i}", kind, i) for i, kind in enumerate(abstraction.arguments))
    call = Call(operator, arguments)
    assert operator.result == abstraction.body.operator.result
    assert not any(part == operator for part in walk(inline(call)))
    assert values_of(call, rows) == values_of(inline(call), rows)
    assert values_of(call, rows) == values_of(abstraction.body, rows)


@settings(deadline=None)
@given(
    in_one_language(
        lambda language: st.tuples(
            st.lists(abstractions(language=language), max_size=3), solutions(language=language)
        )
    )
)
def test_rewriting_makes_no_larger_and_inlining_undoes_it(drawn):
    learned, solution = drawn
    operators = [one.operator() for one in learned]
    rewritten = rewrite(solution[1], operators)
    assert inline(rewritten) == solution[1]
    assert size(rewritten) <= size(solution[1])


@settings(deadline=None)
@given(data=st.data(), abstraction=abstractions())
def test_a_call_is_found_wherever_it_was_inlined(data, abstraction):
    operators = LIST_OPERATORS + STRING_OPERATORS
    variables = tuple(Variable(f"x{i}", kind, i) for i, kind in enumerate(abstraction.arguments))
    fillings = [data.draw(expressions(operators, variables, kind, 1)) for kind in abstraction.arguments]
    call = Call(abstraction.operator(), tuple(fillings))
    assert size(rewrite(inline(call), [call.operator])) <= size(call)


def test_templates_of_an_abstraction_are_those_of_its_body_filled():
    words = operator_of(STRING_OPERATORS, "_0.split()[_1]", "str")
    upper = operator_of(STRING_OPERATORS, "_0.upper()", "str")
    body = Call(upper, (Call(words, (hole(0, "str"), Constant(-1, "int"))),))
    operator = Abstraction("fn_0", body).operator()
    assert operator.python == "_0.split()[-1].upper()"
    assert phrase_of(Call(operator, (Variable("name", "str", 0),))) == "the last word of name in upper case"
    assert (operator.arguments, operator.result) == (("str",), "str")


def test_a_constant_is_no_place_in_a_template():
    within = operator_of(STRING_OPERATORS, "_0 in _1", "bool")
    operator = Abstraction("fn_0", Call(within, (Constant("_1_9", "str"), hole(0, "str")))).operator()
    assert phrase_of(Call(operator, (Variable("s", "str", 0),))) == r"'\x5f1\x5f9' occurs in s"
    assert operator.python == "'_1_9' in _0"


# --- Learning ----------------------------------------------------------------------------------------------


def planted():
    """Solutions that all sort and reverse a list, each to another end, and that idiom with its hole."""
    by_name = {(one.name, one.result): one for one in LIST_OPERATORS}
    backwards, order, first = (by_name[name, "list"] for name in ("_0[::-1]", "sorted(_0)", "_0[:_1]"))
    xs, n = Variable("xs", "list", 0), Variable("n", "int", 1)

    def idiom(of):
        return Call(backwards, (Call(order, (of,)),))

    ends = [by_name[name, "int"] for name in ("len(_0)", "sum(_0)", "max(_0)")]
    corpus = [Call(end, (idiom(xs),)) for end in ends]
    corpus += [Call(first, (idiom(xs), n)), idiom(Call(first, (xs, Constant(4, "int"))))]
    return corpus, idiom(hole(0, "list"))


def test_compression_finds_a_planted_idiom():
    corpus, idiom = planted()
    library = learn_library(corpus)
    found = {one.body: one for one in library.abstractions}
    assert found[idiom].uses >= 3
    assert found[idiom].compression > 1
    assert (found[idiom].arguments, found[idiom].result) == (("list",), "list")


@settings(deadline=None, max_examples=25)
@given(st.lists(solutions(), max_size=8))
def test_whatever_is_learned_is_well_kinded_closed_and_used(found):
    library = learn_library(expression for _, expression in found)
    for one in library.abstractions:
        assert is_well_kinded(one.body)
        assert one.arguments
        assert one.uses > 1
        assert all(part.name.startswith("_") for part in walk(one.body) if isinstance(part, Variable))


def test_equal_solutions_and_wrongly_kinded_ones_teach_nothing():
    corpus, _ = planted()
    backwards = operator_of(LIST_OPERATORS, "_0[::-1]", "list")
    wrong = [Call(backwards, (Call(backwards, (Constant(n, "int"),)),)) for n in range(5)]
    renamed = substituted(corpus[3], {Variable("xs", "list", 0): Variable("other", "list", 0)})
    assert learn_library([corpus[3], renamed] * 3).abstractions == ()
    assert learn_library(wrong) == Library()
    assert learn_library([]) == Library()


def test_what_was_found_with_a_library_teaches_the_same_as_without():
    corpus, _ = planted()
    library = learn_library(corpus)
    operators = [one.operator() for one in library.abstractions]
    assert operators
    again = learn_library([rewrite(solution, operators) for solution in corpus])
    assert again == library


def test_without_stitch_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "stitch_core", None)
    with pytest.raises(ProposerError, match=r"pip install 'induce\[search\]'"):
        learn_library(planted()[0])


# --- As JSON -----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(data=st.data(), language=st.sampled_from(sorted(LANGUAGES)))
def test_a_library_survives_as_json(data, language):
    learned = data.draw(st.lists(abstractions(language=language), max_size=3))
    found = data.draw(st.lists(solutions(language=language), max_size=3))
    library = Library(tuple(learned), learn_library(expression for _, expression in found).counts)
    assert Library.from_json(library.to_json(), LANGUAGES[language][0]) == library


def test_operators_that_are_not_given_are_names_until_a_language_has_them():
    corpus, idiom = planted()
    library = learn_library(corpus)
    unbound = Library.from_json(library.to_json())
    assert unbound != library
    with pytest.raises(TypeError, match="by name alone"):
        evaluate(unbound.abstractions[0].body, [((1, 2),)])
    language = LISTS.problem(listed("f", sum)).language
    bound, again = (one.extend(language) for one in (library, unbound))
    assert [(o.name, o.cost, o.body) for o in learned_in(bound)] == [
        (o.name, o.cost, o.body) for o in learned_in(again)
    ]
    assert idiom in [operator.body for operator in learned_in(again)]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda it: it.pop("counts"), "counts: Field required"),
        (lambda it: it["abstractions"][0].update(uses=-1), "abstractions.0.uses"),
        (lambda it: it["abstractions"][0].update(body={"hole": 0, "kind": "list"}), "abstractions.0.body"),
        (lambda it: it["abstractions"][0]["body"].update(takes=["int"]), "another kind than it takes"),
        (lambda it: it["abstractions"][0]["body"].update(arguments=[]), "another kind than it takes"),
        (lambda it: leaf_of(it).update(hole=7), "holes 0, 1 and so on"),
        (lambda it: (leaf_of(it).pop("hole"), leaf_of(it).update(constant=[1])), "no constant"),
        (lambda it: (leaf_of(it).pop("hole"), leaf_of(it).update(constant={"$x": 1})), "not a library"),
    ],
)
def test_what_is_no_library_is_refused(change, complaint):
    stored = json.loads(learn_library(planted()[0]).to_json())
    change(stored)
    with pytest.raises(ValueError, match="not a library of abstractions") as error:
        Library.from_json(json.dumps(stored))
    assert complaint in str(error.value)


@settings(deadline=None)
@given(st.one_of(st.text(), st.binary(max_size=50), st.builds(lambda n: "[" * n, st.integers(0, 100_000))))
def test_any_other_text_is_refused(text):
    with pytest.raises(ValueError, match="not a library of abstractions"):
        Library.from_json(text)


def leaf_of(stored):
    part = stored["abstractions"][0]["body"]
    while "arguments" in part:
        part = part["arguments"][0]
    return part


# --- In a language -----------------------------------------------------------------------------------------

INPUTS = ([3, 1, 4, 1, 5, 9], [2, 7, 1, 8], [6, 0, 2, 2, 1, 4, 0], [5, 3, 8, 1, 1], [9, 4, 7, 3, 2, 6])
TEXTS = ("ab-cd,e-fg,.h", "x-yz.w-,uv.t", "123-4,5-6.,7.8", "pq,.r-st,.u-v,w", "k,l-m.no,p-q.r")
RULES = """
((S String (x "" "-" "," "." (str.++ S S) (str.substr S I I) (str.at S I)))
 (I Int (0 1 (+ I I) (- I I) (str.len S) (str.indexof S S I))))
"""


def listed(name, function):
    examples = tuple(Example(list(xs), function(xs)) for xs in INPUTS)
    return Task(name, examples, (), Signature((Parameter("xs"),)))


def in_grammar(name, function, rules=RULES):
    constraints = "".join(f'(constraint (= (f "{text}") "{function(text)}"))' for text in TEXTS)
    synth = f"(synth-fun f ((x String)) String {rules})"
    return parse_sygus(f"(set-logic SLIA) {synth} {constraints} (check-synth)", name)


def after(text, *marks):
    for mark in marks:
        text = text.split(mark, 1)[1]
    return text


FAMILY = [
    in_grammar("after a hyphen", lambda text: after(text, "-")),
    in_grammar("after a comma", lambda text: after(text, ",")),
    in_grammar("after a full stop, with one", lambda text: after(text, ".") + "."),
    in_grammar("after a comma, with a hyphen", lambda text: "-" + after(text, ",")),
]
HELD_OUT = [
    in_grammar("after two hyphens", lambda text: after(text, "-", "-")),
    in_grammar("after a hyphen and a comma", lambda text: after(text, "-", ",")),
    in_grammar("after three marks", lambda text: after(text, "-", ",", ".")),
]


def solve(problem, max_terms=2_000_000):
    """The first solution, and how many terms it took."""
    engine = Engine(problem)
    for found in engine.steps():
        if found is not None or engine.terms > max_terms:
            return found, engine.terms
    return None, engine.terms


def extended(problem, library):
    return replace(problem, language=library.extend(problem.language))


def learned_in(language):
    return [operator for operator in language.operators if isinstance(operator, LearnedOperator)]


@pytest.fixture(scope="module")
def library():
    return learn_library(solve(sygus_problem(task))[0] for task in FAMILY)


@pytest.mark.parametrize("task", HELD_OUT, ids=lambda task: task.id)
def test_a_learned_language_takes_fewer_terms_to_what_it_has_not_seen(task, library):
    problem = sygus_problem(task)
    plain, terms_without = solve(problem)
    assert plain is not None
    solution, terms_with = solve(extended(problem, library))
    assert holds(solution, problem)
    assert terms_with < terms_without / 10


@pytest.mark.parametrize("task", [*FAMILY, *HELD_OUT], ids=lambda task: task.id)
def test_a_solution_is_written_as_a_term_of_the_grammar(task, library):
    problem = extended(sygus_problem(task), library)
    solution, _ = solve(problem)
    assert inline(solution) != solution
    write = problem.language.define or problem.language.describe
    body = parse_define_fun(write(solution)).body
    assert is_term_of(body, task.grammar)
    assert all(evaluate_by_the_standard(body, {"x": one.input}) == one.output for one in task.examples)


def test_a_solution_is_printed_in_the_words_and_the_python_of_its_language(sandbox):
    by_name = {(one.name, one.result): one for one in LIST_OPERATORS}
    xs = Variable("xs", "list", 0)
    largest, smallest = (Call(by_name[f"{name}(_0)", "int"], (xs,)) for name in ("max", "min"))
    spread = Call(by_name["_0 - _1", "int"], (largest, smallest))
    seen = [Call(by_name["_0 * _1", "int"], (spread, Constant(n, "int"))) for n in (2, 3)]
    library = learn_library([spread, *seen])
    task = listed("spread added", lambda xs: [x + max(xs) - min(xs) for x in xs])
    problem = extended(LISTS.problem(task), library)
    solution, terms = solve(problem)
    assert solve(LISTS.problem(task), max_terms=20 * terms)[0] is None
    assert any(
        isinstance(part.operator, LearnedOperator) for part in walk(solution) if isinstance(part, Call)
    )
    assert problem.language.describe(solution) == sentence_of(inline(solution))
    program = problem.language.implement(solution)
    assert [run.value for run in sandbox.run(program, [one.input for one in task.examples], Limits())] == [
        one.output for one in task.examples
    ]


def test_a_library_applies_only_where_its_operators_and_constants_are(library):
    language = sygus_problem(HELD_OUT[0]).language
    (learned,) = learned_in(library.extend(language))
    assert learned.arguments == ("S", "S")
    renamed = re.sub(r"\b([SI])\b", r"\1_", RULES)
    other = sygus_problem(in_grammar("other names", after_hyphen, renamed)).language
    assert library.extend(other) is other
    without = sygus_problem(in_grammar("no 1", after_hyphen, RULES.replace("0 1", "0"))).language
    assert not learned_in(library.extend(without))
    plus = {one.name: one.cost for one in library.extend(without).operators}
    assert plus["str.indexof"] < plus["str.at"]  # it was used, though inside the abstraction only


def test_costs_are_bits_and_what_was_used_is_cheap(library):
    language = sygus_problem(HELD_OUT[0]).language
    refitted = library.extend(language)
    costs = {one.name: one.cost for one in refitted.operators}
    assert all(isinstance(cost, int) and cost >= 1 for cost in costs.values())
    assert costs["fn_0"] < costs["str.substr"]
    assert costs["fn_0"] < costs["str.at"]
    for kind in ("S", "I"):
        heads = [one for one in (*refitted.leaves, *refitted.operators) if rule_of(one).kind == kind]
        assert sum(2.0**-one.cost for one in heads) < 1.6  # a probability, but for rounding
    assert refitted.concatenations["S"] in refitted.operators
    assert [one.name for one in library.extend(refitted).operators] == [*costs]


def after_hyphen(text):
    return after(text, "-")
