"""What a node would do for pods that only exist on a real API server: start, serve counters, answer preflights.

Everything is looked at ten times a second, at once for all namespaces, and the invariants with it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.crashes import ends, nodes
from tests.crashes.scenarios import ERRORS
from volary.adapters.cluster import CONTROLLER_REVISIONS, DEPLOYMENTS, JOBS, MODEL_DEPLOYMENTS, PODS, SERVICES, Body, Cluster, Kind
from volary.common.errors import VolaryError
from volary.common.names import MODEL_LABEL, SERVER_PORT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RATE = 200.0  # requests a second for each model
LOOK = 0.1
_KINDS = (MODEL_DEPLOYMENTS, CONTROLLER_REVISIONS, DEPLOYMENTS, SERVICES, JOBS, PODS)
Id = tuple[str, str]  # namespace and name of a ModelDeployment


@dataclass(slots=True)
class _Served:
    """Counters of one pod, and where they can be read."""

    server: asyncio.Server
    requests: float = 0.0
    errors: float = 0.0

    def text(self) -> bytes:
        name, failed = "volary_requests_total", int(self.errors)
        lines = (f"# TYPE {name} counter", f'{name}{{code="200"}} {int(self.requests) - failed}', f'{name}{{code="500"}} {failed}')
        return "\n".join((*lines, "")).encode()


@dataclass
class Nodes:
    """All pods of all ModelDeployments."""

    cluster: Cluster
    models: dict[Id, dict[Kind, list[Body]]] = field(default_factory=dict)
    guards: dict[Id, ends.Guard] = field(default_factory=dict)
    broken: dict[Id, list[str]] = field(default_factory=lambda: defaultdict(list))
    looks: int = 0
    _served: dict[str, _Served] = field(default_factory=dict)  # uid of a pod
    _number: int = 0
    _net: int = field(default_factory=lambda: 2 + (os.getpid() + secrets.randbelow(250)) % 250)
    _at: float = field(default_factory=time.monotonic)
    _suspects: dict[Id, str] = field(default_factory=dict)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Nodes]:
        task = asyncio.create_task(self._run())
        try:
            yield self
            if task.done():
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for served in self._served.values():
                served.server.close()

    def bodies(self, model: Id, kind: Kind) -> list[Body]:
        return self.models.get(model, {}).get(kind, [])

    def model(self, model: Id) -> Body | None:
        return next(iter(self.bodies(model, MODEL_DEPLOYMENTS)), None)

    def end(self, model: Id) -> ends.End:
        """With the pods that serve."""
        found = ends.end(self.model(model), [one for kind in ends.CHILDREN for one in self.bodies(model, kind)])
        return found | {"pods": sum(ends.ready(pod) for pod in self.bodies(model, PODS))}

    async def _run(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(LOOK)

    async def _look(self) -> None:
        labels: dict[str, str | None] = {MODEL_LABEL: None}
        lists = await asyncio.gather(*(self.cluster.list(kind, None, None if kind is MODEL_DEPLOYMENTS else labels) for kind in _KINDS))
        found: dict[Id, dict[Kind, list[Body]]] = defaultdict(lambda: {kind: [] for kind in _KINDS})
        for kind, bodies in zip(_KINDS, lists, strict=True):
            for body in bodies:
                metadata = body["metadata"]
                name = metadata["name"] if kind is MODEL_DEPLOYMENTS else metadata["labels"][MODEL_LABEL]
                found[metadata["namespace"], name][kind].append(body)
        self.models = dict(found)
        now = time.monotonic()
        for one in self.models:
            self._serve(one, now - self._at)
            self._check(one)
        self._at = now
        await asyncio.gather(*(self._advance(pod) for one in self.models for pod in self.bodies(one, PODS)))
        self.looks += 1

    def _check(self, one: Id) -> None:
        """Lists are not of one moment: what two looks in a row show is true."""
        model = self.model(one)
        if model is not None and "deletionTimestamp" in model["metadata"]:
            model = None
        try:
            self.guards.setdefault(one, ends.Guard()).look(model, lambda kind: self.bodies(one, kind), self.bodies(one, PODS))
        except ends.Broken as error:
            what = str(error).partition(";")[0]
            if self._suspects.get(one) == what:
                self.broken[one].append(what)
            self._suspects[one] = what
        else:
            self._suspects.pop(one, None)

    def _serve(self, one: Id, seconds: float) -> None:
        service = next((body for body in self.bodies(one, SERVICES) if body["metadata"]["name"] == one[1]), None)
        pods = self.bodies(one, PODS)
        endpoints = [pod for pod in pods if service is not None and ends.selects(service, pod) and ends.ready(pod)]
        for pod in endpoints:
            served = self._served.get(pod["metadata"]["uid"])
            if served is not None:
                share = RATE * seconds / len(endpoints)
                served.requests += share
                served.errors += share * ERRORS.get(nodes.version_of(pod), 0.0)

    async def _advance(self, pod: Body) -> None:
        """A pod that waits for a node gets what would come of it."""
        if "deletionTimestamp" in pod["metadata"] or pod.get("status", {}).get("phase") != "Pending" or "podIP" in pod["status"]:
            return
        version = nodes.version_of(pod)
        if any(owner["kind"] == JOBS.name for owner in pod["metadata"]["ownerReferences"]):
            status = nodes.answered(version, datetime.now(UTC))
        else:
            status = nodes.running(version, await self._open(pod["metadata"]["uid"]))
        metadata = {key: pod["metadata"][key] for key in ("name", "namespace", "uid")}
        try:
            await self.cluster.apply_status({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status})
        except VolaryError as error:
            if "not found" not in str(error) and "uid" not in str(error):
                raise

    async def _open(self, uid: str) -> str:
        """An address of this pod's own."""
        self._number += 1
        address = f"127.{self._net}.{self._number // 250}.{1 + self._number % 250}"

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            text = self._served[uid].text()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(text) + text
            )
            await writer.drain()
            writer.close()

        self._served[uid] = _Served(await asyncio.start_server(answer, address, SERVER_PORT))
        return address
