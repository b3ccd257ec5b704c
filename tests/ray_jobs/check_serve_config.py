"""Has Ray read a Serve config with models, where there is a vLLM, and prints what it understood."""

import json
import sys
from pathlib import Path

import yaml
from ray.serve._private.config import DeploymentConfig
from ray.serve.llm import LLMServingArgs
from ray.serve.schema import ServeDeploySchema

schema = ServeDeploySchema.model_validate(yaml.safe_load(Path(sys.argv[1]).read_text()))
[application] = schema.applications
understood = []
for config in LLMServingArgs.model_validate(application.args).llm_configs:
    engine = config.get_engine_config()
    engine.get_initialization_kwargs()
    deployment = DeploymentConfig(**config.deployment_config)
    scaling = deployment.autoscaling_config
    understood.append(
        {
            "bundles": engine.placement_bundles,
            "mirror": engine.mirror_config and engine.mirror_config.bucket_uri,
            "router": deployment.request_router_config.get_request_router_class().__name__,
            "num_replicas": deployment.num_replicas,
            "min_replicas": scaling and scaling.min_replicas,
            "max_replicas": scaling and scaling.max_replicas,
        }
    )
print(json.dumps(understood))
