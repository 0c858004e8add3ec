"""After a promotion: who is watched, for how long, against what, and what it takes to go back."""

import math
import random
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.world.invariants import Guard
from tests.world.specs import spec
from volary.api.v1alpha1 import Phase
from volary.planning import evidence, watch
from volary.planning.evidence.betting import CAP
from volary.simulation import bundles
from volary.simulation.cluster import Cluster
from volary.simulation.world import World

STEPS = [{"weight": 50, "duration": "30s"}]


def world(**rollout: object) -> World:
    """1.0.0 serves, 2.0.0 was just promoted."""
    fields = {"steps": STEPS, "analysis": {"interval": "5s"}, "watchAfterPromotion": "5m"} | rollout
    made = World(spec=spec("1.0.0", rollout=fields), cluster=Cluster(rate=50))
    guard = Guard(made)
    made.listeners.append(guard.plan_is_sound)
    made.run(timedelta(minutes=1))
    made.deploy("2.0.0")
    made.run(lambda: made.status.phase is Phase.SERVING and made.status.stable is not None and made.status.stable.version == "2.0.0")
    return made


def test_a_good_version_is_watched_to_the_end_and_stays() -> None:
    made = world()
    assert made.status.watch is not None
    assert made.status.watch.version_before == "1.0.0"
    assert made.status.watch.baseline_requests > 0
    made.run(timedelta(minutes=4))
    assert made.status.watch is not None
    made.run(timedelta(minutes=2))
    assert made.status.watch is None
    assert made.status.phase is Phase.SERVING


def test_a_version_that_turns_bad_is_taken_back_and_not_tried_again() -> None:
    made = world()
    made.run(timedelta(minutes=3))
    made.cluster.spoil("2.0.0", bundles.FAILING)
    made.run(timedelta(minutes=2))
    assert made.status.phase is Phase.ROLLED_BACK
    assert made.status.stable is not None
    assert made.status.stable.version == "1.0.0"
    assert made.cluster.lost == 0
    failed = made.revision("2.0.0").failed
    assert failed is not None
    assert failed.reason == "ErrorRateTooHigh"
    made.stored = {}
    made.run(timedelta(minutes=5))
    assert made.status.stable.version == "1.0.0"


@pytest.mark.parametrize("fields", [{"watchAfterPromotion": None}, {"paused": True}])
def test_not_watched_or_paused_nothing_is_taken_back(fields: dict[str, object]) -> None:
    made = world()
    made.edit(rollout=made.spec.rollout.model_dump(by_alias=True) | fields)
    made.cluster.spoil("2.0.0", bundles.FAILING)
    made.run(timedelta(minutes=4))
    assert made.status.phase is Phase.SERVING
    assert made.revision("2.0.0").failed is None


def test_without_a_good_version_to_return_to_nothing_is_taken_back() -> None:
    made = world()
    del made.cluster.revisions[made.revision("1.0.0").id]
    made.cluster.spoil("2.0.0", bundles.FAILING)
    made.run(timedelta(minutes=4))
    assert made.status.phase is Phase.SERVING


def test_a_newer_version_ends_the_watch() -> None:
    made = world()
    made.deploy("3.0.0")
    made.run(timedelta(seconds=20))
    assert made.status.watch is None


def test_an_operator_that_dies_at_the_promotion_still_watches() -> None:
    """The mark is there, the status is not: the canary's memory says what the old stable did."""
    fields = {"steps": STEPS, "analysis": {"interval": "5s"}, "watchAfterPromotion": "5m"}
    made = World(spec=spec("1.0.0", rollout=fields), cluster=Cluster(rate=50))
    made.run(timedelta(minutes=1))
    made.deploy("2.0.0")
    for _ in range(300):
        turn = made.think()
        if any(fact.reason == "Promoted" for fact in turn.plan.facts):
            made.act(turn, dies_after=1)
            break
        wake = made.wake(made.turn())
        assert wake is not None
        made.cluster.advance(wake)
    made.run(timedelta(seconds=30))
    assert made.status.watch is not None
    assert made.status.watch.requests > 0


# ---- the bet ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [0.02, 0.3])
def test_the_vote_after_a_promotion_is_fair_at_its_bound(bound: float) -> None:
    """Expected wealth of each bet after one sample of six requests, by enumeration: at most what was staked."""
    n, total = 6, [0.0] * 4
    for outcome in product((0, 1), repeat=n):
        k = sum(outcome)
        chance = bound**k * (1 - bound) ** (n - k)
        total = [sum_ + chance * math.exp(log) for sum_, log in zip(total, evidence.above((), n, k, bound, 0.5), strict=True)]
    assert all(wealth <= 0.5 + 1e-9 for wealth in total)


def test_a_whole_watch_of_a_good_version_is_worth_no_more_than_one() -> None:
    """Three samples of one request with a third of the stake each: the expectation of all wealth is below 1."""
    expected = 0.0
    for outcome in product((0, 1), repeat=3):
        wealth: tuple[float, ...] = ()
        for k in outcome:
            wealth = evidence.above(wealth, 1, k, 0.3, 1 / 3)
        expected += 0.3 ** sum(outcome) * 0.7 ** (3 - sum(outcome)) * math.exp(evidence.mean(wealth))
    assert expected <= 1 + 1e-9


@given(n=st.integers(0, 10**6), share=st.floats(0, 1), bound=st.floats(0, 1), looks=st.integers(1, 50))
def test_no_number_of_errors_in_one_sample_is_enough(n: int, share: float, bound: float, looks: int) -> None:
    wealth: tuple[float, ...] = ()
    for _ in range(looks):
        wealth = evidence.above(wealth, n, int(n * share), bound, 1 / 180)
    assert not any(math.isnan(log) for log in wealth)
    assert evidence.mean(evidence.above((), n, int(n * share), bound, 1 / 180)) <= math.log(CAP)


def test_a_wilson_interval_of_known_numbers() -> None:
    """Against the formula's own published example (n = 10, k = 8, z = 1.96) and the rule for none at all."""
    assert evidence.upper(10, 8, 1.96) == pytest.approx(0.943, abs=0.001)
    assert evidence.upper(0, 0, 3.09) == 1.0
    assert evidence.upper(4000, 0, 3.09) == pytest.approx(3.09**2 / (4000 + 3.09**2))


@pytest.mark.parametrize(("base", "burst"), [(0.0, 1), (0.005, 1), (0.005, 5), (0.05, 1)])
def test_a_version_that_goes_on_as_before_is_hardly_ever_taken_back(base: float, burst: int) -> None:
    """15 minutes at 20 requests a second. Of 200, 3 taken back would disprove 0.1 % (p < 0.01)."""
    rng = random.Random(9)
    taken = 0
    for _ in range(200):
        recorded = burst * sum(rng.random() < base / burst for _ in range(2000))
        bound = evidence.WORSE_RATIO * evidence.upper(2000, recorded, 3.09)
        wealth: tuple[float, ...] = ()
        for _ in range(180):
            wealth = evidence.above(wealth, 100, min(100, burst * sum(rng.random() < base / burst for _ in range(100))), bound, 1 / 181)
            if evidence.mean(wealth) >= math.log(1 / watch.ALPHA):
                taken += 1
                break
    assert taken <= 2
