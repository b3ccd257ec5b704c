"""What programs share is learned without a model."""

from dataclasses import replace

from memory import Concept, ConceptStore, Provenance
from memory.shared_pieces import FRAGMENT, learn_shared_pieces
from sandboxes import EmbeddedSandbox, Limits, Program

COUNTING = """def f(x):
    counts = {{}}
    for item in x:
        if item > {number}:
            counts[item] = counts.get(item, 0) + 1
    return {result}
"""


def concept(name, number, result, task=None):
    program = Program(COUNTING.format(number=number, result=result), "f")
    origin = Provenance(family="lists", task=task or name)
    return Concept(name, "", program=program, features=("in:list[int]", name), provenance=origin)


def test_a_piece_of_two_solutions_becomes_a_concept_once(tmp_path):
    with ConceptStore.open(tmp_path / "memory.sqlite") as store:
        ids = store.bring(
            [concept("largest", 3, "max(counts, key=counts.get)"), concept("number", 5, "len(counts)")]
        )
        [made] = learn_shared_pieces(store)
        found = store.get(made)
        assert found.kind == FRAGMENT
        assert set(found.came_from) == set(ids)
        assert found.features == ("in:list[int]",)
        assert any("3 | 5" in parameter for parameter in found.parameters)
        with EmbeddedSandbox() as sandbox:
            [run] = sandbox.run(found.program, [[[4, 9, 4, 1]]], Limits())
        assert run.value == {4: 2, 9: 1}
        assert learn_shared_pieces(store) == [made]
        assert len(store) == 3


def test_programs_of_one_task_share_nothing_that_is_worth_keeping(tmp_path):
    with ConceptStore.open(tmp_path / "memory.sqlite") as store:
        store.bring([concept("a", 3, "len(counts)", "t"), concept("b", 5, "max(counts)", "t")])
        assert learn_shared_pieces(store) == []
        store.bring([replace(concept("c", 3, "sum(counts)", "other"), program=None)])
        assert learn_shared_pieces(store) == []
