"""The pods of the revision that served before: they stay for a while without traffic, so that a return needs no start."""

from datetime import datetime

from volary.api.v1alpha1 import RetiringStatus
from volary.planning.course import Course
from volary.planning.model import Desired, Observed, Only, Traffic
from volary.planning.roles import Roles
from volary.planning.strategy import chosen


def retiring(
    desired: Desired, observed: Observed, roles: Roles, course: Course | None, traffic: Traffic, now: datetime
) -> RetiringStatus | None:
    """Who stays, and until when. When it began cannot be seen, so it is memory; forgotten, it begins anew.

    A canary that shares the traffic ends it: a shared Service would select these pods too.
    """
    linger = chosen(desired.spec.rollout, desired.replicas).linger
    if not linger or roles.stable is None or traffic != Only(roles.stable.id) or (course is not None and course.shares):
        return None
    used = {r.id for r in (roles.stable, roles.candidate) if r is not None}
    there = {w.revision for w in observed.workloads} - used
    good = [r for r in observed.revisions if r.id in there and r.promoted and r.failed is None]
    before = max(good, key=lambda r: r.promoted, default=None)
    if before is None:
        return None
    known = desired.status.retiring
    until = known.until if known is not None and known.revision == before.id else now + linger
    return RetiringStatus(revision=before.id, version=before.version, until=until) if now < until else None
