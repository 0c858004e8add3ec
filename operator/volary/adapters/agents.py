"""What running pods hold, asked of their agents: `GET http://POD_IP:8081/revisions`.

A pod that does not answer in time, answers nonsense or answers too much is not in the result:
nothing is known of it. That is never an error.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from volary.adapters import bounded
from volary.common.names import AGENT_PORT
from volary.common.reasons import REASONS, Kind, Reason
from volary.planning.excerpts import harmless
from volary.planning.holdings import Held, Holding, State

TIMEOUT = 1.0  # seconds for one pod, from connecting to the last byte
LIMIT = 64 * 1024  # bytes of one answer
PATH = "/revisions"
_PARALLEL = 32
_ENTRIES = 16
_CONCLUSIVE = {Kind.TRANSIENT, Kind.USER, Kind.VERDICT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """The agent of one pod. `url` without the path."""

    uid: str  # of the pod
    url: str


def url(ip: str, port: int = AGENT_PORT) -> str:
    """Where the agent of a pod listens, or, at another port, its server."""
    return f"http://{f'[{ip}]' if ':' in ip else ip}:{port}"


class Agents(Protocol):
    """Asks agents."""

    async def ask(self, agents: Sequence[Agent]) -> tuple[Holding, ...]:
        """What those that answered say, in the order asked for. Never raises."""


class HttpAgents:
    """`Agents` over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, *, timeout: float = TIMEOUT, limit: int = LIMIT) -> None:
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._limit = limit
        self._slots = asyncio.Semaphore(_PARALLEL)

    async def ask(self, agents: Sequence[Agent]) -> tuple[Holding, ...]:
        """All pods in parallel."""
        said = await asyncio.gather(*(self._one(agent) for agent in agents))
        return tuple(holding for holding in said if holding is not None)

    async def _one(self, agent: Agent) -> Holding | None:
        async with self._slots:
            try:
                data = await self._read(f"{agent.url}{PATH}")
            except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
                return None
        return None if data is None else parse(data, agent.uid)

    async def _read(self, where: str) -> bytes | None:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with self._session.get(where, headers=headers, allow_redirects=False, timeout=self._timeout) as response:
            return await bounded.read(response, self._limit) if response.status == 200 else None


class FakeAgents:
    """`Agents` that answer from a table of pod uids."""

    def __init__(self, holdings: Mapping[str, Holding] | None = None) -> None:
        self.holdings = dict(holdings or {})

    async def ask(self, agents: Sequence[Agent]) -> tuple[Holding, ...]:
        """Pods that are in the table."""
        return tuple(self.holdings[agent.uid] for agent in agents if agent.uid in self.holdings)


class _Answer(BaseModel):
    """Later agents may say more."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Held(_Answer):
    revision: Annotated[str, Field(max_length=63)]
    state: State
    weight: Annotated[int, Field(ge=0, le=100)] = 0
    reason: str | None = None
    message: str | None = None


class _Holding(_Answer):
    generation: Annotated[int, Field(ge=0)]
    seen: Annotated[int, Field(ge=0)]
    revisions: Annotated[tuple[_Held, ...], Field(max_length=_ENTRIES)] = ()


def parse(data: bytes, uid: str) -> Holding | None:
    """An agent's answer; None for anything that is not plainly one."""
    try:
        answer = _Holding.model_validate_json(data)
    except ValidationError:
        return None
    return Holding(uid=uid, generation=answer.generation, seen=answer.seen, held=tuple(_held(part) for part in answer.revisions))


def _held(part: _Held) -> Held:
    """A pod's words are shown to people, so they are made harmless; a reason nobody knows is a plain failure to load."""
    reason = _reason(part.reason or "") if part.state is State.FAILED else None
    return Held(revision=part.revision, state=part.state, weight=part.weight, reason=reason, message=harmless(part.message or ""))


def _reason(text: str) -> Reason:
    if text not in set(Reason):
        return Reason.LOAD_FAILED
    reason = Reason(text)
    return reason if REASONS[reason].kind in _CONCLUSIVE else Reason.LOAD_FAILED
