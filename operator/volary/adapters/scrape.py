"""Counters of model pods, read straight from the pods: no Prometheus needed.

A pod that does not answer in time, answers nonsense or answers too much is not in the result.
That is never an error: the evidence goes on with the pods that did answer.
"""

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import aiohttp

from volary.planning.model import Count
from volary.runtimes.runtime import Metrics

TIMEOUT = 2.0  # seconds for one pod, from connecting to the last byte
LIMIT = 1024 * 1024  # bytes of one answer
_PARALLEL = 32
_REVISION = "revision"  # label of Volary's own server; a series of another revision is not this pod's
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"\s*(?:,|$)\s*')


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One pod. `url` without the path."""

    uid: str
    revision: str
    url: str
    metrics: Metrics


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
        return None if text is None else parse(text, target)

    async def _read(self, target: Target) -> str | None:
        headers = {"Accept": "text/plain", "Accept-Encoding": "identity"}
        url = f"{target.url}{target.metrics.path}"
        async with self._session.get(url, headers=headers, allow_redirects=False, timeout=self._timeout) as response:
            if response.status != 200 or response.headers.get("Content-Encoding", "identity") != "identity":
                return None
            data = bytearray()
            async for chunk in response.content.iter_any():
                data += chunk
                if len(data) > self._limit:
                    return None
            return data.decode()


class FakeScraper:
    """`Scraper` that answers from a table: pod uid -> (requests, errors)."""

    def __init__(self, counters: Mapping[str, tuple[int, int]] | None = None) -> None:
        self.counters = dict(counters or {})

    async def scrape(self, targets: Sequence[Target]) -> tuple[Count, ...]:
        """Pods that are in the table."""
        return tuple(
            Count(uid=target.uid, revision=target.revision, requests=self.counters[target.uid][0], errors=self.counters[target.uid][1])
            for target in targets
            if target.uid in self.counters
        )


def parse(text: str, target: Target) -> Count | None:
    """The counter's total out of Prometheus' text format, None for anything that is not plainly one.

    A counter that is declared and has no series yet counts 0: the first requests must not get lost.
    """
    name = target.metrics.requests
    seen: dict[str, float] = {}
    declared = False
    errors = 0.0
    for line in text.splitlines():
        declared = declared or _declares(line, name)
        if not line.startswith(name) or line[len(name) : len(name) + 1] not in {"{", " "}:
            continue
        series, labels, value = _sample(line, name)
        if labels is None or series in seen or not (math.isfinite(value) and value >= 0):
            return None
        if labels.get(_REVISION, target.revision) != target.revision:
            continue
        seen[series] = value
        errors += value if target.metrics.failed(labels.get(target.metrics.label, "")) else 0
    if not (seen or declared):
        return None
    return Count(uid=target.uid, revision=target.revision, requests=int(sum(seen.values())), errors=int(errors))


def _declares(line: str, name: str) -> bool:
    """`# TYPE name counter`; OpenMetrics leaves the suffix `_total` out."""
    return line.startswith("# TYPE ") and line.split()[2:] in ([name, "counter"], [name.removesuffix("_total"), "counter"])


def _sample(line: str, name: str) -> tuple[str, dict[str, str] | None, float]:
    """Series, labels (None: not readable) and value of one line."""
    rest = line[len(name) :]
    labels: dict[str, str] = {}
    series = ""
    if rest.startswith("{"):
        series, closed, rest = rest[1:].rpartition("}")
        inner = series
        while inner and closed:
            match = _LABEL.match(inner)
            if match is None:
                return series, None, math.nan
            labels[match[1]] = match[2]
            inner = inner[match.end() :]
    fields = rest.split()
    try:
        return series, labels, float(fields[0]) if fields else math.nan
    except ValueError:
        return series, labels, math.nan
