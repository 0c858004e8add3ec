"""Weights by a gateway, as the rest of a plan asks for them. Where the spec wants no gateway all answers are those of plain Services."""

from dataclasses import replace
from datetime import timedelta

from volary.api.v1alpha1 import Step
from volary.common.reasons import Reason
from volary.planning.model import Desired, Observed, Problem
from volary.planning.weighted import NoRoute, NotAsked, Routed, Unroutable
from volary.planning.weights import exact_replicas

_ALL = 100  # percent
PATIENCE = timedelta(seconds=30)  # between two looks at a route that is as it should be, and between two repairs of one


def wanted(desired: Desired) -> bool:
    """Whether requests come through a gateway."""
    return desired.spec.rollout.traffic is not None


def pods(desired: Desired, weight: int) -> int:
    """Pods of a canary at this weight."""
    return exact_replicas(weight, desired.replicas)


def with_shadow(desired: Desired) -> Desired:
    """The spec with its shadow as one more step, before the first: it starts, lasts and is judged as a step is."""
    traffic = desired.spec.rollout.traffic
    if traffic is None or traffic.mirror is None:
        return desired
    shadow = Step(weight=traffic.mirror.percent, duration=traffic.mirror.duration)
    rollout = desired.spec.rollout.model_copy(update={"steps": (shadow, *desired.spec.rollout.steps)})
    return replace(desired, spec=desired.spec.model_copy(update={"rollout": rollout}))


def shadows(desired: Desired, step: int) -> bool:
    """Whether this step of a spec `with_shadow` is the shadow."""
    traffic = desired.spec.rollout.traffic
    return step == 0 and traffic is not None and traffic.mirror is not None


def obstacle(desired: Desired, observed: Observed) -> Problem | None:
    """Why no weight can be moved now: a canary waits, what serves goes on serving."""
    match observed.route:
        case Unroutable(reason=reason, message=message):
            return Problem(reason=reason, message=message)
        case NoRoute():
            return Problem(reason=Reason.GATEWAY_NOT_READY, message=f"HTTPRoute {desired.name} is being made")
        case Routed(problem=str(problem), reason=reason):
            return Problem(reason=reason, message=problem)
        case Routed() | NotAsked():
            return None


def unsettled(desired: Desired, observed: Observed, stable: str) -> Problem | None:
    """Why clients of the gateway may not reach stable, and stable alone."""
    if trouble := obstacle(desired, observed):
        return trouble
    if not alone(observed, stable):
        return Problem(reason=Reason.GATEWAY_NOT_READY, message=f"the gateway does not send all requests to revision {stable} yet")
    return None


def alone(observed: Observed, revision: str) -> bool:
    """Whether no request through a gateway reaches another revision, as far as the gateway knows."""
    route = observed.route
    return not isinstance(route, Routed) or (route.current and route.to.percent(revision) == _ALL)


def reached(observed: Observed, revision: str) -> int:
    """Share of a revision in the HTTPRoute, in percent; 0 while the gateway does not serve it."""
    route = observed.route
    served = isinstance(route, Routed) and (route.problem is None or route.reason is not Reason.GATEWAY_NOT_READY)
    return route.to.percent(revision) if isinstance(route, Routed) and served else 0
