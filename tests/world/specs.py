"""The spec that most tests begin with."""

from typing import Any

from volary.api.v1alpha1 import ModelDeploymentSpec


def spec(version: str, **fields: Any) -> ModelDeploymentSpec:
    """A spec in the spelling of users."""
    return ModelDeploymentSpec.model_validate(
        {
            "model": {"uri": "s3://models/fraud", "version": version},
            "runtime": {"name": "onnxruntime"},
            "replicas": 3,
            "rollout": {"steps": [{"weight": 25, "duration": "1m"}, {"weight": 50, "duration": "1m"}], "analysis": {"interval": "20s"}},
        }
        | fields
    )
