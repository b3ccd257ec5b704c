"""``induce sandbox image`` and ``induce sandbox sweep``: what the Docker back end needs now and then."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.filesize import decimal

from induce.cli.options import Json
from induce.cli.output import console, error_console, print_json, print_line
from sandboxes.container.engine import Engine
from sandboxes.container.image import PYTHON, Image, build_image, build_image_from_host, list_images
from sandboxes.container.sweep import sweep
from sandboxes.environment import PACKAGES

Host = Annotated[
    str | None,
    typer.Option("--host", help="The engine, such as unix:///var/run/docker.sock; DOCKER_HOST otherwise."),
]


def build(
    from_host: Annotated[
        bool,
        typer.Option("--from-host", help="Without a registry: out of this interpreter and its packages."),
    ] = False,
    python: Annotated[
        str | None, typer.Option(help=f"Version of Python, from the registry; {PYTHON} by default.")
    ] = None,
    package: Annotated[
        list[str] | None,
        typer.Option(help="With --from-host: what programs may import, instead of numpy and scipy."),
    ] = None,
    host: Host = None,
    json: Json = False,
) -> None:
    """Build the image that the Docker sandbox runs programs in, and make it the default one.

    Without --from-host, it is built on the registry's python image, with numpy and scipy. With it, the image
    holds just the files of this interpreter that programs can use: no shell, no tools, no registry needed.

    Examples:

      induce sandbox image build

      induce sandbox image build --from-host
    """
    if from_host and python is not None:
        raise typer.BadParameter("this interpreter has its version already", param_hint="--python")
    if package and not from_host:
        raise typer.BadParameter("goes with --from-host only", param_hint="--package")
    engine = Engine(host)
    if from_host:
        image = build_image_from_host(engine, package or tuple(PACKAGES), _report)
    else:
        image = build_image(engine, python or PYTHON, _report)
    if json:
        print_json(asdict(image))
    else:
        print_line(console(), f"{image.name}, Python {image.python}, {decimal(image.size_bytes)}")


def list_built(host: Host = None, json: Json = False) -> None:
    """List the images that were built for programs, oldest first; a star marks the default one.

    Example:

      induce sandbox image list --json
    """
    images = list_images(Engine(host))
    for image in images:
        if json:
            print_json(asdict(image))
        else:
            print_line(console(), _line(image))
    if not images and not json:
        print_line(console(), "no images yet; build one: induce sandbox image build")


def sweep_containers(host: Host = None, json: Json = False) -> None:
    """Remove the containers that sandboxes have left whose process is dead.

    Every new Docker sandbox does so, too.

    Example:

      induce sandbox sweep
    """
    count = sweep(Engine(host))
    if json:
        print_json({"removed": count})
    else:
        print_line(console(), f"removed {count} container{'' if count == 1 else 's'}")


def _line(image: Image) -> str:
    mark = "*" if image.default else " "
    return f"{mark} {image.name}  Python {image.python}  {decimal(image.size_bytes)}  {image.created[:16]}"


def _report(line: str) -> None:
    print_line(error_console(), line, style="dim")
