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


@pytest.fixture
def lived(memory, tmp_path):
    """A memory after forty tasks of two families, the later ones of which are solved more often."""
    from memory import Concept, ConceptStore, Outcome

    with ConceptStore.open(tmp_path / "memory.sqlite") as store:
        for number in range(40):
            if number % 8 == 0:
                [helpful] = store.add([Concept(f"concept {number}", f"does {number}")])
            store.count([helpful], recalled=1, wins=int(number >= 24), losses=int(number < 24))
            solved = number % 4 < number // 10
            family = "lists" if number % 2 else "grids"
            store.finish(Outcome(f"t{number}", solved, family, work=1_000 + number, seconds=0.5))
        store.count([helpful], used=1, wins=3, losses_without=4)
        store.add([Concept("never recalled", "")])


def test_stats_show_growth_reuse_value_and_progress(lived, induce_command):
    [figures] = induce_command("memory", "stats", "--json").records
    assert figures["growth"] == [1, 0, 1, 0, 1, 0, 1, 0, 1, 1]
    assert figures["reuse"] == {"recalled": 5 / 6, "used": 1 / 6}
    best, *others = figures["most_valuable"]
    assert best["name"] == "concept 32"
    assert (best["wins"], best["losses"], best["losses_without"]) == (11, 0, 4)
    assert best["low"] > 0
    assert others == []  # nothing else was ever left out
    assert [part["tasks"] for part in figures["progress"]] == [4] * 10
    assert [part["solved"] for part in figures["progress"]] == [0, 0, 0, 1, 1, 2, 2, 3, 3, 3]
    assert figures["progress"][0]["work"] == 1_000 + 1_001 + 1_002 + 1_003
    assert figures["progress"][9]["solved_share"] == 0.75
    assert set(figures["families"]) == {"lists", "grids"}
    assert sum(part["tasks"] for part in figures["families"]["lists"]) == 20

    told = induce_command("memory", "stats").out
    for text in ("ever recalled", "5 of 6, 83%", "concept 32", "11/11", "lists", "grids", "█"):
        assert text in told


def double(memory, induce_command):
    """Add a concept that does the same as ``twice``, and one that does nearly the same."""
    sources = {
        "doubled": "def g(numbers): return [2*m for m in numbers]",
        "thrice": "def f(x): return [3*n for n in x]",
    }
    file = memory.with_name("more.jsonl")
    file.write_text(
        "".join(
            json.dumps(
                {"name": name, "description": name, "program": {"source": text, "entry_point": text[4]}}
            )
            + "\n"
            for name, text in sources.items()
        )
    )
    assert induce_command("memory", "import", file).code == 0


def test_consolidating_merges_what_is_double_once(filled, induce_command):
    double(filled, induce_command)
    before = listed(induce_command)
    [rehearsed] = induce_command("memory", "consolidate", "--dry-run", "--json").records
    assert listed(induce_command) == before
    [done] = induce_command("memory", "consolidate", "--json").records
    assert rehearsed == done | {"dry_run": True}
    assert (done["merged"], done["generalised"], done["complete"], done["changed"]) == (1, 1, True, 2)
    assert [one["name"] for one in listed(induce_command)] == ["mirror", "flood", "twice"]
    assert len(listed(induce_command, "--archived")) == 2
    [again] = induce_command("memory", "consolidate", "--json").records
    assert (again["changed"], again["examined"], again["complete"]) == (0, 3, True)


def test_consolidating_says_what_it_did_and_what_is_left(filled, induce_command):
    double(filled, induce_command)
    told = induce_command("memory", "consolidate", "--dry-run").out
    assert "1  merged into others" in told
    assert "nothing was changed" in told
    assert "run it again" not in told
    some = induce_command("memory", "consolidate", "--most", 2)
    assert some.code == 0
    assert "2  examined" in some.out
    assert "run it again" in some.out


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
