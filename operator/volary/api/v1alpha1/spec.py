"""What users write: `spec`."""

from typing import Annotated, Self

from pydantic import ConfigDict, model_validator

from volary.api import rules
from volary.api.fields import Integer
from volary.api.v1alpha1.base import Spec, cel
from volary.api.v1alpha1.model import Model
from volary.api.v1alpha1.rollout import Rollout
from volary.api.v1alpha1.runtime import Runtime
from volary.api.v1alpha1.update import ONLY_ONNXRUNTIME, Update


class ModelDeploymentSpec(Spec):
    """What should serve, and how a change gets there."""

    model_config = ConfigDict(json_schema_extra=cel(ONLY_ONNXRUNTIME.cel))

    model: Model
    """Which bundle to serve."""
    runtime: Runtime
    """What serves it."""
    replicas: Annotated[
        Integer,
        rules.between(1, 1000, "spec.replicas must be between 1 and 1000; to stop serving, delete the ModelDeployment"),
    ] = 1
    """Pods of the stable revision."""
    update: Update = Update.REPLACE
    """Replace: a new version gets pods of its own. InPlace: it is loaded into the pods that run, which split the requests exactly."""
    rollout: Rollout = Rollout()
    """How a new revision takes over."""
    history: Annotated[Integer, rules.between(1, 50, "spec.history must be between 1 and 50 revisions")] = 5
    """Revisions kept for rollback besides those in use."""

    @model_validator(mode="after")
    def _served_in_place(self) -> Self:
        ONLY_ONNXRUNTIME.check(self)
        return self
