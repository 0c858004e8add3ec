"""Numbers of Prometheus: the parser, the client against servers that answer badly, and the fake beside them.

The real one is held to `CONTRACT` in tests/e2e/test_checks.py.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.support.contract import CONTRACT
from volary.adapters.prometheus import NO_DATA, FakePrometheus, HttpPrometheus, Prometheus, parse
from volary.planning.outside import Measurement, Question

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answer(kind: str, result: Any, status: str = "success") -> bytes:
    return json.dumps({"status": status, "data": {"resultType": kind, "result": result}}).encode()


def series(*values: str) -> bytes:
    return answer("vector", [{"metric": {"pod": str(number)}, "value": [1.5, value]} for number, value in enumerate(values)])


@pytest.mark.parametrize(
    ("status", "body", "value", "why"),
    [
        (200, series("0.25"), 0.25, ""),
        (200, series("-1e3"), -1000.0, ""),
        (200, answer("scalar", [1.5, "7"]), 7.0, ""),
        (200, series(), None, NO_DATA),
        (200, series("1", "2"), None, "2 series; aggregate"),
        (200, series("NaN"), None, "the value is NaN"),
        (200, series("+Inf"), None, "the value is +Inf"),
        (200, series("many"), None, "not a number"),
        (200, answer("matrix", []), None, "gives a matrix, not a number"),
        (200, answer("string", [1.5, "x"]), None, "gives a string"),
        (200, answer("vector", {}), None, "gives a vector"),
        (200, answer("vector", [7]), None, "no value"),
        (200, answer("vector", [{"value": [1.5]}]), None, "not a number"),
        (200, answer("vector", [{"value": None}]), None, "not a number"),
        (200, b'{"status":"success"}', None, "no data"),
        (400, b'{"status":"error","error":"parse error: unexpected }"}', None, "refuses the query: parse error: unexpected }"),
        (422, b'{"status":"error","error":"many\\nlines password=abc"}', None, "many lines [hidden]"),
        (503, series("1"), None, "refuses the query: status 503"),
        (200, b"<html>log in</html>", None, "status 200, and the answer is not Prometheus'"),
        (502, b"", None, "status 502"),
        (200, b"[" * 100_000, None, "not Prometheus'"),
        (200, b"[1]", None, "not Prometheus'"),
        (200, b'{"status":"ok"}', None, "not Prometheus'"),
    ],
)
def test_what_an_answer_says(status: int, body: bytes, value: float | None, why: str) -> None:
    found, words = parse(status, body)
    assert found == value
    assert why in words
    assert (value is None) == bool(words)


# ---- over HTTP --------------------------------------------------------------------------------


async def good(request: web.Request) -> web.StreamResponse:
    form = await request.post()
    return web.Response(body=series(str(form["query"]).removeprefix("number ")))


async def silent(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


async def flood(request: web.Request) -> web.StreamResponse:
    """Valid, and without an end."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 100_000)


async def redirect(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/good/api/v1/query")


async def packed(_: web.Request) -> web.StreamResponse:
    return web.Response(body=series("1"), headers={"Content-Encoding": "gzip"})


HANDLERS: dict[str, Handler] = {handler.__name__: handler for handler in (good, silent, flood, redirect, packed)}


async def asked(name: str, *texts: str) -> tuple[Measurement, ...]:
    application = web.Application()
    for path, handler in HANDLERS.items():
        application.router.add_post(f"/{path}/api/v1/query", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    urls = {"absent": "http://127.0.0.1:9", "unset": ""}
    try:
        async with aiohttp.ClientSession() as session:
            prometheus: Prometheus = HttpPrometheus(session, urls.get(name, f"{address}/{name}"), timeout=0.3, limit=200_000)
            return await prometheus.ask([Question(name=f"q{number}", text=text) for number, text in enumerate(texts)], NOW)
    finally:
        await runner.cleanup()


def test_several_are_asked_at_once_and_answered_in_their_order() -> None:
    found = asyncio.run(asked("good", "number 1", "number 2", "number NaN"))
    assert [(one.name, one.at, one.value) for one in found] == [("q0", NOW, 1.0), ("q1", NOW, 2.0), ("q2", NOW, None)]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("silent", "does not answer in time"),
        ("flood", "the answer is too large"),
        ("redirect", "status 302"),
        ("packed", "or compressed"),
        ("absent", "cannot be reached"),
        ("unset", "there is no Prometheus"),
    ],
)
def test_one_that_answers_badly_gives_no_number_and_a_reason(name: str, why: str) -> None:
    (found,) = asyncio.run(asked(name, "number 1"))
    assert found.value is None
    assert why in found.why


@pytest.mark.parametrize(("text", "value", "why"), CONTRACT)
def test_the_fake_keeps_the_contract(text: str, value: float | None, why: str) -> None:
    fake: Prometheus = FakePrometheus({text: value if value is not None else why} if why != NO_DATA else {})
    (found,) = asyncio.run(fake.ask([Question(name="q", text=text)], NOW))
    assert found == Measurement(name="q", at=NOW, value=value, why=why)
