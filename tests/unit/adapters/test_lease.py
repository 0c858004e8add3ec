"""The Lease as an object; who holds it when is told in controller/test_leader.py."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from volary.adapters.cluster import LEASES, Cluster, Conflict
from volary.adapters.cluster_fake import FakeCluster
from volary.adapters.lease import ClusterLease, Record, taken

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Story = Callable[[Cluster, str], Awaitable[None]]


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Story], None]]:
    if request.param == "fake":
        yield lambda story: asyncio.run(story(FakeCluster(), "volary"))
        return
    from tests.controller import api

    async def real(story: Story, namespace: str) -> None:
        async with api.cluster() as cluster:
            await story(cluster, namespace)

    with api.namespace() as namespace:
        yield lambda story: asyncio.run(real(story, namespace))


def test_taken_renewed_seen_and_released(run: Callable[[Story], None]) -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        lease, other = (ClusterLease(cluster, namespace, "volary") for _ in range(2))
        assert await lease.read() == Record()
        held = await lease.write(taken(Record(), "a", 15), NOW)
        assert (held.holder, held.duration, held.transitions) == ("a", 15, 1)
        renewed = await lease.write(taken(held, "a", 15), NOW + timedelta(seconds=5))
        assert renewed.transitions == 1
        assert renewed.version != held.version
        assert await other.read() == renewed
        with pytest.raises(Conflict):
            await other.write(taken(held, "b", 15), NOW)
        with pytest.raises(Conflict):
            await other.write(taken(Record(), "b", 15), NOW)
        body = await cluster.get(LEASES, namespace, "volary")
        assert body is not None
        assert body["spec"]["renewTime"] == "2026-03-01T12:00:05.000000Z"
        moved = await other.write(taken(renewed, "b", 15), NOW)
        assert (moved.holder, moved.transitions) == ("b", 2)

    run(story)
