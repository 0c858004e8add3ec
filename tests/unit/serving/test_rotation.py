"""The shares are exact in every window, whatever the weights."""

from collections import Counter
from itertools import cycle, islice

from hypothesis import given
from hypothesis import strategies as st

from volary.serving import rotation


@st.composite
def _percents(draw: st.DrawFn) -> list[int]:
    """Up to three weights that add up to 100."""
    cuts = sorted(draw(st.lists(st.integers(0, 100), max_size=2)))
    return [high - low for low, high in zip([0, *cuts], [*cuts, 100], strict=True)]


@given(weights=_percents(), start=st.integers(0, 250))
def test_any_100_consecutive_requests_hold_each_share_exactly(weights: list[int], start: int) -> None:
    window = Counter(islice(cycle(rotation.order(weights)), start, start + 100))
    assert [window[index] for index in range(len(weights))] == weights


@given(weights=_percents(), start=st.integers(0, 250), length=st.integers(1, 100))
def test_in_a_shorter_window_no_share_is_off_by_two(weights: list[int], start: int, length: int) -> None:
    window = Counter(islice(cycle(rotation.order(weights)), start, start + length))
    for index, weight in enumerate(weights):
        assert abs(window[index] - length * weight / 100) < 2


def test_90_to_10_is_one_of_ten_and_not_ten_in_a_row() -> None:
    assert rotation.order([90, 10]) == (0, 0, 0, 0, 0, 1, 0, 0, 0, 0)


def test_nothing_comes_of_nothing() -> None:
    assert rotation.order([]) == ()
    assert rotation.order([0, 0]) == ()


def test_weight_0_never_has_a_turn() -> None:
    assert set(rotation.order([100, 0])) == {0}
