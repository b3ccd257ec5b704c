"""What every memory does, whatever it is kept in."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from concepts import CONCEPTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory import Concept, ConceptStore, Memory, Outcome, Provenance, RecallQuery, Statistics, export_memory
from sandboxes import MemoryStoreError, Program

MIRROR = Concept(
    "mirror",
    "turn the grid around its vertical axis",
    parameters=("axis: int",),
    cues=("both halves match",),
    program=Program("def f(g): return [row[::-1] for row in g]", "f", "grid_list", frozenset({"numpy"})),
    kind="routine",
    notes=("reverse each row",),
    term="(map reverse g)",
    features=("grid", "shape:same"),
    signature="grid -> grid",
    provenance=Provenance("run", "arc", "007bbfb7", "gpt", "a.yaml", time=datetime(2025, 1, 31, tzinfo=UTC)),
    statistics=Statistics(1, 2, 3, 4, 5),
)
CROP = Concept("crop", "cut out the largest object", cues=("the output is smaller",), features=("grid",))


def names(found):
    return [one.concept.name for one in found]


def test_a_store_is_a_memory(store):
    memory: Memory = store
    assert memory.recall(RecallQuery("anything", ("grid",), "grid -> grid")) == []


def test_what_was_added_is_there_after_reopening(store, place):
    store.tick()
    [concept_id] = store.add([MIRROR])
    store.close()
    with ConceptStore.open(place) as again:
        expected = replace(MIRROR, id=concept_id, provenance=replace(MIRROR.provenance, clock=1))
        assert again.get(concept_id) == expected
        assert list(again.concepts()) == [expected]
        assert len(again) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.lists(CONCEPTS, max_size=4))
def test_any_concept_comes_back_as_it_was(store, concepts):
    known = {one.id for one in store.concepts()}
    for concept, concept_id in zip(concepts, store.add(concepts), strict=True):
        if concept_id not in known:  # the first of the same content is the one that stays
            known.add(concept_id)
            provenance = replace(concept.provenance, clock=0)
            assert store.get(concept_id) == replace(concept, id=concept_id, provenance=provenance)
    assert store.add(concepts) == store.add(concepts)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(CONCEPTS)
def test_any_concept_is_found_by_its_own_features(store, concept):
    [concept_id] = store.add([replace(concept, features=("only this one", *concept.features))])
    store.update(concept_id, replace(concept, features=("only this one", *concept.features)))
    assert concept_id in [
        one.concept.id for one in store.recall(RecallQuery(features=("only this one",)), 10_000)
    ]
    store.archive([concept_id])


def test_the_same_content_is_the_same_concept(store):
    [first] = store.add([MIRROR])
    assert store.add([replace(MIRROR, cues=("another",), kind="x"), CROP, CROP])[0] == first
    assert len(store) == 2
    assert store.get(first).cues == MIRROR.cues
    for other in ({"name": "x"}, {"description": "x"}, {"program": None}, {"term": "x"}):
        [another] = store.add([replace(MIRROR, **other)])
        assert another != first


def test_an_archived_or_merged_concept_that_is_learned_again_stays_so(store):
    mirror, crop = store.add([MIRROR, CROP])
    store.archive([mirror])
    assert store.add([MIRROR, CROP]) == [mirror, crop]
    assert [one.id for one in store.concepts()] == [crop]


def test_updating_keeps_the_old_versions(store):
    [concept_id] = store.add([MIRROR])
    store.count([concept_id], used=1)
    assert store.update(concept_id, MIRROR) == 1
    assert store.update(concept_id, replace(MIRROR, description="reverse rows")) == 2
    first, second = store.versions(concept_id)
    assert (first.description, first.version) == (MIRROR.description, 1)
    assert (second.description, second.version) == ("reverse rows", 2)
    assert store.get(concept_id) == second
    assert store.get(concept_id, 1) == first
    assert second.statistics.used == MIRROR.statistics.used + 1
    assert store.add([replace(MIRROR, description="reverse rows")]) == [concept_id]
    assert names(store.recall(RecallQuery("vertical turn"))) == []
    assert names(store.recall(RecallQuery("reverse rows"))) == ["mirror"]


def test_a_merged_concept_points_to_what_it_came_from(store):
    ids = store.add([MIRROR, CROP])
    merged = store.merge(ids, Concept("either", "mirror it or crop it"))
    assert store.get(merged).came_from == tuple(ids)
    assert [one.id for one in store.concepts()] == [merged]
    assert {one.id for one in store.concepts(archived=True)} == set(ids)


def test_merging_into_one_of_the_merged_keeps_that_one(store):
    mirror, crop = store.add([MIRROR, CROP])
    assert store.merge([mirror, crop], MIRROR) == mirror
    assert store.get(mirror).came_from == (crop,)
    assert [one.id for one in store.concepts()] == [mirror]


def test_archived_concepts_are_listed_but_not_recalled_and_come_back_by_an_update(store):
    [mirror] = store.add([MIRROR])
    store.archive([mirror])
    assert store.recall(RecallQuery("mirror", MIRROR.features, MIRROR.signature)) == []
    assert [one.id for one in store.concepts(archived=True)] == [mirror]
    store.update(mirror, MIRROR)
    assert names(store.recall(RecallQuery("mirror"))) == ["mirror"]


def test_only_what_is_archived_and_exported_can_be_purged(store, tmp_path):
    mirror, crop = store.add([MIRROR, CROP])
    with pytest.raises(MemoryStoreError, match="not archived"):
        store.purge([mirror])
    store.archive([mirror])
    export_memory(store, tmp_path / "present.jsonl", history=False)
    with pytest.raises(MemoryStoreError, match="not been exported"):
        store.purge([mirror])
    export_memory(store, tmp_path / "all.jsonl")
    store.update(mirror, replace(MIRROR, kind="later"))
    store.archive([mirror])
    with pytest.raises(MemoryStoreError, match="not been exported"):
        store.purge([mirror])
    export_memory(store, tmp_path / "all.jsonl")
    store.purge([mirror])
    assert [one.id for one in store.concepts(archived=True)] == []
    assert [one.id for one in store.concepts()] == [crop]
    with pytest.raises(MemoryStoreError, match="no concept"):
        store.get(mirror)
    store.check()
    assert names(store.recall(RecallQuery("axis output", ("grid", "shape:same")))) == ["crop"]


def test_counters_add_up(store):
    mirror, crop = store.add([replace(MIRROR, statistics=Statistics()), CROP])
    store.tick()
    store.count([mirror, crop], recalled=2)
    store.count([mirror], used=1, wins=3, losses=4)
    assert store.get(mirror).statistics == Statistics(2, 1, 3, 4, last_used=1)
    assert store.get(crop).statistics == Statistics(recalled=2)


def test_outcomes_are_kept_in_their_order_and_each_is_a_task_done(store):
    first = Outcome("t1", True, "arc", "run", recalled=3, used=1, work=1_000, seconds=0.5)
    second = Outcome("t2", False)
    assert [store.finish(first), store.finish(second)] == [1, 2] == [1, store.clock]
    assert list(store.outcomes()) == [first, replace(second, clock=1)]


def test_what_a_concept_is_worth_without_it_is_counted_apart(store):
    [mirror] = store.add([replace(MIRROR, statistics=Statistics())])
    store.count([mirror], wins_without=2, losses_without=1)
    store.count([mirror])
    assert store.get(mirror).statistics == Statistics(wins_without=2, losses_without=1)


def test_a_query_sees_only_what_was_learned_strictly_earlier(store):
    [mirror] = store.add([MIRROR])
    query = RecallQuery("mirror axis rows", MIRROR.features, MIRROR.signature, clock=0)
    assert store.recall(query) == []
    assert store.tick() == store.clock == 1
    store.add([replace(MIRROR, name="mirror later")])
    assert names(store.recall(replace(query, clock=1))) == ["mirror"]
    store.tick()
    store.update(mirror, replace(MIRROR, name="mirror at last"))
    store.tick()
    assert names(store.recall(replace(query, clock=1))) == ["mirror"]
    assert set(names(store.recall(replace(query, clock=2)))) == {"mirror", "mirror later"}
    assert set(names(store.recall(replace(query, clock=3)))) == {"mirror at last", "mirror later"}
    store.archive([mirror])
    assert set(names(store.recall(replace(query, clock=3)))) == {"mirror at last", "mirror later"}
    assert names(store.recall(replace(query, clock=4))) == names(store.recall(replace(query, clock=None)))
    assert names(store.recall(replace(query, clock=None))) == ["mirror later"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(st.lists(st.sampled_from(["learn", "tick", "update", "archive"]), max_size=12), st.integers(0, 2**30))
def test_a_query_with_a_clock_sees_the_memory_as_it_was(store, steps, seed):
    """Whatever happens later, what was recalled at a clock is recalled at it again, version by version."""
    family = f"family{seed}"
    ids, seen = [], {}

    def look(clock):
        found = store.recall(RecallQuery(features=(family,), clock=clock), 1_000)
        return {(one.concept.id, one.concept.version) for one in found}

    for number, step in enumerate(steps):
        one = Concept(f"{step} {number} {family}", "", features=(family,))
        if step == "learn":
            ids += store.add([one])
        elif step == "tick":
            clock = store.tick()
            seen[clock] = look(clock)
        elif ids and step == "update":
            store.update(ids[number % len(ids)], one)
        elif ids:
            store.archive([ids[number % len(ids)]])
    for clock, found in seen.items():
        assert look(clock) == found


def test_what_is_brought_may_be_recalled_at_once(store):
    store.bring([MIRROR])
    assert names(store.recall(RecallQuery("mirror", clock=store.clock))) == ["mirror"]


def test_a_frozen_memory_is_read_but_not_written(store, place):
    [mirror] = store.add([MIRROR])
    store.close()
    with ConceptStore.open(place, frozen=True) as frozen:
        assert names(frozen.recall(RecallQuery("mirror"))) == ["mirror"]
        for write in (
            frozen.tick,
            lambda: frozen.add([CROP]),
            lambda: frozen.archive([mirror]),
            lambda: frozen.count([mirror], used=1),
        ):
            with pytest.raises(MemoryStoreError, match="frozen"):
                write()
        frozen.check()
    with ConceptStore.open(place) as again:
        assert list(again.concepts(archived=True)) == []


def test_what_is_gone_is_not_counted(store):
    [mirror] = store.add([replace(MIRROR, statistics=Statistics())])
    store.count([mirror, "nobody"], recalled=1)
    assert store.get(mirror).statistics == Statistics(recalled=1)


def test_several_may_add_to_a_concept_they_all_have_seen(store):
    [mirror] = store.add([MIRROR])
    seen = store.get(mirror)
    for cue in ("one", "another"):
        store.extend(mirror, replace(seen, cues=(*seen.cues, cue), notes=(*seen.notes, cue)))
    assert store.get(mirror).cues == (*MIRROR.cues, "one", "another")
    assert store.get(mirror).version == 3
    store.extend(mirror, replace(seen, notes=("x" * 19_999,)))  # there is no room for that
    assert store.get(mirror).version == 3
    store.archive([mirror])
    store.extend(mirror, replace(seen, cues=("late",)))
    assert len(store) == 0


def test_the_newest_concepts_come_first_where_that_is_asked_for(store):
    store.add([Concept(f"c{number}", "") for number in range(1_203)])
    names = [one.name for one in store.concepts(newest_first=True)]
    assert names == [f"c{number}" for number in reversed(range(1_203))]


def test_unknown_ids_are_named_and_change_nothing(store):
    [mirror] = store.add([MIRROR])
    for call in (
        lambda: store.get("nobody"),
        lambda: store.get(mirror, 7),
        lambda: store.versions("nobody"),
        lambda: store.update("nobody", CROP),
        lambda: store.archive([mirror, "nobody"]),
        lambda: store.merge([mirror, "nobody"], CROP),
        lambda: store.purge(["nobody"]),
    ):
        with pytest.raises(MemoryStoreError, match=r"has no concept (nobody|.* of version 7)"):
            call()
    assert [one.id for one in store.concepts()] == [mirror]
    assert store.get(mirror).statistics == MIRROR.statistics


@pytest.mark.parametrize(
    ("concept", "said"),
    [
        (replace(MIRROR, description="x" * 20_001), "20,001 characters in its description, of 20,000"),
        (
            replace(MIRROR, program=Program("x" * 100_001, "f")),
            "100,001 characters in its program, of 100,000",
        ),
        (replace(MIRROR, cues=("x" * 15_000, "y" * 15_000)), "30,000 characters in its cues"),
        (replace(MIRROR, features=tuple(map(str, range(2_001)))), "more than 2,000 features"),
        (replace(MIRROR, name="  "), "has no name"),
        (replace(MIRROR, notes=("\ud800",)), "lone surrogate"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_beside_it_stored(store, concept, said):
    with pytest.raises(MemoryStoreError, match=said):
        store.add([CROP, concept])
    assert len(store) == 0


def test_the_largest_concept_that_is_allowed_is_kept(store):
    many = " ".join(f"word{number}" for number in range(2_000))[:20_000]
    source = "\n".join(f"name{number} = {number}" for number in range(10_000))[:100_000]
    large = replace(MIRROR, description=many, cues=(many,), notes=(many,), program=Program(source, "f"))
    [concept_id] = store.add([large])
    assert store.get(concept_id).program == large.program
    assert names(store.recall(RecallQuery("word7"))) == ["mirror"]


def test_words_are_found_in_every_field_whatever_their_case_and_number(store):
    store.add([MIRROR, CROP])
    for text in ("MIRRORS", "vertical", "halves", "reversed reverse", "gs g", "axes axis"):
        assert names(store.recall(RecallQuery(text))) == ["mirror"], text
    assert names(store.recall(RecallQuery('cut") OR "x* NEAR(- :'))) == ["crop"]
    assert store.recall(RecallQuery("' & | !")) == []


def test_rare_words_and_features_weigh_more_than_common_ones(store):
    store.add([Concept(f"c{number}", "a grid", features=("grid",)) for number in range(30)])
    store.add([Concept("needle", "a spiral in a grid", features=("grid", "spiral"))])
    store.add([Concept(f"d{number}", "a grid", features=("grid",)) for number in range(30)])
    [first, *_] = store.recall(RecallQuery("grid with a spiral", ("grid", "spiral")))
    assert (first.concept.name, dict(first.ranks)) == ("needle", {"words": 1, "features": 1})


def test_what_almost_all_have_is_asked_for_only_if_nothing_else_is_there(store):
    store.add([Concept(f"c{number}", "a grid", features=("grid",), signature="s") for number in range(1_200)])
    store.add([Concept("needle", "a spiral", features=("spiral",), signature="s")])
    [only] = store.recall(RecallQuery("grid with a spiral", ("grid", "spiral"), "s"))
    assert (only.concept.name, dict(only.ranks)) == ("needle", {"words": 1, "features": 1})
    for query in (RecallQuery("grid"), RecallQuery(features=("grid",)), RecallQuery(signature="s")):
        assert len(store.recall(query)) == 8


def test_ways_of_finding_are_fused_by_reciprocal_ranks(store):
    store.add([MIRROR, CROP, Concept("both", "mirror and cut", features=("shape:same",))])
    found = store.recall(RecallQuery("mirror", ("shape:same",), "grid -> grid"))
    for one in found:
        assert one.score == pytest.approx(sum(1 / (60 + rank) for rank in one.ranks.values()))
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert names(found)[0] == "mirror"
    assert found[0].ranks["signature"] == 1
    assert len(store.recall(RecallQuery("mirror", ("shape:same",)), most=1)) == 1


def test_a_signature_is_enough_to_find_what_was_of_use(store):
    ids = store.add([replace(CROP, name=name, signature="text -> text") for name in "abc"])
    store.count([ids[0]], used=3)
    assert names(store.recall(RecallQuery(signature="text -> text")))[0] == "a"
    assert store.recall(RecallQuery(signature="text -> number")) == []


def test_another_retriever_can_be_given(place):
    def newest_first(look, query):
        return [2, 1]

    with ConceptStore.open(place, retrievers={"newest": newest_first}) as store:
        store.add([MIRROR, CROP])
        assert names(store.recall(RecallQuery())) == ["crop", "mirror"]


def test_a_closed_memory_says_so(store):
    store.close()
    store.close()
    with pytest.raises(MemoryStoreError, match="is closed"):
        store.recall(RecallQuery("x"))
