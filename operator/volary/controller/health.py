"""/healthz, /readyz and /metrics of the operator."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from volary.controller.meters import CONTENT_TYPE, Meters


@asynccontextmanager
async def serving(address: tuple[str, int], meters: Meters, *, alive: Callable[[], bool], ready: Callable[[], bool]) -> AsyncIterator[int]:
    """Serves while the block runs; gives the port (of use where 0 was asked for)."""
    runner = web.AppRunner(_application(meters, alive=alive, ready=ready), access_log=None, handle_signals=False, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, *address, reuse_address=True).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _application(meters: Meters, *, alive: Callable[[], bool], ready: Callable[[], bool]) -> web.Application:
    async def healthz(_: web.Request) -> web.Response:
        return _verdict(alive())

    async def readyz(_: web.Request) -> web.Response:
        return _verdict(ready())

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=meters.render(), headers={"Content-Type": CONTENT_TYPE})

    application = web.Application()
    application.router.add_get("/healthz", healthz)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", metrics)
    return application


def _verdict(good: bool) -> web.Response:  # noqa: FBT001 -- what a verdict is
    return web.Response(text="ok\n" if good else "not yet\n", status=200 if good else 503)
