"""Operators as processes behind proxies, each with a namespace of its own, and stories that are told to them."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.controller import api
from tests.crashes import ends, scenarios
from tests.crashes.live import Id, Nodes
from tests.crashes.process import Operator
from tests.crashes.proxy import Cut, Exchange, Proxy
from tests.crashes.scenarios import SCENARIOS, Ask, Deed, Delete, Deploy
from volary.adapters.cluster import MODEL_DEPLOYMENTS, Cluster
from volary.common.names import REQUEST_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp import web

WITHIN = 60.0  # seconds for one deed
REST = 10  # double looks without a change after which nothing more is expected


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
    proxy: Proxy
    fuse: Fuse

    async def tell(self, story: str, name: str, moment: int | None) -> None:
        """A story of a ModelDeployment of this name."""
        model = (self.namespace, name)
        for deed in SCENARIOS[story].before:
            await self.do(model, deed)
        self.fuse.arm(moment)
        for deed in SCENARIOS[story].deeds:
            await self.do(model, deed)

    async def rest(self, model: Id) -> ends.End:
        """The end, once it has not changed for some looks."""
        end, same = self.nodes.end(model), 0
        while same < REST:
            await self.until(model, "a look", lambda: True)
            again = self.nodes.end(model)
            end, same = again, same + 1 if again == end else 0
        return end

    async def do(self, model: Id, deed: Deed) -> None:
        """One deed, to its end."""
        await self.ask(model, deed)
        await self.until(model, f"{deed.phase} after {deed}", lambda: ends.settled(self.nodes.model(model), deed.phase))

    async def ask(self, model: Id, deed: Deed) -> None:
        """One deed; what comes of it is not waited for."""
        match deed:
            case Deploy():
                body = scenarios.body(self.namespace, deed)
                body["metadata"]["name"] = model[1]
                if self.nodes.model(model) is None:
                    await self.cluster.create(body)
                else:
                    await self.cluster.patch(MODEL_DEPLOYMENTS, *model, {"spec": body["spec"]})
            case Ask(value=value):
                await self.cluster.patch(MODEL_DEPLOYMENTS, *model, {"metadata": {"annotations": {REQUEST_ANNOTATION: value}}})
            case Delete():
                await self.remove(model)

    async def until(self, model: Id, what: str, probe: Callable[[], object], within: float = WITHIN) -> None:
        """A look of the nodes shows it; looks that were under way do not count."""
        looks = self.nodes.looks + 2
        end = time.monotonic() + within
        while not (self.nodes.looks >= looks and probe()):
            if time.monotonic() > end:
                seen = json.dumps((self.nodes.model(model) or {}).get("status"))[:600]
                raise AssertionError(
                    f"not within {within:g} s: {what}; seen last: {seen}; writes: {[str(w) for w in self.fuse.writes][-12:]}"
                )
            await asyncio.sleep(0.05)

    async def remove(self, model: Id) -> None:
        body = self.nodes.model(model)
        if body is not None:
            await self.cluster.delete(MODEL_DEPLOYMENTS, *model, body["metadata"]["uid"])


@asynccontextmanager
async def lanes(number: int, folder: Path, **more: str) -> AsyncIterator[list[Lane]]:
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(api.cluster())
        nodes = await stack.enter_async_context(Nodes(cluster).running())
        found = []
        for index in range(number):
            namespace = stack.enter_context(api.namespace())
            proxy = Proxy(Path(api.kubeconfig()))
            kubeconfig = folder / f"kubeconfig-{index}"
            await stack.enter_async_context(proxy.running(kubeconfig))
            operator = stack.enter_context(Operator(kubeconfig, namespace, folder / f"operator-{index}.log", **more).running())
            fuse = Fuse(operator)
            proxy.stand, proxy.told = fuse.before, fuse.after
            found.append(Lane(namespace, cluster, nodes, proxy, fuse))
        yield found


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
