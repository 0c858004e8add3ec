"""Notices on their way: once each, in order, again where it failed, and never in anybody's way."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.gitops import told
from volary.adapters.cluster import MODEL_DEPLOYMENTS
from volary.adapters.notify import Attempt, Endpoint, Message, Outcome
from volary.common.outcome import Outcome as Answer
from volary.common.reasons import Reason
from volary.controller import notices as module
from volary.controller.notices import AGAIN, KEPT, QUEUE, Notices, backoff
from volary.controller.reconcile import Reconciler

from .world import KEY, SPEC, World

TOKEN = "T0KEN-in-a-url"
FILE = f"endpoints: [{{name: audit, url: 'https://events.example/{TOKEN}'}}]"
SEEN = [seen for seen in told.stories() if seen.story == "errors_roll_back"]
DECISIONS = ["NewRevision", "Promoted", "NewRevision", "Step", "RolledBack"]


@dataclass
class Box:
    """`Post` that keeps what it gets; `answers` come first."""

    answers: list[Attempt] = field(default_factory=list)
    got: list[tuple[str, Message]] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)

    async def deliver(self, endpoint: Endpoint, message: Message, cluster: str) -> Attempt:
        if endpoint.name in self.dead:
            return Attempt(Outcome.FAILED, "dead")
        self.got.append((endpoint.name, message))
        return self.answers.pop(0) if self.answers else Attempt(Outcome.DELIVERED)

    def decisions(self, name: str = "audit") -> list[str]:
        return [message.decision.value for receiver, message in self.got if receiver == name]


@dataclass
class Stage:
    path: Path
    box: Box
    now: Any = SEEN[0].now
    notices: Any = None

    def operator(self) -> Notices:
        """One process."""
        return Notices(self.path, self.box, lambda: self.now, lambda: 0.0)

    def sees(self, operator: Notices, *, until: int | None = None, uid: str = "u-1", name: str = "fraud") -> None:
        for seen in SEEN[:until]:
            self.now = seen.now
            operator.see(replace(seen.desired, name=name, uid=uid), seen.desired.status)

    async def gets(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.box.got) < count:  # noqa: ASYNC110 -- the condition is elsewhere
                await asyncio.sleep(0.002)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(module, "FIRST_BACKOFF", 0.001)
    (tmp_path / "notify.yaml").write_text(FILE)
    return Stage(tmp_path / "notify.yaml", Box())


def play(operator: Notices, story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        running = asyncio.create_task(operator.run())
        await asyncio.sleep(0)
        try:
            await story()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(whole())


def test_a_story_is_told_in_order_and_once(stage: Stage) -> None:
    operator = stage.operator()

    async def story() -> None:
        stage.sees(operator)
        stage.sees(operator, until=0)
        await stage.gets(len(DECISIONS))
        operator.see(SEEN[-1].desired, SEEN[-1].desired.status)
        await asyncio.sleep(0.01)

    play(operator, story)
    assert stage.box.decisions() == DECISIONS
    assert len({message.id for _, message in stage.box.got}) == len(DECISIONS)


def test_what_failed_comes_again_before_what_follows(stage: Stage) -> None:
    stage.box.answers = [Attempt(Outcome.FAILED, "status 503", 0.001)] * 3
    operator = stage.operator()

    async def story() -> None:
        stage.sees(operator)
        await stage.gets(len(DECISIONS) + 3)

    play(operator, story)
    assert stage.box.decisions() == [*["NewRevision"] * 3, *DECISIONS]
    assert len({message.id for _, message in stage.box.got[:4]}) == 1


def test_what_is_refused_does_not_come_again(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.box.answers = [Attempt(Outcome.REFUSED, "status 404")]
    operator = stage.operator()

    async def story() -> None:
        stage.sees(operator)
        await stage.gets(len(DECISIONS))

    play(operator, story)
    assert stage.box.decisions() == DECISIONS
    assert "not told: status 404" in caplog.text


def test_what_is_too_old_is_given_up(stage: Stage) -> None:
    stage.box.dead = {"audit"}
    operator = stage.operator()

    async def story() -> None:
        stage.sees(operator)
        stage.now += KEPT + timedelta(seconds=1)
        async with asyncio.timeout(5):
            while operator._receivers["audit"].waiting:  # noqa: ASYNC110 -- the condition is elsewhere
                await asyncio.sleep(0.002)

    play(operator, story)
    assert stage.box.got == []


def test_a_dead_receiver_keeps_nobody_waiting_and_loses_its_oldest(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUE", 3)
    stage.path.write_text("endpoints: [{name: dead, url: 'https://x'}, {name: audit, url: 'https://y'}]")
    stage.box.dead = {"dead"}
    operator = stage.operator()

    async def story() -> None:
        for each in range(4):
            stage.sees(operator, uid=f"u-{each}", name=f"m-{each}")
            await stage.gets(len(DECISIONS) * (each + 1) - 2 * (each + 1))

    play(operator, story)
    assert len(operator._receivers["dead"].waiting) == 3
    assert operator._receivers["dead"].waiting[-1][1].name == "m-3"
    assert QUEUE == 1000


def test_an_operator_that_starts_tells_again_what_was_just_decided_with_the_same_id(stage: Stage) -> None:
    first, second = stage.operator(), stage.operator()

    async def story() -> None:
        stage.sees(first)
        await stage.gets(len(DECISIONS))

    async def again() -> None:
        stage.now = SEEN[-1].now + timedelta(minutes=1)
        second.see(SEEN[-1].desired, SEEN[-1].desired.status)
        await stage.gets(len(DECISIONS) + 1)

    play(first, story)
    ids = {message.id for _, message in stage.box.got}
    play(second, again)
    later = stage.box.got[len(DECISIONS) :]
    assert "RolledBack" in {message.decision for _, message in later}
    assert {message.id for _, message in later} <= ids


def test_an_operator_that_starts_does_not_tell_old_stories(stage: Stage) -> None:
    operator = stage.operator()

    async def story() -> None:
        stage.now = SEEN[-1].now + timedelta(hours=1)
        operator.see(SEEN[-1].desired, SEEN[-1].desired.status)
        await asyncio.sleep(0.01)

    play(operator, story)
    assert stage.box.got == []


def test_who_leads_again_tells_the_last_of_what_another_one_decided(stage: Stage) -> None:
    operator = stage.operator()

    async def story() -> None:
        stage.sees(operator, until=1)
        stage.now = SEEN[-1].now
        operator.begin()
        operator.see(SEEN[-1].desired, SEEN[-1].desired.status)
        await stage.gets(1)
        operator.begin()
        operator.see(SEEN[-1].desired, SEEN[-1].desired.status)
        await asyncio.sleep(0.01)

    play(operator, story)
    assert stage.box.decisions()[-1] == "RolledBack"
    assert all(stage.now - message.at <= AGAIN for _, message in stage.box.got)
    assert len({message.id for _, message in stage.box.got}) == len(stage.box.got)


def test_a_model_that_is_created_anew_is_another_one(stage: Stage) -> None:
    operator = stage.operator()

    async def story() -> None:
        stage.sees(operator)
        operator.forget(("shop", "fraud"))
        stage.sees(operator, uid="u-2")
        await stage.gets(2 * len(DECISIONS))

    play(operator, story)
    assert len({message.id for _, message in stage.box.got}) == 2 * len(DECISIONS)


def test_turns_tell_of_what_they_stored_and_of_what_is_gone(stage: Stage) -> None:
    """A preflight that refuses, told by the turn that stored it; after the deletion nothing is remembered."""
    operator = stage.operator()

    async def story() -> None:
        world = World()
        world.reconciler = Reconciler(world.cluster, world.observer, world.events, lambda: world.now, operator)
        stage.now = world.now
        await world.turn()
        await world.end_preflight(Answer(reason=Reason.DIGEST_MISMATCH, message="model.onnx is not what was packed"))
        await world.turn()
        await stage.gets(1)
        assert operator._known.keys() == {KEY}
        body = await world.md()
        await world.cluster.delete(MODEL_DEPLOYMENTS, *KEY, body["metadata"]["uid"])
        await world.turn()
        assert operator._known == {}

    play(operator, story)
    ((_, message),) = stage.box.got
    assert (message.decision, message.reason, message.text) == ("Refused", "DigestMismatch", "model.onnx is not what was packed")


def test_a_spec_that_cannot_be_read_is_told_of(stage: Stage) -> None:
    operator = stage.operator()

    async def story() -> None:
        world = World({**SPEC, "runtime": {"name": "tensorflow-serving"}})
        world.reconciler = Reconciler(world.cluster, world.observer, world.events, lambda: world.now, operator)
        stage.now = world.now
        await world.turn()
        await world.turn()
        await stage.gets(1)

    play(operator, story)
    assert [(message.decision, message.reason) for _, message in stage.box.got] == [("Refused", "RuntimeUnsupported")]


# ---- the file -------------------------------------------------------------------------------------


def test_another_file_is_taken_over_and_a_bad_one_is_not(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    operator = stage.operator()

    async def story() -> None:
        stage.path.write_text(FILE.replace("name: audit", "name: chat"))
        operator.reread()
        stage.path.write_text(f"endpoints: [{{name: x, url: '{TOKEN}'}}]")
        operator.reread()
        operator.reread()
        stage.sees(operator)
        await stage.gets(len(DECISIONS))

    play(operator, story)
    assert stage.box.decisions("chat") == DECISIONS
    assert [record.getMessage() for record in caplog.records].count("the file of receivers stays as it was") == 1
    assert TOKEN not in json.dumps([str(record.__dict__) for record in caplog.records])


def test_without_a_file_nobody_is_told_and_one_that_comes_later_is_used(stage: Stage) -> None:
    stage.path.unlink()
    operator = stage.operator()

    async def story() -> None:
        stage.sees(operator, until=2)
        stage.path.write_text(FILE)
        operator.reread()
        stage.sees(operator)
        await stage.gets(1)

    play(operator, story)
    assert stage.box.decisions()[-1] == "RolledBack"


def test_waits_grow_to_a_minute_with_jitter() -> None:
    assert [backoff(n, 0.0) for n in (1, 2, 3, 7, 50)] == [1, 2, 4, 60, 60]
    assert backoff(50, 0.999) == pytest.approx(30, abs=0.1)
