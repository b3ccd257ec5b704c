"""The language of all values: what is done with each element, learned tables, lists of one length."""

import os
import random
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_expressions import VALUES_OF, assert_agree, expressions, listed, problem_in

from hypotheses.equality import equal
from hypotheses.search import search, tables
from hypotheses.search.comprehensions import Source, endings, loop_over_both, loops_over
from hypotheses.search.language import Call, Constant, Variable, holds
from hypotheses.search.value_operators import ELEMENTS, OPERATORS
from hypotheses.search.values import VALUES
from hypotheses.task import Example, Parameter, Signature, Task
from sandboxes import Limits

GIVEN = {"str": "a1", "list": (1, 2), "texts": ("a", "b"), "lists": ((1,), (2, 3)), "int": 3, "float": 0.5}


@settings(deadline=None, max_examples=300)
@given(data=st.data(), kind=st.sampled_from(["texts", "lists", "float", "str", "list", "int", "bool"]))
def test_python_means_what_was_evaluated(sandbox, data, kind):
    kinds = ("str", "list", "texts", "lists", "int", "float")
    variables = [Variable(f"x{place}", one, place) for place, one in enumerate(kinds)]
    expression = data.draw(expressions(OPERATORS, variables, kind, 2))
    rows = data.draw(st.lists(st.tuples(*(VALUES_OF[one] for one in kinds)), min_size=1, max_size=3))
    problem = problem_in(VALUES, [GIVEN[one] for one in kinds], 1)
    assert_agree(sandbox, problem.language.implement(expression), expression, rows)


@settings(deadline=None, max_examples=300)
@given(data=st.data(), kind=st.sampled_from(["str", "list", "texts", "lists", "int"]))
def test_python_of_a_comprehension_means_what_was_evaluated(sandbox, data, kind):
    """Whatever is looped over, whatever becomes of it; the arguments are even called like loop variables."""
    names = (data.draw(st.sampled_from(["x", "number", "char", "word", "left", "item"])), "k")
    both = data.draw(st.booleans()) and kind in ELEMENTS
    loop = loop_over_both(kind, kind) if both else data.draw(st.sampled_from(loops_over(kind)))
    given_ = Variable(names[0], kind, 0)
    source = Source((given_, given_) if both else (given_,), kind, loop)
    single = len(loop.variables) == 1
    ending = data.draw(st.sampled_from([one for one in endings(kind) if single or not one.whole]))
    bound = len(loop.variables)
    around = [Variable(names[0], kind, bound), Variable(names[1], "int", bound + 1)]
    body = data.draw(expressions(OPERATORS, [*loop.variables, *around], ending.body, 1))
    whole = source.comprehension(ending, body)
    if whole is None:
        return
    rows = data.draw(st.lists(st.tuples(VALUES_OF[kind], VALUES_OF["int"]), min_size=1, max_size=3))
    problem = problem_in(VALUES, [GIVEN[kind], 2], 1, names)
    assert problem.language.describe(whole).startswith("The output is ")
    assert_agree(sandbox, problem.language.implement(whole), whole, rows)


def examples(function, *inputs):
    return Task.from_pairs([(given, function(given)) for given in inputs])


WORDS = [
    "the quick brown fox", "jumps over", "a lazy dog", "pack my box", "with five dozen", "liquor jugs",
    "sphinx of black quartz", "judge my vow", "how vexingly quick", "daft zebras jump", "waltz bad nymph",
    "for quick jigs vex", "glib jocks quiz", "nymph to vex dwarf", "crazy frederick", "bought many very",
    "exquisite opal", "jewels we promptly", "judged antique ivory", "buckles for the next",
]  # fmt: skip
LISTS = [[3, 1, 2], [5], [9, 9, 4, 1], [0, 7, 7, 2, 8], [6, 2], [10, 3, 5, 5, 1, 2], [4, 4, 4], [8, 1, 0, 6],
         [2, 11, 3], [7, 5, 12, 1, 9], [1, 1, 6], [13, 0, 2, 4], [3, 8, 8], [20, 5, 1], [6, 6, 1, 9, 0],
         [5, 4, 3, 2, 1], [12, 15, 7], [2, 2, 9, 30]]  # fmt: skip
