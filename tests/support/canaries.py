"""Thousands of simulated canaries at once: what happened to each of them, second by second."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.support.betting import Counts, Grown

TICK = 1.0  # seconds: looks that are close are as far apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One kind of traffic. Rates are shares of the requests that fail."""

    rps: float
    errors: float
    canary_errors: float
    burst: float = 1.0  # mean size of a cluster of errors, geometric, inside one tick
    noise: float = 0.0  # sigma of a lognormal factor of mean 1 on both sides, anew in each tick
    restarts: bool = False  # pods restart all the time: a part of what happened is not counted

    def ticks(self, weights: Sequence[float], runs: int, seed: int) -> Iterator[Grown]:
        """One a tick, for each weight (share of the requests that go to the canary)."""
        dice = np.random.default_rng(seed)
        for weight in weights:
            factor = np.exp(dice.normal(-(self.noise**2) / 2, self.noise, runs)) if self.noise else np.ones(runs)
            canary = self._side(dice, self.rps * weight, factor * self.canary_errors)
            stable = self._side(dice, self.rps * (1 - weight), factor * self.errors)
            yield Grown(*canary, *stable)

    def _side(self, dice: np.random.Generator, rps: float, rate: np.ndarray[Any, Any]) -> tuple[Counts, Counts]:
        requests = dice.poisson(rps * TICK, len(rate))
        errors = self._errors(dice, requests, np.minimum(rate, 1.0))
        if not self.restarts:
            return requests, errors
        # In one tick of twelve a pod began anew: only a part of it is seen, of requests and errors alike.
        seen = np.where(dice.random(len(rate)) < 1 / 12, dice.random(len(rate)), 1.0)
        good = dice.binomial(requests - errors, seen)
        errors = dice.binomial(errors, seen)
        return good + errors, errors

    def _errors(self, dice: np.random.Generator, requests: Counts, rate: np.ndarray[Any, Any]) -> Counts:
        if self.burst <= 1:
            return dice.binomial(requests, rate)
        clusters = dice.poisson(requests * rate / self.burst)
        more = np.where(clusters > 0, dice.negative_binomial(np.maximum(clusters, 1), 1 / self.burst), 0)
        return np.asarray(np.minimum(requests, clusters + more))
