"""What a cluster file would have run: copies, GPUs, addresses, and whether the weights fit."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hypotheses.models.address import ModelAddress
from ray_jobs.serving.accelerators import GPU_MEMORY
from ray_jobs.serving.cluster_file import ClusterFile, ExternalModel, ServedModel

LOCAL_DASHBOARD = "http://127.0.0.1:8265"
ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_DASHBOARD_ADDRESS", "RAY_ADDRESS")
"""Where ``auto`` looks for the URL of a dashboard, as Ray's own tools do."""

ANY_GPU = "any"
_OVERHEAD = 1.2  # activations, CUDA's own and the least cache with which anything runs


@dataclass(frozen=True, slots=True)
class GpuDemand:
    """How many GPUs of a kind are needed; the kind is ``any`` where no model names one."""

    kind: str
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """One model as it would run. ``address`` is what to pass as ``--model``; external ones have no copies."""

    name: str
    address: str
    external: bool = False
    min_replicas: int = 0
    max_replicas: int = 0
    gpus_per_replica: int = 0
    accelerator: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """All models, and what they need together."""

    models: tuple[PlannedModel, ...]
    gpus: tuple[GpuDemand, ...]


def plan_cluster(cluster: ClusterFile, *, http_port: int | None = None) -> ClusterPlan:
    """Say what would run. ``http_port`` is where Ray Serve listens, where that is known already."""
    url = serve_url(cluster, http_port)
    models = tuple(
        PlannedModel(model.name, str(ModelAddress("vllm", model.name, model.endpoints)), external=True)
        if isinstance(model, ExternalModel)
        else PlannedModel(
            model.name,
            str(ModelAddress("vllm", model.name, (url,))),
            min_replicas=model.min_replicas,
            max_replicas=model.max_replicas,
            gpus_per_replica=model.gpus_per_replica,
            accelerator=model.accelerator,
            warnings=tuple(memory_warnings(model)),
        )
        for model in cluster.models
    )
    demands: dict[str, GpuDemand] = {}
    for model in models:
        if model.external:
            continue
        kind = model.accelerator or ANY_GPU
        known = demands.get(kind, GpuDemand(kind, 0, 0))
        demands[kind] = GpuDemand(
            kind,
            known.least + model.min_replicas * model.gpus_per_replica,
            known.most + model.max_replicas * model.gpus_per_replica,
        )
    return ClusterPlan(models, tuple(demands.values()))


def dashboard_url(cluster: ClusterFile) -> str:
    """Give the URL of the cluster's dashboard; ``auto`` is what the environment says, or this machine's."""
    if cluster.address not in (None, "auto"):
        return str(cluster.address)
    for name in ADDRESS_VARIABLES:
        value = os.environ.get(name, "")
        if value.startswith(("http://", "https://")):
            return value.rstrip("/")
    return LOCAL_DASHBOARD


def serve_url(cluster: ClusterFile, http_port: int | None = None) -> str:
    """Give the base URL at which clients find the models that the cluster serves."""
    if cluster.url:
        return cluster.url
    host = urlsplit(dashboard_url(cluster)).hostname or "127.0.0.1"
    host = f"[{host}]" if ":" in host else host
    path = "" if cluster.route_prefix == "/" else cluster.route_prefix
    return f"http://{host}:{http_port or cluster.http_port}{path}/v1"


def shortages(plan: ClusterPlan, gpus: Mapping[str, int]) -> list[str]:
    """Say which GPUs a cluster with so many of each kind lacks for the least number of copies.

    Those of no named kind may be any that are left over.
    """
    left = dict(gpus)
    lacking = []
    for demand in sorted(plan.gpus, key=lambda one: one.kind == ANY_GPU):
        there = sum(left.values()) if demand.kind == ANY_GPU else left.get(demand.kind, 0)
        if demand.kind != ANY_GPU:
            left[demand.kind] = max(0, there - demand.least)
        if there < demand.least:
            kind = "GPUs" if demand.kind == ANY_GPU else f"{demand.kind} GPUs"
            lacking.append(f"{demand.least} {kind} are needed and the cluster has {there}")
    return lacking


def memory_warnings(model: ServedModel) -> list[str]:
    """Say, roughly, whether the weights fit the GPUs of one copy; nothing where too little is known."""
    count = model.parameter_count
    if count is None:
        return [f"whether {model.name} fits is not known; write how many `parameters:` it has, such as 7B"]
    memory = model.gpu_memory or GPU_MEMORY.get(model.accelerator or "")
    if memory is None:
        return []
    needed = count * bytes_per_parameter(model) * _OVERHEAD / 1e9
    there = memory * model.gpus_per_replica
    if needed <= there:
        return []
    gpus = f"{model.gpus_per_replica} x {memory:g} GB"
    return [
        f"{model.name} needs about {needed:.0f} GB and its GPUs have {gpus}; "
        f"raise tensor_parallel, or take a smaller or quantised model"
    ]


_BYTES = (
    (re.compile(r"awq|gptq|int4|w4a16|4bit|4-bit|fp4|mxfp4|bnb|bitsandbytes", re.IGNORECASE), 0.5),
    (re.compile(r"fp8|int8|w8a8|w8a16|8bit|8-bit", re.IGNORECASE), 1.0),
)


def bytes_per_parameter(model: ServedModel) -> float:
    """Guess the bytes of a parameter, from how the weights are said to be quantised, or named."""
    kwargs: Mapping[str, Any] = model.engine_kwargs
    said = str(kwargs.get("quantization") or "") or f"{model.name} {model.source or ''}"
    for pattern, size in _BYTES:
        if pattern.search(said):
            return size
    return 4.0 if str(kwargs.get("dtype")) in ("float32", "float") else 2.0
