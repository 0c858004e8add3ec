"""An API server that refuses, breaks off, is slow or falls silent: the end is the same, and the operator stays calm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from tests.controller import api
from tests.controller.lanes import Lane, difference, lanes
from tests.crashes.proxy import Cut, Exchange, event, refusal
from tests.crashes.scenarios import GOOD, NAME, NEXT, REPLICAS, Delete, Deploy
from volary.adapters.cluster import Body
from volary.common.names import PLURAL

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

# ---- faults -----------------------------------------------------------------------------------

STORM = 4.0  # seconds
CALM = 25.0  # requests a second, at most, in the long run: a turn is six reads and some writes
Fault = Callable[[Exchange], Awaitable[web.Response | None]]


async def conflict(exchange: Exchange) -> web.Response | None:
    return refusal(409, "Conflict") if exchange.write else None


async def throttle(exchange: Exchange) -> web.Response | None:
    del exchange
    return refusal(429, "TooManyRequests", after=1)


async def internal_error(exchange: Exchange) -> web.Response | None:
    del exchange
    return refusal(500, "InternalError")


async def unavailable(exchange: Exchange) -> web.Response | None:
    return refusal(503, "ServiceUnavailable") if exchange.number % 2 else None


async def forbid(exchange: Exchange) -> web.Response | None:
    return refusal(403, "Forbidden") if exchange.write else None


async def reset(exchange: Exchange) -> web.Response | None:
    if exchange.number % 2:
        raise Cut
    return None


async def slow(exchange: Exchange) -> web.Response | None:
    if not exchange.watch:
        await asyncio.sleep(0.5)
    return None


async def none(exchange: Exchange) -> web.Response | None:
    del exchange
    return None


FAULTS: dict[str, Fault] = {
    "none": none,
    "409": conflict,
    "429": throttle,
    "500": internal_error,
    "503": unavailable,
    "403": forbid,
    "reset": reset,
    "slow": slow,
}


def _began(body: Body | None) -> bool:
    status = (body or {}).get("status", {})
    return bool(status.get("canary")) or (status.get("stable") or {}).get("version") == NEXT


async def stormy(lane: Lane, fault: Fault) -> float:
    """A canary that meets a fault for some seconds at its beginning, and once more later; requests a second."""
    model = (lane.namespace, NAME)
    await lane.do(model, Deploy(GOOD, "Serving"))
    began, first = time.monotonic(), len(lane.proxy.log)
    calm, lane.proxy.stand = lane.proxy.stand, fault
    await lane.ask(model, Deploy(NEXT, "Serving"))
    await asyncio.sleep(STORM)
    lane.proxy.stand = calm
    await lane.until(model, "a canary, or its end where the machine is quick", lambda: _began(lane.nodes.model(model)))
    lane.proxy.stand = fault
    await asyncio.sleep(STORM)
    lane.proxy.stand = calm
    await lane.do(model, Deploy(NEXT, "Serving"))
    rate = (len(lane.proxy.log) - first) / (time.monotonic() - began)
    assert lane.nodes.broken[model] == []
    await lane.until(model, "the old pods are gone", lambda: lane.nodes.end(model)["pods"] == REPLICAS)
    return rate


def test_the_same_end_after_every_fault(tmp_path: Path) -> None:
    async def story() -> None:
        async with lanes(len(FAULTS), tmp_path) as found:
            rates = await asyncio.gather(*(stormy(lane, fault) for lane, fault in zip(found, FAULTS.values(), strict=True)))
            ends = [lane.nodes.end((lane.namespace, NAME)) for lane in found]
            for name, end, rate in zip(FAULTS, ends, rates, strict=True):
                print(f"{name:6} {rate:5.1f} requests/s")
                assert end == ends[0], f"{name}: {difference(end, ends[0])}"
                assert rate < CALM, f"{name}: {rate:.0f} requests a second"
            reads = [one.query for lane in found for one in lane.proxy.log if not one.watch and one.method == "GET"]
            assert not any("resourceVersion" in query for query in reads), "every read asks for the present, never for a cache's past"

    api.install_definition()
    asyncio.run(story())


# ---- deaf watches -----------------------------------------------------------------------------

HEALED = 75.0  # seconds


async def refused(lane: Lane, status: int) -> None:
    """Watches end, and new ones are refused for a while."""

    async def stand(exchange: Exchange) -> web.Response | None:
        return refusal(status) if exchange.kind == PLURAL and exchange.method == "GET" else None

    before, lane.proxy.stand = lane.proxy.stand, stand
    await lane.proxy.end(PLURAL)
    await asyncio.sleep(4)
    lane.proxy.stand = before


async def silent(lane: Lane) -> None:
    """The connection stays and nothing comes any more: until the end of the test."""
    del lane


async def broken(lane: Lane, line: bytes) -> None:
    """A last line, and the end."""
    await lane.proxy.end(PLURAL, line)


MODES: dict[str, Callable[[Lane], Awaitable[None]]] = {
    "503 on list and watch": lambda lane: refused(lane, 503),
    "403 on list and watch": lambda lane: refused(lane, 403),
    "ERROR 500 in the stream": lambda lane: broken(lane, event("ERROR", {"kind": "Status", "code": 500, "message": "etcd leader changed"})),
    "a line that is no JSON": lambda lane: broken(lane, b'{"type":"MODIFIED","object":{{{\n'),
    "ERROR 410, an object gone": lambda lane: broken(lane, event("ERROR", {"kind": "Status", "code": 410, "message": "too old"})),
    "silence": silent,
}


async def deafened(lane: Lane, mode: str) -> float:
    """Seconds until what changed while the operator was deaf was acted on."""
    model, other = (lane.namespace, NAME), (lane.namespace, "other")
    await lane.do(model, Deploy(GOOD, "Serving"))
    await lane.do(other, Deploy(GOOD, "Serving"))
    await lane.until(model, "a watch", lambda: any(one.watch and one.kind == PLURAL for one in lane.proxy.log))
    await asyncio.sleep(2)  # what follows from the last writes is heard
    lane.proxy.mute = True
    await lane.ask(other, Delete())
    await lane.until(other, "gone", lambda: lane.nodes.model(other) is None)
    await lane.ask(model, Deploy(NEXT, "Serving"))
    await lane.ask(other, Deploy(NEXT, "Serving"))  # another object of the same name
    began = time.monotonic()
    await MODES[mode](lane)
    lane.proxy.mute = mode == "silence"
    for one in (model, other):
        await lane.until(one, f"acting after {mode}", lambda one=one: acted(lane, one), within=HEALED)
    return time.monotonic() - began


def acted(lane: Lane, model: tuple[str, str]) -> bool:
    """A preflight of the new version was made for this very object, or it is past that."""
    body = lane.nodes.model(model)
    status = (body or {}).get("status", {})
    return status.get("observedGeneration") == (body or {})["metadata"]["generation"] and bool(status.get("conditions"))


def test_every_deaf_watch_hears_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with lanes(len(MODES), tmp_path, VOLARY_SILENCE_SECONDS="20") as found:
            seconds = await asyncio.gather(*(deafened(lane, mode) for lane, mode in zip(found, MODES, strict=True)))
            for mode, figure in zip(MODES, seconds, strict=True):
                print(f"{mode:28} {figure:5.1f} s")
            assert max(seconds) < HEALED

    api.install_definition()
    asyncio.run(story())
