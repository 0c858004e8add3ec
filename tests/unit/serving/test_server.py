"""The process: what the kubelet, the agent and clients see of its start and of its end."""

import asyncio
import contextlib
import http.client
import json
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.unit.serving import bundles
from tests.unit.serving.process import Server, running, until
from volary.common import outcome
from volary.common.reasons import Reason

_DEADLINE = 20
_CLIENTS = ("kept", "rare", "new")
_X = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 4, 3]}]}


def test_starts_serves_and_ends_with_0(tmp_path: Path) -> None:
    with running(bundles.doubling(tmp_path), "--drain-delay", "0") as server:
        server.wait_for("/v2/health/ready", 200)
        assert server.request("GET", "/v2/models/fraud/versions/1.4.0/ready") == (200, {"name": "fraud", "ready": True})
        status, answer = server.request("POST", "/v2/models/fraud/infer", _X)
        assert (status, answer["outputs"][0]["data"]) == (200, [2, 4, 8, 6])
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(_DEADLINE) == 0
        assert server.termination_log.read_text() == ""


@pytest.mark.parametrize("damaged", ["model.onnx", "manifest.json"])
def test_a_model_that_cannot_be_loaded(tmp_path: Path, damaged: str) -> None:
    bundle = bundles.doubling(tmp_path)
    (bundle / damaged).write_bytes(b"\x00")
    with running(bundle) as server:
        assert server.process.wait(_DEADLINE) == 3
        said = outcome.parse(server.termination_log.read_text())
        assert said is not None
        assert said.reason is Reason.LOAD_FAILED
        assert said.message


def test_health_answers_and_a_stop_waits_while_the_model_works(tmp_path: Path) -> None:
    with running(bundles.squaring(tmp_path), "--drain-delay", "0") as server, ThreadPoolExecutor(1) as client:
        server.wait_for("/v2/health/ready", 200)
        body = {"inputs": [{"name": "size", "shape": [1], "datatype": "INT64", "data": [2500]}]}
        answer = client.submit(server.request, "POST", "/v2/models/fraud/infer", body)
        server.wait_for("/metrics", 200, "volary_in_flight_requests 1.0")
        assert server.request("GET", "/v2/health/live") == (200, {"live": True})
        assert not answer.done()
        server.process.send_signal(signal.SIGTERM)
        assert answer.result(_DEADLINE)[0] == 200
        assert server.process.wait(_DEADLINE) == 0


def test_a_connection_made_before_the_port_closed_is_still_served(tmp_path: Path) -> None:
    with running(bundles.doubling(tmp_path), "--drain-delay", "0") as server:
        server.wait_for("/v2/health/ready", 200)
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=_DEADLINE)) as early:
            early.connect()
            server.process.send_signal(signal.SIGTERM)
            until(lambda: not _is_open(server.port))
            early.request("POST", "/v2/models/fraud/infer", json.dumps(_X))
            answer = early.getresponse()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert server.process.wait(_DEADLINE) == 0


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=_DEADLINE).close()
    except ConnectionError:
        return False
    return True


@dataclass(slots=True)
class Service:
    """What clients know of the pod: its address, as long as it is an endpoint."""

    port: int
    busy: asyncio.Event = field(default_factory=asyncio.Event)  # every client was answered several times
    removed: asyncio.Event = field(default_factory=asyncio.Event)
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    async def keep_alive_client(self, name: str, pause: float) -> None:
        """Sends on one connection until told to close it, then on another; none is opened once the endpoint is gone."""
        while not self.removed.is_set():
            async with self._connection(name) as (reader, writer):
                open_ = True
                while open_:
                    open_ = await self._request(name, reader, writer)
                    await asyncio.sleep(pause)

    async def new_connection_client(self, name: str) -> None:
        """A connection for each request."""
        while not self.removed.is_set():
            async with self._connection(name) as (reader, writer):
                await self._request(name, reader, writer)

    @contextlib.asynccontextmanager
    async def _connection(self, name: str) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            with contextlib.closing(writer):
                yield reader, writer
        except (OSError, EOFError) as error:
            self.failures.append(f"{name}: {error!r}")

    async def _request(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection may be used again."""
        body = json.dumps(_X).encode()
        writer.write(b"POST /v2/models/fraud/infer HTTP/1.1\r\nhost: fraud\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = dict(line.split(": ", 1) for line in lines if line)
        await reader.readexactly(int(headers["content-length"]))
        if status != "HTTP/1.1 200 OK":
            self.failures.append(f"{name}: {status}")
        closing = headers.get("connection") == "close"
        self.answers[f"{name}, told to close" if closing else name] += 1
        if min(self.answers[name] for name in _CLIENTS) > 20:
            self.busy.set()
        return not closing


def test_no_request_fails_when_the_pod_is_removed_under_load(tmp_path: Path) -> None:
    with running(bundles.doubling(tmp_path), "--drain-delay", "1") as server:
        server.wait_for("/v2/health/ready", 200)
        service = asyncio.run(_remove_under_load(server))
        assert service.failures == []
        for name in _CLIENTS:
            assert service.answers[f"{name}, told to close"] > 0, service.answers
        assert server.process.wait(_DEADLINE) == 0


async def _remove_under_load(server: Server) -> Service:
    service = Service(server.port)
    async with asyncio.timeout(_DEADLINE), asyncio.TaskGroup() as clients:
        for _ in range(4):
            clients.create_task(service.keep_alive_client("kept", pause=0))
            clients.create_task(service.keep_alive_client("rare", pause=0.02))
            clients.create_task(service.new_connection_client("new"))
        await service.busy.wait()
        server.process.send_signal(signal.SIGTERM)
        # Later than the drain's delay: endpoints may be slow to go.
        asyncio.get_running_loop().call_later(1.3, service.removed.set)
        await asyncio.to_thread(server.wait_for, "/v2/health/ready", 503)
    return service


def test_health_is_answered_first_while_64_connections_send_heavy_work(tmp_path: Path) -> None:
    """The median of what others wait for is 32 inferences; of health, nothing near one."""
    with running(bundles.squaring(tmp_path), "--drain-delay", "0") as server, ThreadPoolExecutor(64) as clients:
        server.wait_for("/v2/health/ready", 200)
        body = {"inputs": [{"name": "size", "shape": [1], "datatype": "INT64", "data": [1000]}]}
        answers = [clients.submit(_timed, server, "POST", "/v2/models/fraud/infer", body) for _ in range(64)]
        until(lambda: _waiting(server) > 32)
        health = sorted(_timed(server, "GET", "/v2/health/live")[1] for _ in range(20))
        metrics = _timed(server, "GET", "/metrics")[1]
        assert _waiting(server) > 0, "the work was over too soon: nothing is shown"
        heavy = sorted(seconds for status, seconds in (answer.result(_DEADLINE) for answer in answers) if status == 200)
        assert len(heavy) == 64
        assert health[10] < heavy[32] / 5
        assert metrics < heavy[32]


def _waiting(server: Server) -> float:
    found = re.search(r"^volary_queue_length\{.*\} ([0-9.]+)$", server.request("GET", "/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else 0.0


def _timed(server: Server, method: str, path: str, body: object = None) -> tuple[int, float]:
    began = time.monotonic()
    status, _ = server.request(method, path, body)
    return status, time.monotonic() - began