MORSE = dict(zip("abcdefghijklmnopqrstuvwxyz ", [f"<{i * 7 % 31}>" for i in range(27)], strict=True))
WORTH = {letter: place * place % 17 for place, letter in enumerate("abcdefghij")}
_DRAW = random.Random(1)
LETTERS = ["".join(_DRAW.choices("abcdefghij", k=_DRAW.randint(2, 7))) for _ in range(40)]

TASKS = {
    "vowels hidden": (examples(lambda x: "".join("*" if c in "aeiou" else c for c in x), *WORDS),
                      "open sesame", "*p*n s*s*m*"),
    "letters exchanged": (examples(lambda x: x.translate(str.maketrans("aeiou", "eioua")), *WORDS),
                          "a bigger uproar", "e boggir apruer"),
    "letters to codes": (examples(lambda x: "-".join(MORSE[c] for c in x), *WORDS),
                         "abc", "-".join(MORSE[c] for c in "abc")),
    "vowels counted": (examples(lambda x: sum(c in "aeiou" for c in x), *WORDS), "open sesame", 5),
    "vowels dropped": (examples(lambda x: "".join(c for c in x if c not in "aeiou"), *WORDS),
                       "open sesame", "pn ssm"),
    "letters' worth": (examples(lambda x: sum(WORTH[c] for c in x), *LETTERS), "badge",
                       sum(WORTH[c] for c in "badge")),
    "words by length": (examples(lambda x: " ".join(sorted(x.split(), key=len)), *WORDS),
                        "four thirteen one", "one four thirteen"),
    "long words shouted": (examples(lambda x: " ".join(w.upper() if len(w) > 4 else w for w in x.split()),
                                    *WORDS),
                           "whose turn is it", "WHOSE turn is it"),
    "squares of the even": (examples(lambda x: sum(n * n for n in x if n % 2 == 0), *LISTS), [1, 2, 4], 20),
    "how often the largest": (examples(lambda x: sum(n == max(x) for n in x), *LISTS), [9, 2, 9], 2),
    "least and greatest": (examples(lambda x: [min(x), max(x), len(x)], *LISTS), [4, 2, 8], [2, 8, 3]),
    "name and size": (examples(lambda x: [x.split()[0].upper(), len(x)], *WORDS), "ab c", ["AB", 4]),
    "half": (examples(lambda x: x / 2, *range(3, 30)), 7, 3.5),
    "with thousands": (examples(lambda x: f"{x:,}", *range(3, 900_000, 71_003)), 1234567, "1,234,567"),
    "rows summed": (
        examples(lambda x: [sum(row) for row in x], *[LISTS[i : i + 1 + i % 4] for i in range(14)]),
        [[1, 2], [], [5]],
        [3, 0, 5],
    ),
    "words to initials": (examples(lambda x: [w[0] for w in x.split()], *WORDS), "so it is", ["s", "i", "i"]),
}  # fmt: skip


@pytest.mark.parametrize("name", TASKS)
def test_solves_and_generalises(sandbox, name):
    task, query, answer = TASKS[name]
    result = search(task, seconds=None, max_terms=3_000_000)
    assert result.found is not None, result.report
    (run,) = sandbox.run(result.found.program, [query], Limits())
    assert run.ok, result.found.program.source
    assert equal(run.value, answer), result.found.program.source


def test_arguments_may_be_called_like_builtins_and_loop_variables(sandbox):
    pairs = [
        ({"sum": a, "item": b, "class": "x" * a}, [a + b * 2, "x"])
        for a, b in [(3, 1), (5, 5), (9, 2), (4, 7)]
    ]
    result = search(Task.from_pairs(pairs, call="keyword"), seconds=None, max_terms=500_000)
    assert result.found is not None
    (run,) = sandbox.run(result.found.program, [{"sum": 10, "item": 20, "class": "xy"}], Limits())
    assert run.value == [50, "x"], result.found.program.source


def test_a_table_is_not_believed_on_few_examples():
    """Five texts, each letter seen once or twice: any table would do, so none is offered."""
    pairs = [list(zip("abcd", "wxyz", strict=True)), list(zip("dcba", "zyxw", strict=True))]
    assert tables.translation(pairs) is None
    assert tables.translation([[(f"k{i}", i)] for i in range(40)]) is None, "each key is seen only once"
    assert tables.translation(pairs * 5) == dict(zip("abcd", "wxyz", strict=True))
    assert tables.translation([*pairs * 5, [("a", "q")]]) is None, "a letter with two translations"


