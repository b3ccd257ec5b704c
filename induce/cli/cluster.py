"""``induce cluster``: language models that a Ray cluster serves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from induce.cli.options import Json
from induce.cli.output import console, error_console, print_json, print_line
from induce.render import visible
from sandboxes.errors import ClusterError

if TYPE_CHECKING:
    from ray_jobs.serving.cluster_file import ClusterFile
    from ray_jobs.serving.deploying import ApplicationState, Progress
    from ray_jobs.serving.endpoints import EndpointState
    from ray_jobs.serving.plan import ClusterPlan

app = typer.Typer(
    help="Language models that a Ray cluster serves: one file says which.", no_args_is_help=True
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="A cluster file: which models, and how.")]

_QUIET_SECONDS = 15.0
"""How often a wait is reported where there is no terminal."""


@app.command()
def plan(
    file: File,
    serve_config: Annotated[
        bool,
        typer.Option(
            "--serve-config",
            help="Print Ray Serve's config alone, for `serve deploy` and KubeRay's serveConfigV2.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Say what would run: copies, GPUs, addresses for --model, and whether the weights fit.

    Where the file has an address, the cluster is asked which GPUs it has. Nothing is changed.

    Example:

      induce cluster plan models.yaml
    """
    from ray_jobs.serving.cluster_file import read_cluster_file  # noqa: PLC0415
    from ray_jobs.serving.plan import plan_cluster  # noqa: PLC0415
    from ray_jobs.serving.serve_config import serve_config as make_config  # noqa: PLC0415
    from ray_jobs.serving.yaml_files import as_yaml  # noqa: PLC0415

    cluster = read_cluster_file(file)
    if serve_config:
        if not cluster.served:
            raise ClusterError(f"{file}: all of its models are served elsewhere; there is nothing to deploy")
        typer.echo(as_yaml(make_config(cluster)), nl=False)
        return
    planned = plan_cluster(cluster)
    gpus, remark = _gpus_there(cluster)
    if json:
        print_json(_plan_record(cluster, planned, gpus, remark))
        return
    _print_plan(planned, gpus)
    for warning in _warnings(planned, gpus, remark):
        print_line(error_console(), warning, "yellow")


@app.command()
def up(
    file: File,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds that it may take until all models run, downloads included.")
    ] = 1800.0,
    wait_for_gpus: Annotated[
        bool, typer.Option("--wait-for-gpus", help="Deploy though GPUs are missing now: the cluster grows.")
    ] = False,
    json: Json = False,
) -> None:
    """Deploy the models, wait until they run, and print their addresses for --model.

    Other applications of the cluster stay as they are; models that are served elsewhere are checked to be
    there. Ray's token is in RAY_AUTH_TOKEN, or in the file RAY_AUTH_TOKEN_PATH.

    Example:

      induce cluster up models.yaml
    """
    from ray_jobs.serving import deploying  # noqa: PLC0415
    from ray_jobs.serving.cluster_file import read_cluster_file  # noqa: PLC0415
    from ray_jobs.serving.endpoints import check_endpoints  # noqa: PLC0415
    from ray_jobs.serving.plan import dashboard_url, plan_cluster  # noqa: PLC0415
    from ray_jobs.serving.serve_api import ServeApi  # noqa: PLC0415

    cluster = read_cluster_file(file)
    for model in cluster.external:
        for endpoint in check_endpoints(model):
            if not endpoint.usable:
                raise ClusterError(f"{model.name}: {endpoint.url} {endpoint.detail}")
    port = None
    if cluster.served:
        with ServeApi(dashboard_url(cluster)) as api, _reporting() as progress:
            deploying.up(api, cluster, wait_for_gpus=wait_for_gpus, seconds=timeout, progress=progress)
            port = api.state().http_port
    for ready in plan_cluster(cluster, http_port=port).models:
        if json:
            print_json({"model": ready.name, "address": ready.address, "external": ready.external})
        else:
            print_line(console(), f"--model {ready.address}")


@app.command()
def down(
    file: File,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that it may take.")] = 300.0,
    json: Json = False,
) -> None:
    """Delete what `up` deployed from this file, and nothing else.

    Example:

      induce cluster down models.yaml
    """
    from ray_jobs.serving import deploying  # noqa: PLC0415
    from ray_jobs.serving.cluster_file import read_cluster_file  # noqa: PLC0415
    from ray_jobs.serving.plan import dashboard_url  # noqa: PLC0415
    from ray_jobs.serving.serve_api import ServeApi  # noqa: PLC0415

    cluster = read_cluster_file(file)
    deleted = False
    if cluster.served:
        with ServeApi(dashboard_url(cluster)) as api, _reporting() as progress:
            deleted = deploying.down(api, cluster, seconds=timeout, progress=progress)
    if json:
        print_json({"application": cluster.application, "deleted": deleted})
    else:
        print_line(console(), f"{cluster.application} is {'gone' if deleted else 'not deployed'}")


