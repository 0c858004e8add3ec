"""HTTP load on a model at a constant rate, from a process of its own, and what came back.

`python -m tests.support.load --url http://10.96.1.2/v2/models/digits/infer` sends rows of the digits data set
until its standard input ends, and writes one JSON line of totals every quarter of a second.

Half of the workers keep their connection for some requests (kube-proxy balances connections, so a new one may
reach another pod), half open one for every request. Whatever is not a good answer, and not an error that the
model itself made, is a failure of Volary: refused, reset and timed-out connections, 5xx, 4xx, wrong shapes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from tests.support import wait

if TYPE_CHECKING:
    from types import TracebackType

RATE = 100.0  # requests a second
WORKERS = 16
RENEW = 20  # requests on one kept connection
TIMEOUT = 10.0
REPORT = 0.25
_REPOSITORY = Path(__file__).resolve().parents[2]
_MODEL_FAULTS = ("the model failed on this request", "the graph failed")  # how servers begin the body of a 500 that the model caused
UNKNOWN = "?"  # version of an answer over TensorFlow Serving's REST, which does not tell it
_SAMPLES = 20  # failures kept word for word


@dataclass
class Totals:
    """Everything since the start. `failed` is what Volary has to answer for."""

    sent: int = 0
    ok: int = 0
    model_errors: int = 0  # the served model itself failed on the request
    failed: int = 0
    by_version: dict[str, int] = field(default_factory=dict)  # good answers
    failures: list[str] = field(default_factory=list)
    first_model_error: float | None = None  # seconds since the epoch
    last_model_error: float | None = None
    latency_p50: float = 0.0  # milliseconds, of the last seconds
    latency_p99: float = 0.0
    rate: float = 0.0  # answers a second, lately


# ---- the process that sends


@dataclass
class Target:
    """Where to, and the bodies that are sent in turn."""

    host: str
    port: int
    path: str
    bodies: list[bytes]

    def request(self, number: int, *, keep: bool) -> bytes:
        """One HTTP request, whole."""
        body = self.bodies[number % len(self.bodies)]
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: {'keep-alive' if keep else 'close'}\r\n\r\n"
        )
        return head.encode() + body


@dataclass
class Answer:
    """One HTTP answer."""

    status: int
    body: bytes
    closes: bool


class Connection:
    """One TCP connection; `state` says what it was at when something went wrong, and where a packet dump shows it."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._answers = 0

    async def open(self, host: str, port: int) -> None:
        """Raises OSError."""
        await asyncio.get_running_loop().sock_connect(self._socket, (host, port))
        self._streams = await asyncio.open_connection(sock=self._socket)

    async def exchange(self, request: bytes) -> Answer:
        """Send, and read the answer. Raises OSError, IncompleteReadError, ValueError."""
        assert self._streams
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        self._answers += 1
        return Answer(int(head[0].split(" ", 2)[1]), body, headers.get("connection", "").lower() == "close")

    def close(self) -> None:
        """At once."""
        if self._streams:
            self._streams[1].close()
        else:
            self._socket.close()

    @property
    def state(self) -> str:
        """`connecting from port 40000`, `waiting on port 40000 after 3 answers`."""
        port = self._socket.getsockname()[1]
        return f"waiting on port {port} after {self._answers} answers" if self._streams else f"connecting from port {port}"


class Sender:
    """Workers that send at a constant rate together, and their totals."""

    def __init__(self, target: Target, rate: float) -> None:
        self.totals = Totals()
        self._target = target
        self._period = WORKERS / rate
        self._stop = asyncio.Event()
        self._versions: Counter[str] = Counter()
        self._latencies: deque[float] = deque(maxlen=1000)
        self._answered: deque[float] = deque(maxlen=4000)

    async def run(self) -> None:
        """Until `stop`."""
        await asyncio.gather(*(self._work(index) for index in range(WORKERS)))

    def stop(self) -> None:
        """Every worker finishes the request it is at."""
        self._stop.set()

    def line(self) -> str:
        """The totals as one line of JSON."""
        totals, latencies = self.totals, sorted(self._latencies)
        totals.by_version = dict(self._versions)
        if latencies:
            totals.latency_p50 = 1000 * latencies[len(latencies) // 2]
            totals.latency_p99 = 1000 * latencies[len(latencies) * 99 // 100]
        now = time.monotonic()
        totals.rate = sum(now - at < 2 for at in self._answered) / 2
        return json.dumps(asdict(totals))

    async def _work(self, index: int) -> None:
        """Even workers keep their connection, odd ones do not."""
        keep = index % 2 == 0
        number, used = index, 0
        connection: Connection | None = None
        due = time.monotonic() + self._period * index / WORKERS
        while not self._stop.is_set():
            await self._pause(due - time.monotonic())
            due = max(due + self._period, time.monotonic() - self._period)  # a slow answer is not made up for by a burst
            last = not keep or used + 1 >= RENEW
            connection = await self._once(connection, number, keep=not last)
            used = 0 if connection is None else used + 1
            number += WORKERS
        if connection:
            connection.close()

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), seconds)

    async def _once(self, kept: Connection | None, number: int, *, keep: bool) -> Connection | None:
        """One request; the connection if it can take another."""
        started = time.monotonic()
        self.totals.sent += 1
        connection = kept or Connection()
        try:
            async with asyncio.timeout(TIMEOUT):
                if kept is None:
                    await connection.open(self._target.host, self._target.port)
                answer = await connection.exchange(self._target.request(number, keep=keep))
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            what = f"{type(error).__name__} {error}".strip()
            self._fail(f"{what} while {connection.state}, {time.monotonic() - started:.2f} s after the request began")
            connection.close()
            return None
        self._judge(answer)
        self._latencies.append(time.monotonic() - started)
        self._answered.append(time.monotonic())
        if keep and not answer.closes:
            return connection
        connection.close()
        return None

    def _judge(self, answer: Answer) -> None:
        try:
            body = json.loads(answer.body)
        except ValueError:
            body = {}
        self.judge(answer.status, body, answer.body[:200].decode(errors="replace"))

    def judge(self, status: int, body: Any, text: str) -> None:
        """Count an answer; `text` is what is kept of one that nobody wanted."""
        if status == 200 and _is_prediction(_tensors(body)):
            self.totals.ok += 1
            self._versions[body.get("model_version", UNKNOWN)] += 1
        elif status == 500 and str(body.get("error", "")).startswith(_MODEL_FAULTS):
            now = time.time()
            self.totals.model_errors += 1
            self.totals.first_model_error = self.totals.first_model_error or now
            self.totals.last_model_error = now
        else:
            self._fail(f"HTTP {status}: {text}")

    def _fail(self, text: str) -> None:
        self.totals.failed += 1
        if len(self.totals.failures) < _SAMPLES:
            self.totals.failures.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}")