def test_weights_need_more_examples_than_unknowns():
    worth = {"a": 3, "b": 0, "c": -2}
    counts = [Counter(text) for text in ("a", "ab", "abc", "cc", "bca", "aab", "c")]
    totals = [sum(worth[c] * times for c, times in one.items()) for one in counts]
    assert tables.weights(counts, totals) == worth
    assert tables.weights(counts[:5], totals[:5]) is None
    assert tables.weights(counts, [*totals[:-1], totals[-1] + 1]) is None
    assert tables.weights([Counter("ab")] * 9, [3] * 9) is None, "a and b are never told apart"


@given(st.lists(st.text("abcdef", max_size=8), min_size=8, max_size=20), st.sets(st.sampled_from("abcdef")))
def test_what_is_believed_of_a_filter_is_right_on_all_examples(texts, dropped):
    outputs = ["".join(c for c in text if c not in dropped) for text in texts]
    found = tables.kept(texts, outputs)
    if found is not None:
        keeps, letters = found
        again = ["".join(c for c in text if (c in letters) == keeps) for text in texts]
        assert again == outputs


def test_a_phrase_never_takes_a_constant_for_a_placeholder():
    loop = loops_over("str")[0]
    ending = next(one for one in endings("str") if one.name == "filter")
    source = Source((Variable("x", "str", 0),), "str", loop)
    member = next(one for one in OPERATORS if one.name == "_0 in _1" and one.arguments == ("str", "str"))
    assert source.comprehension(ending, Call(member, (loop.variables[0], Constant("_7", "str")))) is None
    assert source.comprehension(ending, Call(member, (loop.variables[0], Constant("_", "str")))) is not None


def test_the_work_is_counted_and_limited():
    hopeless = Task.from_pairs([(f"{i * 7919 % 104729}", f"{i * i * 104651 % 99991}") for i in range(20)])
    result = search(hopeless, seconds=None, max_terms=200_000)
    assert result.report.reason == "budget"
    assert 200_000 <= result.report.terms < 260_000


NUMBERS = st.one_of(st.integers(), st.just(10**400), st.floats())


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(NUMBERS | st.text(max_size=300), NUMBERS), min_size=1, max_size=4))
def test_no_number_is_too_large_or_too_odd(pairs):
    """Whole numbers beyond all floats, infinities, what is not a number: a search ends as any other."""
    result = search(Task.from_pairs(pairs), seconds=None, max_terms=3_000)
    assert result.report.reason in {"solved", "budget", "exhausted", "unsupported"}


DATA = st.one_of(VALUES_OF.values()).map(listed)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), count=st.integers(1, 9))
def test_no_task_makes_the_search_fail(data, count):
    """Whatever its values: of one kind each, or of any."""
    kinds = data.draw(st.lists(st.sampled_from([DATA, *VALUES_OF.values()]), min_size=2, max_size=4))
    *inputs, output = [kind.map(listed) for kind in kinds]
    pairs = data.draw(st.lists(st.tuples(st.tuples(*inputs).map(list), output), min_size=1, max_size=count))
    result = search(Task.from_pairs(pairs, call="positional"), seconds=None, max_terms=60_000)
    assert result.found is None or holds(result.found.expression, result.found.problem)


def test_loop_variables_of_the_body_and_of_the_loop_stay_apart(sandbox):
    """An argument, the loop over it and a loop in its body are all called alike."""
    text = Variable("char", "str", 0)
    loop = loops_over("str")[0]
    inner = next(one for one in OPERATORS if one.name == "''.join([char for char in _0 if char in _1])")
    mapped = next(one for one in endings("str") if one.name == "map" and one.body == "str")
    body = Call(inner, (Variable("y", "str", 2), loop.variables[0]))
    whole = Source((text,), "str", loop).comprehension(mapped, body)
    problem = problem_in(VALUES, ["ab", "ba"], ["a", "b"], ("char", "y"))
    assert_agree(sandbox, problem.language.implement(whole), whole, [("hello", "banana"), ("nab", "banana")])


