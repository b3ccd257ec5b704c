"""Up, down and the state of what a cluster file describes; nothing else on the cluster is changed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ray_jobs.serving.cluster_file import ClusterFile
from ray_jobs.serving.plan import plan_cluster, shortages
from ray_jobs.serving.serve_api import REDACTED, ServeApi, ServeState
from ray_jobs.serving.serve_config import IMPORT_PATH, application, serve_config
from sandboxes.errors import ClusterError

Progress = Callable[[float, str], None]
"""Is told, again and again, the seconds so far and what is being waited for."""

_POLL_SECONDS = 1.0
_FAILED = ("DEPLOY_FAILED", "UNHEALTHY")
_DECLARED = "declarative"


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """A part of an application: its state, and how many of its copies are in which."""

    name: str
    status: str
    wanted: int
    replicas: Mapping[str, int]
    message: str = ""


@dataclass(frozen=True, slots=True)
class ApplicationState:
    """Where an application stands: ``ABSENT``, or a status of Ray Serve's, such as ``RUNNING``."""

    name: str
    status: str
    message: str = ""
    deployments: tuple[DeploymentState, ...] = ()

    def __str__(self) -> str:
        parts = [
            f"{one.name} {one.replicas.get('RUNNING', 0)}/{one.wanted}"
            for one in self.deployments
            if one.replicas.get("RUNNING", 0) < one.wanted
        ]
        return f"{self.status}{': ' if parts else ''}{', '.join(parts)}"


def application_state(cluster: ClusterFile, state: ServeState) -> ApplicationState:
    """Find the application of this file among what runs."""
    told = state.applications.get(cluster.application)
    if told is None:
        return ApplicationState(cluster.application, "ABSENT")
    return ApplicationState(
        cluster.application,
        str(told.get("status")),
        _first_line(told.get("message")),
        tuple(
            DeploymentState(
                name,
                str(one.get("status")),
                int(one.get("target_num_replicas") or 0),
                dict(Counter(str(replica.get("state")) for replica in one.get("replicas") or ())),
                _first_line(one.get("message")),
            )
            for name, one in (told.get("deployments") or {}).items()
        ),
    )


def up(
    api: ServeApi,
    cluster: ClusterFile,
    *,
    wait_for_gpus: bool = False,
    seconds: float = 1800.0,
    progress: Progress | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> ApplicationState:
    """Deploy the models of a file, and wait until they run.

    A cluster that has too few GPUs now is refused, unless it is to be waited for, as one that grows. Raises
    ``ClusterError`` too where the deployment fails, or does not run in time; it is not undone then.
    """
    state = api.state()
    _may_replace(cluster, state)
    if not wait_for_gpus and (lacking := shortages(plan_cluster(cluster), api.gpus())):
        raise ClusterError(
            f"{'; '.join(lacking)}: add nodes, lower replicas or tensor_parallel, or, if the cluster "
            "grows by itself, say --wait-for-gpus"
        )
    api.deploy(merged(cluster, state))
    begun = clock()
    while True:
        found = application_state(cluster, api.state())
        if found.status == "RUNNING":
            return found
        if found.status in _FAILED:
            why = next((one.message for one in found.deployments if one.message), "") or found.message
            raise ClusterError(
                f"{cluster.application} cannot be deployed ({found.status}): {why}; mend the file and say up "
                "again, or down"
            )
        waited = clock() - begun
        if waited > seconds:
            raise ClusterError(
                f"{cluster.application} does not run after {waited:.0f} s ({found}); it goes on: "
                "ask `induce cluster status`, or give it up with `induce cluster down`"
            )
        if progress:
            progress(waited, str(found))
        sleep(_POLL_SECONDS)


def down(
    api: ServeApi,
    cluster: ClusterFile,
    *,
    seconds: float = 300.0,
    progress: Progress | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Delete what ``up`` deployed, and nothing else, and wait until it is gone; whether it was there."""
    state = api.state()
    if cluster.application not in state.applications:
        return False
    _may_replace(cluster, state)
    api.deploy(merged(cluster, state, keep=False))
    begun = clock()
    while (found := application_state(cluster, api.state())).status != "ABSENT":
        waited = clock() - begun
        if waited > seconds:
            raise ClusterError(
                f"{cluster.application} is not gone after {waited:.0f} s ({found}); "
                "ask `induce cluster status`"
            )
        if progress:
            progress(waited, str(found))
        sleep(_POLL_SECONDS)
    return True


def merged(cluster: ClusterFile, state: ServeState, *, keep: bool = True) -> dict[str, Any]:
    """Give the config that leaves all other applications as they are, with this file's or without.

    A config names all applications that are deployed by configs: those that it leaves out are deleted.
    """
    others = []
    for name, told in state.applications.items():
        if name == cluster.application or told.get("source") != _DECLARED or told.get("status") == "DELETING":
            continue
        if not told.get("deployed_app_config"):
            raise ClusterError(
                f"the cluster does not tell the config of {name}, which would be lost; try again"
            )
        others.append(dict(told["deployed_app_config"]))
    if any(REDACTED in str(config) for config in others):
        raise ClusterError(
            "the dashboard hides the environment of other applications, which would be lost: ask "
            "it directly, without a proxy that looks like a browser"
        )
    config = {**serve_config(cluster), **state.options}
    config["applications"] = [*others, application(cluster)] if keep else others
    return config


def _may_replace(cluster: ClusterFile, state: ServeState) -> None:
    """Refuse to touch an application of the same name or path that no cluster file has deployed."""
    for name, told in state.applications.items():
        if told.get("status") == "DELETING":
            continue
        config = told.get("deployed_app_config") or {}
        if name == cluster.application:
            if config.get("import_path") != IMPORT_PATH:
                raise ClusterError(
                    f"the cluster runs another application called {name}; name this one by `application:`"
                )
        elif told.get("route_prefix", config.get("route_prefix")) == cluster.route_prefix:
            raise ClusterError(
                f"the application {name} answers at {cluster.route_prefix}; write another `route_prefix:`"
            )


def _first_line(text: object) -> str:
    """Give the line of a message that says most: the last of a traceback, else the first."""
    lines = [line.strip() for line in str(text or "").splitlines() if line.strip()]
    if not lines:
        return ""
    error = next((line for line in reversed(lines) if "Error" in line.partition(":")[0]), "")
    return (error or lines[0])[:400]
