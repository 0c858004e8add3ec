"""Traffic by a gateway: which weights the HTTPRoute should have, in an order in which each prefix is safe.

The plain Service points at one revision only, as it does without a canary. The HTTPRoute gets the
weights. Pods first, then weight; weight first, then pods: a Deployment ends only once the gateway
has taken over a route that does not mention it (`observedGeneration` in the route's status).

Source: Gateway API v1.5, HTTPRoute `backendRefs[].weight` and `RouteStatus`.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

from volary.api.v1alpha1 import RouteStatus
from volary.common.reasons import Reason
from volary.planning import exact, traffic
from volary.planning.course import Course
from volary.planning.model import Action, DeleteWorkload, Desired, EnsureWorkload, Observed, Only, ReleaseRoute, Shared, Traffic, Weigh
from volary.planning.roles import Roles
from volary.planning.strategy import chosen
from volary.planning.traffic import Steering
from volary.planning.weighted import NotAsked, Routed, Shadow, Share, Unroutable, Weighted

_ACKNOWLEDGE = timedelta(milliseconds=500)  # a gateway takes a route over in well under a second
_TROUBLE = timedelta(seconds=5)  # between two looks at a route that the gateway does not serve


def steer(
    desired: Desired, observed: Observed, roles: Roles, course: Course | None, now: datetime, contested: Collection[str] = ()
) -> Steering:
    """What is to be done about pods and traffic, and when to look at the route again."""
    release: tuple[Action, ...] = (ReleaseRoute(route=observed.left),) if observed.left else ()
    if not exact.wanted(desired):
        plain = traffic.steer(desired, observed, roles, course, now, contested)
        return replace(plain, actions=(*release, *plain.actions))
    inside = traffic.steer(desired, observed, roles, _alone(course), now, contested)
    weigh, memory, write_at = _weigh(desired, observed, _wanted(desired, observed, roles, course, now), now)
    up = tuple(action for action in inside.actions if not _shrinks(action, observed))
    down = tuple(action for action in inside.actions if _shrinks(action, observed) and _free(action, observed, changes=bool(weigh)))
    held = len(up) + len(down) < len(inside.actions)
    wake = _wake_at(observed, now, write_at, soon=bool(weigh) or held)
    return replace(inside, actions=(*up, *weigh, *release, *down), route=memory, wake_at=wake)


def _alone(course: Course | None) -> Course | None:
    """The plain Service sees no canary: clients in the cluster stay with stable until the canary is promoted."""
    return None if course is None else replace(course, memory=course.memory.model_copy(update={"step": -1}))


def _shrinks(action: Action, observed: Observed) -> bool:
    match action:
        case DeleteWorkload():
            return True
        case EnsureWorkload(revision=revision, replicas=replicas):
            workload = observed.workload(revision.id)
            return workload is not None and replicas < workload.replicas
        case _:
            return False


def _free(action: Action, observed: Observed, *, changes: bool) -> bool:
    """Whether the gateway sends nothing to pods that would go: neither now nor as far as it knows."""
    route = observed.route
    if not isinstance(action, DeleteWorkload) or not isinstance(route, Routed):
        return True
    return route.current and not changes and action.revision not in route.to.revisions


# ---- which weights ----------------------------------------------------------------------------


def _wanted(desired: Desired, observed: Observed, roles: Roles, course: Course | None, now: datetime) -> Weighted | None:
    """None: there is nothing yet that could serve."""
    seen = replace(observed, traffic=_shape(observed))
    decided = traffic.steer(desired, seen, roles, course, now).traffic
    match decided:
        case Only(revision=revision):
            shares: tuple[Share, ...] = (Share(revision, 100),)
        case Shared():
            shares = _shares(desired, observed, roles, course)
        case _:
            return None
    return replace(_extras(desired, observed, roles, course), shares=shares, session=_session(desired, observed))


def _session(desired: Desired, observed: Observed) -> str | None:
    asked = desired.spec.rollout.traffic
    return asked.sticky.header if asked and asked.sticky and not _unsupported(observed) else None


def _unsupported(observed: Observed) -> bool:
    """The cluster or its gateway lacks something: weights may still go back, by a route without it."""
    return isinstance(observed.route, Routed) and observed.route.reason is Reason.GATEWAY_UNSUPPORTED


def _shape(observed: Observed) -> Traffic:
    """The route in the terms of a plain Service, so that one set of rules says who may take over from whom."""
    route = observed.route
    if not isinstance(route, Routed):
        return observed.traffic
    reached = [share.revision for share in route.to.shares if share.weight > 0]
    match reached:
        case [revision]:
            return Only(revision)
        case []:
            return observed.traffic
        case _:
            return Shared()


def _shares(desired: Desired, observed: Observed, roles: Roles, course: Course | None) -> tuple[Share, ...]:
    """Of stable and candidate. More weight only once the pods for it are ready; all of it where stable has no pod."""
    stable, candidate = roles.stable, roles.candidate
    assert stable is not None  # noqa: S101 -- traffic is shared between two
    assert candidate is not None  # noqa: S101 -- traffic is shared between two
    assert course is not None  # noqa: S101 -- a candidate has a course
    asked = chosen(desired.spec.rollout, desired.replicas).weight(course.memory.step)
    ready = observed.ready(candidate.id)
    now = observed.route.to.percent(candidate.id) if isinstance(observed.route, Routed) else 0
    weight = asked if ready >= exact.pods(desired, asked) else min(now, asked)
    if observed.ready(stable.id) == 0:
        weight = 100
    parts = (Share(stable.id, 100 - weight), Share(candidate.id, weight))
    return tuple(part for part in parts if part.weight > 0)


def _extras(desired: Desired, observed: Observed, roles: Roles, course: Course | None) -> Weighted:
    """How a canary is reached beside its weight: by the header, and by copies while it is a shadow."""
    asked, stable, candidate = desired.spec.rollout.traffic, roles.stable, roles.candidate
    none = Weighted(shares=())
    if asked is None or stable is None or candidate is None or course is None or observed.ready(candidate.id) == 0:
        return none
    named = candidate.id if asked.header else None
    mirrored = exact.shadows(desired, course.memory.step) and not _unsupported(observed)
    shadow = Shadow(candidate.id, asked.mirror.percent) if asked.mirror and mirrored else None
    return Weighted(shares=(), named=named, shadow=shadow)


# ---- writing it -------------------------------------------------------------------------------

_Written = tuple[tuple[Action, ...], RouteStatus | None, datetime | None]


def _weigh(desired: Desired, observed: Observed, to: Weighted | None, now: datetime) -> _Written:
    """The write, if one is needed, what is remembered of it, and when it is due if it has to wait.

    What somebody else changed is put back at once, then at most every 30 s: two writes a minute,
    however often the other one writes.
    """
    before = desired.status.route
    route = observed.route
    if to is None or isinstance(route, Unroutable | NotAsked):
        return (), before, None
    memory = _memory(desired, to)
    again = before is not None and (before.name, before.generation, before.written) == (memory.name, memory.generation, memory.written)
    restored = before.restored_at if before is not None else None
    inexact = isinstance(route, Routed) and route.reason is Reason.ROUTE_UNUSABLE and len(to.shares) > 1
    if inexact or (isinstance(route, Routed) and route.intact and route.to == to):
        return (), memory.model_copy(update={"restored_at": restored}), None
    if again and restored is not None and now < restored + exact.PATIENCE:
        return (), memory.model_copy(update={"restored_at": restored}), restored + exact.PATIENCE
    return (Weigh(to=to),), memory.model_copy(update={"restored_at": now if again else restored}), None


def _memory(desired: Desired, to: Weighted) -> RouteStatus:
    asked = desired.spec.rollout.traffic
    users = asked.http_route if asked is not None else None
    name = users.name if users is not None else desired.name
    return RouteStatus(name=name, own=users is None, generation=desired.generation, written=to.text)


def _wake_at(observed: Observed, now: datetime, write_at: datetime | None, *, soon: bool) -> datetime:
    """HTTPRoutes are not watched, since most clusters have none: a route is looked at again in time."""
    route = observed.route
    if soon or (isinstance(route, Routed) and not route.current):
        wait = _ACKNOWLEDGE
    elif isinstance(route, Unroutable) or (isinstance(route, Routed) and route.problem):
        wait = _TROUBLE
    else:
        wait = exact.PATIENCE
    return min(now + wait, write_at) if write_at else now + wait
