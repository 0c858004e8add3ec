from collections.abc import Callable

import pytest

from tests.unit.agent.conftest import Clock
from volary.agent.retry import Patience, Stopped
from volary.common.errors import Refused, Transient
from volary.common.reasons import Reason


def failing(times: int) -> Callable[[], str]:
    left = [times]

    def attempt() -> str:
        if left[0]:
            left[0] -= 1
            raise Transient(Reason.STORAGE_UNREACHABLE, f"{left[0]} left")
        return "done"

    return attempt


def test_waits_double_up_to_the_longest(patience: Patience, clock: Clock) -> None:
    assert patience.retry(failing(7)) == "done"
    assert clock.waits == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_chance_halves_a_wait_at_most(clock: Clock, patience: Patience) -> None:
    hasty = Patience(clock=clock, chance=lambda: 0.0, stop=patience.stop)
    hasty.retry(failing(3))
    assert clock.waits == [0.1, 0.2, 0.4]


def test_the_budget_ends_it_with_the_last_error(patience: Patience, clock: Clock) -> None:
    with pytest.raises(Transient) as caught:
        patience.retry(failing(1000))
    assert caught.value.reason is Reason.STORAGE_UNREACHABLE
    assert sum(clock.waits) == pytest.approx(60.0)


def test_progress_starts_the_budget_afresh(patience: Patience, clock: Clock) -> None:
    calls = [0]
    attempt = failing(100)

    def counted() -> str:
        calls[0] += 1
        return attempt()

    assert patience.retry(counted, lambda: calls[0]) == "done"
    assert set(clock.waits) == {0.2}


def test_what_is_refused_is_not_tried_again(patience: Patience, clock: Clock) -> None:
    def refuse() -> None:
        raise Refused(Reason.BUCKET_NOT_FOUND, "no")

    with pytest.raises(Refused):
        patience.retry(refuse)
    assert clock.waits == []


def test_a_stop_ends_it(patience: Patience) -> None:
    def attempt() -> None:
        patience.stop.set()
        raise Transient(Reason.STORAGE_THROTTLED, "slow")

    with pytest.raises(Stopped):
        patience.retry(attempt)
