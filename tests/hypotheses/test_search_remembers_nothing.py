"""Solutions are found, not remembered: nothing of the benchmarks is in the packages, and tasks may be varied.

Each family of tasks below is drawn anew, with other names, separators and numbers, and examples in any order.
What is found must be right on inputs that it has not seen, by a rule written here.
"""

import json
import re
import string
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hypotheses.equality import equal
from hypotheses.search import search
from hypotheses.task import Example, Task, infer_signature
from induce.tasks import load_tasks
from induce.tasks.sygus import parse_sygus
from sandboxes import Limits

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("gnn_compile", "hypotheses", "induce", "memory", "ray_jobs", "sandboxes")
LEAST_TEXT = 12
"""Shorter outputs stand in any text by chance."""

FENCED = re.compile(r"```lisp\n(.*?)```", re.DOTALL)
LEAST_TERM = 30
"""Shorter terms, such as the first character of a name, are anybody's."""

TERMS = 2_000_000


def source_files():
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*"))]
    return {
        path.relative_to(ROOT): path.read_text(encoding="utf-8")
        for path in paths
        if path.is_file() and path.suffix != ".pyc"
    }


def labelled(folder):
    return list(load_tasks(folder, skip_bad=lambda _: None).labelled())


@pytest.mark.benchmark_data
def test_no_package_names_a_task_of_a_benchmark(benchmark_data):
    stems = {path.stem for path in (benchmark_data / "sygus" / "PBE_SLIA_Track").rglob("*.sl")}
    names = {stem for stem in stems if re.search(r"[0-9_-]", stem)}
    names |= {path.name for path in (benchmark_data / "prose" / "Transformation.Text").iterdir()}
    names |= {one.task.id for one in labelled(benchmark_data / "mir" / "shots.jsonl")}
    assert len(names) > 400
    list_functions = r"c[0-9]{3}"
    pattern = re.compile(rf"(?<![\w.])({'|'.join(map(re.escape, sorted(names)))}|{list_functions})(?![\w])")
    assert {path: found[0] for path, text in source_files().items() if (found := pattern.search(text))} == {}


@pytest.mark.benchmark_data
def test_no_package_holds_an_answer_of_a_benchmark(benchmark_data):
    answers = set()
    for folder in ("sygus/PBE_SLIA_Track", "prose/Transformation.Text", "mir/shots.jsonl"):
        for one in labelled(benchmark_data / folder):
            outputs = [example.output for example in one.task.examples] + list(one.answers.values())
            answers |= {text for text in outputs if isinstance(text, str) and len(text) >= LEAST_TEXT}
    completions = benchmark_data / "sygus" / "gpt4o_completions.jsonl"
    terms = {
        " ".join(term.split())
        for line in completions.read_text(encoding="utf-8").splitlines()
        for term in FENCED.findall(json.loads(line)["response"])
    }
    answers |= {term for term in terms if len(term) >= LEAST_TERM}
    assert len(answers) > 2000
    for path, text in source_files().items():
        assert [answer for answer in answers if answer in text] == [], path


@dataclass(frozen=True)
class Variant:
    """A task drawn from a family, and what its rule gives on inputs that are not among the examples."""

    task: Task
    unseen: list[tuple]


WORDS = st.text(string.ascii_letters, min_size=2, max_size=9)
SEPARATORS = st.sampled_from("@#/:|~;_=")
NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=6).map(lambda name: f"{name}_")
NUMBERS = st.integers(-50, 99)
LISTS = st.lists(NUMBERS, min_size=3, max_size=8)


def pairs_of(draw, inputs, rule, count=7, unseen=4):
    """Draw distinct inputs; give the examples in any order, and the unseen pairs."""
    given_inputs = draw(st.lists(inputs, min_size=count + unseen, max_size=count + unseen, unique_by=repr))
    pairs = [(value, rule(value)) for value in given_inputs]
    return draw(st.permutations(pairs[:count])), pairs[count:]


def own(pairs, unseen, **signature):
    examples = tuple(Example(*pair) for pair in pairs)
    call = signature.pop("call", "single")
    return Variant(Task("t", examples, (), infer_signature(examples, call, **signature)), unseen)


def in_grammar(name, parameter, sort, groups, pairs, unseen, write):
    constraints = "".join(f"(constraint (= ({name} {write(x)}) {write(y)}))" for x, y in pairs)
    head = f"(synth-fun {name} (({parameter} {sort})) {sort} ({groups}))"
    return Variant(parse_sygus(head + constraints, "t"), unseen)


@st.composite
def before_a_separator_in_capitals(draw):
    mark = draw(SEPARATORS)
    inputs = st.tuples(WORDS, WORDS).map(mark.join)
    return own(*pairs_of(draw, inputs, lambda x: x.split(mark)[0].upper()))


@st.composite
def after_the_last_separator(draw):
    mark = draw(SEPARATORS)
    inputs = st.lists(WORDS, min_size=2, max_size=4).map(mark.join)
    return own(*pairs_of(draw, inputs, lambda x: x.rsplit(mark, 1)[1]))


