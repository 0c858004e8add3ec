"""Counters of pods: the parser, and the real client against pods that answer badly."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, generate_latest

from volary.adapters import exposition
from volary.adapters.scrape import FakeScraper, HttpScraper, Scraper, Target
from volary.api.v1alpha1 import RuntimeName
from volary.bundle.manifest import Tensor
from volary.bundle.tensors import Datatype
from volary.planning.model import Count
from volary.runtimes import registry
from volary.serving.metrics import Metrics as ServerMetrics
from volary.serving.metrics import Registry

METRICS = registry.find(RuntimeName.ONNXRUNTIME).metrics
DECLARED = "# TYPE volary_requests_total counter\n"


def target(url: str = "", *, uid: str = "u1", revision: str = "r1", runtime: RuntimeName = RuntimeName.ONNXRUNTIME) -> Target:
    return Target(uid=uid, revision=revision, url=url, metrics=registry.find(runtime).metrics)


def parse(text: str, whose: Target) -> Count | None:
    return exposition.parse(text, uid=whose.uid, revision=whose.revision, metrics=whose.metrics)


def line(code: str, value: str, *, revision: str = "r1") -> str:
    return f'volary_requests_total{{model="fraud",version="1",revision="{revision}",code="{code}"}} {value}\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (line("200", "10") + line("500", "2") + line("503", "1") + line("400", "4"), (17, 3)),
        (DECLARED, (0, 0)),
        (DECLARED + line("200", "1e+06"), (1_000_000, 0)),
        (line("200", "7.0 1700000000000"), (7, 0)),
        (line("200", "5") + line("200", "9", revision="r2"), (5, 0)),
        ("volary_requests_total 4\n", (4, 0)),
        ('volary_requests_total{code="500",model="a\\"},b"} 4\n', (4, 4)),
        (line("200", "5") + "volary_requests_total_other 9\nvolary_requests_totals{} x\n", (5, 0)),
        ("", None),
        ("<html>volary_requests_total</html>", None),
        (line("200", "5") + line("200", "5"), None),
        (line("200", "NaN"), None),
        (line("200", "+Inf"), None),
        (line("200", "-1"), None),
        (line("200", "many"), None),
        (line("200", ""), None),
        ("volary_requests_total{code=200} 1\n", None),
        ("volary_requests_total{broken 1\n", None),
    ],
)
def test_what_a_page_says(text: str, expected: tuple[int, int] | None) -> None:
    count = parse(text, target())
    assert (count and (count.requests, count.errors)) == expected


def test_a_page_of_the_real_library() -> None:
    pages = CollectorRegistry()
    counter = Counter("volary_requests", "x", ("model", "version", "revision", "code"), registry=pages)
    assert parse(generate_latest(pages).decode(), target()) == Count(uid="u1", revision="r1", requests=0, errors=0)
    counter.labels("fraud", "1", "r1", "200").inc(3)
    counter.labels("fraud", "1", "r1", "500").inc()
    assert parse(generate_latest(pages).decode(), target()) == Count(uid="u1", revision="r1", requests=4, errors=1)


def test_a_page_of_tensorflow_serving() -> None:
    text = (
        "# TYPE :tensorflow:serving:request_count counter\n"
        ':tensorflow:serving:request_count{model_name="fraud",status="OK"} 9\n'
        ':tensorflow:serving:request_count{model_name="fraud",status="INTERNAL"} 2\n'
        ':tensorflow:serving:request_count{model_name="fraud",status="INVALID_ARGUMENT"} 3\n'
    )
    count = parse(text, target(runtime=RuntimeName.TENSORFLOW_SERVING))
    assert count == Count(uid="u1", revision="r1", requests=14, errors=2)


# ---- what else is on a page -------------------------------------------------------------------

NAME = "volary_request_duration_seconds"


def bucket(le: str, value: str, *, revision: str = "r1") -> str:
    return f'{NAME}_bucket{{model="fraud",revision="{revision}",le="{le}"}} {value}\n'


HISTOGRAM = bucket("0.1", "3") + bucket("0.5", "8") + bucket("+Inf", "9")


@pytest.mark.parametrize(
    ("text", "durations"),
    [
        (HISTOGRAM, ((0.1, 3), (0.5, 8), (math.inf, 9))),
        (HISTOGRAM + bucket("0.1", "7", revision="r2"), ((0.1, 3), (0.5, 8), (math.inf, 9))),
        ("", ()),
        (bucket("0.1", "3"), ()),
        (bucket("0.1", "9") + bucket("+Inf", "3"), ()),
        (bucket("0.1", "NaN") + bucket("+Inf", "3"), ()),
        (bucket("soon", "1") + bucket("+Inf", "3"), ()),
        (bucket("0.1", "-1") + bucket("+Inf", "3"), ()),
        (HISTOGRAM + bucket("0.5", "8"), ()),
    ],
    ids=["plain", "another revision", "none", "no end", "falls", "no number", "no bound", "negative", "twice"],
)
def test_durations_are_read_or_left_out(text: str, durations: tuple[tuple[float, int], ...]) -> None:
    """The requests stand in every case."""
    count = parse(line("200", "9") + text, target())
    assert count is not None
    assert (count.requests, count.durations) == (9, durations)


def test_outputs_and_the_gauge_are_read_or_left_out() -> None:
    outputs = 'volary_outputs_total{revision="r1",output="y",bin="1"} 4\nvolary_outputs_total{revision="r2",output="y",bin="1"} 9\n'
    count = parse(line("200", "9") + outputs + "volary_in_flight_requests 3.0\n", target())
    assert count is not None
    assert (count.outputs, count.in_flight) == ((("y:1", 4),), 3)
    broken = parse(line("200", "9") + outputs + outputs + "volary_in_flight_requests NaN\n", target())
    assert broken is not None
    assert (broken.outputs, broken.in_flight) == ((), None)


def test_a_page_of_the_real_server_says_all() -> None:
    registry = Registry(lambda: 2.0)
    metrics = ServerMetrics(registry, "fraud", "1", "r1")
    output = Tensor(name="y", datatype=Datatype.INT64, shape=(-1,))
    metrics.declare_outputs([output])
    metrics.count(200)
    metrics.observe_request(0.003)
    metrics.observe_outputs([output], [np.array([7])])
    count = parse(registry.render().decode(), target())
    assert count is not None
    assert (count.requests, count.errors, count.in_flight) == (1, 0, 2)
    assert dict(count.durations)[0.0025] == 0
    assert dict(count.durations)[0.005] == dict(count.durations)[math.inf] == 1
    assert {name: number for name, number in count.outputs if number} == {"y:7": 1}
    assert len(count.outputs) == 16


# ---- over HTTP --------------------------------------------------------------------------------

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
GOOD = DECLARED + line("200", "10") + line("500", "2")


async def good(_: web.Request) -> web.StreamResponse:
    return web.Response(text=GOOD)


async def silent(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


async def trickle(request: web.Request) -> web.StreamResponse:
    """A byte now and then, for ever."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"#")
        await asyncio.sleep(0.05)


