"""Asks a Prometheus, or whatever speaks its HTTP API, for single numbers.

The address is a setting of the operator's, never a user's. Whatever is not plainly one finite
number is no value, with the reason in words: that is never an error here. API: `POST /api/v1/query`,
https://prometheus.io/docs/prometheus/latest/querying/api/.
"""

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import aiohttp

from volary.adapters import bounded
from volary.planning.excerpts import harmless
from volary.planning.outside import Measurement, Question

TIMEOUT = 3.0  # seconds for one answer, from connecting to the last byte
LIMIT = 256 * 1024  # bytes of one answer; one number takes 200
_PARALLEL = 16
_Answer = tuple[float | None, str]  # the number, or why there is none


class Prometheus(Protocol):
    """Gives numbers."""

    async def ask(self, questions: Sequence[Question], at: datetime) -> tuple[Measurement, ...]:
        """One measurement a question, in their order. Never raises."""


class HttpPrometheus:
    """`Prometheus` over HTTP at a base URL; without one every answer is none."""

    def __init__(self, session: aiohttp.ClientSession, url: str, *, timeout: float = TIMEOUT, limit: int = LIMIT) -> None:
        self._session = session
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._limit = limit
        self._slots = asyncio.Semaphore(_PARALLEL)

    async def ask(self, questions: Sequence[Question], at: datetime) -> tuple[Measurement, ...]:
        """All in parallel."""
        answers = await asyncio.gather(*(self._one(question.text) for question in questions))
        return tuple(
            Measurement(name=question.name, at=at, value=value, why=why) for question, (value, why) in zip(questions, answers, strict=True)
        )

    async def _one(self, text: str) -> _Answer:
        if not self._url:
            return None, "there is no Prometheus"
        async with self._slots:
            try:
                status, body = await self._read(text)
            except TimeoutError:
                return None, "Prometheus does not answer in time"
            except (aiohttp.ClientError, OSError, ValueError) as error:
                return None, f"Prometheus cannot be reached ({type(error).__name__})"
        return (None, "the answer is too large or compressed") if body is None else parse(status, body)

    async def _read(self, text: str) -> tuple[int, bytes | None]:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        url, form = f"{self._url}/api/v1/query", {"query": text, "timeout": f"{self._timeout.total:g}s"}
        async with self._session.post(url, data=form, headers=headers, allow_redirects=False, timeout=self._timeout) as response:
            return response.status, await bounded.read(response, self._limit)


class FakePrometheus:
    """`Prometheus` that answers from a table: text of a query -> number or why there is none."""

    def __init__(self, answers: Mapping[str, float | str] | None = None) -> None:
        self.answers = dict(answers or {})
        self.asked: list[str] = []

    async def ask(self, questions: Sequence[Question], at: datetime) -> tuple[Measurement, ...]:
        """What is not in the table has no data."""
        self.asked += [question.text for question in questions]
        return tuple(self._one(question, at) for question in questions)

    def _one(self, question: Question, at: datetime) -> Measurement:
        found = self.answers.get(question.text, NO_DATA)
        if isinstance(found, str):
            return Measurement(name=question.name, at=at, why=found)
        return Measurement(name=question.name, at=at, value=found)


NO_DATA = "the query gives no data"


def parse(status: int, body: bytes) -> _Answer:
    """The one number of an answer, or why it is none."""
    try:
        answer: Any = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict) or answer.get("status") not in {"success", "error"}:
        return None, f"status {status}, and the answer is not Prometheus'"
    if answer["status"] == "error" or status != 200:
        return None, harmless(f"Prometheus refuses the query: {answer.get('error') or f'status {status}'}")
    data = answer.get("data")
    return _number(data) if isinstance(data, dict) else (None, "the answer has no data")


def _number(data: dict[str, Any]) -> _Answer:
    kind, result = data.get("resultType"), data.get("result")
    if kind == "scalar":
        return _finite(result)
    if kind != "vector" or not isinstance(result, list):
        return None, f"the query gives a {harmless(str(kind))}, not a number; put an aggregation or a rate around it"
    if not result:
        return None, NO_DATA
    if len(result) > 1:
        return None, f"the query gives {len(result)} series; aggregate them to one, such as by sum(...)"
    return _finite(result[0].get("value")) if isinstance(result[0], dict) else (None, "the series has no value")


def _finite(pair: Any) -> _Answer:
    """`[time, "number"]`."""
    try:
        value = float(pair[1])
    except (TypeError, ValueError, IndexError, KeyError):
        return None, "the value is not a number"
    return (value, "") if math.isfinite(value) else (None, f"the value is {pair[1]}")
