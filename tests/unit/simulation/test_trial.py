"""Simulated rollouts: the operator's own decisions, random clients, equal seeds equal ends."""

from datetime import timedelta

import numpy as np
import pytest

from tests.world.specs import spec
from volary.api.v1alpha1 import Phase
from volary.common.reasons import Reason
from volary.planning import timeline
from volary.planning.model import MarkRevision, Only
from volary.simulation.crowd import Crowd
from volary.simulation.journal import Journal
from volary.simulation.summary import advice, document, summary
from volary.simulation.trial import Ended, Outcome, Scenario, play

QUICK = {"steps": [{"weight": 25, "duration": "30s"}, {"weight": 50, "duration": "30s"}], "analysis": {"interval": "5s"}}
ALL_FAIL = Scenario(spec=spec("2.0.0", rollout=QUICK), rps=50, errors=0, canary_errors=1)
CLEAN = Scenario(spec=spec("2.0.0", rollout=QUICK), rps=50, errors=0, canary_errors=0)


# ---- one run --------------------------------------------------------------------------------------


def test_a_canary_that_fails_is_rolled_back_with_the_operators_reason() -> None:
    ended = play(ALL_FAIL, 1)
    assert (ended.outcome, ended.reason) == (Outcome.ROLLED_BACK, Reason.ERROR_RATE_TOO_HIGH)
    # A proof takes four looks at least, and the first ones are a second apart.
    assert timedelta(seconds=3) <= ended.exposed <= timedelta(seconds=15)
    assert 0 < ended.errors == ended.requests
    assert ended.lost == 0


def test_a_clean_canary_is_promoted_and_takes_everything() -> None:
    ended = play(CLEAN, 1)
    assert ended.outcome is Outcome.PROMOTED
    assert timedelta(seconds=60) <= ended.took <= timedelta(seconds=120)


def test_nothing_to_tell_by_ends_with_a_person() -> None:
    ended = play(Scenario(spec=spec("2.0.0", rollout=QUICK), rps=0.2, errors=0, canary_errors=0), 1)
    assert (ended.outcome, ended.reason) == (Outcome.PAUSED, Reason.EVIDENCE_INCONCLUSIVE)


def test_a_rollback_for_want_of_proof_is_told_apart() -> None:
    wanted = spec("2.0.0", rollout=QUICK | {"analysis": {"interval": "5s", "onInconclusive": "Rollback"}})
    found = summary([play(Scenario(spec=wanted, rps=0.2, errors=0, canary_errors=0), seed) for seed in (1, 2)])
    assert (found.unproved.hits, found.failed.hits) == (2, 0)


def test_equal_seeds_give_equal_ends_and_others_do_not() -> None:
    scenario = Scenario(spec=spec("2.0.0", rollout=QUICK), rps=20, errors=0.01, canary_errors=0.2, burst=3, noise=0.7)
    assert play(scenario, 5) == play(scenario, 5)
    assert play(scenario, 5) != play(scenario, 6)


def test_a_version_named_as_its_predecessor_is_no_trouble() -> None:
    assert play(Scenario(spec=spec("before", rollout=QUICK), rps=50, errors=0, canary_errors=0), 1).outcome is Outcome.PROMOTED


def test_the_story_tells_what_was_seen() -> None:
    journal = Journal()
    play(ALL_FAIL, 1, journal.listen)
    text = "\n".join(journal.lines)
    assert "StepStarted: step 1 of 2: weight 25 % for 30s" in text
    assert "against 100 %" not in text, "once it is proved there is no canary any more"
    assert "! ErrorRateTooHigh: version 2.0.0 is given up" in text
    clocks = [line.split()[0] for line in journal.lines]
    assert clocks[0] == "t+0s"


# ---- the clients ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("burst", "noise"), [(1, 0), (5, 0), (1, 0.7), (5, 0.7)])
def test_the_crowd_sends_what_it_is_told(burst: float, noise: float) -> None:
    scenario = Scenario(spec=spec("2.0.0", rollout=QUICK), rps=100, errors=0.02, canary_errors=0.02, burst=burst, noise=noise)
    world = scenario.world(1)
    cluster = world.cluster
    assert isinstance(cluster, Crowd)
    assert world.status.phase is Phase.SERVING
    assert isinstance(cluster.traffic, Only)
    for _ in range(600):
        cluster.advance(cluster.now + timedelta(seconds=5))
    answered = cluster.answered[cluster.traffic.revision]
    assert answered.requests == pytest.approx(100 * 3000, rel=0.01)
    assert answered.errors / answered.requests == pytest.approx(0.02, rel=0.25 if noise else 0.1)
    assert answered.requests == sum(pod.requests for pod in cluster.pods)


