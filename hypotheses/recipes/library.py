"""The recipes that come with the package, and those in files of the user's own."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path

import tomli_w
from pydantic import ValidationError

from hypotheses.recipes.recipe import Recipe
from sandboxes import SettingsError


@cache
def _library() -> Mapping[str, Recipe]:
    folder = resources.files("hypotheses.recipes")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda f: f.name)
    recipes = [_parse(file.read_text(encoding="utf-8"), file.name) for file in files]
    return {recipe.name: recipe for recipe in recipes}


class _Recipes(Mapping[str, Recipe]):
    """The recipes by name, read from their files when they are first asked for."""

    def __getitem__(self, name: str) -> Recipe:
        return _library()[name]

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(_library())

    def __len__(self) -> int:
        return len(_library())


RECIPES: Mapping[str, Recipe] = _Recipes()
"""The recipes that come with the package, by name."""


def find_recipe(name: str) -> Recipe:
    """Give the recipe of that name, or the one in the TOML file of that path.

    Raises ``SettingsError`` where there is neither, or the file is no recipe.
    """
    if name in RECIPES:
        return RECIPES[name]
    if name.endswith(".toml"):
        return load_recipe(name)
    near = difflib.get_close_matches(name, RECIPES, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(RECIPES)}, or a file NAME.toml"
    raise SettingsError(f"there is no recipe {name!r}; {hint}")


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe from a TOML file. Raises ``SettingsError`` that names the file and the field."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the recipe {path}: {error}") from error
    return _parse(text, str(path))


def save_recipe(recipe: Recipe, path: str | Path) -> None:
    """Write a recipe as TOML, to be changed and loaded again."""
    Path(path).write_text(dump_recipe(recipe), encoding="utf-8")


def dump_recipe(recipe: Recipe) -> str:
    """Give a recipe as TOML; what is left out has its default."""
    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True, exclude_unset=True))


def _parse(text: str, where: str) -> Recipe:
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{where} is no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = "".join(f"{part}." for part in first["loc"]).rstrip(".")
        what = first["msg"].removeprefix("Value error, ")
        raise SettingsError(
            f"{where} is no recipe: {field}: {what}" if field else f"{where} is no recipe: {what}"
        ) from error
