"""Writes the status of a ModelDeployment, in one place, only if it differs from what is stored.

It is written after a failed action too, with a condition that tells of the failure: the memory of
a rollout (when it began) must not be lost, or a deadline would never come. A request of a person is
recorded only once all that follows from it is done.
"""

from collections.abc import Iterable
from datetime import datetime

from volary.adapters.cluster import MODEL_DEPLOYMENTS, Body, Cluster
from volary.api.v1alpha1 import Condition, ModelDeploymentStatus, Phase
from volary.common.errors import Refused, VolaryError
from volary.controller.observe import Unreadable
from volary.planning.model import Desired

RECONCILED = "Reconciled"  # type of the condition that is there, and False, while Volary cannot do its work


async def write(cluster: Cluster, desired: Desired, status: ModelDeploymentStatus) -> bool:
    """Whether it had to be written. Raises Transient or Refused."""
    return await _store(cluster, (desired.namespace, desired.name, desired.uid), desired.status, status)


def refusal(found: Unreadable, now: datetime) -> ModelDeploymentStatus:
    """Tells that the spec cannot be worked with; what serves goes on serving."""
    stalled = {"Ready": "False", "Reconciling": "False", "Stalled": "True"}
    conditions = [
        _condition(found.status.conditions, kind, value, (found.reason, found.message), found.generation, now)
        for kind, value in stalled.items()
    ]
    kept = [condition for condition in found.status.conditions if condition.type not in {*stalled, RECONCILED}]
    return found.status.model_copy(
        update={
            "observed_generation": found.generation,
            "phase": Phase.REFUSED,
            "message": found.message,
            "conditions": (*conditions, *kept),
        }
    )


async def refuse(cluster: Cluster, found: Unreadable, refused: ModelDeploymentStatus) -> bool:
    """Whether it had to be written. Raises Transient or Refused."""
    return await _store(cluster, (found.namespace, found.name, found.uid), found.status, refused)


def with_trouble(desired: Desired, status: ModelDeploymentStatus, failure: VolaryError, now: datetime) -> ModelDeploymentStatus:
    """The status of a plan that could not be carried out to its end. Where only a person can mend that, it does not go on by itself."""
    cause = (failure.reason, failure.message)
    told = {"Reconciling": "False", "Stalled": "True"} if isinstance(failure, Refused) else {}
    changed = [
        _condition(desired.status.conditions, kind, value, cause, desired.generation, now)
        for kind, value in {**told, RECONCILED: "False"}.items()
    ]
    conditions = (*(condition for condition in status.conditions if condition.type not in {*told, RECONCILED}), *changed)
    kept = {"request": desired.status.request, "route": desired.status.route}  # whatever is recorded of them may not have come about
    return status.model_copy(update={"message": failure.message, **kept, "conditions": conditions})


def told(desired: Desired, failure: VolaryError) -> bool:
    """Whether the stored status tells of this failure already."""
    return any(c.type == RECONCILED and (c.reason, c.message) == (failure.reason, failure.message) for c in desired.status.conditions)


def _condition(before: Iterable[Condition], kind: str, value: str, cause: tuple[str, str], generation: int, now: datetime) -> Condition:
    old = next((condition for condition in before if condition.type == kind), None)
    since = old.last_transition_time if old is not None and old.status == value else now
    return Condition(type=kind, status=value, reason=cause[0], message=cause[1], last_transition_time=since, observed_generation=generation)


async def _store(cluster: Cluster, of: tuple[str, str, str], stored: ModelDeploymentStatus, wanted: ModelDeploymentStatus) -> bool:
    if wanted == stored:
        return False
    await cluster.apply_status(_body(of, wanted))
    return True


def _body(of: tuple[str, str, str], status: ModelDeploymentStatus) -> Body:
    namespace, name, uid = of
    return {
        "apiVersion": MODEL_DEPLOYMENTS.api_version,
        "kind": MODEL_DEPLOYMENTS.name,
        "metadata": {"namespace": namespace, "name": name, "uid": uid},
        "status": status.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
