"""What is read out of answers that are outputs or lists of rules."""

import json
import math
import time
from contextlib import suppress

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypotheses.equality import equal
from hypotheses.prompts import PromptOptions, read_rules, read_value, rules_schema, value_schema
from hypotheses.prompts.grids import write_grid
from hypotheses.prompts.literals import literal
from hypotheses.task import Example, Task, infer_signature

OPTIONS = PromptOptions()
LISTS = Task.from_pairs([([1], [2])], id="lists")
NUMBERS = Task.from_pairs([([1], 2)], id="numbers")
STRINGS = Task.from_pairs([("a", "b")], id="strings")
EITHER = Task.from_pairs([("a", "b"), ("c", 1)], id="either")
DICTS = Task.from_pairs([("a", {"output": 1})], id="dicts")
GRID = Task("g", (Example([[0]], [[0]]),), (), infer_signature((), "grid_list"))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
FRAMES = (
    "{}",
    "Output: {}",
    "**Output:** {}",
    "The output is: {}",
    "Let me think. The first is 7.\n\nOutput: {}",
    "Output:\n{}\n\nThis follows from the rule [1, 2].",
    "```python\n{}\n```",
    "Sure!\n\n```\n{}\n```\nDone.",
    "Output:\n```json\n{}\n```",
    "`{}`",
    "f([1]) == {}",
)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize(
    ("task", "value"),
    [
        (LISTS, [3, -1]),
        (LISTS, []),
        (NUMBERS, 12),
        (NUMBERS, -3.5),
        (NUMBERS, True),
        (NUMBERS, None),
        (STRINGS, " a  b "),
        (STRINGS, "[1, 2]"),
        (STRINGS, "it's"),
        (STRINGS, ""),
        (EITHER, "x y"),
        (EITHER, 3),
        (DICTS, {"output": 1}),
    ],
    ids=lambda value: value.id if isinstance(value, Task) else repr(value),
)
def test_values_are_found_in_all_kinds_of_answers(frame, task, value):
    for written in (literal(value), json.dumps(value)):
        read = read_value(frame.format(written), task, OPTIONS)
        assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("101", "101"),
        ("Output: hello world ", "hello world"),
        ("Output: `x`", "x"),
        ('{"output": "a b "}', "a b "),
        ("Output: 'it's'", "it's"),
        ("Answer: None", "None"),
        ("Bob", "Bob"),
        ("Output: 'a\\x60b'", "a`b"),
        ("The result is 'x: y'", "x: y"),
        ("I see.\nOutput: Output", "Output"),
    ],
)
def test_strings_need_no_quotes(answer, value):
    assert read_value(answer, STRINGS, OPTIONS) == value


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("So it must be [1, [2]] in the end.", [1, [2]]),
        ("We get 3, then 4.", 4),
        ("(1, 2)", (1, 2)),
        ("{1, 2}", {1, 2}),
        ("nan", math.nan),
        ("float('-inf')", -math.inf),
        ('{"output": null}', None),
        ("[true, null]", [True, None]),
        ("Output: [1, 2].", [1, 2]),
        ("First [1], then [ which opens, then [2, 3]", [2, 3]),
        ("Output: [1, 2]\nExplanation: doubled", [1, 2]),
    ],
)
def test_values_amid_prose(answer, value):
    assert equal(read_value(answer, LISTS, OPTIONS), value)


@pytest.mark.parametrize("encoding", ["digits", "colours", "objects", "runs"])
@pytest.mark.parametrize(
    "frame", ["{}", "Output:\n{}", "Output:\n```\n{}\n```\nDone.", "Output, 2 rows of 3:\n{}"]
)
def test_grids_are_read_in_any_encoding(encoding, frame):
    grid = [[0, 1, 1], [5, 0, 2]]
    assert read_value(frame.format(write_grid(grid, encoding)), GRID, OPTIONS) == grid


@pytest.mark.parametrize(
    "answer", ["[[0, 1], [2, 3]]", '{"output": [[0, 1], [2, 3]]}', "It is [[0, 1], [2, 3]].", "01\n23"]
)
def test_grids_may_be_lists(answer):
    assert read_value(answer, GRID, OPTIONS) == [[0, 1], [2, 3]]


@pytest.mark.parametrize("task", [LISTS, STRINGS, GRID])
@pytest.mark.parametrize("answer", ["", "  \n", "I do not know.\nReally not."])
def test_an_answer_without_a_value_is_refused(task, answer):
    with pytest.raises(ValueError, match=r"no value|no grid|empty"):
        read_value(answer, task, OPTIONS)


@given(JSON)
def test_whatever_was_wrapped_is_read_back(value):
    assert equal(read_value(json.dumps({"output": value}), LISTS, OPTIONS), value)
    assert equal(read_value(f"Output: {literal(value)}", LISTS, OPTIONS), value)


