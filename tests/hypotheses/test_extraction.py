"""What is read out of the answers of a language model."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypotheses.extraction import extract_code, extract_prose, extract_rule, make_program
from hypotheses.task import Parameter, Signature

SIGNATURE = Signature((Parameter("x", "list[int]"),), "list[int]", "fn", "single")


def test_rule_is_what_follows_the_first_mark():
    assert (
        extract_rule("Let me see.\n\nRule: Take the first. Rule: twice.\n") == "Take the first. Rule: twice."
    )
    assert extract_rule("  just the rule ") == "just the rule"


def test_last_fenced_block_is_the_code():
    answer = "First try:\n```python\na = 1\n```\nBetter:\n```python\ndef fn(x):\n    return x\n```\nDone."
    assert extract_code(answer) == "def fn(x):\n    return x"
    assert extract_prose(answer) == "First try:\n\nBetter:\n\nDone."


@pytest.mark.parametrize(
    "truncated", ["```python\ndef fn(x):\n    return x[", "Here:\n```\ndef fn(x): return x", "```"]
)
def test_truncated_code_is_no_code(truncated):
    assert extract_code(truncated) is None


def test_code_without_fence_counts_only_if_it_defines_something():
    assert extract_code("def fn(x):\n    return x\n") == "def fn(x):\n    return x"
    assert extract_code("fn = lambda x: x") == "fn = lambda x: x"
    assert extract_code("Sorry, I cannot.") is None
    assert extract_code("x") is None


@given(st.text())
def test_no_answer_breaks_the_extractor(answer):
    code = extract_code(answer)
    assert code is None or make_program(code, SIGNATURE).call == "single"
    assert isinstance(extract_rule(answer), str)


@pytest.mark.parametrize(
    ("code", "entry_point"),
    [
        ("def fn(x): return x\ndef helper(x): return x", "fn"),
        ("def first(x): return x\ndef second(x): return first(x)", "second"),
        ("answer = lambda x: x", "answer"),
        ("def fn(x:", "fn"),
        ("x = 1", "fn"),
    ],
)
def test_entry_point(code, entry_point):
    assert make_program(code, SIGNATURE).entry_point == entry_point


def test_missing_imports_of_well_known_names_are_put_in_front():
    code = "def fn(x: List[int]) -> List[int]:\n    return [math.isqrt(i) for i in Counter(x)]"
    assert make_program(code, SIGNATURE).source == (
        "from collections import Counter\nfrom typing import List\nimport math\n\n" + code
    )


@pytest.mark.parametrize(
    "code",
    [
        "import math\ndef fn(x): return math.pi",
        "def fn(math): return math.pi",
        "def fn(x):\n    math = 3\n    return math",
        "def product(x): return x\ndef fn(x): return product(x)",
        "def fn(x): return unknown(x)",
        "from numpy import *\ndef fn(x): return x",
    ],
)
def test_nothing_is_imported_that_is_defined_or_unknown(code):
    assert make_program(code, SIGNATURE).source == code


def test_imports_go_after_docstring_and_future_and_before_decorators():
    code = '"""Doc."""\nfrom __future__ import annotations\n@lru_cache\ndef fn(x):\n    return x'
    assert make_program(code, SIGNATURE).source == (
        '"""Doc."""\nfrom __future__ import annotations\n'
        "from functools import lru_cache\n\n@lru_cache\ndef fn(x):\n    return x"
    )


@pytest.mark.parametrize("code", ["(" * 5000 + ")" * 5000, "x = " + "-" * 50_000 + "1", "fn = '\0'"])
def test_hostile_source_is_kept_for_the_sandbox_to_judge(code):
    assert make_program(code, SIGNATURE).source == code


@pytest.mark.parametrize(
    "text",
    [
        "".join("`" * length + "\n" for length in range(1000, 3, -1)) * 2,
        "```\n" * 500_000,
        "```python\n" + "x = 1\n" * 500_000,
    ],
    ids=["fences of falling length", "nothing but fences", "a block that never closes"],
)
def test_long_answers_that_are_made_to_be_slow_are_read_at_once(text):
    started = time.process_time()
    extract_code(text)
    extract_prose(text)
    assert time.process_time() - started < 3


def test_a_fence_in_a_longer_fence_is_code():
    assert extract_code("````python\ndef f(x):\n    return '```'\n````") == "def f(x):\n    return '```'"
    assert extract_prose("Before.\n```python\ndef f(x): return x\n```\nAfter.") == "Before.\n\nAfter."