async def flood(request: web.Request) -> web.StreamResponse:
    """Valid, and without an end."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(GOOD.encode())
    while True:
        await response.write(b"# more\n" * 10_000)


async def redirect(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/good/metrics")


async def broken(_: web.Request) -> web.StreamResponse:
    return web.Response(status=500, text=GOOD)


async def binary(_: web.Request) -> web.StreamResponse:
    return web.Response(body=b"\xff\xfe\x00")


async def packed(_: web.Request) -> web.StreamResponse:
    return web.Response(text=GOOD, headers={"Content-Encoding": "gzip"})


HANDLERS: dict[str, Handler] = {handler.__name__: handler for handler in (good, silent, trickle, flood, redirect, broken, binary, packed)}


async def scraped(uids: Sequence[str]) -> tuple[Count, ...]:
    application = web.Application()
    for name, handler in HANDLERS.items():
        application.router.add_get(f"/{name}/metrics", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    urls = {uid: "http://127.0.0.1:9" if uid == "absent" else f"{address}/{uid}" for uid in uids}
    try:
        async with aiohttp.ClientSession() as session:
            scraper: Scraper = HttpScraper(session, timeout=0.3, limit=200_000)
            return await scraper.scrape([target(url, uid=uid) for uid, url in urls.items()])
    finally:
        await runner.cleanup()


def test_pods_that_answer_badly_are_left_out_and_do_not_hold_up_the_others() -> None:
    counts = asyncio.run(scraped([*HANDLERS, "absent"]))
    assert counts == (Count(uid="good", revision="r1", requests=12, errors=2),)


def test_the_fake_keeps_the_contract() -> None:
    scraper: Scraper = FakeScraper({"good": (12, 2)})
    assert asyncio.run(scraper.scrape([target(uid="absent"), target(uid="good")])) == asyncio.run(scraped(["absent", "good"]))
