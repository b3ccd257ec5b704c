"""Recipes as files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hypotheses.recipes import (
    RECIPES,
    Implement,
    Propose,
    Recipe,
    Refine,
    Summarize,
    find_recipe,
    load_recipe,
    save_recipe,
)
from hypotheses.recipes.library import dump_recipe
from sandboxes import SettingsError

PUBLISHED = (
    "arc-memo direct guided-search hypothesis-refinement hypothesis-refinement-python hypothesis-search "
    "many-shot portfolio program-only rule-application search self-refine"
)


def test_the_published_recipes_are_there_with_their_sources():
    assert sorted(RECIPES) == PUBLISHED.split()
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert recipe.description
        assert recipe.source


def test_the_defaults_are_the_papers():
    search = RECIPES["hypothesis-search"]
    assert (search.propose.samples, search.propose.temperature, search.summarize.to) == (64, 1.0, 8)
    assert (search.implement.programs, search.implement.temperature, search.refine.rounds) == (8, 0.7, 3)
    refinement = RECIPES["hypothesis-refinement"]
    assert (refinement.propose.samples, refinement.propose.temperature, refinement.rounds) == (5, 0.7, 3)
    assert (refinement.implement.programs, refinement.implement.temperature) == (1, 0.0)
    assert RECIPES["program-only"].propose.samples == 64


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=20)
_RECIPES = st.builds(
    Recipe,
    name=_TEXT.filter(bool),
    description=_TEXT,
    propose=st.builds(
        Propose,
        what=st.just("hypothesis"),
        samples=st.integers(1, 99),
        temperature=st.floats(0, 2),
        levels=st.lists(st.sampled_from(["concrete", "general"]), max_size=3).map(tuple),
    ),
    summarize=st.none() | st.builds(Summarize, to=st.integers(1, 9)),
    implement=st.builds(
        Implement, programs=st.integers(1, 9), by=st.sampled_from(["translation", "application"])
    ),
    refine=st.none() | st.builds(Refine, what=st.just("hypothesis"), critique=st.booleans()),
    attempts=st.integers(1, 3),
)


@given(recipe=_RECIPES)
def test_a_recipe_survives_toml(tmp_path_factory, recipe):
    path = tmp_path_factory.mktemp("recipes") / "mine.toml"
    save_recipe(recipe, path)
    assert load_recipe(path) == recipe


@pytest.mark.parametrize("name", PUBLISHED.split())
def test_a_published_recipe_survives_toml(tmp_path, name):
    path = tmp_path / "copy.toml"
    path.write_text(dump_recipe(RECIPES[name]))
    assert find_recipe(str(path)) == RECIPES[name]


BAD = {
    "nothing to do": ("name = 'x'", "needs `propose`"),
    "rules without programs": ("name = 'x'\n[propose]\nwhat = 'hypothesis'", "needs `implement`"),
    "an unknown field": ("name = 'x'\nsearch = true\nsamples = 3", "samples"),
    "a bad number": ("name = 'x'\n[propose]\nwhat = 'program'\nsamples = 0", "propose.samples"),
    "no TOML": ("name = ", "no TOML"),
    "terms that are refined": (
        "name = 'x'\n[propose]\nwhat = 'term'\n[refine]\nwhat = 'program'",
        "not refined",
    ),
    "terms after the search": ("name = 'x'\nsearch = true\n[propose]\nwhat = 'term'", "leave out `search`"),
    "summaries of programs": ("name = 'x'\n[propose]\nwhat = 'program'\n[summarize]", "rules in words"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_bad_recipe_is_named_with_its_fault(tmp_path, text, message):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message) as error:
        load_recipe(path)
    assert str(path) in str(error.value)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(SettingsError, match="did you mean hypothesis-search"):
        find_recipe("hypothesis-serach")
    with pytest.raises(SettingsError, match="cannot read the recipe"):
        find_recipe("missing.toml")


def test_a_recipe_is_frozen():
    with pytest.raises(ValidationError):
        RECIPES["direct"].name = "other"