@pytest.mark.parametrize("name", ["sum", "sorted", "class", "is_prime", "divisors", "math", "x", "µ", "f"])
def test_a_function_may_be_called_like_what_it_calls(sandbox, name):
    inputs = [[3, 5, 1], [4, 4, 6, 0], [7], [9, 2], [6, 6, 6]]
    examples_ = tuple(Example(x, sum(sorted(x)[:2])) for x in inputs)
    task = Task("t", examples_, (), Signature((Parameter("x"),), name=name))
    found = search(task, seconds=None, max_terms=500_000).found
    runs = sandbox.run(found.program, inputs, Limits())
    assert [run.value for run in runs] == [one.output for one in examples_], found.program.source


@pytest.mark.parametrize("names", [("µ", "ﬁ"), ("x²", "\u017fum"), ("first name", "1st")])
def test_arguments_may_be_called_as_python_would_not_call_them(sandbox, names):
    pairs = [(dict(zip(names, (a, b), strict=True)), a - b) for a, b in [(5, 2), (9, 9), (1, 4)]]
    found = search(Task.from_pairs(pairs, call="keyword"), seconds=None, max_terms=50_000).found
    (run,) = sandbox.run(found.program, [dict(zip(names, (50, 8), strict=True))], Limits())
    assert run.value == 42, (found.program.source, run)


def test_words_with_placeholders_of_phrases_in_them():
    words = ["_1", "_7", "_0x", "_2"]
    rows = [words[i % 4 :] + words[: i % 3] for i in range(24)]
    task = Task.from_pairs([(row, [f"<{word[1:]}{len(word)}>"[::-1] for word in row]) for row in rows])
    found = search(task, seconds=None, max_terms=1_000_000).found
    assert found is not None
    assert found.text.startswith("The output is")


@pytest.mark.parametrize(
    "pairs",
    [
        [([1], 1), ([1, 2], [])],
        [(1, 2), ([], 3)],
        [("a", "x"), ("b", [])],
        [([1, []], 1)],
        [([[], [1]], 1)],
        [(3, 10**5000)],
        [(["a"], 10**400 + i) for i in range(20)],
    ],
)
def test_odd_tasks_end_as_any_other(pairs):
    result = search(Task.from_pairs(pairs), seconds=None, max_terms=30_000)
    assert (result.found is None) == (result.report.reason != "solved")


def test_queries_of_another_form_are_not_searched():
    task = Task.from_pairs([({"a": 1}, 2), ({"a": 5}, 6)], queries=[{"b": 3}], call="keyword")
    assert search(task, seconds=None, max_terms=1_000).report.reason == "unsupported"


@pytest.mark.parametrize(
    "task",
    [
        Task.from_pairs([(i * 7919 % 5003, i * i % 4999) for i in range(5_000)]),
        Task.from_pairs([(f"{i * 7919 % 5003} " * 50, f"{i * i % 4999}") for i in range(2_000)]),
        Task.from_pairs([(f"{i}" * 200_000, f"{i * 7919 % 97}") for i in range(5)]),
        Task.from_pairs([(list(range(i, 2_000 + i)), i * i % 97) for i in range(50)]),
    ],
    ids=["many numbers", "many texts", "huge texts", "long lists"],
)
def test_a_deadline_is_kept_whatever_the_size(task):
    assert search(task, seconds=0.5).report.seconds < 3


def test_the_same_terms_give_the_same_whatever_the_order_of_sets():
    """Each process has its own order of sets."""
    script = """
from hypotheses.search import search
from induce import Task
pairs = [([f"a{m}{i}{n}z" for m, n in ((":", "-"), ("/", "+"), (";", "!"))], f"{i}") for i in range(20)]
found = search(Task.from_pairs(pairs), seconds=None, max_terms=60_000)
print(found.report.terms, found.found)
"""
    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
        ).stdout.partition(" at 0x")[0]
        for seed in range(3)
    }
    assert len(said) == 1


def test_a_record_whose_entries_wait_is_found_when_time_is_up():
    pairs = [(x, [x[-1] + "-" + x[:3] + "." + x[1], len(x)]) for x in ("abcdef", "ghij", "klmno")]
    task = Task.from_pairs(pairs)
    assert search(task, seconds=None, max_terms=900_000).found is not None
