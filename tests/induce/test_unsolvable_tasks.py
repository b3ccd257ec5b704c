"""What no program can solve is said to be so, and why: contradictions, and grammars without a term."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypotheses.search import search
from hypotheses.sygus.sexpr import SexprError
from induce.tasks.sygus import parse_sygus

SYGUS = """(synth-fun f ((x String)) String ((S String (x "a" (str.++ S S)))))
(constraint (= (f "a") "a"))
(constraint (= (f "b") "bb"))
(constraint (= (f "a") "aa"))
"""
CONTRADICTIONS = {
    "grammar.sl": (SYGUS, (1, 3)),
    "texts.jsonl": ([("a b", "a"), ("c d", "c"), ("a b", "b")], (1, 3)),
    "lists.jsonl": ([([1], 1), ([2, 3], 5), ([2, 3], 6)], (2, 3)),
    "numbers.jsonl": ([(1, 2), (2, 4), (3, 6), (3, 7)], (3, 4)),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_examples_that_contradict_each_other_are_infeasible_and_named(induce_command, tmp_path, name):
    content, (first, second) = CONTRADICTIONS[name]
    if not isinstance(content, str):
        examples = [{"input": given_input, "output": output} for given_input, output in content]
        content = json.dumps({"id": "t", "examples": examples})
    path = tmp_path / name
    path.write_text(content)
    wanted = (
        f"examples {first} and {second} have the same input and different outputs, "
        "so no program satisfies both"
    )
    solved = induce_command("solve", path, "--json")
    assert solved.code == 0
    [record] = solved.records
    assert (record["outcome"], record["solved"], record["note"]) == ("infeasible", False, wanted)
    assert record["usage"]["terms"] == 0
    shown = induce_command("solve", path)
    assert shown.code == 0
    assert wanted in " ".join(shown.out.split())


def grammar(groups):
    return f'(set-logic SLIA)\n(synth-fun f ((x String)) String (\n{groups}))\n(constraint (= (f "a") "b"))'


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("(S String ((str.++ S S)))", "no term can be derived from S: every production"),
        (
            "(Start String (A (str.++ x B))) (A String ((str.++ B x))) (B String (A B))",
            "no term can be derived from Start, nor from A, B: every production",
        ),
        ("(S String ((str.at S I))) (I Int (0 1))", "no term can be derived from S: every production"),
        ("(S String ((str.at x I))) (I Int ((Variable Int)))", "no term can be derived from S, nor from I:"),
    ],
)
def test_a_grammar_without_a_term_is_refused_with_the_name_of_the_nonterminal(
    induce_command, tmp_path, groups, message
):
    path = tmp_path / "barren.sl"
    path.write_text(grammar(groups))
    refused = induce_command("solve", path)
    assert refused.code == 1
    assert message in " ".join(refused.err.split())
    assert "barren.sl:2" in refused.err.replace("\n", "")


@pytest.mark.parametrize(
    "groups",
    [
        '(S String (x "b" (str.++ S T))) (T String ((str.++ T T)))',
        '(S String (x "b")) (T String ((str.++ T T)))',
    ],
    ids=["of no use", "unreachable"],
)
def test_other_nonterminals_may_be_without_a_term(groups):
    task = parse_sygus(grammar(groups), "t")
    assert search(task, seconds=None, max_terms=1_000).found.definition.endswith('"b")')


@st.composite
def grammars(draw):
    """Grammars over a few non-terminals, as what the productions of each are joined of."""
    names = ["S", *draw(st.lists(st.sampled_from("ABC"), unique=True))]
    production = st.lists(st.sampled_from([*names, "x"]), min_size=2, max_size=3)
    return {name: draw(st.lists(production, min_size=1, max_size=2)) for name in names}


@given(grammars())
def test_a_grammar_is_refused_just_if_no_term_is_found_by_unfolding_it(productions):
    heights = dict.fromkeys(productions, False)
    for _ in productions:
        heights = {
            name: any(all(part == "x" or heights[part] for part in parts) for parts in choices)
            for name, choices in productions.items()
        }
    groups = " ".join(
        f"({name} String ({' '.join(f'(str.++ {part})' for part in map(' '.join, choices))}))"
        for name, choices in productions.items()
    )
    if heights["S"]:
        assert parse_sygus(grammar(groups), "t").grammar is not None
    else:
        with pytest.raises(SexprError, match="no term can be derived from S"):
            parse_sygus(grammar(groups), "t")
