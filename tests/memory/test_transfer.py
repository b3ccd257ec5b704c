"""Memories as files, and concepts that others have published."""

import json
from dataclasses import replace

import pytest
from concepts import CONCEPTS
from hypothesis import given, settings
from hypothesis import strategies as st

from memory import (
    Concept,
    ConceptStore,
    Provenance,
    RecallQuery,
    export_memory,
    import_memory,
    read_arc_memo,
    read_lessons,
    read_programs,
    read_records,
)
from memory.records import Record, from_dict, to_dict
from sandboxes import MemoryStoreError

ENDS = ["jsonl", "yaml"]


@pytest.fixture
def lived(store):
    """A memory in which all has happened that can happen."""
    concepts = [Concept(f"c{number}", "some\n  words: # '\"\t\0\x85\u2028🙂") for number in range(6)]
    ids = store.add(concepts)
    store.tick()
    store.update(ids[0], replace(concepts[0], features=("grid",)))
    store.merge(ids[1:3], Concept("merged", "of two"))
    store.tick()
    store.archive(ids[3:4])
    store.count(ids, used=2)
    return store


@settings(deadline=None, max_examples=50)
@given(CONCEPTS, st.none() | st.integers(0, 2**40))
def test_any_version_is_the_same_after_json(concept, until):
    record = Record(replace(concept, id="a", version=3), until)
    assert from_dict(json.loads(json.dumps(to_dict(record)))) == record


@pytest.mark.parametrize("end", ENDS)
def test_any_concepts_are_the_same_after_a_file(tmp_path_factory, end):
    @settings(deadline=None, max_examples=30)
    @given(st.lists(CONCEPTS, max_size=4))
    def check(concepts):
        folder = tmp_path_factory.mktemp("transfer")
        with ConceptStore.open(folder / "a.sqlite") as one, ConceptStore.open(folder / "b.sqlite") as other:
            one.add(concepts)
            export_memory(one, folder / f"memory.{end}")
            import_memory(other, folder / f"memory.{end}")
            assert list(other.records()) == list(one.records())

    check()


@pytest.mark.parametrize("end", ENDS)
def test_a_memory_is_the_same_after_export_and_import(lived, new_place, tmp_path, end):
    path = tmp_path / f"memory.{end}"
    assert export_memory(lived, path) == 8
    with ConceptStore.open(new_place()) as other:
        assert import_memory(other, path) == 8
        assert list(other.records()) == list(lived.records())
        assert len(other) == len(lived)
        assert other.clock > lived.clock
        assert import_memory(other, path) == 0  # what is there already stays as it is
        assert list(other.records()) == list(lived.records())
        for clock in range(4):
            query = RecallQuery("words of two", ("grid",), clock=clock)
            assert other.recall(query, 100) == lived.recall(query, 100)


def test_only_the_present_is_exported_without_history(lived, tmp_path):
    assert export_memory(lived, tmp_path / "present.jsonl", history=False) == len(lived) == 4
    assert {one.concept for one in read_records(tmp_path / "present.jsonl")} == set(lived.concepts())


def test_later_versions_join_those_that_are_here(lived, new_place, tmp_path):
    with ConceptStore.open(new_place()) as other:
        other.add([Concept("c0", next(lived.concepts()).description)])
        import_memory(other, export(lived, tmp_path / "all.jsonl"))
        assert {one.id for one in other.concepts()} == {one.id for one in lived.concepts()}
        assert max(one.version for one in other.concepts()) == 2


def export(store, path, **options):
    export_memory(store, path, **options)
    return path


def test_another_history_of_a_concept_is_refused_whole(lived, new_place, tmp_path):
    path = export(lived, tmp_path / "all.jsonl")
    with ConceptStore.open(new_place()) as other:
        c0 = next(lived.concepts())
        [concept_id] = other.add([Concept("c0", c0.description)])
        other.update(concept_id, Concept("c0", "something else"))
        with pytest.raises(MemoryStoreError, match=f"{concept_id} has another version"):
            import_memory(other, path)
        assert len(other) == 1


