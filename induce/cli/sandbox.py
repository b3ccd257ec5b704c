"""``induce sandbox``: the place where programs run."""

from __future__ import annotations

import typer

from induce.cli import sandbox_check, sandbox_image, sandbox_serve

app = typer.Typer(
    help="Where programs run: check what holds them, build images, serve other machines.",
    no_args_is_help=True,
)
image = typer.Typer(help="Images for the Docker sandbox.", no_args_is_help=True)
app.command("check")(sandbox_check.check)
app.command("serve")(sandbox_serve.serve)
app.command("sweep")(sandbox_image.sweep_containers)
app.add_typer(image, name="image")
image.command("build")(sandbox_image.build)
image.command("list")(sandbox_image.list_built)
