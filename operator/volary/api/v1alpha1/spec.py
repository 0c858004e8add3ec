"""What users write: `spec`."""

from typing import Annotated

from volary.api import rules
from volary.api.fields import Integer
from volary.api.v1alpha1.base import Spec
from volary.api.v1alpha1.model import Model
from volary.api.v1alpha1.rollout import WATCH_COUNTS_ERRORS, CheckedRollout, Rollout
from volary.api.v1alpha1.runtime import Runtime
from volary.api.v1alpha1.scaling import ONE_BOUND, SCALE_RULES, Autoscaling, DisruptionBudget
from volary.api.v1alpha1.update import NO_GATEWAY, NO_SYNTHETIC, ONLY_ONNXRUNTIME, Update


class ModelDeploymentSpec(Spec):
    """What should serve, and how a change gets there."""

    model: Model
    """Which bundle to serve."""
    runtime: Runtime
    """What serves it."""
    replicas: (
        Annotated[
            Integer,
            rules.between(1, 1000, "spec.replicas must be between 1 and 1000; to stop serving, delete the ModelDeployment"),
        ]
        | None
    ) = None
    """Pods of the stable revision. Absent: as many as there are, 1 at first; an autoscaler or a person may scale its Deployment."""
    autoscaling: Annotated[Autoscaling, *SCALE_RULES] | None = None
    """Scale by load. Instead of replicas."""
    disruption_budget: Annotated[DisruptionBudget, ONE_BOUND] | None = None
    """What a drain of nodes must leave. Absent: no PodDisruptionBudget."""
    update: Update = Update.REPLACE
    """Replace: a new version gets pods of its own. InPlace: it is loaded into the pods that run, which split the requests exactly."""
    rollout: Annotated[CheckedRollout, WATCH_COUNTS_ERRORS] = Rollout()
    """How a new revision takes over."""
    history: Annotated[Integer, rules.between(1, 50, "spec.history must be between 1 and 50 revisions")] = 5
    """Revisions kept for rollback besides those in use."""


_COUNTED = ("latency", "drift", "saturation")


def _is_counted(spec: ModelDeploymentSpec) -> bool:
    return spec.runtime.name == "onnxruntime" or all(getattr(spec.rollout.analysis, name) is None for name in _COUNTED)


def _has_cpu(spec: ModelDeploymentSpec) -> bool:
    return spec.autoscaling is None or spec.autoscaling.cpu is None or "cpu" in spec.runtime.resources.requests


SPEC_RULES = (
    rules.Rule(
        expression="!has(self.rollout) || !has(self.rollout.surge) || has(self.replicas)",
        message="spec.rollout.surge counts from spec.replicas: set spec.replicas (and no autoscaling), or remove surge",
        holds=lambda spec: spec.rollout.surge is None or spec.replicas is not None,
    ),
    rules.Rule(
        expression="!has(self.replicas) || !has(self.autoscaling)",
        message="spec.replicas and spec.autoscaling exclude each other: remove replicas, and set autoscaling.minReplicas and maxReplicas",
        holds=lambda spec: spec.replicas is None or spec.autoscaling is None,
    ),
    rules.Rule(
        expression="!has(self.autoscaling) || !has(self.autoscaling.cpu) || (has(self.runtime.resources) "
        "&& has(self.runtime.resources.requests) && 'cpu' in self.runtime.resources.requests)",
        message="spec.autoscaling.cpu is a share of what the server requests: set spec.runtime.resources.requests.cpu, such as 500m",
        holds=_has_cpu,
    ),
    rules.Rule(
        expression="self.runtime.name == 'onnxruntime' || !("
        + " || ".join(f"has(self.rollout.analysis.{name})" for name in _COUNTED)
        + ")",
        message="spec.rollout.analysis: latency, drift and saturation are counted by runtime onnxruntime only; leave them out",
        holds=_is_counted,
    ),
    ONLY_ONNXRUNTIME,
    NO_SYNTHETIC,
    NO_GATEWAY,
)
