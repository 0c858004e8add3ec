"""Where pods run: `spec.runtime.podTemplate` as parts of a pod's spec."""

from collections.abc import Mapping

from volary.api.v1alpha1 import PodTemplate, Toleration
from volary.runtimes.runtime import Body


def spec(template: PodTemplate, labels: Mapping[str, str]) -> Body:
    """What the template adds to a model pod; `labels` are those of the revision's pods. Nothing for an empty template."""
    spread = [
        {
            "maxSkew": one.max_skew,
            "topologyKey": one.topology_key,
            "whenUnsatisfiable": one.when_unsatisfiable.value,
            "labelSelector": {"matchLabels": dict(labels)},
        }
        for one in template.topology_spread
    ]
    parts: Body = {
        "nodeSelector": dict(template.node_selector),
        "tolerations": [_toleration(one) for one in template.tolerations],
        "topologySpreadConstraints": spread,
        "priorityClassName": template.priority_class_name,
        "runtimeClassName": template.runtime_class_name,
    }
    return {key: value for key, value in parts.items() if value} | pulling(template)


def pulling(template: PodTemplate) -> Body:
    """The part that a preflight needs too: how images are had."""
    secrets = [{"name": name} for name in template.image_pull_secrets]
    return {"imagePullSecrets": secrets} if secrets else {}


def _toleration(one: Toleration) -> Body:
    found = {"key": one.key, "operator": one.operator.value, "value": one.value, "effect": one.effect.value if one.effect else None}
    return {key: value for key, value in found.items() if value is not None}
