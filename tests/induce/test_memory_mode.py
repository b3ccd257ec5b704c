"""``--memory-mode``: what one run learns helps the next one."""

import json

import pytest

import induce
from memory import Concept, ConceptStore
from sandboxes import Program

pytest.importorskip("alembic", reason="memories need the extra `memory`")

LISTS = [[3, 1, 8, 2, 9, 5], [7, 7, 0, 1, 6, 4, 2], [1, 2, 3, 4, 5, 6, 7, 8]]


def inserting(number):
    return induce.Task.from_pairs([(x, [*x[:2], number, *x[2:]]) for x in LISTS], id=f"insert-{number}")


@pytest.fixture
def address(tmp_path, monkeypatch):
    path = tmp_path / "memory.sqlite"
    monkeypatch.setenv("INDUCE_MEMORY__ADDRESS", str(path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return path


@pytest.fixture
def task_file(tmp_path):
    def write(name, function):
        path = tmp_path / f"{name}.jsonl"
        examples = [{"input": x, "output": function(x)} for x in LISTS]
        path.write_text(json.dumps({"id": name, "examples": examples, "queries": [{"input": [1, 2, 3]}]}))
        return path

    return write


def test_what_a_run_learns_helps_the_next(address):
    first = induce.solve(inserting(6), memory_mode="learn")
    second = induce.solve(inserting(4), memory_mode="learn")
    plain = induce.solve(inserting(4))
    assert (first.solved, second.solved, plain.solved) == (True, True, True)
    assert second.usage.terms < plain.usage.terms / 10
    with ConceptStore.open(address, frozen=True) as store:
        assert {one.provenance.task for one in store.concepts()} == {"insert-6", "insert-4"}
        assert [one.solved for one in store.outcomes()] == [True, True]


def test_a_frozen_memory_helps_and_stays_as_it_is(address):
    induce.solve(inserting(6), memory_mode="learn")
    before = address.read_bytes()
    assert induce.solve(inserting(4), memory_mode="frozen").usage.terms < 100
    assert address.read_bytes() == before


def test_without_a_mode_there_is_no_memory(address):
    assert induce.solve(inserting(6)).solved
    assert not address.exists()


def test_a_memory_that_is_not_there_is_not_opened_frozen(address, induce_command, task_file):
    failed = induce_command("solve", task_file("t", sorted), "--memory-mode", "frozen")
    assert failed.code == 1
    assert "there is no memory" in failed.err


def test_the_proposer_recall_runs_what_is_remembered_and_nothing_else(address, induce_command, task_file):
    failed = induce_command("solve", task_file("t", sorted), "--proposer", "recall")
    assert failed.code == 1
    assert "needs a memory" in failed.err
    program = Program("def f(x):\n    return sorted(x)[::-1]", "f")
    names = ("in:list[int]", "out:list[int]", "descending", "rearranged")
    with ConceptStore.open(address) as store:
        store.bring([Concept("turned", "Sort, the largest first.", program=program, features=names)])
    options = ("--proposer", "recall", "--memory-mode", "frozen", "--json")
    solved = induce_command("solve", task_file("down", lambda x: sorted(x)[::-1]), *options)
    [found] = solved.records
    assert (found["outcome"], found["hypothesis"]) == ("solved", "Sort, the largest first.")
    unsolved = induce_command("solve", task_file("sum", sorted), *options)
    assert unsolved.records[0]["outcome"] == "unsolved"


def test_a_run_names_itself_in_what_it_teaches(address, induce_command, task_file, tmp_path):
    folder = tmp_path / "tasks"
    folder.mkdir()
    for name, function in (("up", sorted), ("down", lambda x: sorted(x)[::-1])):
        task_file(name, function).rename(folder / f"{name}.jsonl")
    log = tmp_path / "run.sqlite"
    done = induce_command("solve", folder, "--memory-mode", "learn", "--out", log, "--json")
    assert [one["outcome"] for one in done.records] == ["solved", "solved"]
    assert induce_command("resume", log, "--json").records == []
    with ConceptStore.open(address, frozen=True) as store:
        assert {one.provenance.run for one in store.concepts()} == {"run.sqlite"}
        assert store.clock == 2


def test_an_imported_library_of_programs_is_described_and_recalled(
    address, induce_command, task_file, tmp_path
):
    sources = {
        "reverse": "def transform(grid):\n    return grid[::-1]",
        "mirror": "def transform(grid):\n    return [row[::-1] for row in grid]",
        "grow": "def transform(grid):\n    return [row + row for row in grid]",
    }
    library = tmp_path / "library.jsonl"
    library.write_text(
        "".join(json.dumps({"id": name, "program": source}) + "\n" for name, source in sources.items())
    )
    assert induce_command("memory", "import", library, "--form", "programs").code == 0
    features = {one["name"]: one["features"] for one in induce_command("memory", "list", "--json").records}
    assert "flipped:up-down" in features["program reverse"]
    assert "columns:x2" in features["program grow"]
    grids = [[[1, 2, 0], [3, 0, 0]], [[0, 4], [5, 0]]]
    task = {
        "id": "mirrored",
        "examples": [{"input": g, "output": [row[::-1] for row in g]} for g in grids],
        "queries": [{"input": [[7, 0, 0]]}],
        "call": "grid_list",
    }
    path = tmp_path / "mirrored.jsonl"
    path.write_text(json.dumps(task))
    [found] = induce_command(
        "solve", path, "--proposer", "recall", "--memory-mode", "frozen", "--json"
    ).records
    assert found["predictions"] == [[[[0, 0, 7]]]]
    bare = induce_command(
        "memory", "import", library, "--form", "programs", "--no-describe", "--memory", tmp_path / "b.sqlite"
    )
    assert bare.code == 0
    listed = induce_command("memory", "list", "--json", "--memory", tmp_path / "b.sqlite").records
    assert not any("features" in one for one in listed)


def test_a_replay_teaches_nothing_and_gives_the_same_record(address, induce_command, task_file, tmp_path):
    log = tmp_path / "run.sqlite"
    solved = induce_command("solve", task_file("up", sorted), "--memory-mode", "learn", "--out", log)
    assert solved.code == 0
    before = address.read_bytes()
    again = induce_command("runs", "replay", log)
    assert "the replay gives the same record" in again.out
    assert address.read_bytes() == before


def test_the_rounds_of_a_proposer_are_its_own_whatever_is_recalled(address):
    """A search has its one round after those of the recall, be there something to recall or not."""
    program = Program("def f(x):\n    return x[:1]", "f")
    names = ("in:list[int]", "out:list[int]", "rearranged")
    with ConceptStore.open(address) as store:
        store.bring([Concept("first", "", program=program, features=names)])
    solution = induce.solve(inserting(6), memory_mode="frozen")
    assert solution.solved
    assert solution.candidate.hypothesis.proposer == "search"
    assert (solution.usage.rounds, solution.usage.programs) == (2, 2)
