"""Weights inside pods: worked examples."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.planning import builders
from tests.unit.planning.builders import NOW
from volary.api.v1alpha1 import RolloutStatus, Step, Update
from volary.bundle.split import Share, Split, parse, render
from volary.common.reasons import Reason
from volary.planning import inplace, perspective, shape
from volary.planning.holdings import Held, Holding, State, Written
from volary.planning.model import Divided, Nudge, Observed, Only, Pod, Problem, Revision, Workload, WriteSplit
from volary.planning.roles import Roles
from volary.planning.rollout import Course
from volary.planning.splits import Cast, aim, candidate_weight


def revision(name: str, version: str, *, promoted: int = 0) -> Revision:
    digest = "sha256:" + version[0] * 64
    return builders.revision(
        id=name, version=version, digest=digest, model=builders.model(version=version), update=Update.IN_PLACE, promoted=promoted
    )


OLD, STABLE, NEW = revision("old", "1.0.0", promoted=1), revision("stable", "2.0.0", promoted=2), revision("new", "3.0.0")
SHAPE = shape.carrier(STABLE)
ALL = (OLD, STABLE, NEW)
DESIRED = builders.desired(spec=builders.spec(update=Update.IN_PLACE, replicas=2))


def share(one: Revision, weight: int) -> Share:
    return Share(one.id, one.version, one.digest, one.model.uri, weight)


def split(generation: int, *shares: tuple[Revision, int]) -> Split:
    return Split(generation, tuple(share(one, weight) for one, weight in shares))


def held(one: Revision, weight: int = 0, state: State = State.READY, **fields: Reason | str) -> Held:
    return Held(revision=one.id, state=state, weight=weight, **fields)  # type: ignore[arg-type] # a test's own words


def world(
    written: Split | None, *pods: tuple[Held, ...] | None, revisions: tuple[Revision, ...] = ALL, nudged: str = "", ready: bool = True
) -> Observed:
    """Pods that all have seen and put into effect what is written; None: its agent does not answer."""
    generation = written.generation if written else 0
    seen = tuple(Pod(name=f"pod-{n}", uid=str(n), revision=SHAPE, ip=f"10.0.0.{n}", ready=ready, nudged=nudged) for n, _ in enumerate(pods))
    said = (Holding(uid=str(n), generation=generation, seen=generation, held=has) for n, has in enumerate(pods) if has is not None)
    return Observed(
        revisions=revisions,
        workloads=(Workload(revision=SHAPE, replicas=len(pods), pods=seen),) if pods else (),
        traffic=Only(SHAPE),
        written=(Written(shape=SHAPE, split=written, at=NOW),) if written else (),
        holdings=tuple(said),
    )


def weights(found: Split | None) -> list[tuple[str, int]]:
    return [(one.revision, one.weight) for one in found.shares] if found else []


ALONE = split(4, (STABLE, 100))
BESIDE = split(5, (STABLE, 100), (NEW, 0))
TENTH = split(6, (STABLE, 90), (NEW, 10))
KEPT = split(7, (STABLE, 100), (OLD, 0))
BOTH = (held(STABLE, 100), held(NEW))


@pytest.mark.parametrize(
    ("seen", "cast", "expected"),
    [
        pytest.param(world(None), Cast(shape=SHAPE, candidate=NEW), [("new", 100)], id="the first has all before a pod starts"),
        pytest.param(world(ALONE, (held(STABLE, 100),)), Cast(shape=SHAPE, stable=STABLE), [("stable", 100)], id="at rest"),
        pytest.param(
            world(ALONE, (held(STABLE, 100),)),
            Cast(shape=SHAPE, stable=STABLE, candidate=NEW),
            [("stable", 100), ("new", 0)],
            id="a candidate is loaded without requests",
        ),
        pytest.param(
            world(BESIDE, BOTH, BOTH),
            Cast(shape=SHAPE, stable=STABLE, candidate=NEW, weight=10),
            [("stable", 90), ("new", 10)],
            id="proved in every pod: exactly the step's weight",
        ),
        pytest.param(
            world(BESIDE, BOTH, (held(STABLE, 100), held(NEW, 0, State.PROVING))),
            Cast(shape=SHAPE, stable=STABLE, candidate=NEW, weight=10),
            [("stable", 100), ("new", 0)],
            id="not proved in one pod",
        ),
        pytest.param(
            world(BESIDE, BOTH, None),
            Cast(shape=SHAPE, stable=STABLE, candidate=NEW, weight=10),
            [("stable", 100), ("new", 0)],
            id="a pod that serves and does not answer proves nothing",
        ),
        pytest.param(
            world(TENTH, None, None),
            Cast(shape=SHAPE, stable=STABLE, candidate=NEW, weight=50),
            [("stable", 50), ("new", 50)],
            id="one that has requests was proved before",
        ),
        pytest.param(
            world(TENTH, BOTH, revisions=(OLD, STABLE, builders.failed(NEW))),
            Cast(shape=SHAPE, stable=STABLE),
            [("stable", 100)],
            id="a failed candidate leaves",
        ),
        pytest.param(
            world(TENTH, BOTH),
            Cast(shape=SHAPE, stable=replace(NEW, promoted=3)),
            [("new", 100), ("stable", 0)],
            id="promoted",
        ),
        pytest.param(
            world(KEPT, (held(STABLE, 100), held(OLD))),
            Cast(shape=SHAPE, stable=STABLE),
            [("stable", 100), ("old", 0)],
            id="kept",
        ),
        pytest.param(
            world(KEPT, (held(STABLE, 100), held(OLD, 0, State.FAILED))),
            Cast(shape=SHAPE, stable=STABLE),
            [("stable", 100)],
            id="what is kept must not hold up a pod that starts",
        ),
        pytest.param(
            world(KEPT, (held(STABLE, 100), held(OLD))),
            Cast(shape=SHAPE, stable=STABLE, candidate=NEW),
            [("stable", 100), ("new", 0)],
            id="a candidate needs the room of what is kept",
        ),
        pytest.param(
            world(KEPT, (held(STABLE, 100), held(OLD))), Cast(shape=SHAPE, stable=OLD), [("old", 100), ("stable", 0)], id="back at once"
        ),
        pytest.param(
            world(TENTH, BOTH, revisions=(OLD, STABLE, builders.failed(NEW))),
            Cast(shape=SHAPE, stable=replace(OLD, promoted=3)),
            [("stable", 100), ("old", 0)],
            id="back to what has to be loaded first: the one that was good serves meanwhile",
        ),
        pytest.param(
            world(TENTH, BOTH, revisions=(OLD, STABLE, builders.failed(NEW))),
            Cast(shape=SHAPE),
            [("stable", 100)],
            id="nobody plays a part here: a failed one loses its requests all the same",
        ),
        pytest.param(world(TENTH, BOTH), Cast(shape=SHAPE), [("stable", 90), ("new", 10)], id="nobody plays a part here: as it is"),
        pytest.param(world(None, BOTH), Cast(shape=SHAPE), [], id="nothing is known"),
    ],
)
def test_who_gets_what(seen: Observed, cast: Cast, expected: list[tuple[str, int]]) -> None:
    found = aim(seen, cast)
    assert weights(found) == expected
    before = perspective.split_of(seen, SHAPE)
    assert found is None or (found == before) == (before is not None and found.shares == before.shares)
    assert found is None or parse(render(found)) == found


def test_a_generation_is_above_what_any_pod_has_seen() -> None:
    seen = replace(world(None, BOTH), holdings=(Holding(uid="0", generation=7, seen=8, held=BOTH),))
    found = aim(seen, Cast(shape=SHAPE, stable=STABLE))
    assert found is not None
    assert found.generation == 9


def test_a_version_pushed_anew_under_its_old_name_waits() -> None:
    again = replace(NEW, version=STABLE.version)
    seen = world(ALONE, (held(STABLE, 100),), revisions=(STABLE, again))
    assert weights(aim(seen, Cast(shape=SHAPE, stable=STABLE, candidate=again))) == [("stable", 100)]


@pytest.mark.parametrize(("step", "weight"), [(-1, 0), (0, 10), (1, 50), (2, 50)])
def test_the_weight_of_a_step(step: int, weight: int) -> None:
    memory = RolloutStatus(revision="new", generation=1, started_at=NOW, step=step)
    assert candidate_weight(memory, (Step(weight=10), Step(weight=50))) == weight
    assert candidate_weight(memory, ()) == 0


# ---- what is seen of one revision --------------------------------------------------------------


@pytest.mark.parametrize(
    ("has", "ready", "words"),
    [
        ((held(STABLE, 100), held(NEW)), True, ""),
        ((held(STABLE, 100),), False, "pod pod-0 has not heard of version 3.0.0 yet"),
        ((held(STABLE, 100), held(NEW, 0, State.FETCHING)), False, "pod pod-0 is fetching version 3.0.0"),
        ((held(NEW, 0, State.FETCHING, message="no route"),), False, "pod pod-0 is fetching version 3.0.0: no route"),
        ((held(NEW, 0, State.FAILED, reason=Reason.GOLDEN_MISMATCH, message="sample 3"),), False, "sample 3"),
        (None, False, "the agent of pod pod-0 does not answer"),
    ],
)
def test_a_candidate_without_requests_is_ready_by_its_agents_word(has: tuple[Held, ...] | None, ready: bool, words: str) -> None:
    workload = perspective.by_revision(world(BESIDE, has)).workload("new")
    assert workload is not None
    (pod,) = workload.pods
    assert pod.ready is ready
    assert (pod.problem.message if pod.problem else "") == words


def test_a_failure_under_an_earlier_list_says_nothing_of_the_next_try() -> None:
    failed = world(BESIDE, (held(STABLE, 100), held(NEW, 0, State.FAILED, reason=Reason.LOAD_FAILED, message="no")))
    earlier = replace(failed, holdings=tuple(replace(one, seen=4) for one in failed.holdings))
    for seen, words in ((failed, "no"), (earlier, "pod pod-0 has not heard of version 3.0.0 yet")):
        workload = perspective.by_revision(seen).workload("new")
        assert workload is not None
        assert workload.pods[0].problem is not None
        assert workload.pods[0].problem.message == words


def test_a_step_counts_once_its_weight_is_in_effect() -> None:
    late = perspective.by_revision(world(TENTH, (held(STABLE, 95), held(NEW, 5)))).workload("new")
    assert late is not None
    assert not late.ready
    assert late.pods[0].problem == Problem(
        reason=Reason.PODS_STARTING, message="pod pod-0 gives version 3.0.0 5 % of its requests so far, 10 % are wanted"
    )


@pytest.mark.parametrize(
    ("written", "pods", "traffic"),
    [
        (ALONE, ((held(STABLE, 100),), (held(STABLE, 100),)), Only("stable")),
        (ALONE, (None,), Only("stable")),
        (TENTH, ((held(STABLE, 90), held(NEW, 10)),), Divided((("new", 10), ("stable", 90)))),
        (TENTH, (None,), Divided((("stable", 90), ("new", 10)))),
        (split(8, (NEW, 100)), ((held(STABLE, 100), held(NEW)),), Divided((("stable", 100),))),
        (split(8, (NEW, 100)), ((held(NEW, 100),), (held(STABLE, 90), held(NEW, 10))), Divided((("new", 55), ("stable", 45)))),
    ],
)
def test_traffic_is_what_is_in_effect(written: Split, pods: tuple[tuple[Held, ...] | None, ...], traffic: object) -> None:
    assert perspective.by_revision(world(written, *pods)).traffic == traffic


def test_nothing_is_turned_where_no_revision_shares_its_pods() -> None:
    seen = Observed(revisions=(builders.revision(),), workloads=(Workload(revision="1a2b3c4d5e", replicas=1),))
    assert perspective.by_revision(seen) is seen


# ---- writes, nudges, looks ------------------------------------------------------------------------


def steer(seen: Observed, *, seconds: float = 0) -> inplace.Steering:
    memory = RolloutStatus(revision="new", generation=1, started_at=NOW)
    course = Course(memory=memory, replicas=2, hold=Problem(reason=Reason.PODS_STARTING, message=""))
    return inplace.steer(DESIRED, seen, Roles(wanted=NEW, stable=STABLE, candidate=NEW), course, (), NOW + timedelta(seconds=seconds))


def nudges(found: inplace.Steering) -> list[str]:
    return [action.pod for action in found.actions if isinstance(action, Nudge)]


def late(nudged: str = "", *, seen: int = 4) -> Observed:
    """Both pods have 4 in effect, 5 is written."""
    before = world(BESIDE, (held(STABLE, 100),), (held(STABLE, 100),), nudged=nudged)
    return replace(before, holdings=tuple(replace(one, generation=4, seen=seen) for one in before.holdings))


def test_the_truth_is_written_before_anybody_is_told() -> None:
    found = steer(world(ALONE, (held(STABLE, 100),), (held(STABLE, 100),)))
    assert [type(action) for action in found.actions] == [WriteSplit, Nudge, Nudge]
    assert found.wake_at == NOW + timedelta(seconds=0.5)


def test_a_pod_is_told_once_and_again_after_3_6_and_12_seconds() -> None:
    assert nudges(steer(late())) == ["pod-0", "pod-1"]
    told, again, third = (inplace.nudge(5, NOW + timedelta(seconds=s)) for s in (0, 3, 6))
    assert [nudges(steer(late(told), seconds=s)) for s in (1, 2.9, 3)] == [[], [], ["pod-0", "pod-1"]]
    assert [nudges(steer(late(again), seconds=s)) for s in (5.9, 6)] == [[], ["pod-0", "pod-1"]]
    assert [nudges(steer(late(third), seconds=s)) for s in (11.9, 12)] == [[], ["pod-0", "pod-1"]]


def test_a_pod_that_has_seen_it_is_not_told_and_looked_at_until_it_is_in_effect() -> None:
    found = steer(late(seen=5))
    assert found.actions == ()
    assert found.wake_at == NOW + timedelta(seconds=0.5)
    assert steer(late(seen=5), seconds=100).wake_at == NOW + timedelta(seconds=105)
    assert steer(late(seen=5), seconds=1000).wake_at == NOW + timedelta(seconds=1015)


def test_a_pod_that_has_given_up_is_not_looked_at_for_ever() -> None:
    broken = replace(late(seen=5), holdings=tuple(replace(one, held=(held(STABLE, 0, State.FAILED),)) for one in late(seen=5).holdings))
    assert steer(broken).wake_at is None


def test_at_rest_nobody_is_woken() -> None:
    found = steer(world(BESIDE, BOTH, BOTH))
    assert (found.actions, found.wake_at) == ((), None)


def test_a_config_map_without_a_deployment_is_removed() -> None:
    seen = world(BESIDE, BOTH, BOTH)
    found = steer(replace(seen, written=(*seen.written, Written(shape="gone", split=ALONE, at=NOW))))
    assert [getattr(action, "revision", None) for action in found.actions] == ["gone"]


@pytest.mark.parametrize("text", ["", "7", "x@2026-03-01T12:00:00+00:00", "7@yesterday", "@"])
def test_a_strange_annotation_is_none(text: str) -> None:
    assert inplace.nudge_from(text)[0] == -1
