"""Weights and pods of a canary behind a gateway, and how often what others change is put back."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from volary.api.v1alpha1 import GatewayTraffic, Mirror, Rollout, RouteStatus, Step, Sticky, Traffic
from volary.common.reasons import Reason
from volary.planning import exact, routes
from volary.planning.model import Desired, Observed, Only, Pod, Weigh, Workload
from volary.planning.roles import assign
from volary.planning.strategy import chosen
from volary.planning.traffic import Steering
from volary.planning.weighted import LeftRoute, NoRoute, NotAsked, Routed, Shadow, Share, Unroutable, Weighted

from . import builders
from .builders import NOW, desired, spec

STABLE = builders.revision(id="1a2b3c4d5e", version="1.0.0", promoted=1)
EDGE = GatewayTraffic.model_validate({"parentRefs": [{"name": "edge"}]})
ALL = Weighted(shares=(Share(STABLE.id, 100),))


def gated(replicas: int = 3, mirror: Mirror | None = None, status: Any = None) -> Desired:
    steps = (Step(weight=5), Step(weight=80))
    made = desired(spec=spec(replicas=replicas, rollout=Rollout(steps=steps, traffic=Traffic(gateway=EDGE, mirror=mirror))))
    return replace(made, status=made.status.model_copy(update={"route": status}))


def serving(route: Any) -> Observed:
    pods = tuple(Pod(name=f"p{n}", uid=f"u{n}", revision=STABLE.id, ready=True) for n in range(3))
    workload = Workload(revision=STABLE.id, replicas=3, pods=pods)
    return Observed(revisions=(STABLE,), workloads=(workload,), traffic=Only(STABLE.id), route=route)


@pytest.mark.parametrize(
    ("weight", "replicas", "pods"),
    [(1, 3, 1), (5, 3, 1), (33, 3, 1), (34, 3, 2), (50, 3, 2), (67, 3, 3), (80, 3, 3), (100, 3, 3), (100, 1, 1), (1, 1000, 10), (0, 3, 1)],
)
def test_pods_are_enough_for_their_share(weight: int, replicas: int, pods: int) -> None:
    assert exact.pods(gated(replicas), weight) == pods


@pytest.mark.parametrize(("step", "weight"), [(-1, 0), (0, 5), (1, 80), (2, 80)])
def test_weight_is_that_of_the_step(step: int, weight: int) -> None:
    assert chosen(gated().spec.rollout, 3).weight(step) == weight


@pytest.mark.parametrize(("step", "weight"), [(-1, 0), (0, 0), (1, 5), (2, 80), (3, 80)])
def test_a_shadow_is_one_more_step_without_answers(step: int, weight: int) -> None:
    shadowed = exact.with_shadow(gated(mirror=Mirror(percent=40, duration="2m")))
    assert shadowed.spec.rollout.steps[0] == Step(weight=40, duration="2m")
    assert chosen(shadowed.spec.rollout, 3).weight(step) == weight


@pytest.mark.parametrize(
    ("route", "reason"),
    [
        (NotAsked(), None),
        (NoRoute(), Reason.GATEWAY_NOT_READY),
        (Unroutable(Reason.GATEWAY_ABSENT, "none"), Reason.GATEWAY_ABSENT),
        (Routed(to=ALL), None),
        (Routed(to=ALL, problem="Accepted is False"), Reason.GATEWAY_NOT_READY),
    ],
)
def test_what_stands_in_the_way(route: Any, reason: Reason | None) -> None:
    found = exact.obstacle(gated(), serving(route))
    assert (found.reason if found else None) == reason


def test_percents_of_other_peoples_weights_are_rounded() -> None:
    third = Weighted(shares=(Share("a", 1), Share("b", 2)))
    assert (third.percent("a"), third.percent("b"), third.percent("c")) == (33, 67, 0)
    assert Weighted(shares=()).percent("a") == 0
    both = replace(third, named="c", shadow=Shadow("d", 5))
    assert both.revisions == {"a", "b", "c", "d"}
    assert both.text == "a=1 b=2 named:c shadow:d=5"


def steered(route: Any, status: RouteStatus | None, seconds: float = 0) -> Steering:
    observed = serving(route)
    now = NOW + timedelta(seconds=seconds)
    return routes.steer(gated(status=status), observed, assign(observed, STABLE.request), None, now=now)


def test_what_others_change_is_put_back_at_once_and_then_twice_a_minute() -> None:
    theirs = Routed(to=Weighted(shares=(Share(STABLE.id, 1), Share("0000000000", 99))))
    memory = steered(Routed(to=ALL), None).route
    first = steered(theirs, memory)
    assert first.actions == (Weigh(to=ALL),)
    for seconds in (1, 15, 29):
        waits = steered(theirs, first.route, seconds)
        assert waits.actions == ()
        assert waits.wake_at == NOW + timedelta(seconds=30)
    assert steered(theirs, first.route, 30).actions == (Weigh(to=ALL),)


def test_what_the_gateway_lacks_is_left_out_and_weights_go_back() -> None:
    lacking = Routed(to=Weighted(shares=(Share("0000000000", 50), Share(STABLE.id, 50))), problem="no", reason=Reason.GATEWAY_UNSUPPORTED)
    observed = serving(lacking)
    asked = Traffic(gateway=EDGE, sticky=Sticky())
    wanted = desired(spec=spec(replicas=3, rollout=Rollout(traffic=asked)))
    roles = assign(observed, STABLE.request)
    assert routes.steer(wanted, observed, roles, None, now=NOW).actions == (Weigh(to=ALL),)
    able = replace(observed, route=replace(lacking, problem=None, reason=Reason.GATEWAY_NOT_READY))
    assert routes.steer(wanted, able, roles, None, now=NOW).actions == (Weigh(to=replace(ALL, session="x-volary-session")),)


def test_a_new_wish_waits_for_nobody() -> None:
    memory = steered(Routed(to=ALL), None).route
    assert memory is not None
    other = memory.model_copy(update={"restored_at": NOW, "written": "something else"})
    assert steered(Routed(to=ALL, intact=False), other, 1).actions == (Weigh(to=ALL),)


@pytest.mark.parametrize(
    ("route", "seconds"),
    [
        (Routed(to=ALL), 30),
        (Routed(to=ALL, current=False), 0.5),
        (Routed(to=ALL, problem="no"), 5),
        (Unroutable(Reason.GATEWAY_ABSENT, "none"), 5),
    ],
)
def test_when_to_look_again(route: Any, seconds: float) -> None:
    assert steered(route, None).wake_at == NOW + timedelta(seconds=seconds)


def test_a_route_that_the_spec_left_is_released_before_pods_go() -> None:
    left = LeftRoute(name="fraud", own=True)
    observed = replace(serving(NotAsked()), left=left)
    plain = desired(spec=spec(replicas=1))
    actions = routes.steer(plain, observed, assign(observed, STABLE.request), None, now=NOW).actions
    assert [type(action).__name__ for action in actions] == ["ReleaseRoute", "EnsureWorkload"]
