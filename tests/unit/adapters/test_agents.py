"""Agents of pods: what they say, and the real client against pods that answer badly."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from volary.adapters.agents import Agent, Agents, FakeAgents, HttpAgents, parse, url
from volary.common.reasons import Reason
from volary.planning.holdings import Held, Holding, State

READY = {"revision": "r1", "version": "1.0.0", "digest": "sha256:0", "state": "ready", "weight": 100, "reason": None, "message": None}
PAGE: dict[str, Any] = {"generation": 4, "seen": 5, "revisions": [READY]}
SAYS = Holding(uid="good", generation=4, seen=5, held=(Held(revision="r1", state=State.READY, weight=100),))


def page(**fields: Any) -> bytes:
    return json.dumps(PAGE | {"revisions": [READY | fields]}).encode()


def test_what_a_page_says() -> None:
    assert parse(page(), "good") == SAYS
    assert parse(json.dumps(PAGE | {"more": 1}).encode(), "good") == SAYS  # a later agent


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("GoldenMismatch", Reason.GOLDEN_MISMATCH),
        ("MemoryTooSmall", Reason.MEMORY_TOO_SMALL),
        ("StorageUnreachable", Reason.STORAGE_UNREACHABLE),
        ("Promoted", Reason.LOAD_FAILED),
        ("NewInALaterAgent", Reason.LOAD_FAILED),
        (None, Reason.LOAD_FAILED),
    ],
)
def test_a_failure_has_a_reason_that_can_fail_a_revision(reason: str | None, expected: Reason) -> None:
    found = parse(page(state="failed", reason=reason, message="at s3://u:hunter2@host\nline"), "u1")
    assert found is not None
    assert found.held[0].reason is expected
    assert "hunter2" not in found.held[0].message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b"<html>",
        json.dumps({"generation": 4}).encode(),
        json.dumps(PAGE | {"generation": -1}).encode(),
        json.dumps(PAGE | {"seen": "soon"}).encode(),
        json.dumps(PAGE | {"revisions": [READY] * 17}).encode(),
        page(state="thinking"),
        page(weight=101),
        page(revision="r" * 64),
    ],
)
def test_nonsense_says_nothing(data: bytes) -> None:
    assert parse(data, "u1") is None


def test_where_an_agent_listens() -> None:
    assert url("10.0.0.1") == "http://10.0.0.1:8081"
    assert url("fd00::1") == "http://[fd00::1]:8081"


# ---- over HTTP --------------------------------------------------------------------------------

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def good(_: web.Request) -> web.StreamResponse:
    return web.Response(body=page())


async def silent(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


async def flood(request: web.Request) -> web.StreamResponse:
    """Without an end."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 10_000)


async def redirect(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/good/revisions")


async def broken(_: web.Request) -> web.StreamResponse:
    return web.Response(status=503, body=page())


async def packed(_: web.Request) -> web.StreamResponse:
    return web.Response(body=page(), headers={"Content-Encoding": "gzip"})


HANDLERS: dict[str, Handler] = {handler.__name__: handler for handler in (good, silent, flood, redirect, broken, packed)}


async def asked(uids: Sequence[str]) -> tuple[Holding, ...]:
    application = web.Application()
    for name, handler in HANDLERS.items():
        application.router.add_get(f"/{name}/revisions", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    agents = [Agent(uid=uid, url="http://127.0.0.1:9" if uid == "absent" else f"{address}/{uid}") for uid in uids]
    try:
        async with aiohttp.ClientSession() as session:
            client: Agents = HttpAgents(session, timeout=0.3)
            return await client.ask(agents)
    finally:
        await runner.cleanup()


def test_agents_that_answer_badly_are_left_out_and_do_not_hold_up_the_others() -> None:
    assert asyncio.run(asked([*HANDLERS, "absent"])) == (SAYS,)


def test_the_fake_keeps_the_contract() -> None:
    fake: Agents = FakeAgents({"good": SAYS})
    agents = [Agent(uid="absent", url=""), Agent(uid="good", url="")]
    assert asyncio.run(fake.ask(agents)) == asyncio.run(asked(["absent", "good"]))
