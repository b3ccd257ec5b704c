"""``induce model``: language models, served and examined."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from induce.cli.options import Json
from induce.cli.output import console, error_console, print_json, print_line
from induce.render import visible
from sandboxes.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from induce.model_check import Finding
    from induce.model_serving import Progress, ReadyServer

app = typer.Typer(help="Language models: serve one with vLLM, see what one can do.", no_args_is_help=True)

_QUIET_SECONDS = 15.0
"""How often a start is reported where there is no terminal."""


@app.command()
def serve(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME|DIR", help="A folder with a model, or its name on the Hugging Face hub."
        ),
    ],
    flags: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- FLAGS", help="More flags, for vLLM itself.", show_default=False),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens; 0: any free port.")] = 8000,
    host: Annotated[str, typer.Option(help="The address that it listens on.")] = "127.0.0.1",
    name: Annotated[
        str | None, typer.Option(help="What clients call the model. Default: the folder's or the hub's name.")
    ] = None,
    context: Annotated[
        int | None, typer.Option(min=1, help="Tokens that prompt and answer may have. Default: as the model.")
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(help="The interpreter that has vLLM. Default: INDUCE_VLLM_PYTHON, or this one."),
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="The variable that holds the key which clients must have.")
    ] = None,
    log: Annotated[
        Path | None, typer.Option(help="What vLLM says. Default: a file in the log folder.")
    ] = None,
    start_timeout: Annotated[
        float, typer.Option(min=1, help="Seconds that it may take to start, a download included.")
    ] = 1800.0,
    grace: Annotated[float, typer.Option(min=0, help="Seconds that it may take to end.")] = 20.0,
    json: Json = False,
) -> None:
    """Serve a model with vLLM, until SIGTERM or Ctrl-C.

    Prints its URL, and what to pass as --model, once it answers. When told to end, the server and all that
    it started are ended; told again, they are killed. vLLM must be installed, here or for --python.

    Examples:

      induce model serve Qwen/Qwen2.5-Coder-7B-Instruct

      induce model serve models/smollm2 --port 8101 --context 4096 -- --max-num-seqs 32
    """
    from induce.model_serving import ServeOptions, plan_server, ready_record  # noqa: PLC0415
    from induce.model_serving import serve as serve_until_told  # noqa: PLC0415

    def ready(server: ReadyServer) -> None:
        hush()
        if json:
            print_json(dict(ready_record(server)))
            return
        size = f", {server.context:,} tokens of context" if server.context else ""
        print_line(error_console(), f"{server.name} answers after {server.seconds:.0f} s{size}", "dim")
        if key:
            print_line(error_console(), "clients find the key in INDUCE_MODEL_API_KEY", "dim")
        print_line(console(), server.url)
        print_line(console(), f"--model {server.address}")

    key = _key(api_key_env)
    plan = plan_server(
        ServeOptions(
            model,
            name or "",
            host,
            port,
            context,
            python or "",
            tuple(flags or ()),
            key,
            log,
            start_timeout,
            grace,
        )
    )
    print_line(error_console(), f"starting {plan.options.served_name}; log: {plan.log}", "dim")
    try:
        with _reporting() as (progress, hush):
            was_ready = asyncio.run(serve_until_told(plan, ready, progress))
    except ModelError as error:
        for line in getattr(error, "__notes__", ()):
            print_line(error_console(), f"  {line}", "dim")
        raise
    if not was_ready:
        raise typer.Exit(130)


def _key(variable: str | None) -> str:
    if variable is None:
        return ""
    key = os.environ.get(variable, "")
    if not key:
        raise ModelError(f"{variable} holds no key: set it, or name another variable with --api-key-env")
    return key


@contextlib.contextmanager
def _reporting() -> Iterator[tuple[Progress, Callable[[], None]]]:
    """Give what reports how a start goes, and what ends that: a line that changes, or one now and then."""
    on = error_console()
    status = on.status("")
    said = 0.0

    def report(seconds: float, line: str) -> None:
        nonlocal said
        text = f"{seconds:.0f} s: {line}"
        if on.is_terminal:
            status.update(Text(visible(text)[: on.width - 4], no_wrap=True))
            status.start()
        elif seconds - said >= _QUIET_SECONDS:
            said = seconds
            print_line(on, text, "dim")

    try:
        yield report, status.stop
    finally:
        status.stop()


@app.command()
def check(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS|URL", help="vllm:NAME@URL, openai:NAME, or the URL of a server.")
    ],
    deadline: Annotated[float, typer.Option(min=0.1, help="Seconds that each probe may take.")] = 60.0,
    concurrent: Annotated[int, typer.Option(min=1, help="Requests at a time, to measure speed.")] = 8,
    json: Json = False,
) -> None:
    """Ask an endpoint what it can do, and how fast it is: some 25 short requests.

    Exit code 1 if it cannot be reached, does not have the model or does not answer. The key of a server of
    one's own is in INDUCE_MODEL_API_KEY.

    Examples:

      induce model check http://127.0.0.1:8000

      induce model check vllm:smollm2@http://127.0.0.1:8101/v1 --json
    """
    try:
        from induce.model_check import FINDINGS, Target, check_endpoint, report_record  # noqa: PLC0415
    except ImportError as error:
        raise ModelError(f'this needs {error.name}: pip install "induce[models]"') from None

    width = max(map(len, FINDINGS))

    def show(finding: Finding) -> None:
        mark, style = {True: ("yes", "green"), False: ("no", "red"), None: ("?", "yellow")}[finding.works]
        line = Text.assemble(
            f"{finding.name:{width}}  ", (f"{mark:3}", style), f"  {visible(finding.detail)}"
        )
        console().print(line, soft_wrap=True)

    usable = True
    for target in Target.parse(address):
        if not json:
            print_line(console(), target.url, "dim")
        told = None if json else show
        report = asyncio.run(check_endpoint(target, told, deadline=deadline, concurrent=concurrent))
        if json:
            print_json(report_record(report))
        usable &= report.usable
    if not usable:
        raise typer.Exit(1)
