"""``induce settings``."""

from __future__ import annotations

import typer
from rich.table import Table

from induce.cli.options import Json
from induce.cli.output import console, print_json
from induce.settings import Settings, resolve_settings, settings_file, user_settings_file

app = typer.Typer(help="See what is set, and where.", no_args_is_help=True)


@app.command()
def show(
    json: Json = False,
) -> None:
    """Show every setting, resolved: flag, then environment, then induce.toml, then default.

    Example:

      INDUCE_SEARCH__SECONDS=30 induce settings show
    """
    values = resolve_settings().model_dump(mode="json")
    if json:
        print_json(values)
        return
    defaults = Settings.model_construct().model_dump(mode="json")
    table = Table("setting", "value", "environment variable", box=None, header_style="dim")
    for group, members in values.items():
        for name, value in members.items():
            style = "" if value == defaults[group][name] else "bold"
            table.add_row(f"{group}.{name}", str(value), f"INDUCE_{group}__{name}".upper(), style=style)
    console().print(table)


@app.command()
def path() -> None:
    """Print the settings file in force, or where to put one.

    Example:

      induce settings path
    """
    found = settings_file()
    typer.echo(
        found if found is not None else f"{user_settings_file()} (not there yet; induce.toml here works too)"
    )
