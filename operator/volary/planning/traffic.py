"""Which pods there should be and where the Service should point, in an order in which each prefix is safe.

Capacity up, then traffic, then capacity down. Traffic leaves a revision before its pods do, and
reaches a revision only after its pods are ready.
"""

from collections.abc import Collection

from volary.planning.model import (
    Action,
    DeleteWorkload,
    Desired,
    EnsureWorkload,
    NoService,
    Observed,
    Only,
    Revision,
    Route,
    Shared,
    Traffic,
)
from volary.planning.roles import Roles
from volary.planning.rollout import Course


def steer(
    desired: Desired, observed: Observed, roles: Roles, course: Course | None, contested: Collection[str] = ()
) -> tuple[tuple[Action, ...], Traffic]:
    """The actions, and the traffic once they are done. The number of `contested` revisions is left as it is for now."""
    wanted = [(revision, n) for revision, n in _replicas(desired, roles, course) if revision.id not in contested]
    traffic = _traffic(desired, observed, roles, course)
    grow = tuple(_ensure(desired, roles, r, n) for r, n in wanted if _replicas_now(observed, r) < n)
    shrink = tuple(_ensure(desired, roles, r, n) for r, n in wanted if _replicas_now(observed, r) > n and not _floats(desired, roles, r))
    move = (Route(to=traffic),) if not isinstance(traffic, NoService) and traffic != observed.traffic else ()
    return (*grow, *move, *shrink, *_remove(observed, roles, traffic)), traffic


def _floats(desired: Desired, roles: Roles, revision: Revision) -> bool:
    """Only stable's number is ever left to others: that of a canary is its share of the traffic."""
    return desired.floating and revision == roles.stable


def _ensure(desired: Desired, roles: Roles, revision: Revision, replicas: int) -> EnsureWorkload:
    return EnsureWorkload(revision=revision, replicas=replicas, floating=_floats(desired, roles, revision))


def _replicas(desired: Desired, roles: Roles, course: Course | None) -> list[tuple[Revision, int]]:
    """Stable first: it keeps all its pods until it is stable no more."""
    wanted = [(roles.stable, desired.replicas)] if roles.stable else []
    if roles.candidate is not None and course is not None:
        wanted.append((roles.candidate, course.replicas))
    return wanted


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


def _remove(observed: Observed, roles: Roles, traffic: Traffic) -> tuple[Action, ...]:
    """Deployments that are neither stable nor candidate and get no traffic."""
    keep = {r.id for r in (roles.stable, roles.candidate) if r is not None}
    if isinstance(traffic, Only):
        keep.add(traffic.revision)
    return tuple(DeleteWorkload(revision=w.revision) for w in observed.workloads if w.revision not in keep)