@st.composite
def last_name_and_initial(draw):
    first, last = draw(st.lists(NAMES, min_size=2, max_size=2, unique=True))
    joiner = draw(st.sampled_from([", ", "; ", "/", " - "]))
    inputs = st.fixed_dictionaries({first: WORDS, last: WORDS})
    return own(*pairs_of(draw, inputs, lambda x: f"{x[last]}{joiner}{x[first][0]}."), call="keyword")


@st.composite
def wrapped_in_constants(draw):
    left, right = draw(WORDS), draw(WORDS)
    return own(*pairs_of(draw, WORDS, lambda x: f"{left} {x} ({right})"))


@st.composite
def elements_above_a_threshold(draw):
    least = draw(st.integers(2, 60))
    others = st.lists(st.integers(0, 99), min_size=2, max_size=6)
    inputs = others.flatmap(lambda xs: st.permutations([*xs, least, least + 1]))  # else it might be another
    return own(*pairs_of(draw, inputs, lambda xs: [x for x in xs if x > least]))


@st.composite
def every_element_changed(draw):
    factor, offset = draw(st.integers(2, 5)), draw(st.integers(1, 9))
    return own(*pairs_of(draw, LISTS, lambda xs: [factor * x + offset for x in xs]))


@st.composite
def the_sum_and_an_offset(draw):
    offset = draw(st.integers(1, 30))
    return own(*pairs_of(draw, LISTS, lambda xs: sum(xs) + offset))


@st.composite
def the_rest_backwards(draw):
    count = draw(st.integers(1, 3))
    return own(*pairs_of(draw, st.lists(NUMBERS, min_size=4, max_size=8), lambda xs: xs[count:][::-1]))


@st.composite
def swapped_around_a_mark_in_a_grammar(draw):
    mark, joiner = draw(SEPARATORS), draw(st.sampled_from(["-", " ", "+"]))
    name, parameter = draw(st.lists(NAMES, min_size=2, max_size=2, unique=True))
    groups = f"""(S String ({parameter} "{mark}" "{joiner}" (str.++ S S) (str.substr S I I)))
        (I Int (0 1 (+ I I) (- I I) (str.len S) (str.indexof S S I)))"""
    inputs = st.tuples(WORDS, WORDS).map(mark.join)
    pairs, unseen = pairs_of(draw, inputs, lambda x: joiner.join(x.split(mark)[::-1]))
    return in_grammar(name, parameter, "String", groups, pairs, unseen, lambda text: f'"{text}"')


@st.composite
def bits_flipped_and_shifted(draw):
    constant, distance = draw(st.integers(3, 2**32)), draw(st.integers(1, 3))
    name, parameter = draw(st.lists(NAMES, min_size=2, max_size=2, unique=True))

    def write(number):
        return f"#x{number:016x}"

    groups = f"""(B (_ BitVec 64) ({parameter} {write(constant)} {write(1)} (bvnot B) (bvand B B) (bvor B B)
        (bvxor B B) (bvadd B B) (bvlshr B D))) (D (_ BitVec 64) ({" ".join(map(write, range(1, 4)))}))"""
    inputs = st.integers(0, 2**64 - 1)
    pairs, unseen = pairs_of(draw, inputs, lambda x: (x ^ constant) >> distance)
    return in_grammar(name, parameter, "(_ BitVec 64)", groups, pairs, unseen, write)


@st.composite
def dates_written_otherwise(draw):
    mark = draw(st.sampled_from("./ "))
    days = st.dates(date(1900, 1, 1), date(2099, 12, 31)).map(date.isoformat)
    return own(*pairs_of(draw, days, lambda x: f"{date.fromisoformat(x):%d{mark}%m{mark}%Y}"))


@st.composite
def a_linear_function(draw):
    factor, offset = draw(st.integers(2, 20)), draw(st.integers(-20, 20))
    return own(*pairs_of(draw, NUMBERS, lambda x: factor * x + offset))


@st.composite
def amounts_with_a_currency(draw):
    currency = draw(st.sampled_from(["$", "EUR ", "£"]))
    amounts = st.integers(100, 99_999).map(lambda cents: f"{cents // 100}.{cents % 100:02}")
    return own(*pairs_of(draw, amounts, lambda x: f"{currency}{int(float(x) + 0.5)}.00"))


FAMILIES = [
    before_a_separator_in_capitals,
    after_the_last_separator,
    last_name_and_initial,
    wrapped_in_constants,
    elements_above_a_threshold,
    every_element_changed,
    the_sum_and_an_offset,
    the_rest_backwards,
    swapped_around_a_mark_in_a_grammar,
    bits_flipped_and_shifted,
    dates_written_otherwise,
    a_linear_function,
    amounts_with_a_currency,
]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
@settings(deadline=None, max_examples=5, derandomize=True, phases=[Phase.generate])
@given(data=st.data())
def test_a_task_is_solved_whatever_its_names_constants_and_order(sandbox, family, data):
    variant = data.draw(family())
    found = search(variant.task, seconds=None, max_terms=TERMS).found
    assert found is not None, variant.task.examples
    runs = sandbox.run(found.program, [value for value, _ in variant.unseen], Limits())
    for (value, wanted), run in zip(variant.unseen, runs, strict=True):
        assert equal(run.value, wanted), (value, wanted, run, found.rule)
