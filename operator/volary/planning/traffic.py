"""Which pods there should be and where the Service should point, in an order in which each prefix is safe.

Capacity up, then traffic, then capacity down. Traffic leaves a revision before its pods do, and
reaches a revision only after its pods are ready.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from volary.api.v1alpha1 import RetiringStatus, RouteStatus
from volary.planning import capacity
from volary.planning.course import Course
from volary.planning.model import (
    Action,
    DeleteWorkload,
    Desired,
    Divided,
    EnsureWorkload,
    NoService,
    Observed,
    Only,
    Preview,
    Revision,
    Route,
    Shared,
    Traffic,
)
from volary.planning.retirement import retiring
from volary.planning.roles import Roles
from volary.planning.strategy import chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """What is to be done, and how it is once that is done."""

    actions: tuple[Action, ...]
    traffic: Traffic
    replicas: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))  # wanted now, by revision
    retiring: RetiringStatus | None = None
    route: RouteStatus | None = None  # what is remembered of an HTTPRoute
    wake_at: datetime | None = None  # something is under way that no watch tells of


def steer(
    desired: Desired, observed: Observed, roles: Roles, course: Course | None, now: datetime, contested: Collection[str] = ()
) -> Steering:
    """The actions, and the traffic once they are done. The number of `contested` revisions is left as it is for now."""
    traffic = _traffic(desired, observed, roles, course)
    wanted = capacity.wanted(desired, observed, roles, course, traffic)
    stays = retiring(desired, observed, roles, course, traffic, now)
    ours = [(r, n) for r, n in wanted if r.id not in contested]
    grow = tuple(_ensure(desired, roles, r, n) for r, n in ours if _replicas_now(observed, r) < n)
    shrink = tuple(_ensure(desired, roles, r, n) for r, n in ours if _replicas_now(observed, r) > n and not _floats(desired, roles, r))
    move = (Route(to=traffic),) if isinstance(traffic, Only | Shared) and traffic != observed.traffic else ()
    drained = {r.id for r, n in wanted if n > 0 or _has_pods(observed, r)}
    remove = _remove(observed, roles, traffic, drained | ({stays.revision} if stays is not None else set()))
    return Steering(
        actions=(*grow, *_preview(desired, observed, roles, course), *move, *shrink, *remove),
        traffic=traffic,
        replicas={r.id: n for r, n in wanted},
        retiring=stays,
    )


def _floats(desired: Desired, roles: Roles, revision: Revision) -> bool:
    """Only stable's number is ever left to others: that of a canary is its share of the traffic."""
    return desired.floating and revision == roles.stable


def _ensure(desired: Desired, roles: Roles, revision: Revision, replicas: int) -> EnsureWorkload:
    return EnsureWorkload(revision=revision, replicas=replicas, floating=_floats(desired, roles, revision))


def _preview(desired: Desired, observed: Observed, roles: Roles, course: Course | None) -> tuple[Action, ...]:
    """An address of the candidate's own while stable has all the traffic. It is no way for clients' requests, so its order is free."""
    strategy = chosen(desired.spec.rollout, desired.replicas)
    shown = roles.candidate if strategy.preview and course is not None and roles.stable is not None else None
    revision = None if shown is None else shown.id
    return () if observed.preview == revision else (Preview(revision=revision),)


def _has_pods(observed: Observed, revision: Revision) -> bool:
    workload = observed.workload(revision.id)
    return workload is not None and bool(workload.replicas or workload.pods)


def _replicas_now(observed: Observed, revision: Revision) -> int:
    """Replicas as they are; -1 without a Deployment."""
    workload = observed.workload(revision.id)
    return workload.replicas if workload else -1


def _traffic(desired: Desired, observed: Observed, roles: Roles, course: Course | None) -> Traffic:
    """Where the Service should point now; what it points at already, while nothing better is ready."""
    now = observed.traffic
    target = roles.stable or roles.candidate
    if target is None:
        return now
    if _may_share(observed, roles, course):
        return Shared()
    match now:
        case NoService():
            return Only(target.id)
        case Only(revision=serving):
            return Only(target.id) if _can_take_over(desired, observed, target, serving) else now
        case Shared():
            return _out_of_shared(desired, observed, target)
        case Divided():  # inside pods: never what a Service does
            return now


def _may_share(observed: Observed, roles: Roles, course: Course | None) -> bool:
    """The canary is ready, and no third revision has a pod that a shared Service would select.

    Stable need not be: where its pods are down, a canary that answers is better than nobody.
    """
    if roles.stable is None or roles.candidate is None or course is None or not course.shares:
        return False
    known = {roles.stable.id, roles.candidate.id}
    live = (pod for workload in observed.workloads for pod in workload.pods if not pod.terminating)
    third = any(pod.revision not in known for pod in (*live, *observed.strangers))
    return not third and observed.ready(roles.candidate.id) > 0


def _can_take_over(desired: Desired, observed: Observed, target: Revision, serving: str) -> bool:
    """From a revision that serves to another: the target has all its pods, or at least as many as serve now."""
    enough = max(1, min(desired.replicas, observed.ready(serving)))
    return serving == target.id or observed.ready(target.id) >= enough


def _out_of_shared(desired: Desired, observed: Observed, target: Revision) -> Only:
    """At once, to the revision that can take most of it: the reason to leave is that one side is bad or gone.

    That is the target, except when a person returns to an earlier revision in the middle of a
    canary: its pods have to start first, and until then the one that was stable serves. A revision
    that is not good is better than nobody.
    """

    def worth(revision: Revision) -> tuple[bool, int, bool, int]:
        good = revision.failed is None and (revision.promoted > 0 or revision.id == target.id)
        ready = min(observed.ready(revision.id), desired.replicas)
        return good and ready > 0, ready, revision.id == target.id, revision.promoted

    return Only(max(observed.revisions, key=worth).id)


def _remove(observed: Observed, roles: Roles, traffic: Traffic, staying: set[str]) -> tuple[Action, ...]:
    """Deployments that are neither stable nor candidate and get no traffic; those in `staying` have pods for a while yet."""
    keep = {r.id for r in (roles.stable, roles.candidate) if r is not None} | staying
    if isinstance(traffic, Only):
        keep.add(traffic.revision)
    return tuple(DeleteWorkload(revision=w.revision) for w in observed.workloads if w.revision not in keep)
