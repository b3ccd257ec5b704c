"""Published methods, and our own, as named, frozen configurations of the steps."""

from hypotheses.recipes.library import RECIPES, find_recipe, load_recipe, save_recipe
from hypotheses.recipes.recipe import Implement, Pick, PromptStyle, Propose, Recall, Recipe, Refine, Summarize

__all__ = [
    "RECIPES",
    "Implement",
    "Pick",
    "PromptStyle",
    "Propose",
    "Recall",
    "Recipe",
    "Refine",
    "Summarize",
    "find_recipe",
    "load_recipe",
    "save_recipe",
]
