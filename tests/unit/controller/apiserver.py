"""As much of an API server as kopf's watches need, and every way it can misbehave."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import web

from volary.controller.watches import WATCHED

Body = dict[str, Any]


class ApiServer:
    """`behave` is asked once for each watch that is opened: a text to send before the watch ends, or None to keep it open."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Body]] = {kind.plural: {} for kind in WATCHED}
        self.status = 0  # answer every list and watch with this
        self.refused = 0
        self.token = ""  # accept this token only
        self.lists: dict[str, int] = {}
        self.watches: dict[str, int] = {}
        self.sick: dict[str, list[str]] = {}  # kind -> texts for its next watches
        self.selectors: set[tuple[str, str]] = set()
        self.writes: list[str] = []
        self._streams: dict[str, set[web.StreamResponse]] = {kind.plural: set() for kind in WATCHED}
        self._version = 10

    def put(self, plural: str, name: str, labels: Body | None = None) -> Body:
        """Store an object; nobody is told."""
        self._version += 1
        metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": str(self._version), "labels": labels or {}}
        self.objects[plural][name] = {"metadata": metadata}
        return self.objects[plural][name]

    async def tell(self, plural: str, event: str, body: Body) -> None:
        """Tell all that watch."""
        for stream in tuple(self._streams[plural]):
            with suppress(ConnectionResetError):
                await stream.write(json.dumps({"type": event, "object": body}).encode() + b"\n")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Gives the address."""
        application = web.Application()
        application.router.add_route("*", "/{tail:.*}", self._answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.method != "GET":
            self.writes.append(f"{request.method} {request.path}")
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _status(401)
        plural = request.path.rpartition("/")[2]
        if plural not in self.objects:
            return self._discovery(request.path)
        if self.status:
            self.refused += 1
            return _status(self.status)
        self.selectors.add((plural, request.query.get("labelSelector", "")))
        return await self._watch(request, plural) if request.query.get("watch") else self._list(plural)

    def _list(self, plural: str) -> web.Response:
        self.lists[plural] = self.lists.get(plural, 0) + 1
        kind = next(kind for kind in WATCHED if kind.plural == plural)
        head = {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": {"resourceVersion": str(self._version)}}
        return web.json_response({**head, "items": list(self.objects[plural].values())})

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        self.watches[plural] = self.watches.get(plural, 0) + 1
        stream = web.StreamResponse(headers={"Content-Type": "application/json"})
        await stream.prepare(request)
        sick = self.sick.get(plural)
        if sick:
            await stream.write(sick.pop(0).encode())
            return stream
        self._streams[plural].add(stream)
        try:
            await asyncio.Event().wait()
        finally:
            self._streams[plural].discard(stream)
        return stream

    def _discovery(self, path: str) -> web.Response:
        groups = {f"/apis/{kind.api_version}" if kind.group else "/api/v1": kind.group for kind in WATCHED}
        if path in groups:
            verbs = ["list", "watch", "get", "patch"]
            found = [
                {"name": kind.plural, "kind": kind.name, "singularName": kind.name.lower(), "namespaced": True, "verbs": verbs}
                for kind in WATCHED
                if kind.group == groups[path]
            ]
            core = [{"name": "namespaces", "kind": "Namespace", "singularName": "namespace", "namespaced": False, "verbs": verbs}]
            return web.json_response({"resources": found + (core if path == "/api/v1" else [])})
        if path == "/api":
            return web.json_response({"versions": ["v1"]})
        if path == "/apis":
            named = {kind.group: kind for kind in WATCHED if kind.group}.values()
            versions = [{"groupVersion": kind.api_version, "version": kind.version} for kind in named]
            both = zip(named, versions, strict=True)
            return web.json_response({"groups": [{"name": k.group, "versions": [v], "preferredVersion": v} for k, v in both]})
        return web.json_response({"major": "1", "minor": "35"}) if path == "/version" else _status(404)


def _status(code: int) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "status": "Failure", "message": "x", "details": {}}, status=code)
