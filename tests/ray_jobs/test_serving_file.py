"""Cluster files: what they may say, what is said of those that are wrong, and what follows from them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hypotheses.models.address import ModelAddress
from ray_jobs.serving.accelerators import GPU_MEMORY
from ray_jobs.serving.cluster_file import ClusterFile, read_cluster_file
from ray_jobs.serving.plan import ANY_GPU, plan_cluster, shortages
from ray_jobs.serving.serve_config import serve_config
from ray_jobs.serving.yaml_files import as_yaml
from sandboxes.errors import ClusterError

FULL = """
address: http://head:8265
models:
  - name: Qwen/Qwen2.5-Coder-7B-Instruct
    source: s3://weights/coder
    tensor_parallel: 2
    pipeline_parallel: 2
    replicas: {min: 1, max: 8, target_ongoing_requests: 64}
    accelerator: H100
    max_model_len: 16384
    prefix_caching: true
    routing: prefix
    speculative: {method: ngram, num_speculative_tokens: 4, prompt_lookup_max: 4}
    kv_cache_dtype: fp8
    lora: {folder: s3://adapters, max_adapters: 4, max_rank: 32}
    engine_kwargs: {max_num_seqs: 128, quantization: fp8}
  - name: acme/Small-1B
    replicas: 2
  - name: elsewhere
    endpoints: [http://a:8000, http://b:8000/v1]
"""


def written(tmp_path, text):
    path = tmp_path / "models.yaml"
    path.write_text(text)
    return path


def cluster(**model):
    return ClusterFile.model_validate({"models": [{"name": "acme/Model-7B", **model}]})


def config_of(**model):
    return serve_config(cluster(**model))["applications"][0]["args"]["llm_configs"][0]


def complaint(tmp_path, text):
    with pytest.raises(ClusterError) as caught:
        read_cluster_file(written(tmp_path, text))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "models: [{name: m, tensor_paralel: 2}]",
            ["models[m].tensor_paralel", "did you mean tensor_parallel?"],
        ),
        ("modles: [{name: m}]", ["modles", "did you mean models?"]),
        ("models: [{tensor_parallel: 2}]", ["models[1].name", "missing"]),
        ("models: []", ["models"]),
        ("address: auto", ["models", "missing"]),
        ("models: [{name: m, tensor_parallel: two}]", ["models[m].tensor_parallel", "'two'", "integer"]),
        ("models: [{name: m, replicas: {min: 3, max: 2}}]", ["models[m].replicas", "make max at least 3"]),
        ("models: [{name: m, replicas: {minimum: 3}}]", ["models[m].replicas.minimum", "did you mean min?"]),
        ("models: [{name: m, accelerator: h100}]", ["models[m].accelerator", "did you mean H100?"]),
        ("models: [{name: m, lora: {folder: /tmp}}]", ["models[m].lora.folder", "s3://"]),
        ("models: [{name: m, engine_kwargs: {max_model_len: 8}}]", ["write it as max_model_len"]),
        ("models: [{name: m, engine_kwargs: {tensor_parallel_size: 8}}]", ["write it as tensor_parallel"]),
        ("models: [{name: m, routing: prefix, prefix_caching: false}]", ["models[m]", "prefix_caching"]),
        (
            "models: [{name: m, speculative: {method: ngram}}]",
            ["models[m].speculative.num_speculative_tokens"],
        ),
        ("models: [{name: m, endpoints: []}]", ["models[m].endpoints"]),
        ("models: [{name: m, endpoints: [ftp://x]}]", ["models[m].endpoints", "ftp://x"]),
        ("models: [{name: m, endpoints: [http://x], replicas: 2}]", ["models[m].replicas", "endpoints"]),
        ("models: [{name: m}, {name: m}]", ["two models 'm'"]),
        ("models: [{name: m, parameters: many}]", ["models[m].parameters", "7B"]),
        ("address: ray://head:10001\nmodels: [{name: m}]", ["address", "http://HEAD:8265"]),
        ("route_prefix: models\nmodels: [{name: m}]", ["route_prefix", "/models"]),
        ("- name: m", ["begin with `models:`"]),
        ("models: [{name: m", ["models.yaml:1: this is no YAML"]),
        ("models: !!python/object/apply:os.getcwd []", ["this is no YAML"]),
    ],
)
def test_what_is_wrong_is_named_with_its_cure(tmp_path, text, parts):
    message = complaint(tmp_path, text)
    assert "models.yaml" in message
    for part in parts:
        assert part in message


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ClusterError, match=r"cannot read .*none\.yaml: .*; name a cluster file"):
        read_cluster_file(tmp_path / "none.yaml")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["models", "name", "replicas", "endpoints", "lora", "x"]), inner
            )
        ),
    )
)
def test_any_yaml_is_a_cluster_file_or_one_line_that_says_why_not(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("any") / "models.yaml"
    path.write_text(yaml.safe_dump(values))
    try:
        assert read_cluster_file(path).models
    except ClusterError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_each_field_becomes_what_ray_and_vllm_call_it(tmp_path):
    config = serve_config(read_cluster_file(written(tmp_path, FULL)))
    [application] = config["applications"]
    assert application["import_path"] == "ray.serve.llm:build_openai_app"
    coder, small = application["args"]["llm_configs"]
    assert coder["model_loading_config"] == {
        "model_id": "Qwen/Qwen2.5-Coder-7B-Instruct",
        "model_source": "s3://weights/coder",
    }
    assert coder["accelerator_type"] == "H100"
    assert coder["engine_kwargs"] == {
        "tensor_parallel_size": 2,
        "pipeline_parallel_size": 2,
        "enable_prefix_caching": True,
        "max_model_len": 16384,
        "speculative_config": {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 4},
        "kv_cache_dtype": "fp8",
        "enable_lora": True,
        "max_loras": 4,
        "max_lora_rank": 32,
        "max_num_seqs": 128,
        "quantization": "fp8",
    }
    assert coder["lora_config"] == {
        "dynamic_lora_loading_path": "s3://adapters",
        "max_num_adapters_per_replica": 4,
    }
    deployment = coder["deployment_config"]
    assert deployment["autoscaling_config"] == {
        "min_replicas": 1,
        "max_replicas": 8,
        "target_ongoing_requests": 64,
    }
    assert deployment["request_router_config"]["request_router_class"].endswith("PrefixCacheAffinityRouter")
    assert small["deployment_config"] == {"num_replicas": 2}
    assert small["model_loading_config"]["model_source"] == "acme/Small-1B"


def test_a_file_of_external_models_deploys_nothing(tmp_path):
    external = read_cluster_file(written(tmp_path, "models: [{name: m, endpoints: [http://a:8000]}]"))
    assert serve_config(external)["applications"] == []
    assert plan_cluster(external).gpus == ()


def test_ray_takes_the_config(tmp_path):
    """Ray's own schema, and its LLMConfig and engine config, read what we write, with the same meaning."""
    path = written(tmp_path, as_yaml(serve_config(read_cluster_file(written(tmp_path, FULL)))))
    check = Path(__file__).with_name("check_serve_config.py")
    environment = {"PATH": "", "PYTHONPATH": str(check.with_name("fake_vllm")), "HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, check, path],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    coder, small = yaml.safe_load(run.stdout)
    assert coder["bundles"] == [{"GPU": 1, "accelerator_type:H100": 0.001}] * 4
    assert coder["mirror"] == "s3://weights/coder"
    assert coder["router"] == "PrefixCacheAffinityRouter"
    assert (coder["min_replicas"], coder["max_replicas"]) == (1, 8)
    assert small["bundles"] == [{"GPU": 1}]
    assert small["num_replicas"] == 2
    assert small["router"] == "PowerOfTwoChoicesRequestRouter"


def test_our_gpus_are_those_that_ray_knows():
    from ray.util.accelerators import accelerators

    known = {
        value
        for name, value in vars(accelerators).items()
        if name.startswith(("NVIDIA_", "AMD_", "INTEL_MAX_"))
    }
    assert set(GPU_MEMORY) == known


def test_the_plan_counts_copies_and_gpus(tmp_path):
    plan = plan_cluster(read_cluster_file(written(tmp_path, FULL)))
    coder, _, external = plan.models
    assert (coder.min_replicas, coder.max_replicas, coder.gpus_per_replica) == (1, 8, 4)
    assert {one.kind: (one.least, one.most) for one in plan.gpus} == {"H100": (4, 32), ANY_GPU: (2, 2)}
    assert coder.address == "vllm:Qwen/Qwen2.5-Coder-7B-Instruct@http://head:8000/v1"
    assert external.address == "vllm:elsewhere@http://a:8000/v1,http://b:8000/v1"
    assert all(str(ModelAddress.parse(model.address)) == model.address for model in plan.models)


def test_auto_asks_the_environment(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    [model] = plan_cluster(cluster()).models
    assert model.address == "vllm:acme/Model-7B@http://head:8000/v1"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")  # the cluster itself, not its dashboard
    [model] = plan_cluster(cluster()).models
    assert model.address == "vllm:acme/Model-7B@http://127.0.0.1:8000/v1"


def test_two_files_of_one_cluster_have_addresses_of_their_own():
    second = ClusterFile(application="b", route_prefix="/b", models=cluster().models)
    [model] = plan_cluster(second).models
    assert model.address.endswith(":8000/b/v1")


@pytest.mark.parametrize(
    ("gpus", "lacking"),
    [
        ({"H100": 4, "L4": 2}, 0),
        ({"H100": 6}, 0),
        ({"H100": 5}, 1),  # four for the one, and one for two
        ({"L4": 8}, 1),
        ({}, 2),
    ],
)
def test_gpus_without_a_name_may_be_any_that_are_left(tmp_path, gpus, lacking):
    assert len(shortages(plan_cluster(read_cluster_file(written(tmp_path, FULL))), gpus)) == lacking


@pytest.mark.parametrize(
    ("model", "fits"),
    [
        ({"name": "acme/M-7B", "accelerator": "H100"}, True),  # 16.8 of 80 GB
        ({"name": "acme/M-70B", "accelerator": "H100"}, False),  # 168
        ({"name": "acme/M-70B", "accelerator": "H100", "tensor_parallel": 4}, True),
        ({"name": "acme/M-70B-AWQ", "accelerator": "H100"}, True),  # 42
        ({"name": "acme/M-70B", "accelerator": "H200", "engine_kwargs": {"quantization": "fp8"}}, True),
        ({"name": "acme/M-8x7B", "accelerator": "H100"}, False),  # 134
        ({"name": "acme/M", "accelerator": "T4", "parameters": "7B"}, False),
        ({"name": "acme/M-7B", "gpu_memory": 16}, False),
        ({"name": "acme/M-360M", "gpu_memory": 1}, True),
    ],
)
def test_weights_that_do_not_fit_are_warned_of(model, fits):
    [planned] = plan_cluster(ClusterFile.model_validate({"models": [model]})).models
    assert bool(planned.warnings) is not fits


@given(
    tensor=st.integers(1, 8),
    pipeline=st.integers(1, 4),
    least=st.integers(0, 4),
    more=st.integers(0, 4),
)
def test_the_gpus_of_a_plan_are_those_that_ray_would_place(tensor, pipeline, least, more):
    replicas = {"min": least, "max": max(1, least + more)}
    model = {"tensor_parallel": tensor, "pipeline_parallel": pipeline, "replicas": replicas}
    [demand] = plan_cluster(cluster(**model)).gpus
    told = config_of(**model)
    each = told["engine_kwargs"]["tensor_parallel_size"] * told["engine_kwargs"]["pipeline_parallel_size"]
    scaling = told["deployment_config"]["autoscaling_config"]
    assert demand.least == each * scaling["min_replicas"]
    assert demand.most == each * scaling["max_replicas"]


def test_the_file_in_the_documentation_is_one(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text()
    [example] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    served = read_cluster_file(written(tmp_path, example)).served[0]
    fields = {
        field
        for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
        for field in re.findall(r"`(\w+)`", row)
    }
    assert set(type(served).model_fields) | set(ClusterFile.model_fields) - {"models"} == fields
