"""Two operators and one Lease, in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from volary.adapters.cluster import LEASES, SERVICES, Body, Cluster
from volary.adapters.cluster_fake import FakeCluster
from volary.adapters.lease import ClusterLease
from volary.common.errors import Transient
from volary.common.reasons import Reason
from volary.controller.leader import DURATION, Fenced, Leader, NotLeader

WALL = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class World:
    """Two candidates; each has a clock of its own, as two machines have."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.clocks = {"a": Clock(), "b": Clock()}
        self.a, self.b = (self.candidate(name) for name in ("a", "b"))

    def candidate(self, name: str) -> Leader:
        return Leader(
            ClusterLease(self.cluster, "volary", "volary"), name, self.clocks[name], lambda: WALL + timedelta(seconds=self.clocks[name].now)
        )

    def pass_time(self, seconds: float) -> None:
        for clock in self.clocks.values():
            clock.now += seconds

    async def holder(self) -> tuple[str, int]:
        body = await self.cluster.get(LEASES, "volary", "volary")
        assert body is not None
        return body["spec"]["holderIdentity"], body["spec"]["leaseTransitions"]


def play(story: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story(World()))


def test_the_first_gets_it_keeps_it_and_the_other_waits() -> None:
    async def story(world: World) -> None:
        assert await world.a.step() is True
        for _ in range(10):
            world.pass_time(5)
            assert await world.a.step() is False
            assert await world.b.step() is False
            assert (world.a.holds, world.b.holds) == (True, False)
        assert await world.holder() == ("a", 1)

    play(story)


def test_of_two_at_once_one_gets_it() -> None:
    async def story(world: World) -> None:
        await asyncio.gather(world.a.step(), world.b.step())
        assert [world.a.holds, world.b.holds].count(True) == 1

    play(story)


def test_a_holder_that_stands_still_gives_up_before_the_other_takes_over() -> None:
    async def story(world: World) -> None:
        await world.a.step()
        await world.b.step()  # sees a's record
        world.pass_time(DURATION - 0.1)
        assert await world.b.step() is False
        assert world.a.holds
        world.pass_time(0.1)
        assert not world.a.holds
        assert await world.b.step() is True
        assert await world.holder() == ("b", 2)
        assert await world.a.step() is False  # finds out
        assert not world.a.holds

    play(story)


def test_a_latecomer_waits_a_whole_term_by_its_own_clock() -> None:
    async def story(world: World) -> None:
        await world.a.step()
        world.pass_time(1000)  # b was not there to see
        assert await world.b.step() is False
        world.pass_time(DURATION)
        assert await world.b.step() is True

    play(story)


def test_released_means_free_at_once() -> None:
    async def story(world: World) -> None:
        await world.a.step()
        await world.b.step()
        await world.a.release()
        assert not world.a.holds
        assert await world.b.step() is True
        assert await world.holder() == ("b", 2)
        await world.a.release()  # not the holder any more: touches nothing
        assert await world.holder() == ("b", 2)

    play(story)


def test_the_same_pod_after_a_crash_goes_on_at_once() -> None:
    async def story(world: World) -> None:
        await world.a.step()
        again = world.candidate("a")
        assert await again.step() is True

    play(story)


def test_an_api_server_that_is_away_costs_the_lease_only_when_its_term_is_over() -> None:
    async def story(world: World) -> None:
        await world.a.step()
        world.cluster.fail("put", LEASES, Transient(Reason.API_UNAVAILABLE, "away"), times=3)
        for _ in range(2):
            world.pass_time(5)
            with pytest.raises(Transient):
                await world.a.step()
            assert world.a.holds
        world.pass_time(5)
        assert not world.a.holds

    play(story)


def test_waiting_for_the_election() -> None:
    async def story(world: World) -> None:
        waiting = asyncio.create_task(world.a.elected())
        await asyncio.sleep(0)
        assert not waiting.done()
        await world.a.step()
        async with asyncio.timeout(1):
            await waiting

    play(story)


# ---- the fence --------------------------------------------------------------------------------

BODY: Body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "fraud", "namespace": "shop"}}
WRITES: list[Callable[[Cluster], Coroutine[Any, Any, Any]]] = [
    lambda cluster: cluster.apply(BODY),
    lambda cluster: cluster.apply_status(BODY),
    lambda cluster: cluster.create(BODY),
    lambda cluster: cluster.replace(BODY),
    lambda cluster: cluster.patch(SERVICES, "shop", "fraud", {}),
    lambda cluster: cluster.delete(SERVICES, "shop", "fraud", "u"),
]


@pytest.mark.parametrize("write", WRITES)
def test_no_write_without_the_lease(write: Callable[[Cluster], Coroutine[Any, Any, Any]]) -> None:
    async def story(world: World) -> None:
        fenced = Fenced(world.cluster, world.a)
        with pytest.raises(NotLeader):
            await write(fenced)
        assert world.cluster.writes == ()
        assert await fenced.list(SERVICES) == []

    play(story)


def test_frozen_in_the_middle_of_a_plan() -> None:
    async def story(world: World) -> None:
        fenced = Fenced(world.cluster, world.a)
        await world.a.step()
        await fenced.apply(BODY)
        world.pass_time(DURATION)
        with pytest.raises(NotLeader):
            await fenced.apply(BODY)

    play(story)


def test_a_write_that_is_not_answered_before_the_term_ends() -> None:
    class Slow(FakeCluster):
        async def apply(self, body: Body, *, manager: str = "") -> Body:
            await asyncio.Event().wait()
            return body

    async def story(world: World) -> None:
        await world.a.step()
        world.pass_time(DURATION - 0.05)
        with pytest.raises(NotLeader):
            await Fenced(Slow(), world.a).apply(BODY)

    play(story)
