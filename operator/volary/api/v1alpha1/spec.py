"""What users write: `spec`."""

from typing import Annotated

from volary.api import rules
from volary.api.fields import Integer
from volary.api.v1alpha1.base import Spec
from volary.api.v1alpha1.model import Model
from volary.api.v1alpha1.rollout import JOBS_HAVE_A_STEP, Rollout
from volary.api.v1alpha1.runtime import Runtime


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
    rollout: Annotated[Rollout, JOBS_HAVE_A_STEP] = Rollout()
    """How a new revision takes over."""
    history: Annotated[Integer, rules.between(1, 50, "spec.history must be between 1 and 50 revisions")] = 5
    """Revisions kept for rollback besides those in use."""
