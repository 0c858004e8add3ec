"""How long until the next look: close at the beginning and under suspicion, never closer than a second."""

from datetime import UTC, datetime, timedelta

import pytest

from volary.api.v1alpha1 import Analysis, Evidence, LatencyEvidence, RolloutStatus
from volary.planning import evidence
from volary.planning.evidence import BETS, Increment, limits
from volary.planning.model import Count

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


def memory(step: int = 0, last: datetime | None = LATER, **fields: object) -> RolloutStatus:
    begun = RolloutStatus(revision="new", generation=1, started_at=NOW, step=step, step_started_at=NOW, last_sample_at=last)
    return begun.model_copy(update=fields)


def after(seen: Increment) -> Evidence:
    return Evidence(fail=evidence.vote((), seen, evidence.WORSE_RATIO, worse=True))


ONE_BAD_LOOK = after(Increment(canary_requests=25, canary_errors=12, stable_requests=75))
ONE_GOOD_LOOK = after(Increment(canary_requests=25, stable_requests=75, stable_errors=3))


@pytest.mark.parametrize(
    ("interval", "close"),
    [("5s", 1), ("1s", 1), ("3s", 1), ("30s", 6), ("2m", 24)],
)
def test_close_is_a_fifth_but_a_second_at_least(interval: str, close: float) -> None:
    analysis = Analysis.model_validate({"interval": interval})
    assert evidence.pause(memory(evidence=ONE_BAD_LOOK), analysis) == timedelta(seconds=close)


@pytest.mark.parametrize(
    ("known", "seconds"),
    [
        (memory(), 5),
        (memory(evidence=ONE_GOOD_LOOK), 5),
        (memory(evidence=ONE_BAD_LOOK), 1),
        (memory(evidence=Evidence(fail_rate=(1.0,) * len(BETS))), 1),
        (memory(latency=LatencyEvidence(fail=(1.0,) * len(BETS))), 1),
        (memory(latency=LatencyEvidence(fail=(0.1,) * len(BETS))), 5),
        (memory(last=NOW + timedelta(seconds=4.9)), 1),
        (memory(last=NOW + timedelta(seconds=5)), 5),
        (memory(step=1, last=NOW + timedelta(seconds=1)), 5),
    ],
)
def test_looks_are_close_at_the_beginning_and_under_suspicion(known: RolloutStatus, seconds: float) -> None:
    assert evidence.pause(known, Analysis()) == timedelta(seconds=seconds)


def test_a_saturated_pod_is_counted_once_an_interval() -> None:
    """Close looks are more votes for the bets; three looks in a row above a limit are meant as a time."""
    busy = [Count(uid="a", revision="new", requests=0, errors=0, in_flight=30)]
    looks, seen = [], limits.Saturated()
    for second in range(12):
        seen = limits.saturated(seen, busy, 20, NOW + timedelta(seconds=second), timedelta(seconds=5))
        looks.append(seen.looks)
    assert looks == [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3]
    assert limits.saturated(seen, busy, 30, LATER, timedelta(seconds=5)) == limits.Saturated()
