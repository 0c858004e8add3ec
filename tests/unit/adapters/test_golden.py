"""Counters of agents: the client against agents that answer badly, and the fake beside it."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from volary.adapters.golden import Agent, Agents, FakeAgents, HttpAgents, parse
from volary.planning.outside import Reply

AGENT = Agent(uid="u1", revision="r1", url="")
GOOD = '{"asked": 9, "wrong": 1, "silent": 2, "message": "sample 3"}'


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        (GOOD, (9, 1, 2, "sample 3")),
        ('{"asked": 9, "wrong": 0, "silent": 0, "message": "x"}', (9, 0, 0, "")),
        ('{"asked": 0, "wrong": 0, "silent": 0, "more": 1}', (0, 0, 0, "")),
        ('{"asked": 1, "wrong": 1, "silent": 0, "message": "a\\nb token=x"}', (1, 1, 0, "a b [hidden]")),
        ('{"asked": 1, "wrong": 1, "silent": 1}', None),
        ('{"asked": -1, "wrong": 0, "silent": 0}', None),
        ('{"asked": true, "wrong": 0, "silent": 0}', None),
        ('{"asked": 1.5, "wrong": 0, "silent": 0}', None),
        ('{"asked": 1, "wrong": 0}', None),
        ("[]", None),
        ("", None),
        ("[" * 100_000, None),
    ],
)
def test_what_an_answer_says(text: str, counts: tuple[int, int, int, str] | None) -> None:
    reply = parse(text.encode(), AGENT)
    assert (reply and (reply.asked, reply.wrong, reply.silent, reply.message)) == counts


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def good(request: web.Request) -> web.StreamResponse:
    assert dict(request.query) == {"rate": "5", "seconds": "20"}
    return web.Response(text=GOOD)


async def older(_: web.Request) -> web.StreamResponse:
    return web.Response(status=404, text=GOOD)


async def silent(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


async def flood(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 100_000)


HANDLERS: dict[str, Handler] = {handler.__name__: handler for handler in (good, older, silent, flood)}


async def asked(*uids: str) -> tuple[Reply, ...]:
    application = web.Application()
    for name, handler in HANDLERS.items():
        application.router.add_post(f"/{name}/golden", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    urls = {uid: "http://127.0.0.1:9" if uid == "absent" else f"{address}/{uid}" for uid in uids}
    try:
        async with aiohttp.ClientSession() as session:
            agents: Agents = HttpAgents(session, timeout=0.3, limit=200_000)
            return await agents.ask([Agent(uid=uid, revision="r1", url=url) for uid, url in urls.items()], 5, 20)
    finally:
        await runner.cleanup()


def test_agents_that_answer_badly_are_left_out_and_do_not_hold_up_the_others() -> None:
    (reply,) = asyncio.run(asked("absent", *HANDLERS))
    assert reply == Reply(uid="good", revision="r1", asked=9, wrong=1, silent=2, message="sample 3")


def test_the_fake_keeps_the_contract() -> None:
    agents: Agents = FakeAgents({"good": (9, 1, 2)})
    (fake,) = asyncio.run(agents.ask([Agent(uid=uid, revision="r1", url="") for uid in ("absent", "good")], 5, 20))
    (real,) = asyncio.run(asked("absent", "good"))
    assert (fake.uid, fake.revision, fake.asked, fake.wrong, fake.silent) == (real.uid, real.revision, real.asked, real.wrong, real.silent)
