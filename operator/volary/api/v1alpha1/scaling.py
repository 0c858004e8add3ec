"""How many pods, and what keeps them there: `spec.autoscaling`, `spec.disruptionBudget`."""

from typing import Annotated

from volary.api import fields, rules
from volary.api.fields import Integer
from volary.api.v1alpha1.base import Spec

_PODS = "must be between 1 and 1000 pods"


class Autoscaling(Spec):
    """A HorizontalPodAutoscaler for the stable revision; the pods of a canary follow it, so that its share stays what the step says."""

    min_replicas: Annotated[Integer, rules.between(1, 1000, f"spec.autoscaling.minReplicas {_PODS}")] = 1
    """Never fewer pods."""
    max_replicas: Annotated[Integer, rules.between(1, 1000, f"spec.autoscaling.maxReplicas {_PODS}")]
    """Never more pods."""
    cpu: Annotated[Integer, rules.between(1, 1000, "spec.autoscaling.cpu must be between 1 and 1000 percent, such as 80")] | None = None
    """CPU a pod should use on average, in percent of what its containers request; needs the metrics server and
    runtime.resources.requests.cpu."""
    requests_per_second: (
        Annotated[Integer, rules.between(1, 1_000_000, "spec.autoscaling.requestsPerSecond must be between 1 and 1000000")] | None
    ) = None
    """Inference requests a pod should answer each second on average; needs an adapter that serves the pods' metric
    volary_requests_per_second on custom.metrics.k8s.io."""


SCALE_RULES = (
    rules.Rule(
        expression="!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
        message="spec.autoscaling.minReplicas must not be above maxReplicas: lower minReplicas or raise maxReplicas",
        holds=lambda scaling: scaling.min_replicas <= scaling.max_replicas,
    ),
    rules.Rule(
        expression="has(self.cpu) || has(self.requestsPerSecond)",
        message="spec.autoscaling needs something to scale by: set cpu (percent, such as 80) or requestsPerSecond",
        holds=lambda scaling: scaling.cpu is not None or scaling.requests_per_second is not None,
    ),
)


class DisruptionBudget(Spec):
    """A PodDisruptionBudget over all pods of the model."""

    min_available: fields.Amount | None = None
    """Pods that a drain of nodes must leave, such as 2 or 50%."""
    max_unavailable: fields.Amount | None = None
    """Pods that a drain of nodes may take at a time, such as 1 or 25%."""


ONE_BOUND = rules.Rule(
    expression="has(self.minAvailable) != has(self.maxUnavailable)",
    message="spec.disruptionBudget takes either minAvailable or maxUnavailable, such as maxUnavailable: 1",
    holds=lambda budget: (budget.min_available is None) != (budget.max_unavailable is None),
)
