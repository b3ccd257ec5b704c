"""Programs made up from the language that the fast path allows mean the same in Monty and in CPython."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from sandboxes import EmbeddedSandbox, Execution, Limits, Program
from sandboxes.values import canonical

pytest.importorskip("pydantic_monty")

from sandboxes.fast_path import FastSandbox

LIMITS = Limits(seconds=1)

numbers = st.sampled_from(["0", "1", "2", "-1", "3", "7", "10", "len(x)", "len(y)", "n", "100000000000"])
lists = st.sampled_from(["x", "y", "[]", "[n]", "[1, 2, 3]", "list(range(n % 7))"])
texts = st.sampled_from(["''", "'a'", "'b a'", "'Ab,c'", "str(n)", "str(x)"])


def number_from(numbers: Any, lists: Any) -> Any:
    return st.one_of(
        st.builds("({} {} {})".format, numbers, st.sampled_from("+ - * // % & | ^ >>".split()), numbers),
        st.builds("{}({})".format, st.sampled_from(["abs", "-", "~", "int", "round"]), numbers),
        st.builds("{}({})".format, st.sampled_from(["len", "sum", "max", "min"]), lists),
        st.builds("{}[{}]".format, lists, numbers),
        st.builds("{}.{}({})".format, lists, st.sampled_from(["index", "count"]), numbers),
        st.builds("sum(v {} {} for v in {})".format, st.sampled_from("+ - * // %".split()), numbers, lists),
        st.builds("int({} / {})".format, numbers, numbers),
        st.builds("({} if {} {} {} else {})".format, numbers, numbers, comparisons, numbers, numbers),
        st.builds("max({}, key=lambda v: v % 3)".format, lists),
        st.builds("len(set({}))".format, lists),
        st.builds("divmod({}, {})[1]".format, numbers, numbers),
        st.builds("({} ** {})".format, numbers, st.sampled_from("0 1 2 5 20".split())),
    )


comparisons = st.sampled_from("== != < <= > >=".split())


def list_from(numbers: Any, lists: Any) -> Any:
    return st.one_of(
        st.builds("({} + {})".format, lists, lists),
        st.builds("({} * ({} % 4))".format, lists, numbers),
        st.builds("{}[{}:{}]".format, lists, numbers, numbers),
        st.builds("{}[::{}]".format, lists, numbers),
        st.builds("sorted({}, reverse={} > 0)".format, lists, numbers),
        st.builds("sorted({}, key=lambda v: (v % 3, -v))".format, lists),
        st.builds("sorted(set({}) {} set({}))".format, lists, st.sampled_from("&|-^"), lists),
        st.builds("[v {} {} for v in {} if v {} {}]".format, operators, numbers, lists, comparisons, numbers),
        st.builds("[a - b for a, b in zip({}, {})]".format, lists, lists),
        st.builds("[i * v for i, v in enumerate({})]".format, lists),
        st.builds("list(map(lambda v: v + {}, {}))".format, numbers, lists),
        st.builds("list(filter(lambda v: v {} {}, {}))".format, comparisons, numbers, lists),
        st.builds("list(reversed({}))".format, lists),
        st.builds("list(dict.fromkeys({}))".format, lists),
        st.builds("[v for v in {} if v not in {}]".format, lists, lists),
        st.builds("[int(c) for c in str({}) if c.isdigit()]".format, numbers),
        st.builds("[v for p in zip({}, {}) for v in p]".format, lists, lists),
    )


operators = st.sampled_from("+ - * // % & |".split())
for _ in range(2):
    numbers, lists = (
        st.one_of(numbers, number_from(numbers, lists)),
        st.one_of(lists, list_from(numbers, lists)),
    )
texts = st.one_of(
    texts,
    st.builds("{}.{}()".format, texts, st.sampled_from("upper lower strip".split())),
    st.builds("{}.replace({}, {})".format, texts, texts, texts),
    st.builds("{}[{}:{}]".format, texts, numbers, numbers),
    st.builds("{}.join(str(v) for v in {})".format, texts, lists),
    st.builds("({} + {})".format, texts, texts),
)

conditions = st.one_of(
    st.builds("{} {} {}".format, numbers, comparisons, numbers),
    st.builds("{} {} {}".format, lists, comparisons, lists),
    st.builds("{} in {}".format, numbers, lists),
    st.builds("any(v > {} for v in {})".format, numbers, lists),
    st.builds("not {}".format, lists),
    st.builds("{} < {} <= {}".format, numbers, numbers, numbers),
)
simple = st.one_of(
    st.builds("n = {}".format, numbers),
    st.builds("n {}= {}".format, operators, numbers),
    st.builds("y = {}".format, lists),
    st.builds("y.append({})".format, numbers),
    st.builds("y.insert({}, {})".format, numbers, numbers),
    st.builds("y.extend({})".format, lists),
    st.builds("y.remove({})".format, numbers),
    st.builds("y.pop({})".format, numbers),
    st.builds("y += {}".format, lists),
    st.builds("y[{}] = {}".format, numbers, numbers),
    st.builds("y[{}:{}] = {}".format, numbers, numbers, lists),
    st.builds("y[0], y[-1] = y[-1], y[{}]".format, numbers),
    st.sampled_from(
        ["y.sort()", "y.reverse()", "x.sort(reverse=True)", "x.pop()", "y = x", "n, m = 1, n", "z = {}"]
    ),
    st.builds("z[{}] = {}".format, numbers, numbers),
    st.builds("if {}: return {}".format, conditions, st.one_of(numbers, lists, texts)),
)


def blocks(inner: Any) -> Any:
    def indented(head: str, body: list[str]) -> str:
        lines = "\n".join(body).split("\n")
        return "\n".join([head, *("    " + line for line in lines)])

    heads = st.one_of(
        st.builds("for n in {}:".format, lists),
        st.builds("for i, v in enumerate({}):".format, lists),
        st.builds("for a, b in zip({}, {}):".format, lists, lists),
        st.builds("for i in range({} % 9):".format, numbers),
        st.builds("if {}:".format, conditions),
        st.just("for k, v in z.items():"),
    )
    return st.builds(indented, heads, st.lists(inner, min_size=1, max_size=3))


statements = st.one_of(simple, blocks(simple), blocks(st.one_of(simple, blocks(simple))))
results = st.one_of(
    numbers,
    lists,
    texts,
    st.sampled_from(["[x, y, n, z]", "(n, [y])", "x", "y", "set(y)", "sum(x) / len(y)", "z"]),
)


@st.composite
def programs(draw: st.DrawFn) -> str:
    lines = ["y = []", "z = {}", "n = 0", *draw(st.lists(statements, max_size=5)), f"return {draw(results)}"]
    return "\n".join(["def f(x):", *("    " + line for text in lines for line in text.split("\n"))])


@pytest.fixture(scope="module")
def sandboxes():
    with EmbeddedSandbox(servers=1) as embedded, FastSandbox(EmbeddedSandbox(servers=1), servers=1) as fast:
        yield fast, embedded


def shown(executions: list[Execution]) -> list[tuple[object, ...]]:
    return [(e.status, canonical(e.value), repr(e.value), e.error, e.stdout) for e in executions]


def agree(sandboxes: tuple[FastSandbox, EmbeddedSandbox], source: str, inputs: list[Any]) -> None:
    fast, embedded = sandboxes
    taken = fast.taken
    found = fast.run(Program(source, "f"), inputs, LIMITS)
    event("taken" if fast.taken > taken else "passed on")
    if fast.taken > taken:
        assert shown(found) == shown(embedded.run(Program(source, "f"), inputs, LIMITS)), source


inputs = st.lists(
    st.lists(st.integers(-20, 20) | st.integers(-(2**63), 2**63 - 1), max_size=6), min_size=1, max_size=3
)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), inputs)
def test_generated_programs(sandboxes, source, inputs):
    agree(sandboxes, source, inputs)


@pytest.mark.slow
@settings(max_examples=3_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs(), inputs)
def test_many_generated_programs(sandboxes, source, inputs):
    agree(sandboxes, source, inputs)
