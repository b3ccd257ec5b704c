"""A spreadsheet saved as CSV or TSV becomes one task."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypotheses.task import Example, Task
from induce.tasks import load_tasks

PEOPLE = Path(__file__).parents[1] / "data" / "people.csv"


def read(path: Path, **options: Any) -> Task:
    [task] = load_tasks(path, **options)
    return task


def test_the_last_column_is_the_output_and_an_empty_one_a_query():
    task = read(PEOPLE)
    assert (task.id, task.family, task.signature.call) == ("people", "spreadsheet", "positional")
    assert task.examples == (
        Example(["Ada Lovelace", 1815, "0201"], "ada"),
        Example(["Alan Turing", 1912, "0202"], "alan"),
    )
    assert task.queries == (["Grace Hopper", 1906, "0203"],)
    assert str(task.signature) == "f(name: str, born: int, phone: str) -> str"


def test_another_column_can_be_the_output():
    task = read(PEOPLE, output_column="Born")
    assert task.examples[2] == Example(["Grace Hopper", "0203", ""], 1906)
    assert task.queries == ()


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "-2", "0"], [1, -2, 0]),
        (["1", "2.50"], [1.0, 2.5]),
        (["1e3", "-0.5"], [1000.0, -0.5]),
        (["007", "12"], ["007", "12"]),
        (["+15551234", "5"], ["+15551234", "5"]),
        (["1", "x"], ["1", "x"]),
        (["1", ""], [1, None]),
        (["x", ""], ["x", ""]),
        (["1e999", "1"], ["1e999", "1"]),
        (["9" * 5000, "1"], ["9" * 5000, "1"]),
        ([" 1", "2"], [" 1", "2"]),
        (["٣", "2"], ["٣", "2"]),
    ],
)
def test_a_column_is_numbers_only_where_every_filled_cell_is_one(
    tmp_path: Path, cells: list[str], values: list[Any]
):
    path = tmp_path / "t.csv"
    path.write_text("in,out\n" + "".join(f"{cell},y\n" for cell in cells))
    task = read(path)
    assert [example.input for example in task.examples] == values
    assert [type(example.input) for example in task.examples] == [type(value) for value in values]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_delimiter_quotes_and_byte_order_mark(tmp_path: Path, delimiter: str, mark: str):
    path = tmp_path / "t.csv"
    text = f'"a,b;c"{delimiter}out\r\n"x\ny ""z"""{delimiter}1\r\n\r\n"p,q"{delimiter}2\r\n{delimiter}\r\n'
    path.write_bytes((mark + text).encode())
    task = read(path)
    assert task.examples == (Example('x\ny "z"', 1), Example("p,q", 2))
    assert task.signature.parameters[0].name == "a_b_c"


def test_headings_become_distinct_parameter_names(tmp_path: Path):
    path = tmp_path / "t.tsv"
    path.write_text("First name\tfirst-name\tclass\tx3\t%\tout\n" + "\t".join("abcdef") + "\n")
    names = [parameter.name for parameter in read(path).signature.parameters]
    assert names == ["first_name", "first_name_2", "x3", "x3_2", "x5"]


def test_names_of_equal_headings_are_made_in_one_pass(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("a,a_2," + "a," * 20_000 + "out\n" + "1," * 20_002 + "1\n")
    names = [parameter.name for parameter in read(path).signature.parameters]
    assert names[:4] == ["a", "a_2", "a_3", "a_4"]
    assert len(set(names)) == 20_002


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).map(
    lambda s: "w" + s
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(st.tuples(words, words, words), min_size=1), delimiter=st.sampled_from(",;\t"))
def test_what_a_csv_writer_writes_is_read_back(tmp_path: Path, rows: list[tuple[str, ...]], delimiter: str):
    buffer = StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter).writerows([("a", "b", "out"), *rows])
    path = tmp_path / "t.csv"
    path.write_text(buffer.getvalue(), encoding="utf-8", newline="")
    assert [(*example.input, example.output) for example in read(path).examples] == rows
