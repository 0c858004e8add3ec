"""What users write: `spec`."""

from typing import Annotated

from volary.api import rules
from volary.api.fields import Integer
from volary.api.v1alpha1.base import Spec
from volary.api.v1alpha1.model import Model
from volary.api.v1alpha1.rollout import WATCH_COUNTS_ERRORS, Rollout
from volary.api.v1alpha1.runtime import Runtime

_COUNTED = ("latency", "drift", "saturation")
SERVER_COUNTS = rules.Rule(
    expression="self.runtime.name == 'onnxruntime' || !(" + " || ".join(f"has(self.rollout.analysis.{name})" for name in _COUNTED) + ")",
    message="spec.rollout.analysis: latency, drift and saturation are counted by runtime onnxruntime only; leave them out",
    holds=lambda spec: spec.runtime.name == "onnxruntime" or all(getattr(spec.rollout.analysis, name) is None for name in _COUNTED),
)


class ModelDeploymentSpec(Spec):
    """What should serve, and how a change gets there."""

    model: Model
    """Which bundle to serve."""
    runtime: Runtime
    """What serves it."""
    replicas: Annotated[
        Integer,
        rules.between(1, 1000, "spec.replicas must be between 1 and 1000; to stop serving, delete the ModelDeployment"),
    ] = 1
    """Pods of the stable revision."""
    rollout: Annotated[Rollout, WATCH_COUNTS_ERRORS] = Rollout()
    """How a new revision takes over."""
    history: Annotated[Integer, rules.between(1, 50, "spec.history must be between 1 and 50 revisions")] = 5
    """Revisions kept for rollback besides those in use."""
