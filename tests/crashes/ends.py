"""What an end state is: everything but times, uids, the words of messages and what Kubernetes adds."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from volary.adapters.cluster import CONTROLLER_REVISIONS, DEPLOYMENTS, JOBS, MODEL_DEPLOYMENTS, SERVICES, Body, Kind, kind_of
from volary.common.names import FAILED_ANNOTATION, REQUEST_ANNOTATION, REVISION_LABEL

CHILDREN = (JOBS, CONTROLLER_REVISIONS, DEPLOYMENTS, SERVICES)
_DROPPED = {
    *("uid", "resourceVersion", "creationTimestamp", "managedFields", "namespace", "generation", "selfLink"),
    *("clusterIP", "clusterIPs", "message", "rollout", "lastTransitionTime", "at", "createdAt"),
    *("startedAt", "endedAt", "timeline", "findings"),  # of the last rollout: counts differ with time
    "kubectl.kubernetes.io/last-applied-configuration",
}
End = dict[str, Any]


def end(model: Body | None, children: Iterable[Body]) -> End:
    """Of one ModelDeployment and what is its own."""
    found: End = {} if model is None else {MODEL_DEPLOYMENTS.plural: _model(model)}
    for one in children:
        found[f"{kind_of(one).plural}/{one['metadata']['name']}"] = _plain(one, dropped={*_DROPPED, "status"})
    return found


def phase(model: Body | None) -> str:
    """As people see it."""
    return "Gone" if model is None else str(model.get("status", {}).get("phase", ""))


def settled(model: Body | None, wanted: str) -> bool:
    """The phase is this one, and it is the present one."""
    if model is None:
        return wanted == "Gone"
    return phase(model) == wanted and _is_of_now(model)


def _is_of_now(model: Body) -> bool:
    """The status is of the present spec and of the present request."""
    status, metadata = model.get("status", {}), model["metadata"]
    asked, answered = metadata.get("annotations", {}).get(REQUEST_ANNOTATION), status.get("request") or {}
    return status.get("observedGeneration") == metadata["generation"] and asked == answered.get("value")


def _model(body: Body) -> Body:
    found: Body = _plain(body, dropped=_DROPPED)
    return found


def _plain(value: Any, dropped: set[str]) -> Any:
    match value:
        case dict():
            return {
                key: _failure(part) if key == FAILED_ANNOTATION else _plain(part, dropped)
                for key, part in value.items()
                if key not in dropped
            }
        case list() | tuple():
            return [_plain(part, dropped) for part in value]
        case _:
            return value


def _failure(text: str) -> str:
    """Its reason; the time and the numbers differ."""
    return str(json.loads(text)["reason"])


# ---- what must hold after every write -----------------------------------------------------------


class Broken(AssertionError):
    """An invariant does not hold."""


class Guard:
    """Looks at all objects of one ModelDeployment after every write.

    I1 who was served is served on; I2 at most two revisions have traffic; I4 nothing is there twice;
    I6 what failed has no traffic again unless a person asks; I7 Ready tells the truth.
    """

    def __init__(self) -> None:
        self._served = False
        self._left: set[str] = set()  # failed revisions that traffic has left
        self.writes: list[str] = []

    def look(self, model: Body | None, bodies: Callable[[Kind], list[Body]], pods: list[Body]) -> None:
        """Raises Broken."""
        if model is None:
            self._served, self._left = False, set()
            return
        revisions = bodies(CONTROLLER_REVISIONS)
        deployments = bodies(DEPLOYMENTS)
        service = next((one for one in bodies(SERVICES) if one["metadata"]["name"] == model["metadata"]["name"]), None)
        self._unique(revisions, bodies(JOBS))
        endpoints = [] if service is None else [pod for pod in pods if selects(service, pod) and ready(pod)]
        self._traffic(endpoints, pods, deployments)
        self._failures(revisions, endpoints)
        _truth(model, service, deployments)

    def _unique(self, revisions: list[Body], jobs: list[Body]) -> None:
        ordinals = [one["revision"] for one in revisions]
        self._hold(len(ordinals) == len(set(ordinals)), f"I4: two revisions have one ordinal: {ordinals}")
        self._hold(len(jobs) <= 1, "I4: two preflights at once")

    def _traffic(self, endpoints: list[Body], pods: list[Body], deployments: list[Body]) -> None:
        self._hold(bool(endpoints) or not self._served, "I1: clients were served and are not any more")
        self._served = self._served or bool(endpoints)
        taking = {pod["metadata"]["labels"][REVISION_LABEL] for pod in endpoints}
        self._hold(len(taking) <= 2, f"I2: three revisions have traffic: {taking}")
        there = {one["metadata"]["labels"][REVISION_LABEL] for one in deployments}
        self._hold(taking <= there, f"I1: pods that are about to end have traffic: {taking - there}")

    def _failures(self, revisions: list[Body], endpoints: list[Body]) -> None:
        taking = {pod["metadata"]["labels"][REVISION_LABEL] for pod in endpoints}
        failed = {
            one["metadata"]["labels"][REVISION_LABEL] for one in revisions if FAILED_ANNOTATION in one["metadata"].get("annotations", {})
        }
        self._left &= failed  # a retry or a rollback clears the mark
        self._hold(not taking & self._left, f"I6: a failed revision has traffic again: {taking & self._left}")
        self._left |= failed - taking

    def _hold(self, good: bool, what: str) -> None:
        if not good:
            raise Broken(f"{what}; the last writes: {self.writes[-8:]}")


def _truth(model: Body, service: Body | None, deployments: list[Body]) -> None:
    status = model.get("status", {})
    conditions = {one["type"]: one["status"] for one in status.get("conditions", ())}
    if conditions.get("Ready") != "True" or not _is_of_now(model):
        return
    stable = status["stable"]["revision"]
    if status["stable"]["version"] != model["spec"]["model"]["version"]:
        raise Broken("I7: Ready, but another version is stable")
    if service is None or service["spec"]["selector"].get(REVISION_LABEL) != stable:
        raise Broken("I7: Ready, but traffic is elsewhere")
    if not any(one["metadata"]["labels"][REVISION_LABEL] == stable for one in deployments):
        raise Broken("I7: Ready without a Deployment")


def selects(service: Body, pod: Body) -> bool:
    """Whether a Service means a pod."""
    labels = pod["metadata"].get("labels", {})
    return all(labels.get(key) == value for key, value in service["spec"]["selector"].items())


def ready(pod: Body) -> bool:
    """Takes traffic."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return "deletionTimestamp" not in pod["metadata"] and any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
