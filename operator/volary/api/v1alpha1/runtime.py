"""What serves the model: `spec.runtime`."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from volary.api import fields, rules
from volary.api.fields import Integer, Quantities
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


class Effect(StrEnum):
    """What a taint does to pods."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class TolerationOperator(StrEnum):
    """How a taint's value is compared."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class Toleration(Spec):
    """As in a Pod."""

    key: fields.LabelKey | None = None
    """Key of the taint; absent with operator Exists: every taint."""
    operator: TolerationOperator = TolerationOperator.EQUAL
    """Exists or Equal."""
    value: fields.LabelValue | None = None
    """Value of the taint, for Equal."""
    effect: Effect | None = None
    """NoSchedule, PreferNoSchedule or NoExecute; absent: all."""


class WhenUnsatisfiable(StrEnum):
    """What the scheduler does with a pod that cannot be spread."""

    DO_NOT_SCHEDULE = "DoNotSchedule"
    SCHEDULE_ANYWAY = "ScheduleAnyway"


class TopologySpread(Spec):
    """Spreads the pods of one revision, as topologySpreadConstraints of a Pod; the selector is Volary's."""

    topology_key: fields.LabelKey
    """Label of the nodes, such as topology.kubernetes.io/zone or kubernetes.io/hostname."""
    max_skew: Annotated[Integer, rules.between(1, 1000, "maxSkew must be between 1 and 1000 pods")] = 1
    """By how many pods two places may differ."""
    when_unsatisfiable: WhenUnsatisfiable = WhenUnsatisfiable.SCHEDULE_ANYWAY
    """ScheduleAnyway or DoNotSchedule."""


class PodTemplate(Spec):
    """Where the pods run and what else they carry. Containers, volumes and security settings are Volary's."""

    labels: fields.Labels = Field(default_factory=dict)
    """More labels; those of serving.volary.dev and app.kubernetes.io are Volary's."""
    annotations: fields.Annotations = Field(default_factory=dict)
    """More annotations."""
    node_selector: fields.NodeSelector = Field(default_factory=dict)
    """Labels a node must have, such as accelerator: nvidia-l4."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16)] = ()
    """Taints the pods put up with."""
    topology_spread: Annotated[tuple[TopologySpread, ...], Field(max_length=4)] = ()
    """How the pods are spread over nodes and zones."""
    priority_class_name: fields.LocalName | None = None
    """PriorityClass of the pods."""
    runtime_class_name: fields.LocalName | None = None
    """RuntimeClass of the pods, such as nvidia."""
    image_pull_secrets: Annotated[tuple[fields.LocalName, ...], Field(max_length=8)] = ()
    """Secrets in the same namespace that the kubelet pulls images with."""


class Runtime(Spec):
    """What serves the model."""

    name: RuntimeName
    """onnxruntime or tensorflow-serving."""
    image: fields.Image | None = None
    """Another image of the same runtime. Absent: the operator's."""
    resources: Resources = Resources()
    """Requests and limits of the server's container."""
    pod_template: PodTemplate = PodTemplate()
    """Where the pods run and what else they carry."""
