"""Whatever is wrong with a file, the error is one line that says where, and what was expected."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from induce.tasks import jsontext, load_tasks
from sandboxes import TaskFormatError

DATA = Path(__file__).parents[1] / "data"
PAIR = '{"input": 1, "output": 2}'
HUGE = "9" * 5000
ONE = '{"id": "a", "examples": [' + PAIR + "]}"


def arc(train: object, test: object = ()) -> str:
    return json.dumps({"train": train, "test": test})


BAD = {
    "empty.jsonl": ("", "empty.jsonl: is empty"),
    "blank.json": ("\n\n", "blank.json: is empty"),
    "wrong.json": ("{'a': 1}", r"wrong.json:1: not JSON: .* \(column 2\)"),
    "other.json": ('{"a": 1}', "other.json: is in no known format; the known ones are sygus, arc"),
    "notes.txt": ("hello", "notes.txt: is in no known format"),
    "cut.json": ('{"train": [\n {"input": [[1', r"cut.json:2: not JSON"),
    "cut.jsonl": ('{"id": "a", "examples": [' + PAIR, "cut.jsonl:1: not JSON"),
    "second.jsonl": (
        ONE + "\n\nnot json\n",
        "second.jsonl:3: not JSON",
    ),
    "grid.json": (
        arc([{"input": [[1]], "output": [[1]]}, {"input": [[1, 2], [3]], "output": [[1]]}]),
        "grid.json: train pair 2, input, row 2: has 1 cells where row 1 has 2; a grid is rectangular",
    ),
    "colour.json": (
        arc([{"input": [[1]], "output": [[10]]}]),
        "colour.json: train pair 1, output, row 1: the cell 10 is not a colour from 0 to 9",
    ),
    "float.json": (arc([{"input": [[1.0]], "output": [[1]]}]), "the cell 1.0 is not an integer"),
    "truth.json": (arc([{"input": [[True]], "output": [[1]]}]), "the cell True is not an integer"),
    "flat.json": (arc([{"input": [1], "output": [[1]]}]), "input, row 1: expected a list of integers, not 1"),
    "void.json": (arc([{"input": [], "output": [[1]]}]), r"expected a grid, .*, not \[\]"),
    "half.json": (arc([{"input": [[1]]}]), "train pair 1: expected an object with 'output'"),
    "none.json": (arc([], [{"input": [[1]]}]), "none.json: task 'none' has no examples"),
    "untested.json": ('{"train": []}', "untested.json: expected a list of pairs under 'test'"),
    "none.jsonl": ('{"id": "a", "examples": []}', "none.jsonl:1: examples: .* at least 1 item"),
    "twice.jsonl": (
        ONE + "\n" + ONE,
        "two tasks have the id 'a'; rename one, or load their files separately",
    ),
    "key.jsonl": ('{"id": "a", "id": "b", "examples": []}', "key.jsonl:1: the key 'id' appears twice"),
    "field.jsonl": (
        ONE.replace("}]}", '}], "querys": []}'),
        "field.jsonl:1: unknown field 'querys'; `induce tasks schema` prints the known ones",
    ),
    "inner.jsonl": (
        '{"id": "a", "examples": [{"input": 1, "output": 2, "weight": 3}]}',
        r"inner.jsonl:1: unknown field 'weight' in examples\[0\]",
    ),
    "missing.jsonl": (
        '{"id": "a", "examples": [{"input": 1}]}',
        r"missing.jsonl:1: the field 'examples\[0\].output' is missing",
    ),
    "array.jsonl": ("[1, 2]", "array.jsonl:1: expected one task as a JSON object"),
    "call.jsonl": (
        ONE.replace('"id"', '"call": "star", "id"'),
        "call.jsonl:1: call: input should be",
    ),
    "number.jsonl": (
        ONE.replace('"a"', "3"),
        "number.jsonl:1: id: input should be a valid string",
    ),
    "tag.jsonl": (
        '{"id": "a", "examples": [{"input": {"$tupel": []}, "output": 1}]}',
        r"tag.jsonl:1: example 1, input: unknown tag '\$tupel'",
    ),
    "keyword.jsonl": (
        ONE.replace('"id"', '"call": "keyword", "id"'),
        "example 1, input: expected an object from parameter name to argument, not 1",
    ),
    "names.jsonl": (
        '{"id": "a", "call": "keyword", "examples": [{"input": {"x": 1}, "output": 1}], '
        '"queries": [{"input": {"y": 1}}]}',
        r"query 1, input: has the keys \['y'\], not \['x'\] as example 1",
    ),
    "for.jsonl": (
        '{"id": "a", "call": "keyword", "examples": [{"input": {"for": 1}, "output": 1}]}',
        "'for' cannot name a parameter in Python",
    ),
    "positional.jsonl": (
        ONE.replace('"id"', '"call": "positional", "id"'),
        "example 1, input: expected a list, one element an argument, not 1",
    ),
    "widths.jsonl": (
        '{"id": "a", "call": "positional", "examples": '
        '[{"input": [1], "output": 1}, {"input": [1, 2], "output": 1}]}',
        "example 2, input: has 2 arguments where example 1 has 1",
    ),
    "parameters.jsonl": (
        '{"id": "a", "call": "positional", "signature": {"parameters": [{"name": "x"}]}, "examples": '
        '[{"input": [1, 2], "output": 1}]}',
        "signature: takes 1 arguments, but the inputs give 2",
    ),
    "two.jsonl": (
        ONE.replace("]}", '], "signature": {"parameters": [{"name": "a"}, {"name": "b"}]}}'),
        "signature: takes 2 arguments, but the inputs give 1",
    ),
    "class.jsonl": (
        ONE.replace("]}", '], "signature": {"name": "class", "parameters": [{"name": "a"}]}}'),
        "signature: 'class' is no name in Python",
    ),
    "keys.jsonl": (
        '{"id": "a", "call": "keyword", "signature": {"parameters": [{"name": "y"}]}, "examples": '
        '[{"input": {"x": 1}, "output": 1}]}',
        r"signature: has the parameters \['y'\], the inputs \['x'\]",
    ),
    "rows.jsonl": (
        '{"id": "a", "call": "grid_list", "examples": [{"input": [[1], []], "output": 1}]}',
        r"example 1, input, row 2: expected a list of integers, not \[\]",
    ),
    "huge.jsonl": (
        ONE.replace("1", HUGE),
        "huge.jsonl:1: holds an integer",
    ),
    "deep.jsonl": (
        '{"id": "a", "examples": [{"input": ' + "[" * 200 + "]" * 200 + ', "output": 1}]}',
        "example 1, input: .* nested",
    ),
    "abyss.jsonl": ("[" * 200_000, "abyss.jsonl:1: nested too deeply"),
    "list.jsonl": (
        '{"idx": 0, "train": [{"input": "[1, 2", "output": "[1]"}], "test": []}',
        r"list.jsonl:1: expected a list of integers written as a string, not '\[1, 2'",
    ),
    "words.jsonl": (
        '{"idx": 0, "train": [{"input": "[1]", "output": "one"}], "test": []}',
        "words.jsonl:1: expected a list of integers written as a string, not 'one'",
    ),
    "untested.jsonl": (
        '{"idx": 0, "train": []}',
        'untested.jsonl:1: expected an object with "idx", "train" and',
    ),
    "pair.jsonl": (
        '{"id": "m", "train": [{"input": {}}], "test": []}',
        'pair.jsonl:1: train pair 1: expected an object with "input" and "output"',
    ),
    "spec.json": (
        '{"Examples": [{"Input": "a", "Output": "b"}]}',
        "row 1: Input: expected a list of strings",
    ),
    "number.csv": ("a,b\n1,2\n1\n", "number.csv:3: has 1 cells where the header has 2"),
    "header.csv": ("a,b\n", "task 'header' has no examples"),
    "column.csv": ("a\n1\n", "column.csv:1: has one column 'a'"),
    "wide.csv": ("a,b\n" + "x" * 200_000 + ",1\n", "wide.csv:2: not a table: field larger than field limit"),
    "head.csv": ('"' + "x" * 200_000 + '",b\n', "head.csv:1: not a table: field larger than field limit"),
    "quote.csv": ('a,b\n"x,2\n', "quote.csv:2: not a table"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file(tmp_path: Path, name: str):
    content, message = BAD[name]
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(TaskFormatError, match=message) as caught:
        list(load_tasks(path))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


SOUND = sorted(path for path in DATA.rglob("*") if path.is_file() and path.name != "meta.json")
NOISE = [
    "",
    '"',
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\n",
    "null",
    "true",
    "-1",
    "1e999",
    "NaN",
    '"a"',
    "\\ud800",
    "\0",
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    source=st.sampled_from(SOUND),
    noise=st.sampled_from(NOISE),
    start=st.integers(0, 500),
    length=st.integers(0, 20),
)
def test_a_damaged_file_is_read_or_refused_in_one_line(
    tmp_path: Path, source: Path, noise: str, start: int, length: int
):
    content = source.read_bytes()
    path = tmp_path / source.name
    path.write_bytes(content[:start] + noise.encode() + content[start + length :])
    problems: list[TaskFormatError] = []
    try:
        assert all(task.examples for task in load_tasks(path, skip_bad=problems.append))
    except TaskFormatError as error:
        problems.append(error)
    assert all(str(problem).startswith(str(path)) and "\n" not in str(problem) for problem in problems)


@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.csv", "x.sl", "x.parquet", "x"])
def test_binary_file(tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe" * 100)
    with pytest.raises(TaskFormatError, match=str(path)) as caught:
        list(load_tasks(path))
    assert "\n" not in str(caught.value)


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"id": "m", "train": [{"input": {"x": ' + nested(150) + '}, "output": 1}], "test": []}',
            "example 1, input: the value is nested more than 100 deep",
        ),
        (
            '{"id": "m", "train": [{"input": {"x": 1}, "output": 1}], '
            '"test": [{"input": {"x": 1}, "output": ' + nested(700) + "}]}",
            "query 1, output: the value is nested more than 100 deep",
        ),
        (
            '{"idx": 1, "train": [{"input": 1, "output": ' + nested(700) + '}], "test": []}',
            "example 1, output: the value is nested more than 100 deep",
        ),
        (
            '{"idx": ' + nested(700) + ', "train": [{"input": 1, "output": 1}], "test": []}',
            "expected an id, a string or an integer, not ",
        ),
    ],
    ids=range(4),
)
def test_values_that_no_sandbox_takes_are_refused_by_every_reader(tmp_path: Path, line: str, message: str):
    path = tmp_path / "x.jsonl"
    path.write_text(line)
    with pytest.raises(TaskFormatError) as caught:
        list(load_tasks(path))
    assert str(caught.value).startswith(f"{path}:1: {message}")


def test_deep_json_where_a_grid_is_expected(tmp_path: Path):
    path = tmp_path / "x.json"
    path.write_text('{"train": [{"input": [[' + nested(700) + ']], "output": [[1]]}], "test": []}')
    with pytest.raises(TaskFormatError, match="train pair 1, input, row 1: the cell"):
        list(load_tasks(path))


def test_ids_that_no_record_could_hold_are_refused(tmp_path: Path):
    path = tmp_path / "x.jsonl"
    path.write_text(r'{"idx": "\ud800", "train": [{"input": 1, "output": 2}], "test": []}')
    with pytest.raises(TaskFormatError, match=r"the id '\\ud800' cannot be written as UTF-8; rename it"):
        list(load_tasks(path))
    folder = tmp_path / "folder"
    folder.mkdir()
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/\xff.json"))
    try:
        odd.write_text(arc([{"input": [[1]], "output": [[1]]}]))
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    with pytest.raises(TaskFormatError, match=r"the id '\\udcff' cannot be written as UTF-8"):
        list(load_tasks(folder))
    with pytest.raises(TaskFormatError, match=r"\\udcff.json: this path is not UTF-8; rename the file"):
        load_tasks(odd)


def test_a_line_break_in_a_file_name_stays_out_of_messages(tmp_path: Path):
    for name, content in {
        "a.json": "{",
        "b.jsonl": "{",
        "c.csv": "a",
        "d.sl": "(",
        "e": "?",
        "f.json": "[]",
    }.items():
        path = tmp_path / f"\n\x1b{name}"
        path.write_text(content)
        with pytest.raises(TaskFormatError) as caught:
            list(load_tasks(path))
        assert str(caught.value).startswith(rf"{tmp_path}/\n\x1b{name}")
        assert str(caught.value).isprintable()


def test_field_names_are_quoted_in_messages(tmp_path: Path):
    path = tmp_path / "x.jsonl"
    path.write_text(ONE[:-1] + r', "a\nb.c' + "d" * 1000 + '": 1}')
    with pytest.raises(TaskFormatError, match=r"unknown field 'a\\nb.cddd") as caught:
        list(load_tasks(path))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200 + len(str(path))


def test_files_and_lines_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jsontext, "LARGEST_FILE", 2**20)
    monkeypatch.setattr(jsontext, "LONGEST_LINE", 2**20)
    for name, message in {
        "x.json": "x.json: has more than 1 MiB; split it into several files",
        "x.csv": "x.csv: has more than 1 MiB; split it into several files",
        "x.jsonl": "x.jsonl:1: has more than 1 MiB; each line holds one whole task",
    }.items():
        with (tmp_path / name).open("wb") as file:
            file.truncate(2**40)
        with pytest.raises(TaskFormatError, match=message):
            list(load_tasks(tmp_path / name))


def test_a_key_that_appears_twice_is_found_in_one_pass(tmp_path: Path):
    path = tmp_path / "x.jsonl"
    path.write_text("{" + "".join(f'"{i}": 0, ' for i in range(60_000)) + '"59999": 0}')
    with pytest.raises(TaskFormatError, match="the key '59999' appears twice in one object"):
        list(load_tasks(path))


def test_broken_parquet(tmp_path: Path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(TaskFormatError, match=r"x.parquet: not readable as parquet"):
        list(load_tasks(path))


def test_missing_file(tmp_path: Path):
    with pytest.raises(TaskFormatError, match=r"nowhere.json: there is no such file or folder"):
        load_tasks(tmp_path / "nowhere.json")


def test_folder_without_tasks(tmp_path: Path):
    (tmp_path / "README.md").write_text("hello")
    (tmp_path / ".hidden.jsonl").write_text("{}")
    with pytest.raises(
        TaskFormatError, match=r"this folder holds no task file; their names end in .csv, .json"
    ):
        load_tasks(tmp_path)


def test_unknown_format(tmp_path: Path):
    with pytest.raises(TaskFormatError, match="there is no format 'xml'; the known formats are sygus, arc"):
        load_tasks(tmp_path, format="xml")


def test_too_many_shots_say_how_many_there_are():
    with pytest.raises(TaskFormatError, match=r"mir.jsonl:1: has 20 shots, 64 were asked for; ask for fewer"):
        list(load_tasks(DATA / "mir.jsonl", shots=64))
    with pytest.raises(TaskFormatError, match=r"spec.json: has 4 shots, 5 were asked for"):
        list(load_tasks(DATA / "prose", shots=5))


def test_options_that_a_format_would_ignore_are_refused():
    with pytest.raises(TaskFormatError, match="the format own shows all its examples"):
        list(load_tasks(DATA / "own.jsonl", shots=1))
    with pytest.raises(TaskFormatError, match="the format arc has no columns"):
        list(load_tasks(DATA / "grids", output_column="x"))
    with pytest.raises(TaskFormatError, match="shots must be at least 1, not 0"):
        load_tasks(DATA / "mir.jsonl", shots=0)
    with pytest.raises(TaskFormatError, match="needs no format"):
        load_tasks("arc1:training", shots=2)


def test_unknown_output_column():
    people = DATA / "people.csv"
    with pytest.raises(TaskFormatError, match="has no single column 'Mail'; its columns are 'Name', 'Born'"):
        list(load_tasks(people, output_column="Mail"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_without_permission(tmp_path: Path):
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "a.jsonl").write_text(ONE)
    (closed / "a.jsonl").chmod(0)
    with pytest.raises(TaskFormatError, match=r"a.jsonl: cannot be read: Permission denied"):
        list(load_tasks(closed / "a.jsonl"))
    closed.chmod(0)
    try:
        with pytest.raises(TaskFormatError, match="closed: cannot be read: Permission denied"):
            load_tasks(closed)
    finally:
        closed.chmod(0o700)
