"""Asks the agents in model pods to replay golden samples, and how that went.

To ask is to renew: an agent goes on for a bounded time after it was asked, so traffic ends by itself
when a canary does, or the operator. That keeps a pod a function of its revision: no field of a spec
reaches its template. An agent that does not answer, answers nonsense or too much is not in the
result; so is one that is older than this, and one whose bundle has no samples.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from volary.adapters import bounded
from volary.common.names import GOLDEN_PATH
from volary.planning.excerpts import harmless
from volary.planning.outside import Reply

TIMEOUT = 2.0  # seconds for one agent
LIMIT = 16 * 1024  # bytes of one answer
_PARALLEL = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One agent. `url` without the path."""

    uid: str  # of its pod
    revision: str
    url: str


class Agents(Protocol):
    """All agents of a model."""

    async def ask(self, agents: Sequence[Agent], rate: int, seconds: int) -> tuple[Reply, ...]:
        """Have each replay `rate` samples a second for so long; counters of those that answered. Never raises."""


class HttpAgents:
    """`Agents` over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, *, timeout: float = TIMEOUT, limit: int = LIMIT) -> None:
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._limit = limit
        self._slots = asyncio.Semaphore(_PARALLEL)

    async def ask(self, agents: Sequence[Agent], rate: int, seconds: int) -> tuple[Reply, ...]:
        """All in parallel."""
        path = f"{GOLDEN_PATH}?rate={rate}&seconds={seconds}"
        replies = await asyncio.gather(*(self._one(agent, path) for agent in agents))
        return tuple(reply for reply in replies if reply is not None)

    async def _one(self, agent: Agent, path: str) -> Reply | None:
        async with self._slots:
            try:
                async with self._session.post(f"{agent.url}{path}", allow_redirects=False, timeout=self._timeout) as response:
                    body = await bounded.read(response, self._limit) if response.status == 200 else None
            except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
                return None
        return None if body is None else parse(body, agent)


class FakeAgents:
    """`Agents` that answer from a table by pod uid: (asked, wrong, silent)."""

    def __init__(self, counters: Mapping[str, tuple[int, int, int]] | None = None) -> None:
        self.counters = dict(counters or {})
        self.asked: list[tuple[str, int, int]] = []  # uid, rate, seconds

    async def ask(self, agents: Sequence[Agent], rate: int, seconds: int) -> tuple[Reply, ...]:
        """Agents that are in the table."""
        self.asked += [(agent.uid, rate, seconds) for agent in agents]
        return tuple(self._one(agent) for agent in agents if agent.uid in self.counters)

    def _one(self, agent: Agent) -> Reply:
        asked, wrong, silent = self.counters[agent.uid]
        return Reply(uid=agent.uid, revision=agent.revision, asked=asked, wrong=wrong, silent=silent)


def parse(body: bytes, agent: Agent) -> Reply | None:
    """Counters out of an agent's answer, None for anything that is not plainly one."""
    try:
        found: Any = json.loads(body)
        asked, wrong, silent = (found[name] for name in ("asked", "wrong", "silent"))
    except (ValueError, RecursionError, TypeError, KeyError):
        return None
    if not all(type(count) is int and count >= 0 for count in (asked, wrong, silent)) or wrong + silent > asked:
        return None
    message = harmless(str(found.get("message", ""))) if wrong else ""
    return Reply(uid=agent.uid, revision=agent.revision, asked=asked, wrong=wrong, silent=silent, message=message)
