from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volary.packaging.optimise import latency
from volary.packaging.optimise.latency import WARM_UP, percentile


@pytest.mark.parametrize(
    ("values", "share", "wanted"),
    [
        ([7], 0.5, 7),
        ([7], 0.99, 7),
        ([1, 2], 0.5, 1),
        ([3, 1, 2], 0.5, 2),
        (range(1, 101), 0.5, 50),
        (range(1, 101), 0.99, 99),
        (range(1, 51), 0.99, 50),
        (range(1, 101), 1.0, 100),
        (range(1, 101), 0.0, 1),
        (range(1, 11), 0.3, 3),  # 0.3 * 10 is 3.0000000000000004 in some orders of multiplying
    ],
)
def test_percentiles_are_nearest_ranks(values: list[float], share: float, wanted: float) -> None:
    assert percentile(list(values), share) == wanted


@given(st.lists(st.floats(0, 1e3), min_size=1), st.floats(0.01, 1))
def test_a_percentile_was_measured_and_covers_its_share(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6
    assert sum(value < found for value in values) < share * len(values) or found == min(values)


class Machine:
    """A clock that only calls move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[str, int]] = []

    def call(self, name: str, seconds: float) -> Callable[[int], None]:
        def called(run: int) -> None:
            self.calls.append((name, run))
            self.now += seconds

        return called


def test_each_call_is_timed_alone_and_warm_up_is_not() -> None:
    machine = Machine()
    before, after = latency.alternate(machine.call("b", 2.0), machine.call("a", 0.5), runs=4, clock=lambda: machine.now)
    assert before == (2.0,) * 4
    assert after == (0.5,) * 4
    assert len(machine.calls) == 2 * (WARM_UP + 4)


def test_who_goes_first_takes_turns() -> None:
    machine = Machine()
    latency.alternate(machine.call("b", 1), machine.call("a", 1), runs=3, clock=lambda: machine.now)
    assert machine.calls[2 * WARM_UP :] == [("b", 0), ("a", 0), ("a", 1), ("b", 1), ("b", 2), ("a", 2)]
