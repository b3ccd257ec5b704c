"""What stands under deploy/, by the schemas of those who read it; nothing is started."""

import json
import re
import shlex
import warnings
from importlib import resources
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import typer.main
import yaml
from serve_schema import ServeDeploySchema

from hypotheses.models.address import ModelAddress
from induce.cli import batch
from ray_jobs.serving.cluster_file import read_cluster_file
from ray_jobs.serving.plan import plan_cluster
from ray_jobs.serving.serve_config import serve_config

DEPLOY = Path(__file__).parent.parent / "deploy"
KUBERAY = json.loads((Path(__file__).parent / "data/deploy/kuberay.schema.json").read_text())
KUBERNETES = "1.34"
RAY = "2.60.0"


def loaded(name):
    return yaml.safe_load((DEPLOY / name).read_text())


def cluster_of(resource):
    spec = resource["spec"]
    return spec.get("rayClusterSpec") or spec["rayClusterConfig"]


@pytest.mark.parametrize("name", ["kuberay/rayjob.yaml", "kuberay/rayservice.yaml"])
def test_kuberay_takes_them(name):
    resource = loaded(name)
    jsonschema.validate(resource, KUBERAY, cls=jsonschema.Draft202012Validator)
    cluster = cluster_of(resource)
    assert cluster["rayVersion"] == RAY
    assert cluster["authOptions"] == {"mode": "token"}
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **group["template"]}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


@pytest.mark.parametrize(
    "change",
    [
        {"entryPoint": "x"},
        {"backoffLimit": "0"},
        {"submissionMode": "Job"},
    ],
)
def test_a_misspelt_job_would_be_noticed(change):
    resource = loaded("kuberay/rayjob.yaml")
    resource["spec"] |= change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(resource, KUBERAY, cls=jsonschema.Draft202012Validator)


def test_the_service_serves_what_models_yaml_says():
    models = read_cluster_file(DEPLOY / "models.yaml")
    service = loaded("kuberay/rayservice.yaml")
    served = yaml.safe_load(service["spec"]["serveConfigV2"])
    assert served == serve_config(models), "print it: induce cluster plan deploy/models.yaml --serve-config"
    ServeDeploySchema.model_validate(served)


def test_the_service_has_the_gpus_that_the_plan_wants():
    plan = plan_cluster(read_cluster_file(DEPLOY / "models.yaml"))
    assert not [warning for model in plan.models for warning in model.warnings]
    [demand] = plan.gpus
    [group] = cluster_of(loaded("kuberay/rayservice.yaml"))["workerGroupSpecs"]
    [container] = group["template"]["spec"]["containers"]
    each = int(container["resources"]["limits"]["nvidia.com/gpu"])
    assert (group["minReplicas"] * each, group["maxReplicas"] * each) == (demand.least, demand.most)


def test_compose_takes_it():
    schema = resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    compose = loaded("compose.yaml")
    jsonschema.Draft202012Validator(json.loads(schema.read_text())).validate(compose)
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in compose["volumes"]


def test_ray_launches_the_cluster():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ray.autoscaler._private.providers import _get_default_config
        from ray.autoscaler._private.util import fillout_defaults, validate_config
    config = loaded("cluster.yaml")
    assert _get_default_config(config["provider"])
    filled = fillout_defaults(config)
    validate_config(filled)
    assert set(filled["available_node_types"]) == {"head", "solving", "serving"}


def entry_points():
    yield loaded("kuberay/rayjob.yaml")["spec"]["entrypoint"]
    yield loaded("compose.yaml")["services"]["batch"]["command"]


@pytest.mark.parametrize("line", list(entry_points()))
def test_the_commands_are_those_that_there_are(line):
    words = shlex.split(line)
    assert words[:5] == ["python", "-m", "induce", "batch", "run"]
    command = typer.main.get_command(batch.app).commands["run"]
    context = command.make_context("run", words[5:])
    assert ModelAddress.parse(context.params["model"]).provider == "vllm"
    assert re.fullmatch(r"postgresql\+psycopg://induce@[\w-]+/induce#arc-1", context.params["out"])


def test_the_images_have_the_ray_that_the_files_name():
    docker = (DEPLOY / "Dockerfile").read_text()
    assert f"ARG RAY={RAY}" in docker
    copied = set(re.findall(r"^COPY --chown=ray (\w+) /home/ray/induce/\1$", docker, re.MULTILINE))
    project = (DEPLOY.parent / "pyproject.toml").read_text()
    [packages] = re.findall(r"^packages = (\[.*\])$", project, re.MULTILINE)[:1]
    assert copied == set(json.loads(packages))