def test_a_file_by_hand_needs_names_and_descriptions_only(store, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "- name: mirror\n  description: turn it around\n"
        "- name: crop\n  description: cut it out\n  cues: [smaller output]\n"
        "  program: {source: 'def f(g): return g', entry_point: f}\n"
    )
    assert import_memory(store, path) == 2
    [found] = store.recall(RecallQuery("smaller", clock=store.clock))
    assert found.concept.program.entry_point == "f"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jsonl", '{"name": "a", "description": "b"}\n{"name": ', r"a\.jsonl:2: this is no JSON"),
        ("a.jsonl", "\n[1]\n", r"a\.jsonl:2: a concept is a mapping"),
        ("a.jsonl", '{"name": "a"}\n', "needs a name and a description"),
        ("a.jsonl", '{"name": "a", "description": 1}\n', "description is a text, not 1; put it in quotes"),
        ("a.jsonl", '{"name": "a", "description": "b", "cue": []}\n', "no field 'cue'; it may have .*cues"),
        ("a.jsonl", '{"name": "a", "description": "b", "cues": "c"}\n', "cues is a list of texts"),
        ("a.jsonl", '{"name": "a", "description": "b", "version": 0}\n', "version is a whole number from 1"),
        ("a.jsonl", '{"name": "a", "description": "b", "program": {"source": ""}}', "entry_point"),
        ("a.jsonl", json.dumps({"name": "a", "description": "x" * 20_001}), ":1: .*20,001 characters"),
        ("a.jsonl", '{"name": "\\ud800", "description": ""}', "lone surrogate"),
        ("a.jsonl", '{"name": "a", "description": "b", "provenance": {"time": "noon"}}', "time is a moment"),
        ("a.jsonl", '{"name": "a", "description": "b", "id": "\\u0000"}', "an id is up to 64 letters"),
        ("a.jsonl", "[" * 100_000, r"a\.jsonl:1: this is no JSON"),
        ("a.jsonl", "x" * 4_000_001, r"a\.jsonl:1: the line has 4,000,000"),
        ("a.jsonl", b"\xff\xfe", "not UTF-8"),
        ("a.yaml", "- name: a\n  description: b\n- name: b\n", r"a\.yaml:3: a concept needs"),
        ("a.yaml", "- name: a\n  description: b: c\n", r"a\.yaml:2: this is no YAML"),
        ("a.yaml", "name: a\n", "no list of concepts"),
        ("a.yaml", "- name: !!python/object/apply:os.system [true]\n  description: b\n", "this is no YAML"),
        ("a.csv", "name\n", "it would be named .jsonl"),
    ],
)
def test_malformed_files_are_refused_with_the_place_and_nothing_is_imported(
    store, tmp_path, name, text, said
):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(MemoryStoreError, match=said):
        import_memory(store, path)
    assert len(store) == 0
    assert store.clock == 0


def test_a_file_that_is_missing_or_cannot_be_written_is_named(store, tmp_path):
    with pytest.raises(MemoryStoreError, match=r"cannot read .*missing\.jsonl"):
        import_memory(store, tmp_path / "missing.jsonl")
    with pytest.raises(MemoryStoreError, match=r"cannot write .*memory\.jsonl"):
        export_memory(store, tmp_path / "no-folder" / "memory.jsonl")
    with pytest.raises(MemoryStoreError, match=r"not as memory\.txt"):
        export_memory(store, tmp_path / "memory.txt")


ARC_MEMO = """
## structure concepts
- concept: hole
  description: an empty space inside an object
  cues:
    - if there is an object with a cavity
- lower usage concepts: [pyramid of lines]
- shape := Any
- concept: pick
  output_typing: list[grid]
  parameters:
    - grid (type: grid)
    - by (type: Callable[[object], int])
  implementation:
    - use slicing: sequence[offset::n]
"""


def test_arc_memo_concepts_are_read(tmp_path):
    path = tmp_path / "concepts.yaml.txt"
    path.write_text(ARC_MEMO)
    hole, pick = read_arc_memo(path)
    provenance = Provenance(family="arc", source="concepts.yaml.txt")
    cues = ("if there is an object with a cavity",)
    assert hole == Concept(
        "hole", "an empty space inside an object", cues=cues, kind="structure", provenance=provenance
    )
    assert pick.parameters == ("grid: grid", "by: Callable[[object], int]")
    assert pick.notes == ("use slicing: sequence[offset::n]",)
    assert (pick.kind, pick.signature) == ("routine", "(grid, Callable[[object], int]) -> list[grid]")
    path.write_text(ARC_MEMO + "- concept: [1]\n")
    with pytest.raises(MemoryStoreError, match=r"concepts\.yaml\.txt:16: the text 'concept' is missing"):
        read_arc_memo(path)


def test_malformed_lessons_and_programs_are_named(tmp_path):
    path = tmp_path / "lessons.json"
    path.write_text('{"t": [{"situation": "s"}]}')
    with pytest.raises(MemoryStoreError, match="puzzle t, lesson 1: the text 'suggestion' is missing"):
        read_lessons(path)
    path.write_text('{"id": "0", "program": "def other(g): pass"}')
    with pytest.raises(MemoryStoreError, match=r"lessons\.json:1: the program has no function transform"):
        read_programs(path)


@pytest.mark.benchmark_data
def test_what_was_published_is_read_stored_and_found(store, benchmark_data):
    folder = benchmark_data / "concepts"
    concepts = read_arc_memo(folder / "arc_memo_concepts.yaml.txt")
    lessons = read_lessons(folder / "arc_memo_lessons.json")
    programs = read_programs(folder / "arc2_program_library.jsonl")
    assert (len(concepts), len(lessons), len(programs)) == (106, 182, 269)
    store.bring([*concepts, *lessons, *programs])
    assert len(store) == 106 + 182 + 269
    [first, *_] = store.recall(RecallQuery("recolor objects", clock=store.clock))
    assert first.concept.name == "recolor object"