def test_bursts_are_of_the_size_that_was_asked_for() -> None:
    crowd = Crowd(seed=1, burst=5)
    errors = np.array([crowd._failing(1000, 0.001) for _ in range(5000)])
    assert errors.mean() == pytest.approx(1, rel=0.15)
    assert errors[errors > 0].mean() == pytest.approx(5, rel=0.2)


# ---- many runs ------------------------------------------------------------------------------------


def ended(outcome: Outcome, seconds: float = 10, reason: str = Reason.ERROR_RATE_TOO_HIGH) -> Ended:
    span = timedelta(seconds=seconds)
    return Ended(outcome=outcome, reason=reason, message="", took=span, exposed=span, requests=5, errors=1, lost=0)


def test_a_summary_counts_and_says_how_sure_it_is() -> None:
    runs = [ended(Outcome.ROLLED_BACK, seconds) for seconds in (10, 20, 30)] + [ended(Outcome.PROMOTED, 300)]
    told = document(summary(runs))
    assert told["rolledBack"]["share"] == 0.75
    assert told["rolledBack"]["low"] == pytest.approx(0.194, abs=0.001)
    assert told["detectionSeconds"] == {"p50": 20, "p95": 30}
    assert told["promotionSeconds"] == {"p50": 300, "p95": 300}
    assert document(summary([]))["detectionSeconds"] == {"p50": None, "p95": None}


def test_advice_is_given_where_the_odds_are_poor_and_only_there() -> None:
    good, found, waits = ([ended(outcome)] * 20 for outcome in (Outcome.PROMOTED, Outcome.ROLLED_BACK, Outcome.PAUSED))
    assert advice(summary(good), summary(found), bad=True) == ()
    assert "is promoted in 100%" in advice(summary(good), summary(good), bad=True)[0]
    assert "waits for a person in 100%" in advice(summary(waits), summary(waits), bad=False)[0]


@pytest.mark.parametrize("scenario", [ALL_FAIL, CLEAN])
def test_once_it_is_over_nothing_is_written(scenario: Scenario) -> None:
    world = scenario.world(1)
    world.edit(model=scenario.spec.model.model_dump(by_alias=True))
    world.run(timedelta(minutes=5))
    assert world.status.last_rollout is not None
    for _ in range(3):
        world.cluster.advance(world.cluster.now + timedelta(hours=1))
        assert world.idle(world.turn())


def test_an_operator_that_dies_between_mark_and_status_tells_of_the_end_all_the_same() -> None:
    world = ALL_FAIL.world(1)
    world.edit(model=ALL_FAIL.spec.model.model_dump(by_alias=True))
    turn = world.think()
    while not any(isinstance(action, MarkRevision) for action in turn.plan.actions):
        wake = world.wake(world.turn())
        assert wake is not None
        world.cluster.advance(wake)
        turn = world.think()
    world.act(turn, dies_after=1)
    world.turn()
    last = world.status.last_rollout
    assert last is not None
    assert (last.outcome, last.reason, last.version) == ("RolledBack", Reason.ERROR_RATE_TOO_HIGH, "2.0.0")
    assert timeline.points(last.timeline)[-1].canary_requests > 0


def test_the_tale_of_a_rollout_stays_small() -> None:
    noisy = Scenario(spec=spec("2.0.0", rollout=QUICK), rps=20, errors=0.05, canary_errors=0.06, burst=5, noise=0.7)
    world = noisy.world(1)
    world.edit(model=noisy.spec.model.model_dump(by_alias=True))
    world.run(timedelta(minutes=10))
    status = world.status
    lines = status.rollout.timeline if status.rollout else status.last_rollout.timeline if status.last_rollout else ()
    assert 0 < len(lines) <= timeline.POINTS
    assert len(timeline.points(lines)) == len(lines)
