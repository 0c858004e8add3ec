"""What the gauges of ModelDeployments tell, and for how long."""

from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, generate_latest

from tests.unit.controller.world import KEY, NOW, World, play
from volary.api.v1alpha1 import Condition, ModelDeploymentStatus, Phase, RevisionStatus, RolloutStatus
from volary.common.outcome import Outcome
from volary.common.reasons import Reason
from volary.controller.census import Census

STABLE = RevisionStatus(revision="r1", version="1.0.0", digest="sha256:1", replicas=3, ready=2, weight=75, weight_reached=80)
CANARY = RevisionStatus(revision="r2", version="2.0.0", digest="sha256:2", replicas=1, ready=1, weight=25, weight_reached=20)
READY = Condition(type="Ready", status="True", reason="CollectingEvidence", last_transition_time=NOW)
BEGAN = datetime(2026, 3, 1, 11, 59, tzinfo=UTC)
ROLLOUT = RolloutStatus(revision="r2", generation=2, started_at=BEGAN, step_started_at=NOW)
STATUS = ModelDeploymentStatus(phase=Phase.CANARY, stable=STABLE, canary=CANARY, conditions=(READY,), rollout=ROLLOUT)
OF = 'name="fraud",namespace="shop"'


def told(census: Census) -> list[str]:
    registry = CollectorRegistry()
    registry.register(census)
    prefix = "volary_modeldeployment_"
    return sorted(line.removeprefix(prefix) for line in generate_latest(registry).decode().splitlines() if line.startswith(prefix))


def counted(status: ModelDeploymentStatus = STATUS) -> Census:
    census = Census(lambda: True)
    census.record(KEY, status)
    return census


def test_one_that_is_in_a_canary() -> None:
    assert told(counted()) == [
        f'phase{{{OF},phase="Canary"}} 1.0',
        f'reason{{{OF},reason="CollectingEvidence"}} 1.0',
        f'replicas_ready{{{OF},role="canary"}} 1.0',
        f'replicas_ready{{{OF},role="stable"}} 2.0',
        f'replicas_wanted{{{OF},role="canary"}} 1.0',
        f'replicas_wanted{{{OF},role="stable"}} 3.0',
        f'revision_info{{{OF},revision="r1",role="stable",version="1.0.0"}} 1.0',
        f'revision_info{{{OF},revision="r2",role="canary",version="2.0.0"}} 1.0',
        f"step_started_timestamp_seconds{{{OF}}} 1.7723664e+09",
        f'weight_ratio{{{OF},role="canary"}} 0.25',
        f'weight_ratio{{{OF},role="stable"}} 0.75',
        f'weight_reached_ratio{{{OF},role="canary"}} 0.2',
        f'weight_reached_ratio{{{OF},role="stable"}} 0.8',
    ]


def test_one_of_which_nothing_serves_yet() -> None:
    assert told(counted(ModelDeploymentStatus())) == [f'phase{{{OF},phase="Pending"}} 1.0']


def test_before_the_first_step_the_rollout_itself_is_the_step() -> None:
    starting = STATUS.model_copy(update={"rollout": ROLLOUT.model_copy(update={"step_started_at": None})})
    (line,) = (line for line in told(counted(starting)) if line.startswith("step_started"))
    assert float(line.rsplit(" ", 1)[1]) == BEGAN.timestamp()


def test_a_later_turn_replaces_what_an_earlier_one_told() -> None:
    census = counted()
    census.record(KEY, ModelDeploymentStatus(phase=Phase.SERVING))
    assert told(census) == [f'phase{{{OF},phase="Serving"}} 1.0']


def test_dropped_when_it_is_gone_or_not_listed_any_more() -> None:
    census = counted()
    census.forget(KEY)
    census.forget(("shop", "never-seen"))
    assert told(census) == []
    census.record(KEY, STATUS)
    census.retain([KEY, ("shop", "other")])
    assert len(told(census)) == 13
    census.retain([("shop", "other")])
    assert told(census) == []


def test_one_that_stands_by_tells_nothing() -> None:
    leading = True
    census = Census(lambda: leading)
    census.record(KEY, STATUS)
    leading = False
    assert told(census) == []


def test_turns_tell_of_the_status_they_left_and_of_a_preflight_once() -> None:
    async def story() -> None:
        world = World()
        assert (await world.turn()).preflight is None
        await world.end_preflight()
        passed = await world.turn()
        assert passed.preflight is Reason.PREFLIGHT_PASSED
        assert passed.status is not None
        assert passed.status.phase is Phase.STARTING
        assert (await world.turn()).preflight is None

    play(story())


def test_a_refused_preflight_is_told_once() -> None:
    async def story() -> None:
        world = World()
        await world.turn()
        await world.end_preflight(Outcome(reason=Reason.CREDENTIALS_REFUSED, message="403"))
        refused = [await world.turn(), await world.turn()]
        assert [turn.preflight for turn in refused] == [Reason.CREDENTIALS_REFUSED, None]
        assert [turn.status.phase for turn in refused if turn.status] == [Phase.REFUSED, Phase.REFUSED]

    play(story())


def test_a_preflight_that_is_tried_again_is_told_when_it_is_cleared_away() -> None:
    async def story() -> None:
        world = World()
        await world.turn()
        await world.end_preflight(Outcome(reason=Reason.STORAGE_UNREACHABLE, message="no route"))
        assert (await world.turn()).preflight is None
        world.now = world.now.replace(minute=5)
        assert (await world.turn()).preflight is Reason.STORAGE_UNREACHABLE

    play(story())


def test_a_spec_that_cannot_be_read_is_told_too() -> None:
    async def story() -> None:
        turn = await World({"model": {}}).turn()
        assert turn.status is not None
        assert (turn.status.phase, turn.preflight) == (Phase.REFUSED, None)

    play(story())