@given(st.text())
def test_strings_are_exact(value):
    assert read_value(f"Output: {literal(value)}", STRINGS, OPTIONS) == value
    assert read_value(json.dumps({"output": value}), STRINGS, OPTIONS) == value


@given(st.text() | st.text("[](){}'\"`\n:=output 1,x-", max_size=60), st.sampled_from([LISTS, STRINGS, GRID]))
def test_no_answer_breaks_the_reader(answer, task):
    with suppress(ValueError):
        read_value(answer, task, OPTIONS)
    assert all(isinstance(rule, str) and rule for rule in read_rules(answer))


@pytest.mark.parametrize(
    "answer",
    ["[" * 90_000, "(" * 90_000, "-" * 90_000 + "1", "9" * 90_000, "Output: " * 20_000, "'" * 99_999,
     "`" * 99_999, "1 " * 50_000, "\n```\n" * 20_000, "rule " * 20_000, "output is " * 10_000, "*" * 99_999,
     "f(" * 40_000, "f(x) = " * 14_000, "output " + " " * 90_000, "```" + "`\n" * 40_000],
    ids=lambda text: text[:10],
)  # fmt: skip
@pytest.mark.timeout(20)
@pytest.mark.parametrize("task", [LISTS, STRINGS, GRID])
def test_hostile_answers_cost_little(answer, task):
    started = time.process_time()
    with suppress(ValueError):
        read_value(answer, task, OPTIONS)
    read_rules(answer)
    assert time.process_time() - started < 5


# Rules


@pytest.mark.parametrize(
    "answer",
    [
        '{"rules": ["Keep it.", "Turn it."]}',
        'Here:\n```json\n{"rules": ["Keep it.", "Turn it."]}\n```',
        'Here: {"rules": ["Keep it.", "Turn it."]}',
        '["Keep it.", "Turn it."]',
        "1. Keep it.\n2. Turn it.",
        "Here are the rules:\n\n1) Keep it.\n\n2) Turn it.\n\nI hope this helps.",
        "**1.** Keep it.\n**2.** Turn it.",
        "1. Rule: Keep it.\n2. Rule: Turn it.",
        "Rule 1: Keep it.\nRule 2: Turn it.",
        "- Keep it.\n- Turn it.",
        "* **Keep it.**\n* Turn it.",
        "Rule: Keep it.\nRule: Turn it.",
        "1. Keep it.\n2. Turn it.\n3. Keep it.",
    ],
)
def test_lists_of_rules_are_read(answer):
    assert read_rules(answer) == ["Keep it.", "Turn it."]


def test_a_rule_may_go_on_over_lines():
    assert read_rules("1. Keep it,\n   or not.\n2. Turn it.\nAgain.\n\nBye.") == [
        "Keep it,\nor not.",
        "Turn it.\nAgain.",
    ]
    assert read_rules("Sort it. Then turn it.") == ["Sort it. Then turn it."]
    assert read_rules(" ") == []
    assert read_rules("The rule uses [1, 2].\nRule: Take 3. 4 stays.") == ["Take 3. 4 stays."]


# Schemas


@given(st.lists(JSON, min_size=1, max_size=5))
def test_the_outputs_of_the_examples_satisfy_the_schema(outputs):
    task = Task.from_pairs([(index, output) for index, output in enumerate(outputs)])
    schema = json.loads(value_schema(task))
    jsonschema.Draft202012Validator.check_schema(schema)
    for output in outputs:
        jsonschema.validate({"output": output}, schema)


@pytest.mark.parametrize(
    ("task", "output"),
    [
        (LISTS, {"items": {"type": "integer"}, "type": "array"}),
        (STRINGS, {"type": "string"}),
        (EITHER, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (Task.from_pairs([(0, 1), (0, 2.5)]), {"type": "number"}),
        (Task.from_pairs([(0, (1, 2))]), {"items": {"type": "integer"}, "type": "array"}),
        (Task.from_pairs([(0, math.nan)]), {}),
    ],
    ids=lambda value: value.id if isinstance(value, Task) else repr(value),
)
def test_schemas_say_what_the_examples_show(task, output):
    assert json.loads(value_schema(task)) == {
        "type": "object",
        "properties": {"output": output},
        "required": ["output"],
        "additionalProperties": False,
    }


def test_schemas_of_grids_and_rules():
    grid = json.loads(value_schema(GRID))
    jsonschema.validate({"output": [[1, 2]]}, grid)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"output": [["x"]]}, grid)
    rules = json.loads(rules_schema(2))
    jsonschema.validate({"rules": ["a", "b"]}, rules)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"rules": ["a", "b", "c"]}, rules)
