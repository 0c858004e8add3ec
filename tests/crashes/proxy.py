"""A proxy between an operator and its API server: numbers what goes through, and can stand in the way.

Plain HTTP to the operator, TLS to the API server. `stand` is asked before a request is passed on and
may answer in its place; `told` hears of every answer before the operator does; `end`
ends watches, as an API server may. Whatever raises `Cut` breaks the connection, as a process that ends would.
"""

from __future__ import annotations

import json
import ssl
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import yaml
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

_OWN_HEADERS = {"content-length", "transfer-encoding", "connection", "content-encoding", "host", "accept-encoding", "keep-alive"}
_CHUNK = 65536


class Cut(Exception):
    """The connection breaks."""


@dataclass(slots=True)
class Exchange:
    """One request, and its answer once there is one."""

    number: int
    method: str
    path: str
    query: dict[str, str]
    body: bytes
    at: float  # monotonic
    status: int = 0  # 0: none yet

    @property
    def watch(self) -> bool:
        return "watch" in self.query

    @property
    def write(self) -> bool:
        """Changes something, and is not the beat of a heart."""
        return self.method not in {"GET", "HEAD"} and "/leases" not in self.path

    @property
    def kind(self) -> str:
        """Plural of what a list or a watch is about."""
        return self.path.rpartition("/")[2]

    def __str__(self) -> str:
        return f"{self.method} {self.path.rpartition('/namespaces/')[2]} -> {self.status or 'nothing'}"


async def _pass(exchange: Exchange) -> web.Response | None:
    del exchange
    return None


async def _hear(exchange: Exchange) -> None:
    del exchange


@dataclass
class Proxy:
    """One operator's way to the API server."""

    kubeconfig: Path  # of the API server
    stand: Callable[[Exchange], Awaitable[web.Response | None]] = _pass
    told: Callable[[Exchange], Awaitable[None]] = _hear
    mute: bool = False  # watches tell nothing
    log: list[Exchange] = field(default_factory=list)
    _streams: dict[int, tuple[Exchange, web.StreamResponse, aiohttp.ClientResponse]] = field(default_factory=dict)
    _session: aiohttp.ClientSession | None = None
    _server: str = ""
    _tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def running(self, kubeconfig: Path) -> AsyncIterator[None]:
        """Writes the kubeconfig for the operator."""
        given = yaml.safe_load(self.kubeconfig.read_text())
        found = given["clusters"][0]["cluster"]
        self._server, self._tls = found["server"], ssl.create_default_context(cafile=found["certificate-authority"])
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_route("*", "/{tail:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        found.clear()
        found["server"] = f"http://127.0.0.1:{runner.addresses[0][1]}"
        kubeconfig.write_text(yaml.safe_dump(given))  # noqa: ASYNC240 -- a few bytes, once
        connector = aiohttp.TCPConnector(limit=0)
        try:
            async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as self._session:
                yield
                await runner.cleanup()
        finally:
            await runner.cleanup()

    def writes(self, since: int = 0) -> list[Exchange]:
        """Those passed on or not, from a number on."""
        return [one for one in self.log if one.write and one.number >= since]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        exchange = Exchange(len(self.log), request.method, request.path, dict(request.query), await request.read(), time.monotonic())
        self.log.append(exchange)
        try:
            instead = await self.stand(exchange)
            if instead is not None:
                exchange.status = instead.status
                return instead
            return await self._forward(request, exchange)
        except (Cut, aiohttp.ClientError):
            if request.transport is not None:
                request.transport.abort()
            raise web.HTTPBadGateway from None

    async def _forward(self, request: web.Request, exchange: Exchange) -> web.StreamResponse:
        if self._session is None or self._session.closed:
            raise Cut
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN_HEADERS}
        url = f"{self._server}{request.raw_path}"
        body, skipped = exchange.body or None, () if "Content-Type" in headers else ("Content-Type",)
        async with self._session.request(
            exchange.method, url, data=body, headers=headers, skip_auto_headers=skipped, ssl=self._tls or True
        ) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OWN_HEADERS}
            if exchange.watch:
                return await self._stream(request, exchange, answer, kept)
            text = await answer.read()
            exchange.status = answer.status
            await self.told(exchange)
            return web.Response(status=answer.status, body=text, headers=kept)

    async def _stream(
        self, request: web.Request, exchange: Exchange, answer: aiohttp.ClientResponse, headers: dict[str, str]
    ) -> web.StreamResponse:
        stream = web.StreamResponse(status=answer.status, headers=headers)
        exchange.status = answer.status
        await stream.prepare(request)
        self._streams[exchange.number] = exchange, stream, answer
        try:
            async for data in answer.content.iter_any():
                if not self.mute:
                    await stream.write(data)
        except (ConnectionError, aiohttp.ClientError):
            pass  # the operator went, or `end` was called
        finally:
            del self._streams[exchange.number]
        return stream

    async def end(self, kind: str, last: bytes = b"") -> int:
        """Ends the watches of a kind, after a last line; how many there were."""
        found = [stream for stream in self._streams.values() if stream[0].kind == kind]
        for _, stream, answer in found:
            if last:
                await stream.write(last)
            answer.close()
        return len(found)


def refusal(status: int, reason: str = "", after: int | None = None) -> web.Response:
    """An API server's way to say no."""
    body: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": status,
        "reason": reason,
        "message": f"fault {status}",
    }
    headers = {} if after is None else {"Retry-After": str(after)}
    return web.json_response(body, status=status, headers=headers)


def event(kind: str, body: dict[str, Any]) -> bytes:
    """One line of a watch."""
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"
