"""kopf's watches under everything that is known to have ended or deafened them; each must hear again by itself."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from kubernetes.aio.client.configuration import Configuration

from volary.adapters.cluster import MODEL_DEPLOYMENTS, PODS
from volary.adapters.kubeconfig import Connection
from volary.common.names import MODEL_LABEL
from volary.controller import watches as module
from volary.controller.watches import LAST_BACKOFF, WATCHED, Backoffs, Sight, Watches, sight

from .apiserver import ApiServer

Story = Callable[["Stage"], Awaitable[None]]


class Quick:
    def __iter__(self) -> Iterator[float]:
        while True:
            yield 0.05


class Stage:
    def __init__(self, server: ApiServer, watches: Watches, configuration: Any, seen: list[Sight]) -> None:
        self.server, self.watches, self.configuration, self.seen = server, watches, configuration, seen

    async def until(self, condition: Callable[[], object], within: float = 10) -> None:
        async with asyncio.timeout(within):
            while not condition():  # noqa: ASYNC110 -- the condition is elsewhere
                await asyncio.sleep(0.01)

    async def watching(self) -> None:
        await self.until(lambda: all(self.server.watches.get(kind.plural) for kind in WATCHED))

    async def hears(self, name: str) -> None:
        """What happens now is heard."""
        body = self.server.put("pods", name, {MODEL_LABEL: "fraud"})

        def heard() -> bool:
            return any((one.name, one.key) == (name, ("shop", "fraud")) for one in self.seen)

        async with asyncio.timeout(10):
            while not heard():
                await self.server.tell("pods", "ADDED", body)
                await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "Backoffs", Quick)
    logger = logging.getLogger("kopf")
    level, logger.level = logger.level, logging.CRITICAL
    yield
    logger.setLevel(level)


def play(story: Story, **configuration: Any) -> None:
    async def scene() -> None:
        server, seen = ApiServer(), list[Sight]()
        async with server.running() as address:
            made: Any = Configuration(host=address, **configuration)
            watches = Watches(Connection(made), (), seen.append, lambda: None)
            running = asyncio.create_task(watches.run())
            stage = Stage(server, watches, made, seen)
            try:
                async with asyncio.timeout(30):
                    await story(stage)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
        assert server.writes == []

    asyncio.run(scene())
    assert [thread.name for thread in threading.enumerate() if thread.name == "kopf"] == []


def test_what_is_there_and_what_happens() -> None:
    async def story(stage: Stage) -> None:
        stage.server.put("modeldeployments", "spam")
        await stage.watching()
        await stage.hears("pod-1")
        body = stage.server.objects["pods"].pop("pod-1")
        await stage.server.tell("pods", "DELETED", body)
        await stage.until(lambda: any(one.deleted for one in stage.seen))
        assert ("shop", "spam") in [one.key for one in stage.seen if one.kind is MODEL_DEPLOYMENTS]
        assert stage.server.selectors == {(kind.plural, "" if kind is MODEL_DEPLOYMENTS else MODEL_LABEL) for kind in WATCHED}
        assert stage.watches.sessions == 1

    play(story)


@pytest.mark.parametrize("status", [403, 500, 503, 429])
def test_an_api_server_that_refuses_for_a_while(status: int) -> None:
    async def story(stage: Stage) -> None:
        stage.server.sick["pods"] = ['{"type": "ERROR", "object": {"code": 410}}\n']
        stage.server.status = status
        await stage.until(lambda: stage.server.refused > 5)
        stage.server.status = 0
        await stage.watching()
        await stage.hears("pod-1")

    play(story)


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "ERROR", "object": {"kind": "Status", "code": 500, "message": "etcd leader changed"}}\n',
        '{"type": "MODIFIED", "object": {{{\n',
        '{"type": "ADDED", "object": {"metadata": {"na',
        '{"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}\n',
        "[1, 2]\n",
        "",
    ],
    ids=["error-500", "garbage", "split-line", "error-410", "no-event", "closed"],
)
def test_a_watch_that_breaks(text: str) -> None:
    async def story(stage: Stage) -> None:
        stage.server.sick["pods"] = [text]
        await stage.until(lambda: stage.server.watches.get("pods", 0) > 1)
        await stage.hears("pod-1")

    play(story)


def test_a_token_that_is_rotated() -> None:
    async def story(stage: Stage) -> None:
        stage.server.token = "first"
        await stage.watching()
        stage.server.token = "second"
        stage.configuration.api_key["BearerToken"] = "bearer second"
        stage.watches.restart()
        await stage.until(lambda: stage.watches.sessions == 2)
        await stage.hears("pod-1")

    play(story, api_key={"BearerToken": "bearer first"})


def test_a_restart_lists_everything_again() -> None:
    async def story(stage: Stage) -> None:
        stage.server.put("modeldeployments", "spam")
        await stage.watching()
        lists = stage.server.lists["modeldeployments"]
        stage.watches.restart()
        await stage.until(lambda: stage.server.lists["modeldeployments"] > lists)
        await stage.hears("pod-1")
        assert stage.watches.sessions == 2

    play(story)


def test_back_offs_have_a_cap_and_no_end() -> None:
    series = iter(Backoffs())
    values = [next(series) for _ in range(100)]
    assert 0.75 <= values[0] <= 1.25
    assert max(values) <= LAST_BACKOFF * 1.25
    assert min(values[10:]) >= LAST_BACKOFF * 0.75


@pytest.mark.parametrize(("labels", "key"), [({MODEL_LABEL: "fraud"}, ("shop", "fraud")), ({}, None), (None, None)])
def test_whose_an_object_is(labels: dict[str, str] | None, key: tuple[str, str] | None) -> None:
    body = {"metadata": {"namespace": "shop", "name": "x", "resourceVersion": "5", "labels": labels}}
    assert sight(PODS, body, deleted=True) == Sight(kind=PODS, namespace="shop", name="x", version="5", deleted=True, key=key)