def _tensors(body: Any) -> dict[str, Any]:
    """An answer of TensorFlow Serving spelled as one of the Open Inference Protocol, which stays as it is."""
    outputs = body.get("outputs", ())
    if not isinstance(outputs, dict):
        return body if "model_version" in body else {}
    names = {"label": outputs.get("label"), "probabilities": (outputs.get("probabilities") or [None])[0]}
    return {"outputs": [{"name": name, "data": data} for name, data in names.items() if data]}


def _is_prediction(body: Any) -> bool:
    """One digit and ten probabilities that add up."""
    outputs = {tensor["name"]: tensor for tensor in body.get("outputs", ())}
    label, probabilities = outputs.get("label"), outputs.get("probabilities")
    if not label or not probabilities:
        return False
    return label["data"][0] in range(10) and len(probabilities["data"]) == 10 and abs(sum(probabilities["data"]) - 1) < 1e-3


async def follow(sender: Sender) -> None:
    """Send until standard input ends, and tell the totals."""
    loop = asyncio.get_running_loop()
    # Whoever started us may be killed: the end of standard input is noticed in every case.
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(sender.stop)), daemon=True).start()
    work = asyncio.create_task(sender.run())
    while not work.done():
        await asyncio.wait([work], timeout=REPORT)
        sys.stdout.write(sender.line() + "\n")
        sys.stdout.flush()
    await work


def bodies(thinnest: int = 100, *, columns: bool = False) -> list[bytes]:
    """A request for each row of the data set, or for those with the least ink: so many percent.

    `columns`: as TensorFlow Serving reads it.
    """
    from sklearn.datasets import load_digits  # type: ignore[import-untyped] # a second to import, in this process only

    rows = load_digits().data.tolist()
    if thinnest < 100:
        rows = sorted(rows, key=sum)[: len(rows) * thinnest // 100]
    if columns:
        return [json.dumps({"inputs": {"x": [row]}}).encode() for row in rows]
    return [json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64], "data": row}]}).encode() for row in rows]


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description="HTTP load on a model until standard input ends")
    parser.add_argument("--url", required=True)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--thinnest", type=int, default=100)
    options = parser.parse_args()
    parts = urlsplit(options.url)

    async def send() -> None:
        requests = bodies(options.thinnest, columns=parts.path.startswith("/v1/"))
        await follow(Sender(Target(parts.hostname or "", parts.port or 80, parts.path, requests), options.rate))

    asyncio.run(send())


# ---- the process that watches


class Load:
    """A running load: `totals` is at most a quarter of a second old."""

    module = "tests.support.load"  # the process that sends

    def __init__(self, url: str, rate: float = RATE, thinnest: int = 100) -> None:
        """Begins once the address takes connections: kube-proxy may learn of ready pods a second later than the status."""
        self.url = url
        self._totals = Totals()
        wait.until(f"{url} takes connections", lambda: _reachable(url), 30)
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.module, "--url", url, "--rate", str(rate), "--thinnest", str(thinnest)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_REPOSITORY,
            text=True,
            start_new_session=True,  # Ctrl-C is for the one who watches
        )
        self._reader = threading.Thread(target=self._follow, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def totals(self) -> Totals:
        """The last report."""
        return self._totals

    def running(self) -> None:
        """Wait until requests are answered."""
        wait.until("the load runs", lambda: self._totals.ok > 0, 30, seen=lambda: self._totals)

    def stop(self) -> Totals:
        """End it; the final totals."""
        if self._process.stdin and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(TIMEOUT + 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        if self._process.stdout:
            self._process.stdout.close()
        return self._totals

    def _follow(self, stream: IO[str]) -> None:
        for line in stream:
            self._totals = Totals(**json.loads(line))


def _reachable(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname, parts.port or 80), TIMEOUT):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    main()
