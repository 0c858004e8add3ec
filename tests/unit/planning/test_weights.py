"""Percent to pods: the arithmetic, and what holds for all numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volary.planning.weights import canary_replicas, reached


@pytest.mark.parametrize(
    ("weight", "replicas", "canary", "share"),
    [
        # weight, stable pods, canary pods, percent that is really reached
        (1, 1, 1, 50),
        (5, 3, 1, 25),
        (25, 3, 1, 25),
        (50, 3, 3, 50),
        (10, 9, 1, 10),
        (10, 18, 2, 10),
        (20, 3, 1, 25),
        (33, 2, 1, 33),
        (99, 4, 4, 50),
        (100, 4, 4, 50),
        (50, 1000, 1000, 50),
        (1, 1000, 10, 1),
    ],
)
def test_weights_by_example(weight: int, replicas: int, canary: int, share: int) -> None:
    assert canary_replicas(weight, replicas) == canary
    assert reached(canary, replicas) == share


@pytest.mark.parametrize(
    ("weight", "replicas", "room", "canary"),
    [
        # weight, replicas, pods in all, canary pods
        (25, 4, 4, 1),
        (50, 4, 4, 2),
        (50, 3, 4, 2),
        (10, 2, 2, 1),
        (90, 2, 2, 1),  # one of stable's stays to be compared with
        (100, 2, 2, 2),
        (1, 1, 1, 1),  # no room for both
        (50, 1, 2, 1),
        (90, 3, 1000, 3),
    ],
)
def test_weights_where_pods_are_limited(weight: int, replicas: int, room: int, canary: int) -> None:
    assert canary_replicas(weight, replicas, room) == canary


@given(st.integers(1, 100), st.integers(1, 1000))
def test_a_canary_has_a_pod_and_never_more_than_stable(weight: int, replicas: int) -> None:
    assert 1 <= canary_replicas(weight, replicas) <= replicas


@given(st.integers(1, 99), st.integers(1, 1000))
def test_more_weight_is_never_fewer_pods(weight: int, replicas: int) -> None:
    assert canary_replicas(weight, replicas) <= canary_replicas(weight + 1, replicas)


@given(st.integers(1, 50), st.integers(1, 1000))
def test_no_other_number_of_pods_comes_closer_than_half_a_pod(weight: int, replicas: int) -> None:
    exact = replicas * weight / (100 - weight)
    assert canary_replicas(weight, replicas) == 1 or abs(canary_replicas(weight, replicas) - exact) <= 0.5


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_shares_sum_to_a_hundred(canary: int, stable: int) -> None:
    total = reached(canary, stable) + reached(stable, canary)
    assert total == (0 if canary + stable == 0 else 100) or total == 101  # both halves of a percent round up
