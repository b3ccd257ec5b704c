"""Ray Serve's own schema of its configs."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray declares fields as pydantic no longer likes
    from ray.serve.schema import ServeDeploySchema

__all__ = ["ServeDeploySchema"]
