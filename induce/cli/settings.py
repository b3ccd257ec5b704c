"""``induce settings``."""

from __future__ import annotations

import typer

from induce.cli.options import Json
from induce.cli.output import console, print_json, print_line
from induce.settings import origin_of, resolve_settings, settings_file, user_settings_file

app = typer.Typer(help="See what is set, and where.", no_args_is_help=True)


@app.command()
def show(
    json: Json = False,
) -> None:
    """Show every setting, and where it comes from: environment, then induce.toml, then default.

    Example:

      INDUCE_SEARCH__SECONDS=30 induce settings show
    """
    values = resolve_settings().model_dump(mode="json")
    if json:
        print_json(values)
        return
    names = [f"{group}.{name}" for group, members in values.items() for name in members or ()]
    width = max(map(len, names))
    for name in names:
        group, _, member = name.partition(".")
        origin = origin_of(name)
        style = "" if origin == "the default" else "bold"
        value = "not set" if values[group][member] is None else values[group][member]
        print_line(console(), f"{name:{width}}  {value}  ({origin})", style)
    print_line(console(), "each can be set by a variable, as search.seconds by INDUCE_SEARCH__SECONDS", "dim")


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
