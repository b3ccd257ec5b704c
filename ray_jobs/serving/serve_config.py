"""A cluster file as a config of Ray Serve, with the names of Ray's ``LLMConfig`` and of vLLM's engine."""

from __future__ import annotations

from typing import Any

from ray_jobs.serving.cluster_file import ClusterFile, Replicas, ServedModel

IMPORT_PATH = "ray.serve.llm:build_openai_app"
"""What builds the application, on the cluster: it is there where Ray and vLLM are installed."""

PREFIX_ROUTER = "ray.serve.llm.request_router.PrefixCacheAffinityRouter"
"""Sends a request where another began alike, for its keys and values are there."""

_FIXED_IMBALANCE = 16


def serve_config(cluster: ClusterFile) -> dict[str, Any]:
    """Give the config that ``serve deploy``, the REST API and KubeRay's ``serveConfigV2`` take.

    Without a model to serve it has no applications.
    """
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": cluster.http_port},  # noqa: S104 - clients are elsewhere
        "applications": [application(cluster)] if cluster.served else [],
    }


def application(cluster: ClusterFile) -> dict[str, Any]:
    """Give the one application that serves all models of the file."""
    return {
        "name": cluster.application,
        "route_prefix": cluster.route_prefix,
        "import_path": IMPORT_PATH,
        "args": {"llm_configs": [llm_config(model) for model in cluster.served]},
    }


def llm_config(model: ServedModel) -> dict[str, Any]:
    """Give a model as an ``LLMConfig`` of Ray's."""
    config: dict[str, Any] = {
        "model_loading_config": {"model_id": model.name, "model_source": model.source or model.name},
        "engine_kwargs": engine_kwargs(model),
        "deployment_config": _deployment(model),
    }
    if model.accelerator:
        config["accelerator_type"] = model.accelerator
    if model.lora:
        config["lora_config"] = {
            "dynamic_lora_loading_path": model.lora.folder,
            "max_num_adapters_per_replica": model.lora.max_adapters,
        }
    return config


def engine_kwargs(model: ServedModel) -> dict[str, Any]:
    """Give what vLLM's engine is told."""
    told: dict[str, Any] = {
        "tensor_parallel_size": model.tensor_parallel,
        "pipeline_parallel_size": model.pipeline_parallel,
        "enable_prefix_caching": model.prefix_caching,
    }
    if model.max_model_len:
        told["max_model_len"] = model.max_model_len
    if model.speculative:
        told["speculative_config"] = model.speculative.model_dump(exclude_none=True)
    if model.kv_cache_dtype:
        told["kv_cache_dtype"] = model.kv_cache_dtype
    if model.lora:
        told |= {
            "enable_lora": True,
            "max_loras": model.lora.max_adapters,
            "max_lora_rank": model.lora.max_rank,
        }
    return told | model.engine_kwargs


def _deployment(model: ServedModel) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if isinstance(model.replicas, Replicas):
        told["autoscaling_config"] = {
            "min_replicas": model.replicas.min,
            "max_replicas": model.replicas.max,
            "target_ongoing_requests": model.replicas.target_ongoing_requests,
        }
        imbalance = max(1, model.replicas.target_ongoing_requests // 4)
    else:
        told["num_replicas"] = model.replicas
        imbalance = _FIXED_IMBALANCE
    if model.routing == "prefix":
        # By Ray's defaults a copy with too much to do is never relieved, and the tree of prefixes has no end.
        kwargs = {"imbalanced_threshold": imbalance, "do_eviction": True}
        told["request_router_config"] = {
            "request_router_class": PREFIX_ROUTER,
            "request_router_kwargs": kwargs,
        }
    return told
