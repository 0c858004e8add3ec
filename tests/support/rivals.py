"""Rules that decide about a canary, ours and those of other tools, for thousands of canaries at once.

Each sees the same draws, second by second, and looks when it would look.
`look` gives a row for each canary: whether the rule would roll it back by now.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tests.support import betting
from tests.support.betting import Counts, Floats, Grown
from volary.planning import evidence
from volary.planning.evidence.looks import SUSPICION

THRESHOLD = 0.05  # share of errors in an interval that threshold rules do not accept
INTERVAL = 30  # ticks
LOOK = 5  # ticks between two looks: Volary's default interval
Z = 2.326  # one-sided, 1 %


class Rule(Protocol):
    """One rule on all canaries."""

    def look(self, grown: Grown) -> np.ndarray: ...


@dataclass(slots=True)
class Bets:
    """Volary: the betting test; with `limit`, spec.rollout.analysis.errors.maxRate as well.

    A look is due as `evidence.pause` says: each second in the first five and while a canary is under suspicion, else each five.
    """

    runs: int
    limit: float | None = None
    ticks: int = 0
    fail: Floats = field(init=False)
    rate: Floats = field(init=False)
    strength: Floats = field(init=False)  # of what speaks against each canary, as a logarithm
    since: Counts = field(init=False)  # ticks from each canary's last look
    new: list[Counts] = field(init=False)  # what happened in them

    def __post_init__(self) -> None:
        self.fail, self.rate = betting.zero(self.runs), betting.zero(self.runs)
        self.strength = np.zeros(self.runs)
        self.since, *self.new = (np.zeros(self.runs, np.int64) for _ in range(5))

    def look(self, grown: Grown) -> np.ndarray:
        self.ticks += 1
        self.since += 1
        self.new = [have + more for have, more in zip(self.new, grown, strict=True)]
        (due,) = np.nonzero((self.since >= LOOK) | (self.ticks <= LOOK) | (self.strength >= SUSPICION))
        self._vote(due)
        return self.strength >= np.log((1 if self.limit is None else 2) / evidence.ALPHA)

    def _vote(self, due: Counts) -> None:
        seen = Grown(*(have[due] for have in self.new))
        self.fail[due] = fail = betting.vote(self.fail[due], seen, evidence.WORSE_RATIO, worse=True)
        self.strength[due] = betting.mean(fail)
        if self.limit is not None:
            self.rate[due] = rate = betting.higher(self.rate[due], seen.canary_requests, seen.canary_errors, self.limit)
            self.strength[due] = np.maximum(betting.mean(fail), betting.mean(rate))
        for counted in (self.since, *self.new):
            counted[due] = 0


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
    seen: int = 0
    counts: list[Counts] = field(init=False)

    def __post_init__(self) -> None:
        self.counts = [np.zeros(self.runs, np.int64) for _ in range(4)]

    def look(self, grown: Grown) -> np.ndarray:
        self.seen += 1
        self.counts = nc, kc, ns, ks = [old + more for old, more in zip(self.counts, grown, strict=True)]
        if self.seen % LOOK:
            return np.zeros(self.runs, bool)
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
