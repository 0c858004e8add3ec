"""Deliveries to a real HTTP server, and what the file of receivers may say."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from volary.adapters import notify
from volary.adapters.notify import Attempt, Endpoint, HttpPost, Message, Outcome, Unusable
from volary.planning.notices import Decision

TOKEN = "T0KEN-of-a-receiver"
MESSAGE = Message(
    id="0f" * 16,
    decision=Decision.ROLLED_BACK,
    namespace="shop",
    name="fraud",
    uid="u-1",
    generation=3,
    phase="RolledBack",
    version="2.0.0",
    revision="8fb5556369",
    reason="ErrorRateTooHigh",
    text="version 2.0.0: 49 of 249 <!channel> & more",
    at=datetime(2026, 3, 1, 12, tzinfo=UTC),
)


class Receiver:
    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.url = ""
        self.session: aiohttp.ClientSession

    async def take(self, request: web.Request) -> web.StreamResponse:
        what = request.match_info["what"]
        self.requests.append((what, dict(request.headers), json.loads(await request.text())))
        if what == "slow":
            await asyncio.sleep(5)
        if what == "elsewhere":
            raise web.HTTPFound("/stolen")
        return web.Response(status=int(what) if what.isdecimal() else 200, headers={"Retry-After": "7"})

    async def deliver(self, what: str = "", **fields: Any) -> Attempt:
        endpoint = Endpoint.model_validate({"name": "x", "url": f"{self.url}/{what or 'ok'}"} | fields)
        return await HttpPost(self.session, timeout=0.5).deliver(endpoint, MESSAGE, "prod")


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{what}", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}"
    async with aiohttp.ClientSession() as receiver.session:
        yield receiver
    await runner.cleanup()


def play(story: Callable[[Receiver], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with receiving() as receiver:
            await story(receiver)

    asyncio.run(whole())


def test_a_cloud_event_in_structured_json() -> None:
    async def story(receiver: Receiver) -> None:
        assert await receiver.deliver(headers={"Authorization": f"Bearer {TOKEN}"}) == Attempt(Outcome.DELIVERED)
        ((_, headers, body),) = receiver.requests
        assert headers["Content-Type"].startswith("application/cloudevents+json")
        assert headers["Authorization"] == f"Bearer {TOKEN}"
        assert {name: body[name] for name in ("specversion", "id", "source", "type", "time")} == {
            "specversion": "1.0",
            "id": MESSAGE.id,
            "source": "/clusters/prod/namespaces/shop/modeldeployments/fraud",
            "type": "serving.volary.dev.rolledback.v1",
            "time": "2026-03-01T12:00:00+00:00",
        }
        assert body["data"]["reason"] == "ErrorRateTooHigh"
        assert TOKEN not in json.dumps(body)

    play(story)


def test_a_line_of_chat_calls_nobody() -> None:
    async def story(receiver: Receiver) -> None:
        await receiver.deliver(format="slack")
        ((_, headers, body),) = receiver.requests
        assert headers["Content-Type"].startswith("application/json")
        assert list(body) == ["text"]
        assert "*prod/shop/fraud* RolledBack: version 2.0.0: 49 of 249 &lt;!channel&gt; &amp; more (ErrorRateTooHigh)" in body["text"]

    play(story)


@pytest.mark.parametrize(
    ("status", "outcome", "after"),
    [
        *[(status, Outcome.DELIVERED, 0) for status in (200, 202, 204)],
        *[(status, Outcome.FAILED, 7) for status in (408, 425, 429, 500, 503)],
        *[(status, Outcome.REFUSED, 0) for status in (400, 401, 403, 404, 410)],
    ],
)
def test_what_an_answer_means(status: int, outcome: Outcome, after: float) -> None:
    async def story(receiver: Receiver) -> None:
        attempt = await receiver.deliver(str(status))
        assert (attempt.outcome, attempt.after) == (outcome, after)

    play(story)


def test_redirects_are_not_followed() -> None:
    async def story(receiver: Receiver) -> None:
        assert (await receiver.deliver("elsewhere")).outcome is Outcome.REFUSED
        assert [what for what, _, _ in receiver.requests] == ["elsewhere"]

    play(story)


@pytest.mark.parametrize(
    "url", [f"http://127.0.0.1:1/{TOKEN}", f"http://[::1/{TOKEN}", f"http://does-not-exist.invalid/{TOKEN}", f"http://{TOKEN}:x"]
)
def test_who_cannot_be_reached_is_not_named(url: str) -> None:
    async def story(receiver: Receiver) -> None:
        attempt = await receiver.deliver(url=url)
        assert attempt.outcome is not Outcome.DELIVERED
        assert attempt.why
        assert TOKEN not in attempt.why

    play(story)


def test_an_answer_that_does_not_come_is_tried_again() -> None:
    async def story(receiver: Receiver) -> None:
        assert await receiver.deliver("slow") == Attempt(Outcome.FAILED, "no answer in time")

    play(story)


# ---- the file -------------------------------------------------------------------------------------


def test_a_file() -> None:
    plan = notify.read(
        f"cluster: prod\nendpoints:\n"
        f"- {{name: audit, url: 'https://events.example/{TOKEN}'}}\n"
        f"- {{name: chat, format: slack, url: 'https://chat.example/x', decisions: [RolledBack], namespaces: [shop]}}\n"
    )
    audit, chat = plan.endpoints
    assert audit.wants(MESSAGE)
    assert chat.wants(MESSAGE)
    assert not chat.wants(replace(MESSAGE, namespace="lab"))
    assert not chat.wants(replace(MESSAGE, decision=Decision.STEP))
    assert TOKEN not in repr(plan)


@pytest.mark.parametrize("text", ["", "endpoints: []", "{}"])
def test_a_file_that_names_nobody(text: str) -> None:
    assert notify.read(text).endpoints == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"endpoints: [{{name: a, url: ftp://{TOKEN}}}]", "endpoints.0.url: not http:// or https://"),
        (f"endpoints: [{{name: a, url: 'https://x', headers: {{X: \"{TOKEN}\\nY: z\"}}}}]", "endpoints.0.headers: a value of two lines"),
        (f"endpoints: [{{name: a, uri: 'https://{TOKEN}'}}]", "endpoints.0.url: Field required"),
        (f"endpoints: [{{name: a, url: 'https://{TOKEN}', format: pager}}]", "endpoints.0.format: Input should be"),
        ("endpoints: [{name: a, url: 'https://x'}, {name: a, url: 'https://y'}]", "two have the same name"),
        (f"endpoints: [{{name: a, url: 'https://{TOKEN}', decisions: [Everything]}}]", "endpoints.0.decisions.0"),
        (f"endpoints: [{TOKEN}", "no YAML in line 1"),
        (f"- {TOKEN}", "the file: "),
    ],
)
def test_a_file_that_cannot_be_says_where_and_not_what(text: str, says: str) -> None:
    with pytest.raises(Unusable) as caught:
        notify.read(text)
    assert says in str(caught.value)
    assert TOKEN not in str(caught.value)
