"""Two operators: the second takes over from one that was killed or frozen, and the frozen one writes nothing any more."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.controller import api
from tests.controller.lanes import Fuse, Lane
from tests.crashes.live import Nodes
from tests.crashes.process import Operator
from tests.crashes.proxy import Exchange, Proxy
from tests.crashes.scenarios import GOOD, NAME, NEXT, Deploy
from volary.adapters.cluster import LEASES, Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

KILLED, FROZEN = 15.0, 30.0  # seconds within which another one has taken over
SLACK = 5.0  # a machine with other work


@dataclass
class Pair:
    """Two operators behind a proxy each, for one namespace; the first holds the Lease."""

    one: Operator
    two: Operator
    ways: tuple[Proxy, Proxy]
    lane: Lane

    async def holder(self) -> str:
        lease = await self.lane.cluster.get(LEASES, self.lane.namespace, "volary")
        return str((lease or {}).get("spec", {}).get("holderIdentity", ""))

    async def held_by(self, name: str, within: float) -> None:
        async def held() -> bool:
            return await self.holder() == name

        await api.eventually(f"{name} holds the Lease", held, within)


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        cluster: Cluster = await stack.enter_async_context(api.cluster())
        nodes = await stack.enter_async_context(Nodes(cluster).running())
        namespace = stack.enter_context(api.namespace())
        ways = (Proxy(Path(api.kubeconfig())), Proxy(Path(api.kubeconfig())))
        operators = []
        for name, way in zip(("one", "two"), ways, strict=True):
            await stack.enter_async_context(way.running(folder / name))
            operators.append(Operator(folder / name, namespace, folder / f"{name}.log", POD_NAME=name))
        one, two = operators
        found = Pair(one, two, ways, Lane(namespace, cluster, nodes, ways[0], Fuse(one)))
        stack.enter_context(one.running())
        await found.held_by("one", 20)
        stack.enter_context(two.running())
        await found.lane.do((namespace, NAME), Deploy(GOOD, "Serving"))
        assert not [exchange for exchange in ways[1].log if exchange.write], "only the holder of the Lease writes"
        yield found


def test_a_killed_holder_is_followed_within_15_seconds(tmp_path: Path) -> None:
    async def story() -> None:
        async with pair(tmp_path) as found:
            began = time.monotonic()
            await found.one.kill()
            await found.lane.ask((found.lane.namespace, NAME), Deploy(NEXT, "Serving"))
            await found.held_by("two", KILLED + SLACK)
            seconds = time.monotonic() - began
            print(f"takeover after a kill: {seconds:.1f} s")
            await found.lane.do((found.lane.namespace, NAME), Deploy(NEXT, "Serving"))
            assert seconds < KILLED + SLACK

    api.install_definition()
    asyncio.run(story())


def test_a_frozen_holder_is_followed_and_writes_nothing_when_it_goes_on(tmp_path: Path) -> None:
    async def story() -> None:
        async with pair(tmp_path) as found:
            model = (found.lane.namespace, NAME)
            frozen = asyncio.Event()

            async def freeze(exchange: Exchange) -> None:
                """In the middle of a plan: its first write is answered, the others are to come."""
                if exchange.write and not frozen.is_set():
                    found.one.send(signal.SIGSTOP)
                    frozen.set()

            found.ways[0].told = freeze
            await found.lane.ask(model, Deploy(NEXT, "Serving"))
            await frozen.wait()
            began = time.monotonic()
            await found.held_by("two", FROZEN + SLACK)
            print(f"takeover after a freeze: {time.monotonic() - began:.1f} s")
            await found.lane.do(model, Deploy(NEXT, "Serving"))
            since = len(found.ways[0].log)
            found.one.send(signal.SIGCONT)
            log = tmp_path / "one.log"
            async with asyncio.timeout(30):
                while "lease lost" not in log.read_text():  # noqa: ASYNC110 -- a file tells nobody
                    await asyncio.sleep(0.1)
            await found.lane.do(model, Deploy(GOOD, "Serving"))  # a whole rollout goes by
            late = [str(exchange) for exchange in found.ways[0].log[since:] if exchange.method != "GET"]
            assert late == [], "the old holder wrote"
            assert found.lane.nodes.broken[model] == []

    api.install_definition()
    asyncio.run(story())
