"""Before any work starts, every node is asked whether it has what the solvers need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ray_jobs.cluster import Cluster, Node, versions
from ray_jobs.wording import last_line
from sandboxes import ClusterError

PROBE_SECONDS = 120.0
"""How long a node may take to answer: it may have to start a worker process first."""


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What a node said: its versions, and what is wrong with it, in words."""

    node: Node
    python: str
    ray: str
    induce: str
    problems: tuple[str, ...]


def check_nodes(
    cluster: Cluster, *, induce: str, modules: Sequence[str], check: Callable[[], Sequence[str]] | None = None
) -> list[NodeReport]:
    """Ask every node that has CPUs for its versions, for ``modules``, and then what ``check`` finds there.

    ``induce`` is this machine's version; ``check`` runs on the node, and gives what is wrong, in words.

    Raises ``ClusterError`` where there is no node with CPUs, or Ray cannot run anything.
    """
    nodes = [node for node in cluster.nodes() if node.cpus]
    if not nodes:
        raise ClusterError(
            f"the cluster at {cluster.address} has no node with CPUs; add one with `ray start`"
        )
    reports = asyncio.run(_ask_all(nodes, induce, modules, check))
    if any(not one.python for one in reports):  # one that died in the meantime is none that lacks something
        alive = {node.id for node in cluster.nodes()}
        reports = [one for one in reports if one.node.id in alive]
    return reports


def refuse_bad_nodes(reports: Sequence[NodeReport]) -> None:
    """Raise ``ClusterError`` that names every problem, if there is one."""
    problems = [f"{one.node.name}: {problem}" for one in reports for problem in one.problems]
    if problems:
        raise ClusterError("; ".join(dict.fromkeys(problems)))


async def _ask_all(
    nodes: Sequence[Node], induce: str, modules: Sequence[str], check: Callable[[], Sequence[str]] | None
) -> list[NodeReport]:
    return list(await asyncio.gather(*(_ask(node, induce, modules, check) for node in nodes)))


async def _ask(
    node: Node, induce: str, modules: Sequence[str], check: Callable[[], Sequence[str]] | None
) -> NodeReport:
    try:
        facts = await _on(node, _make_probe(tuple(modules)))
    except Exception as error:
        return NodeReport(node, "", "", "", (f"runs nothing: {last_line(error)}",))
    problems = compare(facts, versions(), induce)
    if not problems and check is not None:
        try:
            problems = list(await _on(node, check))
        except Exception as error:
            problems = [last_line(error)]
    return NodeReport(node, facts["python"], facts["ray"], facts["induce"], tuple(problems))


def compare(facts: dict[str, Any], here: tuple[str, str], induce: str) -> list[str]:
    """Say what is wrong with the versions and packages of a node, and what to do."""
    python, ray = here
    problems = []
    if facts["python"].split(".")[:2] != python.split(".")[:2]:
        problems.append(f"has Python {facts['python']}, and the driver {python}: use the same there")
    if facts["ray"] != ray:
        problems.append(f"has Ray {facts['ray']}, and the driver {ray}: pip install 'ray=={ray}' there")
    if not facts["induce"]:
        problems.append(f"has no induce: pip install 'induce[ray]=={induce}' there ({facts['python_path']})")
    elif facts["induce"] != induce:
        problems.append(
            f"has induce {facts['induce']}, and the driver {induce}: pip install 'induce=={induce}' there"
        )
    missing = ", ".join(facts["missing"])
    if missing and facts["induce"]:
        problems.append(f"lacks {missing}: pip install {missing} there ({facts['python_path']})")
    return problems


def _make_probe(modules: tuple[str, ...]) -> Callable[[], dict[str, Any]]:
    """Make a function that goes to a node by value: it must not need ``induce`` to be there."""

    def probe() -> dict[str, Any]:
        import importlib.metadata  # noqa: PLC0415 - on the node
        import importlib.util  # noqa: PLC0415
        import platform  # noqa: PLC0415
        import sys  # noqa: PLC0415

        def version(package: str) -> str:
            try:
                return importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                return ""

        return {
            "python": platform.python_version(),
            "python_path": sys.executable,
            "ray": version("ray"),
            "induce": version("induce"),
            "missing": [name for name in modules if importlib.util.find_spec(name) is None],
        }

    return probe


async def _on(node: Node, function: Callable[[], Any]) -> Any:
    """Run a function on a node, whatever else is going on there."""
    import ray  # noqa: PLC0415 - an extra
    from ray.exceptions import RayTaskError  # noqa: PLC0415
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415

    # What is asked goes as an argument, and may hold secrets: functions are kept where others can read them.
    def call(given: Callable[[], Any]) -> Any:
        return given()

    remote: Any = ray.remote(call)
    where = NodeAffinitySchedulingStrategy(node.id, soft=False)
    try:
        asked = remote.options(num_cpus=0, max_retries=1, scheduling_strategy=where).remote(function)
        return await asyncio.wait_for(asyncio.wrap_future(asked.future()), PROBE_SECONDS)
    except TimeoutError:
        raise ClusterError(f"no answer within {PROBE_SECONDS:g} s") from None
    except RayTaskError as error:
        cause = error.cause
        raise (cause if isinstance(cause, Exception) else ClusterError(last_line(error))) from None
