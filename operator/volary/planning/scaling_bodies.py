"""The autoscaler and the budget as Kubernetes objects, and back."""

from typing import Any

from pydantic import ValidationError

from volary.api.v1alpha1 import Autoscaling, DisruptionBudget
from volary.common.names import REVISION_LABEL, SERVER_CONTAINER
from volary.planning import labels
from volary.planning.model import Autoscaler, Desired
from volary.planning.resources import metadata, revision_name
from volary.runtimes.runtime import Body

REQUESTS_METRIC = "volary_requests_per_second"


def autoscaler(desired: Desired, wanted: Autoscaler) -> Body:
    """autoscaling/v2; scales the Deployment of one revision."""
    name, spec = revision_name(desired.name, wanted.revision), wanted.spec
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(desired, name, {REVISION_LABEL: wanted.revision}),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": spec.min_replicas,
            "maxReplicas": spec.max_replicas,
            "metrics": [*_cpu(spec), *_requests(spec)],
        },
    }


def budget(desired: Desired, wanted: DisruptionBudget) -> Body:
    """policy/v1; counts the pods of all revisions, since any of them may serve."""
    bounds = {"minAvailable": wanted.min_available, "maxUnavailable": wanted.max_unavailable}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(desired, desired.name, {}),
        "spec": {
            "selector": {"matchLabels": labels.of_model(desired.name)},
            **{key: _amount(value) for key, value in bounds.items() if value is not None},
        },
    }


def _cpu(spec: Autoscaling) -> list[Body]:
    """Of the server's container alone: the agent beside it would water the average down."""
    if spec.cpu is None:
        return []
    target = {"type": "Utilization", "averageUtilization": spec.cpu}
    return [{"type": "ContainerResource", "containerResource": {"name": "cpu", "container": SERVER_CONTAINER, "target": target}}]


def _requests(spec: Autoscaling) -> list[Body]:
    if spec.requests_per_second is None:
        return []
    target = {"type": "AverageValue", "averageValue": str(spec.requests_per_second)}
    return [{"type": "Pods", "pods": {"metric": {"name": REQUESTS_METRIC}, "target": target}}]


def _amount(text: str) -> str | int:
    return text if text.endswith("%") else int(text)


# ---- and back ---------------------------------------------------------------------------------


def autoscaler_from(body: Body) -> Autoscaler:
    """What an autoscaler of ours says; one that somebody changed into something else equals no wanted one."""
    spec = body.get("spec", {})
    found: dict[str, Any] = {"minReplicas": spec.get("minReplicas", 1), "maxReplicas": spec.get("maxReplicas", 1)}
    for metric in spec.get("metrics") or ():
        found |= _metric(metric)
    revision = (body.get("metadata", {}).get("labels") or {}).get(REVISION_LABEL, "")
    try:
        return Autoscaler(revision=revision, spec=Autoscaling.model_validate(found))
    except ValidationError:
        return Autoscaler(revision=revision, spec=Autoscaling.model_construct(min_replicas=0, max_replicas=0))


def _metric(metric: Body) -> dict[str, Any]:
    match metric:
        case {"type": "ContainerResource", "containerResource": {"name": "cpu", "target": {"averageUtilization": int(share)}}}:
            return {"cpu": share}
        case {"type": "Pods", "pods": {"metric": {"name": name}, "target": {"averageValue": value}}} if name == REQUESTS_METRIC:
            return {"requestsPerSecond": int(value)} if str(value).isdigit() else {"unknown": value}
        case _:
            return {"unknown": metric}


def budget_from(body: Body) -> DisruptionBudget:
    """What a budget of ours says; one that somebody changed into something else equals no wanted one."""
    spec = body.get("spec", {})
    bounds = {key: str(spec[key]) for key in ("minAvailable", "maxUnavailable") if spec.get(key) is not None}
    try:
        return DisruptionBudget.model_validate(bounds)
    except ValidationError:
        return DisruptionBudget()
