"""The options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Source = Annotated[
    str,
    typer.Argument(
        metavar="TASKS",
        help="A file, a folder, or a set: arc1:training, arc2:evaluation, arc1:007bbfb7, graph:bfs/d …",
    ),
]
Format = Annotated[
    str | None, typer.Option("--format", help="The tasks' format, where it is not to be detected.")
]
Shots = Annotated[int | None, typer.Option(min=1, help="Examples to show, of benchmarks that have many.")]
OutputColumn = Annotated[
    str | None, typer.Option(help="A spreadsheet's column with the outputs. Default: the last.")
]
SandboxChoice = Annotated[
    str | None,
    typer.Option(
        "--sandbox",
        help="Where programs run: embedded, docker, docker:IMAGE, unix:///SOCKET or tls://HOST:PORT. "
        "Default: embedded.",
    ),
]
ModelChoice = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="The language model: vllm:NAME@URL[,URL…], openai:NAME, anthropic:NAME or another provider of "
        "LangChain's, or recorded:TRANSCRIPT. Default: the setting model.address.",
    ),
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Report bad tasks and go on.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line, and nothing else.")]
RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="The run log: its path, or its name in the runs folder.")
]
MovedTasks = Annotated[
    str | None, typer.Option("--tasks", help="Where the tasks are now, if they have moved since the run.")
]
Details = Annotated[
    bool | None,
    typer.Option("--details/--no-details", help="Show solutions in full. Default: the first 20."),
]
