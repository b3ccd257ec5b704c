"""The command line. Exit codes: 0 done, 1 an error, 2 wrong usage, 130 interrupted."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from induce._version import __version__
from induce.cli import (
    batch,
    cluster,
    doctor,
    evaluate,
    gnn,
    memory,
    model,
    recipes,
    runs,
    sandbox,
    score,
    settings,
    solve,
    tasks,
)
from induce.render import visible
from sandboxes.errors import InduceError

app = typer.Typer(
    name="induce",
    help="From a handful of examples to a verified, readable program.",
    epilog="Exit codes: 0 done, 1 error, 2 wrong usage, 130 interrupted.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command("solve")(solve.solve)
app.command("resume")(solve.resume)
app.command("score")(score.score)
app.command("evaluate")(evaluate.evaluate_runs)
app.add_typer(tasks.app, name="tasks")
app.add_typer(runs.app, name="runs")
app.add_typer(batch.app, name="batch")
app.add_typer(cluster.app, name="cluster")
app.add_typer(recipes.app, name="recipes")
app.add_typer(memory.app, name="memory")
app.add_typer(gnn.app, name="gnn")
app.add_typer(model.app, name="model")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(settings.app, name="settings")
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"induce {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From a handful of examples to a verified, readable program."""


def main() -> None:
    """Run the command line; an error of ours is one line on standard error and exit code 1."""
    try:
        app()
    except InduceError as error:
        typer.echo(f"error: {visible(str(error))}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone; silence Python's own complaint at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
