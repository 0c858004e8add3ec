"""The operator is killed before and after each of its writes to a real API server: the end is that of the undisturbed run."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.controller import api
from tests.crashes import ends, scenarios
from tests.crashes.live import Id, Nodes
from tests.crashes.process import Operator
from tests.crashes.proxy import Cut, Exchange, Proxy
from tests.crashes.scenarios import SCENARIOS, Ask, Deed, Delete, Deploy
from volary.adapters.cluster import MODEL_DEPLOYMENTS, Cluster
from volary.common.names import REQUEST_ANNOTATION

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

LANES = 6  # operators at the same time
WITHIN = 15.0  # seconds for one deed
TOLD = ("create",) if __import__("os").environ.get("PROOF_ONE") else (
    *("create", "canary", "rollback by errors", "rollback by crash", "retry"),
    *("rollback request, one of two", "abort", "delete"),
)  # the others differ in what `plan` decides, not in how it is carried out: they are told in memory


@dataclass
class Fuse:
    """Kills the operator before (2k) or after (2k + 1) its k-th write that is not an Event, counted from `arm`."""

    operator: Operator
    moment: int | None = None
    passed: int = 0
    deaths: int = 0
    writes: list[Exchange] = field(default_factory=list)

    def arm(self, moment: int | None) -> None:
        self.moment, self.passed = moment, 0
        self.writes = []

    async def before(self, exchange: Exchange) -> web.Response | None:
        if _counts(exchange):
            self.writes.append(exchange)
            await self._burn()
        return None

    async def after(self, exchange: Exchange) -> None:
        if _counts(exchange):
            await self._burn()

    async def _burn(self) -> None:
        moment, self.passed = self.passed, self.passed + 1
        if moment == self.moment:
            self.moment = None
            self.deaths += 1
            await self.operator.kill()
            self.operator.start()
            raise Cut


def _counts(exchange: Exchange) -> bool:
    return exchange.write and not exchange.path.endswith("/events")


@dataclass
class Lane:
    """One operator with its namespace."""

    namespace: str
    cluster: Cluster
    nodes: Nodes
    fuse: Fuse

    async def tell(self, story: str, name: str, moment: int | None) -> ends.End:
        """The end of a story of a ModelDeployment of this name."""
        model = (self.namespace, name)
        for deed in SCENARIOS[story].before:
            await self._do(model, deed)
        self.fuse.arm(moment)
        for deed in SCENARIOS[story].deeds:
            await self._do(model, deed)
        return self.nodes.end(model)

    async def _do(self, model: Id, deed: Deed) -> None:
        match deed:
            case Deploy():
                body = scenarios.body(self.namespace, deed)
                body["metadata"]["name"] = model[1]
                await self.cluster.patch(MODEL_DEPLOYMENTS, *model, {"spec": body["spec"]}) if self.nodes.model(model) else await self.cluster.create(body)
            case Ask(value=value):
                await self.cluster.patch(MODEL_DEPLOYMENTS, *model, {"metadata": {"annotations": {REQUEST_ANNOTATION: value}}})
            case Delete():
                await self.remove(model)
        await self.until(model, f"{deed.phase} after {deed}", lambda: ends.settled(self.nodes.model(model), deed.phase))

    async def until(self, model: Id, what: str, probe: Any, within: float = WITHIN) -> None:
        """A look of the nodes shows it; looks that were under way do not count."""
        looks = self.nodes.looks + 2
        end = time.monotonic() + within
        while not (self.nodes.looks >= looks and probe()):
            if time.monotonic() > end:
                seen = json.dumps((self.nodes.model(model) or {}).get("status"))[:600]
                raise AssertionError(f"not within {within:g} s: {what}; seen last: {seen}; writes: {[str(w) for w in self.fuse.writes][-12:]}")
            await asyncio.sleep(0.05)

    async def remove(self, model: Id) -> None:
        body = self.nodes.model(model)
        if body is not None:
            await self.cluster.delete(MODEL_DEPLOYMENTS, *model, body["metadata"]["uid"])


@asynccontextmanager
async def lanes(number: int, folder: Path) -> AsyncIterator[list[Lane]]:
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(api.cluster())
        nodes = await stack.enter_async_context(Nodes(cluster).running())
        found = []
        for index in range(number):
            namespace = stack.enter_context(api.namespace())
            proxy = Proxy(Path(api.kubeconfig()))
            kubeconfig = folder / f"kubeconfig-{index}"
            await stack.enter_async_context(proxy.running(kubeconfig))
            operator = stack.enter_context(Operator(kubeconfig, namespace, folder / f"operator-{index}.log").running())
            fuse = Fuse(operator)
            proxy.stand, proxy.told = fuse.before, fuse.after
            found.append(Lane(namespace, cluster, nodes, fuse))
        yield found


async def enumerate_all(folder: Path) -> dict[str, int]:
    """Every moment of every story; how many there were."""
    points: asyncio.Queue[tuple[str, int | None]] = asyncio.Queue()
    undisturbed: dict[str, ends.End] = {}
    counts: dict[str, int] = {}
    failures: list[str] = []
    number = 0

    async def point(lane: Lane, story: str, moment: int | None) -> None:
        nonlocal number
        number += 1
        model = (lane.namespace, f"fraud-{number}")
        try:
            end = renamed(await lane.tell(story, model[1], moment), model[1])
            if moment is None:
                undisturbed[story], counts[story] = end, lane.fuse.passed
                for one in range(lane.fuse.passed):
                    points.put_nowait((story, one))
            else:
                await lane.until(model, f"the end of {story}", lambda: renamed(lane.nodes.end(model), model[1]) == undisturbed[story], 20)
        except AssertionError as error:
            failures.append(f"{story}, moment {moment}: {error}; {difference(renamed(lane.nodes.end(model), model[1]), undisturbed.get(story, {}))}")
        failures.extend(f"{story}, moment {moment}: {text}" for text in lane.nodes.broken[model][:1])
        await lane.remove(model)

    async def work(lane: Lane) -> None:
        while True:
            story, moment = await points.get()
            await point(lane, story, moment)
            points.task_done()

    for story in TOLD:
        points.put_nowait((story, None))
    async with lanes(LANES, folder) as found:
        workers = [asyncio.create_task(work(lane)) for lane in found]
        joined = asyncio.create_task(points.join())
        await asyncio.wait([joined, *workers], return_when=asyncio.FIRST_COMPLETED)
        for worker in workers:
            if worker.done():
                worker.result()
            worker.cancel()
        deaths = sum(lane.fuse.deaths for lane in found)
    assert failures == []
    assert deaths == sum(counts.values())
    return counts


def renamed(end: ends.End, name: str) -> ends.End:
    """As if every ModelDeployment had one name."""
    found: ends.End = json.loads(json.dumps(end, sort_keys=True).replace(name, scenarios.NAME))
    return found


def difference(one: Any, other: Any, path: str = "") -> str:
    """Where two ends differ first."""
    if isinstance(one, dict) and isinstance(other, dict):
        parts = (difference(one.get(key), other.get(key), f"{path}.{key}") for key in sorted({*one, *other}))
        return "; ".join(part for part in parts if part)
    return "" if one == other else f"{path}: {json.dumps(one)[:200]} instead of {json.dumps(other)[:200]}"


def test_a_death_at_any_moment_changes_nothing(tmp_path: Path) -> None:
    api.install_definition()
    began = time.monotonic()
    counts = asyncio.run(enumerate_all(tmp_path))
    print(f"{sum(counts.values())} deaths in {time.monotonic() - began:.0f} s: {counts}")
