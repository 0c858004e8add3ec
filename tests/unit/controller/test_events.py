"""Events: in the words of the facts, once, and never in the way."""

from dataclasses import replace
from datetime import timedelta

from tests.unit.planning import builders
from volary.adapters.cluster import EVENTS, Forbidden
from volary.adapters.cluster_fake import FakeCluster
from volary.common.reasons import Reason
from volary.controller.events import AGAIN_AFTER, Events
from volary.planning.model import Fact, Level

from .world import NOW, play

FACT = Fact(reason=Reason.PROMOTED, message="version 2 is stable now")
OF = builders.desired()


def test_once_in_a_while() -> None:
    async def story() -> None:
        cluster, now = FakeCluster(), NOW
        events = Events(cluster, lambda: now, "pod-1")
        await events.post(OF, [FACT, FACT])
        await events.post(OF, [FACT, replace(FACT, message="other")])
        await events.post(replace(OF, uid="another"), [FACT])
        assert len(await cluster.list(EVENTS)) == 3
        now += AGAIN_AFTER + timedelta(seconds=1)
        await events.post(OF, [FACT])
        assert len(await cluster.list(EVENTS)) == 4

    play(story())


def test_in_kubernetes_words() -> None:
    async def story() -> None:
        cluster = FakeCluster()
        url = "https://s3.example/x?X-Amz-Signature=deadbeef"
        await Events(cluster, lambda: NOW, "pod-1").post(
            OF, [Fact(reason=Reason.CRASHED, message=f"{url} {'x' * 2000}", level=Level.WARNING)]
        )
        (event,) = await cluster.list(EVENTS)
        assert (event["type"], event["reason"], event["involvedObject"]["uid"]) == ("Warning", "Crashed", OF.uid)
        assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-03-01T12:00:00Z"
        assert "deadbeef" not in event["message"]
        assert len(event["message"]) <= 1024

    play(story())


def test_one_that_cannot_be_posted_stops_nothing() -> None:
    async def story() -> None:
        cluster = FakeCluster()
        cluster.fail("post", EVENTS, Forbidden(Reason.API_UNAVAILABLE, "events is forbidden"))
        await Events(cluster, lambda: NOW, "pod-1").post(OF, [FACT, replace(FACT, message="next")])
        assert [event["message"] for event in await cluster.list(EVENTS)] == ["next"]

    play(story())
