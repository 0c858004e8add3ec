"""How many pods there should be where nobody wrote a number, and what is asked of Kubernetes' own autoscaler.

    spec.replicas       that many, and the Deployment's field is ours
    spec.autoscaling    as many as the autoscaler made of stable's Deployment, within its bounds
    neither             as many as there are: a person or an autoscaler of theirs scales the Deployment

In the last two cases the field belongs to others (server-side apply without it), so nobody fights.
Only stable has an autoscaler: a canary's pods follow stable's, so that its share stays what the
step says while both grow with the load, and it starts as large as stable is when it takes over.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from volary.api.v1alpha1 import Autoscaling
from volary.planning.model import (
    Action,
    Autoscaler,
    DeleteAutoscaler,
    DeleteBudget,
    Desired,
    EnsureAutoscaler,
    EnsureBudget,
    EnsureWorkload,
    Observed,
    Revision,
)
from volary.planning.roles import Roles

PATIENCE = timedelta(seconds=30)


def settle(desired: Desired, observed: Observed, stable: Revision | None) -> Desired:
    """The same with the number of pods that follows from what is there."""
    spec = desired.spec
    if spec.replicas is not None:
        return desired
    live = _live(desired, observed, stable)
    wanted = live if spec.autoscaling is None else min(spec.autoscaling.max_replicas, max(spec.autoscaling.min_replicas, live))
    return replace(desired, found=max(1, wanted))


def _live(desired: Desired, observed: Observed, stable: Revision | None) -> int:
    """Pods of stable; where its Deployment is gone, as many as it had."""
    workload = observed.workload(stable.id) if stable else None
    if workload is not None:
        return workload.replicas
    before = desired.status.stable
    return before.replicas if before is not None and stable is not None else 1


def release(desired: Desired, observed: Observed, roles: Roles) -> tuple[Action, ...]:
    """Stable's number of pods is left to others from now on: once, after it became stable."""
    workload = observed.workload(roles.stable.id) if roles.stable else None
    if not desired.floating or roles.stable is None or workload is None or not workload.owned:
        return ()
    return (EnsureWorkload(revision=roles.stable, replicas=workload.replicas, floating=True),)


def contested(desired: Desired, observed: Observed, now: datetime) -> dict[str, datetime]:
    """Revisions whose number somebody else has changed soon after we wrote it, and when we write it again.

    An autoscaler or a second operator that wants another number than the spec would otherwise make
    us write for ever: so it is at most two writes a minute. The first correction comes at once.
    """
    if desired.floating:
        return {}
    due = {w.revision: w.written_at + PATIENCE for w in observed.workloads if not w.owned and w.written_at is not None}
    return {revision: time for revision, time in due.items() if time > now}


def tend(desired: Desired, observed: Observed, roles: Roles) -> tuple[Action, ...]:
    """Autoscaler and budget as the spec wants them. Before pods go: an autoscaler outlives no Deployment."""
    return (*_autoscalers(desired, observed, roles), *_budget(desired, observed))


def _autoscalers(desired: Desired, observed: Observed, roles: Roles) -> Iterator[Action]:
    wanted = _wanted(desired.spec.autoscaling, observed, roles)
    for one in observed.autoscalers:
        if wanted is None or one.revision != wanted.revision:
            yield DeleteAutoscaler(revision=one.revision)
    if wanted is not None and wanted not in observed.autoscalers:
        yield EnsureAutoscaler(autoscaler=wanted)


def _wanted(spec: Autoscaling | None, observed: Observed, roles: Roles) -> Autoscaler | None:
    """None until stable has a Deployment: an autoscaler without one complains in Events."""
    if spec is None or roles.stable is None or observed.workload(roles.stable.id) is None:
        return None
    return Autoscaler(revision=roles.stable.id, spec=spec)


def _budget(desired: Desired, observed: Observed) -> Iterator[Action]:
    wanted = desired.spec.disruption_budget
    if wanted is not None and wanted != observed.budget:
        yield EnsureBudget(budget=wanted)
    if wanted is None and observed.budget is not None:
        yield DeleteBudget()
