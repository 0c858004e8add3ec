"""Counters of model pods, read straight from the pods: no Prometheus needed.

A pod that does not answer in time, answers nonsense or answers too much is not in the result.
That is never an error: the evidence goes on with the pods that did answer.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import aiohttp

from volary.adapters import bounded
from volary.adapters.exposition import parse
from volary.planning.model import Count
from volary.runtimes.runtime import Metrics

TIMEOUT = 2.0  # seconds for one pod, from connecting to the last byte
LIMIT = 1024 * 1024  # bytes of one answer
_PARALLEL = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One pod. `url` without the path."""

    uid: str
    revision: str
    url: str
    metrics: Metrics
    restarts: int = 0  # of the server, as the pod's status has it


class Scraper(Protocol):
    """Reads counters."""

    async def scrape(self, targets: Sequence[Target]) -> tuple[Count, ...]:
        """Counters of the pods that answered, in the order asked for. Never raises."""


class HttpScraper:
    """`Scraper` over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, *, timeout: float = TIMEOUT, limit: int = LIMIT) -> None:
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._limit = limit
        self._slots = asyncio.Semaphore(_PARALLEL)

    async def scrape(self, targets: Sequence[Target]) -> tuple[Count, ...]:
        """All pods in parallel."""
        counts = await asyncio.gather(*(self._one(target) for target in targets))
        return tuple(count for count in counts if count is not None)

    async def _one(self, target: Target) -> Count | None:
        async with self._slots:
            try:
                text = await self._read(target)
            except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
                return None
        if text is None:
            return None
        count = parse(text, uid=target.uid, revision=target.revision, metrics=target.metrics)
        return count and replace(count, restarts=target.restarts)

    async def _read(self, target: Target) -> str | None:
        headers = {"Accept": "text/plain", "Accept-Encoding": "identity"}
        url = f"{target.url}{target.metrics.path}"
        async with self._session.get(url, headers=headers, allow_redirects=False, timeout=self._timeout) as response:
            data = await bounded.read(response, self._limit) if response.status == 200 else None
            return None if data is None else data.decode()


class FakeScraper:
    """`Scraper` that answers from a table: pod uid -> (requests, errors)."""

    def __init__(self, counters: Mapping[str, tuple[int, int]] | None = None) -> None:
        self.counters = dict(counters or {})

    async def scrape(self, targets: Sequence[Target]) -> tuple[Count, ...]:
        """Pods that are in the table."""
        return tuple(
            Count(
                uid=target.uid,
                revision=target.revision,
                requests=self.counters[target.uid][0],
                errors=self.counters[target.uid][1],
                restarts=target.restarts,
            )
            for target in targets
            if target.uid in self.counters
        )
