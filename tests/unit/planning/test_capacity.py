"""Who has how many pods where room is limited: one look, by example."""

from typing import Any

import pytest

from tests.unit.planning.builders import NOW, desired, failed, revision, spec
from volary.api.v1alpha1 import Rollout, RolloutStatus
from volary.common.reasons import Reason
from volary.planning import capacity
from volary.planning.course import Course
from volary.planning.model import NoService, Observed, Only, Pod, Problem, Revision, Shared, Traffic, Workload
from volary.planning.roles import Roles

OLD = revision(id="old", ordinal=1, promoted=1)
NEW = revision(id="new", ordinal=2)


def pods(of: Revision, ready: int, starting: int = 0, leaving: int = 0) -> tuple[Pod, ...]:
    kinds = [{"ready": True}] * ready + [{}] * starting + [{"terminating": True}] * leaving
    return tuple(Pod(name=f"{of.id}-{n}", uid=f"{of.id}-{n}", revision=of.id, **kind) for n, kind in enumerate(kinds))


def deployment(of: Revision, replicas: int, **seen: int) -> Workload:
    return Workload(revision=of.id, replicas=replicas, pods=pods(of, **seen))


def wanted(
    *workloads: Workload,
    target: int | None,
    traffic: Traffic,
    surge: int | None = 0,
    replicas: int = 3,
    old: Revision = OLD,
    new: Revision = NEW,
) -> dict[str, int]:
    fields: dict[str, Any] = {"steps": [], "surge": surge}
    what = desired(spec=spec(replicas=replicas, rollout=Rollout.model_validate(fields)))
    memory = RolloutStatus(revision="new", generation=1, started_at=NOW)
    hold = Problem(reason=Reason.PODS_STARTING, message="")
    course = None if target is None else Course(memory=memory, replicas=target, hold=hold)
    roles = Roles(wanted=new, stable=old, candidate=new if target is not None else None)
    observed = Observed(revisions=(old, new), workloads=workloads, traffic=traffic)
    return {r.id: n for r, n in capacity.wanted(what, observed, roles, course, traffic)}


OLD_HAS_ALL = deployment(OLD, 3, ready=3)


@pytest.mark.parametrize(
    ("workloads", "target", "traffic", "expected"),
    [
        pytest.param((OLD_HAS_ALL,), 1, Only("old"), {"old": 2}, id="one goes"),
        pytest.param((deployment(OLD, 2, ready=2, leaving=1),), 1, Only("old"), {"old": 2}, id="it is not gone yet"),
        pytest.param((deployment(OLD, 2, ready=2),), 1, Only("old"), {"old": 2, "new": 1}, id="one comes"),
        pytest.param(
            (deployment(OLD, 2, ready=2), deployment(NEW, 1, ready=0, starting=1)),
            2,
            Shared(),
            {"old": 2, "new": 1},
            id="it is not ready yet",
        ),
        pytest.param((deployment(OLD, 2, ready=2), deployment(NEW, 1, ready=1)), 2, Shared(), {"old": 1, "new": 1}, id="the next one goes"),
        pytest.param((deployment(OLD, 1, ready=1), deployment(NEW, 2, ready=2)), 3, Shared(), {"old": 0, "new": 2}, id="the last one goes"),
        pytest.param(
            (deployment(OLD, 1, ready=1), deployment(NEW, 2, ready=2)),
            3,
            Only("old"),
            {"old": 1, "new": 2},
            id="the last one that serves stays",
        ),
        pytest.param((deployment(OLD, 1, ready=1), deployment(NEW, 2, ready=2)), 1, Shared(), {"old": 1, "new": 1}, id="a lower weight"),
        pytest.param((deployment(OLD, 1, ready=1), deployment(NEW, 1, ready=1)), 1, Shared(), {"old": 2, "new": 1}, id="room for stable"),
    ],
)
def test_stable_makes_way(workloads: tuple[Workload, ...], target: int, traffic: Traffic, expected: dict[str, int]) -> None:
    assert wanted(*workloads, target=target, traffic=traffic) == expected


GIVEN_UP = failed(NEW)


@pytest.mark.parametrize(
    ("workloads", "traffic", "expected"),
    [
        pytest.param(
            (deployment(OLD, 2, ready=2), deployment(NEW, 1, ready=1)),
            Only("old"),
            {"old": 2, "new": 0},
            id="without traffic it goes at once",
        ),
        pytest.param((deployment(OLD, 2, ready=2), deployment(NEW, 0, ready=0, leaving=1)), Only("old"), {"old": 2, "new": 0}, id="going"),
        pytest.param((deployment(OLD, 2, ready=2), deployment(NEW, 0, ready=0)), Only("old"), {"old": 3, "new": 0}, id="gone"),
        pytest.param(
            (deployment(OLD, 0, ready=0), deployment(NEW, 3, ready=3)), Only("new"), {"old": 0, "new": 2}, id="it serves: one goes"
        ),
        pytest.param(
            (deployment(OLD, 1, ready=0, starting=1), deployment(NEW, 2, ready=2)), Only("new"), {"old": 1, "new": 2}, id="one at a time"
        ),
    ],
)
def test_a_candidate_that_failed_gives_room_back(workloads: tuple[Workload, ...], traffic: Traffic, expected: dict[str, int]) -> None:
    assert wanted(*workloads, target=None, traffic=traffic, new=GIVEN_UP) == expected


def test_with_room_for_one_pod_it_goes_first() -> None:
    assert wanted(deployment(OLD, 1, ready=1), target=1, traffic=Only("old"), replicas=1) == {"old": 0}


def test_with_room_for_one_pod_a_bad_one_that_serves_goes_first() -> None:
    seen = (deployment(OLD, 0, ready=0), deployment(NEW, 1, ready=1))
    assert wanted(*seen, target=None, traffic=Only("new"), replicas=1, new=GIVEN_UP) == {"old": 0, "new": 0}


def test_without_a_limit_stable_keeps_its_pods() -> None:
    assert wanted(OLD_HAS_ALL, target=3, traffic=Only("old"), surge=None) == {"old": 3, "new": 3}


def test_a_surge_is_used_before_anything_goes() -> None:
    assert wanted(OLD_HAS_ALL, target=2, traffic=Only("old"), surge=1) == {"old": 3, "new": 1}


def test_the_first_revision_needs_no_room_of_another() -> None:
    what = desired(spec=spec(replicas=3, rollout=Rollout.model_validate({"surge": 0})))
    course = Course(
        memory=RolloutStatus(revision="new", generation=1, started_at=NOW),
        replicas=3,
        hold=Problem(reason=Reason.PODS_STARTING, message=""),
    )
    roles = Roles(wanted=NEW, stable=None, candidate=NEW)
    assert capacity.wanted(what, Observed(revisions=(NEW,)), roles, course, NoService()) == ((NEW, 3),)
