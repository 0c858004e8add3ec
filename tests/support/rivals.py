"""Rules that decide about a canary, ours and those of other tools, for thousands of canaries at once.

Each sees the same draws. `look` gives a row for each canary: whether the rule would roll it back by now.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tests.support import betting
from tests.support.betting import Counts, Floats, Grown
from volary.planning import evidence

THRESHOLD = 0.05  # share of errors in an interval that threshold rules do not accept
INTERVAL = 6  # samples: 30 s of 5 s each
Z = 2.326  # one-sided, 1 %


class Rule(Protocol):
    """One rule on all canaries."""

    def look(self, grown: Grown) -> np.ndarray: ...


@dataclass(slots=True)
class Bets:
    """Volary: the betting test; with `limit`, spec.rollout.analysis.errors.maxRate as well."""

    runs: int
    limit: float | None = None
    fail: Floats = field(init=False)
    rate: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.fail, self.rate = betting.zero(self.runs), betting.zero(self.runs)

    def look(self, grown: Grown) -> np.ndarray:
        self.fail = betting.vote(self.fail, grown, evidence.WORSE_RATIO, worse=True)
        if self.limit is None:
            return betting.mean(self.fail) >= np.log(1 / evidence.ALPHA)
        self.rate = betting.higher(self.rate, grown.canary_requests, grown.canary_errors, self.limit)
        return np.maximum(betting.mean(self.fail), betting.mean(self.rate)) >= np.log(2 / evidence.ALPHA)


@dataclass(slots=True)
class Threshold:
    """More than 5 % errors in an interval is a strike; an interval without requests is none. `strikes` of them roll back.

    One strike is Argo Rollouts' failureLimit 0, four are failureLimit 3, five are what Flagger's documentation shows.
    """

    runs: int
    strikes: int
    seen: int = 0
    struck: Counts = field(init=False)
    requests: Counts = field(init=False)
    errors: Counts = field(init=False)

    def __post_init__(self) -> None:
        self.struck, self.requests, self.errors = (np.zeros(self.runs, np.int64) for _ in range(3))

    def look(self, grown: Grown) -> np.ndarray:
        self.seen += 1
        self.requests += grown.canary_requests
        self.errors += grown.canary_errors
        if self.seen % INTERVAL == 0:
            self.struck += self.errors > THRESHOLD * self.requests
            self.requests, self.errors = np.zeros_like(self.requests), np.zeros_like(self.errors)
        return self.struck >= self.strikes


@dataclass(slots=True)
class ZTest:
    """Two shares compared at 1 % with all that was counted so far, at every look: right for one look only."""

    runs: int
    counts: list[Counts] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = [np.zeros(self.runs, np.int64) for _ in range(4)]

    def look(self, grown: Grown) -> np.ndarray:
        new = (grown.canary_requests, grown.canary_errors, grown.stable_requests, grown.stable_errors)
        self.counts = nc, kc, ns, ks = [old + more for old, more in zip(self.counts, new, strict=True)]
        both = np.minimum(nc, ns) > 0
        nc, ns = np.maximum(nc, 1), np.maximum(ns, 1)
        pooled = (kc + ks) / (nc + ns)
        spread = np.sqrt(pooled * (1 - pooled) * (1 / nc + 1 / ns))
        return both & (kc / nc - ks / ns > Z * spread) & (spread > 0)


RULES: dict[str, Callable[[int], Rule]] = {
    "Volary": Bets,
    "Volary, maxRate 10 %": lambda runs: Bets(runs, limit=0.1),
    "> 5 % in 30 s, limit 0": lambda runs: Threshold(runs, 1),
    "limit 3": lambda runs: Threshold(runs, 4),
    "5 strikes": lambda runs: Threshold(runs, 5),
    "z-test at each look": ZTest,
}
