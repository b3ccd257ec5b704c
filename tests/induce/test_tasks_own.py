"""The project's own format: JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypotheses.task import Example, Parameter, Signature, Task, infer_signature
from induce.tasks import load_tasks
from induce.tasks.own import own_record, own_schema, own_task

ROOT = Path(__file__).parents[2]
OWN = ROOT / "tests" / "data" / "own.jsonl"


def test_lines_become_tasks_and_answers_stay_apart():
    double, join, midpoint = load_tasks(OWN).labelled()
    assert double.task == Task(
        "double", (Example(1, 2), Example(3, 6)), (5, 7), Signature((Parameter("x", "int"),), "int")
    )
    assert double.answers == {0: 10}
    assert (join.task.family, join.task.description) == ("names", "Last name first.")
    assert str(join.task.signature) == "f(first: str, last: str) -> str"
    assert midpoint.task.examples[0] == Example([(0, 0), (1, 3)], (0.5, 1.5))
    assert midpoint.task.tolerance == 1e-6
    assert str(midpoint.task.signature).startswith("midpoint(a: tuple[float, float], b:")


def test_an_output_of_null_is_an_answer_and_no_output_is_none():
    record = {"id": "a", "examples": [{"input": 1, "output": 2}]}
    labelled = own_task(record | {"queries": [{"input": 1, "output": None}, {"input": 2}]}, "here")
    assert labelled.answers == {0: None}


def test_a_grid_program_may_return_something_else():
    record = {"id": "a", "call": "grid_ndarray", "examples": [{"input": [[1, 1]], "output": 2}]}
    assert str(own_task(record, "here").task.signature) == "f(grid: np.ndarray) -> int"


def test_the_schema_agrees_with_the_reader():
    schema = own_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for line in OWN.read_text().splitlines():
        if line:
            jsonschema.validate(json.loads(line), schema)
    with pytest.raises(jsonschema.ValidationError, match="querys"):
        jsonschema.validate({"id": "a", "examples": [{"input": 1, "output": 2}], "querys": []}, schema)


def test_the_schema_in_the_documentation_is_fresh():
    stored = (ROOT / "docs" / "own-tasks.schema.json").read_text()
    assert json.loads(stored) == own_schema(), (
        "write it anew: induce tasks schema > docs/own-tasks.schema.json"
    )


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
values = st.recursive(
    scalars | st.frozensets(st.integers()) | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.dictionaries(st.integers(), inner, max_size=2)
    ),
    max_leaves=8,
)
names = st.sampled_from(["a", "b", "größe"])


@st.composite
def tasks(draw: st.DrawFn) -> tuple[Task, dict[int, Any]]:
    call = draw(st.sampled_from(["single", "positional", "keyword", "grid_list", "grid_ndarray"]))
    if call == "positional":
        inputs: st.SearchStrategy[Any] = st.lists(values, min_size=2, max_size=2)
    elif call == "keyword":
        inputs = st.fixed_dictionaries(dict.fromkeys(draw(st.sets(names, min_size=1)), values))
    elif call == "single":
        inputs = values
    else:
        width = draw(st.integers(1, 3))
        row = st.lists(st.integers(0, 9), min_size=width, max_size=width)
        inputs = st.lists(row, min_size=1, max_size=3)
    examples = tuple(draw(st.lists(st.builds(Example, inputs, values), min_size=1, max_size=3)))
    queries = tuple(draw(st.lists(inputs, max_size=3)))
    task = Task(
        draw(st.text(min_size=1)),
        examples,
        queries,
        infer_signature(examples, call),
        draw(st.sampled_from(["own", "arc"])),
        draw(st.text(max_size=5)),
        tolerance=draw(st.none() | st.floats(0, 1)),
    )
    answered = draw(st.sets(st.integers(0, len(queries) - 1))) if queries else set()
    return task, {index: draw(values) for index in answered}


@settings(deadline=None)
@given(tasks())
def test_writing_and_reading_gives_the_task_back(given_task: tuple[Task, dict[int, Any]]):
    task, answers = given_task
    line = json.dumps(own_record(task, answers))
    found = own_task(json.loads(line), "here")
    assert found.task == task
    assert own_record(found.task, found.answers) == own_record(task, answers)
    jsonschema.validate(json.loads(line), own_schema())


def test_a_written_task_without_answers_holds_none():
    [double, *_] = load_tasks(OWN).labelled()
    assert own_record(double.task, {})["queries"] == [{"input": 5}, {"input": 7}]
