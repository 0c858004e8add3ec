"""`planning.evidence` for thousands of canaries at once: the same arithmetic on arrays, one row a canary.

`tests/unit/planning/test_odds.py` holds it to `planning.evidence`, step by step.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from volary.planning import evidence

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


class Grown(NamedTuple):
    """What happened in some time: one number a canary."""

    canary_requests: Counts
    canary_errors: Counts
    stable_requests: Counts
    stable_errors: Counts


def zero(runs: int, bets: int = len(evidence.BETS)) -> Floats:
    """Log wealth at the beginning: runs x bets."""
    return np.zeros((runs, bets))


def vote(wealth: Floats, grown: Grown, ratio: float, *, worse: bool) -> Floats:
    """As `evidence.vote`."""
    requests, errors = grown.canary_requests + grown.stable_requests, grown.canary_errors + grown.stable_errors
    counts = (errors > 0) & (np.minimum(grown.canary_requests, grown.stable_requests) > 0)
    share = grown.canary_requests / np.maximum(requests, 1)
    odds = np.where(counts, share * ratio / (share * ratio + 1 - share), 0.5)
    seen = grown.canary_errors / np.maximum(errors, 1)
    gain = np.where(counts, (seen - odds) / odds if worse else (odds - seen) / (1 - odds), 0.0)
    return wealth + np.log1p(gain[:, None] * np.array(evidence.BETS))


def rate(wealth: Floats, n: Counts, k: Counts, bound: float, factors: tuple[float, ...]) -> Floats:
    """As `evidence.rate`."""
    others = np.minimum(bound * np.array(factors), (1 + bound) / 2)
    return wealth + k[:, None] * np.log(others / bound) + (n - k)[:, None] * np.log((1 - others) / (1 - bound))


def higher(wealth: Floats, n: Counts, k: Counts, bound: float) -> Floats:
    """As `evidence.higher`."""
    gain = np.where(n > 0, k / np.maximum(n, 1) / bound - 1, 0.0)
    return wealth + np.log1p(gain[:, None] * np.array(evidence.BETS))


def mean(wealth: Floats) -> Floats:
    """As `evidence.mean`."""
    top = wealth.max(axis=1)
    return np.asarray(top + np.log(np.exp(wealth - top[:, None]).mean(axis=1)))
