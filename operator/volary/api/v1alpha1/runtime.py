"""What serves the model: `spec.runtime`."""

from enum import StrEnum

from pydantic import Field

from volary.api import fields
from volary.api.fields import Quantities
from volary.api.v1alpha1.base import Spec


class RuntimeName(StrEnum):
    """The servers Volary knows."""

    ONNXRUNTIME = "onnxruntime"
    TENSORFLOW_SERVING = "tensorflow-serving"


class Resources(Spec):
    """Requests and limits of the server's container."""

    requests: Quantities = Field(default_factory=dict)
    """Such as cpu: 500m, memory: 256Mi."""
    limits: Quantities = Field(default_factory=dict)
    """Such as memory: 1Gi, nvidia.com/gpu: "1"."""


class Runtime(Spec):
    """What serves the model."""

    name: RuntimeName
    """onnxruntime or tensorflow-serving."""
    image: fields.Image | None = None
    """Another image of the same runtime. Absent: the operator's."""
    resources: Resources = Resources()
    """Requests and limits of the server's container."""
