"""Clients as they are: requests at random times, errors in bursts, bad minutes that both versions share.

Arrivals are Poisson. Errors come in clusters of geometric size with mean `burst` (a client that
retries, a batch with one bad row in each request). `noise` is the sigma of a lognormal factor of
mean 1 on both sides' error rate, drawn anew every few seconds: a database that is slow for everybody.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from typing_extensions import override

from volary.simulation.cluster import START, Cluster
from volary.simulation.pods import ModelPod

SPELL = timedelta(seconds=5)  # as long a shared factor holds


@dataclass(slots=True)
class Answered:
    """What one revision answered."""

    requests: int = 0
    errors: int = 0
    first: datetime | None = None
    last: datetime | None = None

    @property
    def exposed(self) -> timedelta:
        """From its first request to its last."""
        return self.last - self.first if self.first is not None and self.last is not None else timedelta(0)


@dataclass(slots=True)
class Crowd(Cluster):
    """The simulated cluster with such clients."""

    burst: float = 1.0
    noise: float = 0.0
    answered: dict[str, Answered] = field(default_factory=dict)  # by revision
    _dice: np.random.Generator = field(default_factory=np.random.default_rng)
    _spell: tuple[int, float] = (-1, 1.0)  # which one, and its factor
    _since: datetime = START

    @override
    def __post_init__(self) -> None:
        self._dice = np.random.default_rng(self.seed)

    @override
    def answer(self, endpoints: list[ModelPod], requests: float) -> None:
        for pod, count in zip(endpoints, self._dice.poisson(requests / len(endpoints), len(endpoints)).tolist(), strict=True):
            if count:
                self._ask(pod, count)

    @override
    def _answer(self, pods: list[ModelPod], requests: float) -> None:
        if pods:
            self.answer(pods, requests)

    @override
    def _errors(self, revision: str, requests: int) -> int:
        factor = self._factor() if self.noise else 1.0
        errors = self._failing(requests, min(1.0, factor * self._loads(revision).errors))
        seen = self.answered.setdefault(revision, Answered())
        seen.requests += requests
        seen.errors += errors
        seen.first = seen.first or self.now
        seen.last = self.now
        return errors

    def _failing(self, requests: int, rate: float) -> int:
        if rate <= 0:
            return 0
        if self.burst <= 1:
            return int(self._dice.binomial(requests, rate))
        clusters = int(self._dice.poisson(requests * rate / self.burst))
        return min(requests, clusters + int(self._dice.negative_binomial(clusters, 1 / self.burst))) if clusters else 0

    def _factor(self) -> float:
        number = (self.now - START) // SPELL
        if number != self._spell[0]:
            self._spell = number, float(np.exp(self._dice.normal(-(self.noise**2) / 2, self.noise)))
        return self._spell[1]
