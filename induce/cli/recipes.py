"""``induce recipes``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from hypotheses.recipes import RECIPES, find_recipe
from hypotheses.recipes.library import dump_recipe
from induce.cli.options import Json
from induce.cli.output import console, print_json

app = typer.Typer(help="Methods: those that come with induce, and your own.", no_args_is_help=True)


@app.command("list")
def list_recipes(json: Json = False) -> None:
    """List the recipes that come with induce.

    Example:

      induce recipes list
    """
    if json:
        for recipe in RECIPES.values():
            print_json({"name": recipe.name, "description": recipe.description, "source": recipe.source})
        return
    table = Table("recipe", "what it does", "source", box=None, header_style="dim")
    table.columns[0].no_wrap = True
    for recipe in RECIPES.values():
        table.add_row(Text(recipe.name, "bold"), recipe.description, Text(recipe.source, "dim"))
    console().print(table)


@app.command()
def show(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a TOML file.")], json: Json = False
) -> None:
    """Show a recipe as TOML: save it, change it, and give the file to induce solve --recipe.

    Examples:

      induce recipes show hypothesis-search > mine.toml

      induce solve tasks.jsonl --recipe mine.toml --model vllm:NAME@http://127.0.0.1:8000/v1
    """
    found = find_recipe(recipe)
    if json:
        print_json(found.model_dump(mode="json"))
    else:
        typer.echo(dump_recipe(found), nl=False)