@app.command()
def status(file: File, json: Json = False) -> None:
    """Say how the models of a file fare: on the cluster, and at the endpoints of others.

    Exit code 1 if one of them cannot be used now.

    Example:

      induce cluster status models.yaml
    """
    from ray_jobs.serving.cluster_file import read_cluster_file  # noqa: PLC0415
    from ray_jobs.serving.deploying import application_state  # noqa: PLC0415
    from ray_jobs.serving.endpoints import check_endpoints  # noqa: PLC0415
    from ray_jobs.serving.plan import dashboard_url, plan_cluster  # noqa: PLC0415
    from ray_jobs.serving.serve_api import ServeApi  # noqa: PLC0415

    cluster = read_cluster_file(file)
    found: ApplicationState | None = None
    port = None
    if cluster.served:
        with ServeApi(dashboard_url(cluster)) as api:
            state = api.state()
        port = state.http_port
        found = application_state(cluster, state)
    endpoints = {model.name: list(check_endpoints(model)) for model in cluster.external}
    if json:
        addresses = {one.name: one.address for one in plan_cluster(cluster, http_port=port).models}
        print_json(_status_record(found, endpoints, addresses))
    else:
        _print_status(found, endpoints)
    usable = (found is None or found.status == "RUNNING") and all(
        one.usable for states in endpoints.values() for one in states
    )
    if not usable:
        raise typer.Exit(1)


def _gpus_there(cluster: ClusterFile) -> tuple[dict[str, int] | None, str]:
    """Ask the cluster for its GPUs, where the file says where it is; where it does not answer, say so."""
    from ray_jobs.serving.plan import dashboard_url  # noqa: PLC0415
    from ray_jobs.serving.serve_api import ServeApi  # noqa: PLC0415

    if cluster.address is None or not cluster.served:
        return None, ""
    try:
        with ServeApi(dashboard_url(cluster), timeout=5.0) as api:
            return api.gpus(), ""
    except ClusterError as error:
        return None, str(error)


def _warnings(planned: ClusterPlan, gpus: dict[str, int] | None, remark: str) -> list[str]:
    from ray_jobs.serving.plan import shortages  # noqa: PLC0415

    warnings = [warning for model in planned.models for warning in model.warnings]
    if gpus is not None:
        warnings += [
            f"{lacking}; add nodes, or lower replicas or tensor_parallel"
            for lacking in shortages(planned, gpus)
        ]
    return [*warnings, remark] if remark else warnings


def _print_plan(planned: ClusterPlan, gpus: dict[str, int] | None) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("model", "copies", "GPUs each"):
        table.add_column(column, overflow="fold")
    for model in planned.models:
        copies, each = "elsewhere", ""
        if not model.external:
            copies = _span(model.min_replicas, model.max_replicas)
            each = f"{model.gpus_per_replica} {model.accelerator or ''}".strip()
        table.add_row(*(Text(visible(text)) for text in (model.name, copies, each)))
    console().print(table)
    for demand in planned.gpus:
        there = "" if gpus is None else f"; the cluster has {_count(demand.kind, gpus)} now"
        print_line(console(), f"{demand.kind} GPUs: {_span(demand.least, demand.most)}{there}")
    for model in planned.models:
        print_line(console(), f"--model {model.address}")


def _count(kind: str, gpus: dict[str, int]) -> int:
    from ray_jobs.serving.plan import ANY_GPU  # noqa: PLC0415

    return sum(gpus.values()) if kind == ANY_GPU else gpus.get(kind, 0)


def _span(least: int, most: int) -> str:
    return str(least) if least == most else f"{least} to {most}"


def _plan_record(
    cluster: ClusterFile, planned: ClusterPlan, gpus: dict[str, int] | None, remark: str
) -> dict[str, Any]:
    from ray_jobs.serving.serve_config import serve_config as make_config  # noqa: PLC0415

    return {
        "models": [asdict(model) for model in planned.models],
        "gpus": [asdict(demand) for demand in planned.gpus],
        "cluster_gpus": gpus,
        "warnings": _warnings(planned, gpus, remark),
        "serve_config": make_config(cluster) if cluster.served else None,
    }


def _print_status(found: ApplicationState | None, endpoints: dict[str, list[EndpointState]]) -> None:
    if found is not None:
        print_line(console(), f"{found.name}: {found.status}{f'; {found.message}' if found.message else ''}")
        for part in found.deployments:
            states = ", ".join(f"{count} {state}" for state, count in sorted(part.replicas.items())) or "none"
            print_line(console(), f"  {part.name}: {part.status}, {states}, of {part.wanted}")
            if part.message:
                print_line(console(), f"    {part.message}", "dim")
    for name, checked in endpoints.items():
        for one in checked:
            print_line(console(), f"{name}: {one.url} {one.detail}", "" if one.usable else "red")


def _status_record(
    found: ApplicationState | None,
    endpoints: dict[str, list[EndpointState]],
    addresses: dict[str, str],
) -> dict[str, Any]:
    return {
        "application": None if found is None else asdict(found),
        "endpoints": {name: [asdict(one) for one in states] for name, states in endpoints.items()},
        "addresses": addresses,
    }


@contextlib.contextmanager
def _reporting() -> Iterator[Progress]:
    """Give what reports how long a wait has been: a line that changes, or one now and then."""
    on = error_console()
    shown = on.status("waiting for the cluster")
    said = 0.0

    def report(seconds: float, line: str) -> None:
        nonlocal said
        text = f"{seconds:.0f} s: {line}"
        if on.is_terminal:
            shown.update(Text(visible(text)[: on.width - 4], no_wrap=True))
            shown.start()
        elif seconds - said >= _QUIET_SECONDS:
            said = seconds
            print_line(on, text, "dim")

    try:
        yield report
    finally:
        shown.stop()
