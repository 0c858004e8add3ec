"""Percent to pods and back, for traffic that is split by the number of pods."""

from fractions import Fraction
from math import floor


def canary_replicas(weight: int, replicas: int, room: int | None = None) -> int:
    """Pods a canary needs to get about `weight` percent: beside `replicas` stable pods, or of `room` pods in all.

    Stable keeps all its pods until the canary is promoted, so of 3 + c pods c / (3 + c) reach the
    canary: weight 25 with 3 replicas -> 1; weight 50 -> 3. Never 0 (a step has a weight above 0)
    and never more than `replicas`: beyond half the traffic plain Services cannot go before
    promotion, and status says so. Where pods are limited (`room`), stable makes way: of 4 pods in
    all a weight of 50 takes 2.
    """
    if weight >= 100:
        return replicas
    exact = Fraction(replicas * weight, 100 - weight) if room is None else Fraction(room * weight, 100)
    most = replicas if room is None else min(replicas, max(1, room - 1))  # with one of stable's there is something to compare with
    return min(most, max(1, floor(exact + Fraction(1, 2))))


def exact_replicas(weight: int, replicas: int) -> int:
    """Pods of a canary behind a gateway, which gives it `weight` percent exactly: enough for its share of the work.

    Weight 5 with 3 replicas -> 1, weight 50 -> 2, weight 80 -> 3; a ratio of pods would want 3 for weight 50.
    """
    return max(1, -(-weight * replicas // 100))


def reached(canary_ready: int, stable_ready: int) -> int:
    """Share of the ready pods in whole percent; 0 where none is ready."""
    total = canary_ready + stable_ready
    return floor(Fraction(100 * canary_ready, total) + Fraction(1, 2)) if total else 0
