"""The second lines behind the watches, in virtual time."""

import asyncio
from typing import Any

import pytest

from volary.adapters.cluster import MODEL_DEPLOYMENTS, PODS, Kind
from volary.adapters.cluster_fake import FakeCluster
from volary.common.errors import Transient
from volary.common.names import MODEL_LABEL
from volary.common.reasons import Reason
from volary.common.settings import Settings
from volary.controller.observe import SURVEYED
from volary.controller.pulse import GRACE
from volary.controller.queue import Key
from volary.controller.survey import Survey
from volary.controller.watchdog import STRIKES, Deaf, Watchdog
from volary.controller.watches import WATCHED, sight

from .world import play


class Stage:
    def __init__(self, *namespaces: str) -> None:
        self.now = 0.0
        self.cluster = FakeCluster()
        self.queued: list[Key] = []
        self.restarts = 0
        settings = Settings(agent_image="a", namespaces=namespaces)
        survey = Survey(self.cluster, SURVEYED, namespaces, lambda: self.now)
        self.watchdog = Watchdog(self.cluster, survey, settings, self.queued.append, self.restart, lambda: self.now)

    def restart(self, deaf: Kind) -> None:
        self.restarts += 1

    def put(self, kind: Kind, name: str, namespace: str = "shop", **more: Any) -> dict[str, Any]:
        labels = {} if kind is MODEL_DEPLOYMENTS else {MODEL_LABEL: "fraud"}
        metadata = {"name": name, "namespace": namespace, "labels": labels}
        return self.cluster.put({"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **more})

    def hear(self, kind: Kind, body: dict[str, Any]) -> None:
        self.watchdog.hear(sight(kind, body, deleted=False))

    async def at(self, now: float) -> list[Key]:
        self.now = now
        self.queued.clear()
        await self.watchdog.tick()
        return self.queued


def test_an_event_is_queued_under_its_owner() -> None:
    stage = Stage()
    stage.hear(PODS, stage.put(PODS, "fraud-1-x"))
    stage.hear(MODEL_DEPLOYMENTS, stage.put(MODEL_DEPLOYMENTS, "spam"))
    assert stage.queued == [("shop", "fraud"), ("shop", "spam")]


def test_everything_is_looked_at_now_and_then() -> None:
    async def story() -> None:
        stage = Stage()
        stage.hear(MODEL_DEPLOYMENTS, stage.put(MODEL_DEPLOYMENTS, "fraud"))
        assert await stage.at(0) == [("shop", "fraud")]
        assert await stage.at(170) == []
        assert await stage.at(300) == [("shop", "fraud")]
        stage.watchdog.relist_soon()
        assert await stage.at(301) == []
        stage.now = 320
        stage.watchdog.relist_soon()
        assert await stage.at(321) == [("shop", "fraud")]

    play(story())


def test_only_the_namespaces_that_are_served() -> None:
    async def story() -> None:
        stage = Stage("shop", "bank")
        for namespace in ("shop", "bank", "other"):
            stage.put(MODEL_DEPLOYMENTS, "fraud", namespace)
        assert await stage.at(0) == [("shop", "fraud"), ("bank", "fraud")]

    play(story())


def test_a_quiet_watch_is_compared_and_left_alone() -> None:
    async def story() -> None:
        stage = Stage()
        stage.hear(PODS, stage.put(PODS, "fraud-1-x"))
        await stage.at(0)
        stage.cluster.requests.clear()
        await stage.at(49)
        assert stage.cluster.requests == []
        await stage.at(50)
        assert len(stage.cluster.requests) == len(WATCHED)
        await stage.at(50 + GRACE)
        assert stage.restarts == 0

    play(story())


def test_what_a_deaf_watch_missed_is_queued_and_all_watches_start_anew() -> None:
    async def story() -> None:
        stage = Stage()
        stage.hear(PODS, stage.put(PODS, "fraud-1-x"))
        await stage.at(0)
        stage.put(PODS, "fraud-1-x", status={"phase": "Failed"})
        assert await stage.at(181) == [("shop", "fraud")]
        assert stage.restarts == 0
        assert await stage.at(181 + GRACE) == [("shop", "fraud")]
        assert stage.restarts == 1

    play(story())


def test_it_gives_up_when_starting_anew_does_not_help() -> None:
    async def days(stage: Stage) -> None:
        for turn in range(100):
            await stage.at(turn * GRACE)

    async def story() -> None:
        stage = Stage()
        stage.put(PODS, "fraud-1-x")
        with pytest.raises(Deaf):
            await days(stage)
        assert stage.restarts == STRIKES

    play(story())


def test_an_api_server_that_is_away_is_waited_for() -> None:
    async def story() -> None:
        stage = Stage()
        stage.cluster.fail("list", None, Transient(Reason.API_UNAVAILABLE, "away"), times=1)
        running = asyncio.create_task(stage.watchdog.run())
        while not stage.cluster.requests:  # noqa: ASYNC110 -- the condition is elsewhere
            await asyncio.sleep(0)
        assert not running.done()
        running.cancel()

    play(story())
