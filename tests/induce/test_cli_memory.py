"""``induce memory``: what is stored by it is found, shown, exported and forgotten."""

import json

import pytest

pytest.importorskip("alembic", reason="memories need the extra `memory`")


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """A memory of three concepts, which the settings name."""
    path = tmp_path / "memory.sqlite"
    monkeypatch.setenv("INDUCE_MEMORY__ADDRESS", str(path))
    concepts = [
        {
            "name": "mirror",
            "description": "turn the grid around",
            "cues": ["both halves match"],
            "kind": "move",
        },
        {"name": "flood", "description": "fill what is enclosed", "features": ["grid", "same-shape"]},
        {
            "name": "twice",
            "description": "double every number",
            "program": {"source": "def f(x):\n    return [2 * n for n in x]\n", "entry_point": "f"},
        },
    ]
    file = tmp_path / "concepts.jsonl"
    file.write_text("".join(json.dumps(concept) + "\n" for concept in concepts))
    return file


@pytest.fixture
def filled(memory, induce_command):
    assert induce_command("memory", "import", memory).code == 0
    return memory


def listed(induce_command, *options):
    return induce_command("memory", "list", "--json", *options).records


def test_what_is_imported_is_listed_once(filled, induce_command):
    again = induce_command("memory", "import", filled)
    assert "0 concepts are new, 3 in all" in again.out
    assert [one["name"] for one in listed(induce_command)] == ["mirror", "flood", "twice"]
    table = induce_command("memory", "list").out
    assert "mirror" in table
    assert "turn the grid around" in table


def test_an_empty_memory_says_so(memory, induce_command):
    assert induce_command("memory", "list").out == "no concepts\n"
    assert induce_command("memory", "search", "anything").out == "no concepts\n"


def test_search_finds_by_words_and_by_features(filled, induce_command):
    by_words = induce_command("memory", "search", "halves", "match", "--json").records
    assert by_words[0]["name"] == "mirror"
    assert by_words[0]["ranks"]["words"] == 1
    by_feature = induce_command("memory", "search", "", "--feature", "same-shape", "--json").records
    assert [one["name"] for one in by_feature] == ["flood"]


def test_a_concept_is_shown_by_the_beginning_of_its_id(filled, induce_command):
    twice = listed(induce_command)[2]
    shown = induce_command("memory", "show", twice["id"][:8])
    assert shown.code == 0
    assert "double every number" in shown.out
    assert "return [2 * n for n in x]" in shown.out
    [record] = induce_command("memory", "show", twice["id"], "--json").records
    assert record == twice


def test_a_wrong_id_is_an_error_that_says_what_to_do(filled, induce_command):
    wrong = induce_command("memory", "show", "nothing")
    assert wrong.code == 1
    assert "induce memory list" in wrong.err


def test_what_is_forgotten_is_archived_and_deleted_only_once_exported(filled, induce_command, tmp_path):
    mirror = listed(induce_command)[0]["id"]
    assert induce_command("memory", "forget", mirror).code == 0
    assert [one["name"] for one in listed(induce_command)] == ["flood", "twice"]
    assert [one["name"] for one in listed(induce_command, "--archived")] == ["mirror"]
    refused = induce_command("memory", "forget", mirror, "--purge")
    assert refused.code == 1
    assert "export" in refused.err
    assert induce_command("memory", "export", tmp_path / "all.yaml").code == 0
    assert induce_command("memory", "forget", mirror, "--purge").code == 0
    assert listed(induce_command, "--archived") == []


def test_a_memory_exported_and_imported_is_the_same(filled, induce_command, tmp_path, monkeypatch):
    before = listed(induce_command)
    assert induce_command("memory", "export", tmp_path / "copy.jsonl").code == 0
    monkeypatch.setenv("INDUCE_MEMORY__ADDRESS", str(tmp_path / "other.sqlite"))
    assert induce_command("memory", "import", tmp_path / "copy.jsonl").code == 0
    assert listed(induce_command) == before


def test_stats_count(filled, induce_command):
    [figures] = induce_command("memory", "stats", "--json").records
    assert (figures["concepts"], figures["archived"], figures["with_a_program"]) == (3, 0, 1)
    assert figures["kinds"] == {"move": 1, "none": 2}
    assert "with a program" in induce_command("memory", "stats").out


def test_a_malformed_file_adds_nothing(memory, induce_command, tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text(memory.read_text() + "{\n")
    refused = induce_command("memory", "import", bad)
    assert refused.code == 1
    assert "bad.jsonl:4" in refused.err.replace("\n", "")
    assert listed(induce_command) == []


@pytest.mark.benchmark_data
@pytest.mark.parametrize(
    ("file", "form", "least"),
    [
        ("arc_memo_concepts.yaml.txt", "arc-memo", 100),
        ("arc_memo_lessons.json", "lessons", 80),
        ("arc2_program_library.jsonl", "programs", 260),
    ],
)
def test_what_others_published_is_imported(memory, induce_command, benchmark_data, file, form, least):
    done = induce_command("memory", "import", benchmark_data / "concepts" / file, "--form", form)
    assert done.code == 0, done.err
    assert len(listed(induce_command)) >= least
