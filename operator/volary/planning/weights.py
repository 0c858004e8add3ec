"""Percent to pods and back, for traffic that is split by the number of pods."""

from fractions import Fraction
from math import floor


def canary_replicas(weight: int, replicas: int) -> int:
    """Pods a canary needs beside `replicas` stable pods to get about `weight` percent.

    Stable keeps all its pods until the canary is promoted, so of 3 + c pods c / (3 + c) reach the
    canary: weight 25 with 3 replicas -> 1; weight 50 -> 3. Never 0 (a step has a weight above 0)
    and never more than `replicas`: beyond half the traffic plain Services cannot go before
    promotion, and status says so.
    """
    if weight >= 100:
        return replicas
    exact = Fraction(replicas * weight, 100 - weight)
    return min(replicas, max(1, floor(exact + Fraction(1, 2))))


def reached(canary_ready: int, stable_ready: int) -> int:
    """Share of the ready pods in whole percent; 0 where none is ready."""
    total = canary_ready + stable_ready
    return floor(Fraction(100 * canary_ready, total) + Fraction(1, 2)) if total else 0
