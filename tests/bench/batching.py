"""What joining requests is worth: the same server with and without, beside ONNX Runtime alone.

    python -m tests.bench.batching [--seconds 2] [--rounds 3]

Networks of 4 floats in and 3 out, one core for the servers and one for the load. What counts is
requests for each second of CPU that the server used: the machine may be busy with other things. The
servers take turns in one run. `share` is that beside ONNX Runtime's own rate in one process, one row
a run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
import uvloop
from onnx import TensorProto, helper

from tests.unit.serving import bundles
from tests.unit.serving.process import Server, running
from volary.bundle.golden import Sample

WIDTHS = {"128 wide, 4 layers": 128, "512 wide, 4 layers": 512}
CONNECTIONS = (1, 8, 64)
OPTIONS = {"alone": (), "joined": ("--batch", "64")}
_ROW = [5.1, 3.5, 1.4, 0.2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--load", nargs=2, type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.load:
        sys.stdout.write(str(uvloop.run(load(*args.load, args.seconds))))
        return
    line("requests a second of CPU", "connections", *OPTIONS, "ratio", "share joined")
    for title, width in WIDTHS.items():
        with tempfile.TemporaryDirectory(prefix="volary-bench-") as name:
            measure(title, network(Path(name), width), args.seconds, args.rounds)


def measure(title: str, bundle: Path, seconds: float, rounds: int) -> None:
    """One model, all numbers of connections."""
    first, *others = sorted(os.sched_getaffinity(0))
    alone = own_rate(bundle, first)
    with contextlib.ExitStack() as stack:
        servers = {}
        for kind, options in OPTIONS.items():
            servers[kind] = stack.enter_context(running(bundle, *options))
            os.sched_setaffinity(servers[kind].process.pid, {first})
            servers[kind].wait_for("/v2/health/ready", 200)
        rates: defaultdict[tuple[int, str], list[float]] = defaultdict(list)
        for _ in range(rounds):
            for connections in CONNECTIONS:
                for kind, server in servers.items():
                    rates[connections, kind].append(rate(server, connections, seconds, (others or [first])[0]))
    for connections in CONNECTIONS:
        middle = {kind: statistics.median(rates[connections, kind]) for kind in OPTIONS}
        ratio, share = middle["joined"] / middle["alone"], middle["joined"] / alone
        line(title, str(connections), *(f"{each:.0f}" for each in middle.values()), f"{ratio:.2f}", f"{share:.2f}")
    line("", "in process", f"{alone:.0f}", "", "", "")


def network(directory: Path, width: int) -> Path:
    """A bundle with golden samples."""
    numbers = np.random.default_rng(0)
    sizes = [4, width, width, width, 3]
    nodes, weights, last = [], dict[str, object](), "x"
    for number, (rows, columns) in enumerate(pairwise(sizes)):
        weights[f"w{number}"] = (numbers.standard_normal((rows, columns)) / rows**0.5).astype(np.float32)
        nodes.append(helper.make_node("MatMul", [last, f"w{number}"], [f"h{number}"]))
        last = "y" if number == len(sizes) - 2 else f"r{number}"
        nodes.append(helper.make_node("Relu" if last != "y" else "Softmax", [f"h{number}"], [last]))
    model = bundles.onnx_model(nodes, [("x", TensorProto.FLOAT, ["n", 4])], [("y", TensorProto.FLOAT, ["n", 3])], **weights)
    bundle = bundles.write(directory, model, [bundles.tensor("x", "FP32", -1, 4)], [bundles.tensor("y", "FP32", -1, 3)])
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    bundles.with_golden(bundle, [_sample(session, row) for row in numbers.standard_normal((3, 4)).astype(np.float32)], tolerance=1e-4)
    return bundle


def _sample(session: ort.InferenceSession, row: np.ndarray[tuple[int], np.dtype[np.float32]]) -> Sample:
    (y,) = session.run(None, {"x": row[None]})
    x = {"name": "x", "datatype": "FP32", "shape": (1, 4), "data": tuple(row.tolist())}
    return Sample.model_validate(
        {"inputs": (x,), "outputs": ({"name": "y", "datatype": "FP32", "shape": (1, 3), "data": tuple(y.ravel().tolist())},)}, strict=False
    )


def own_rate(bundle: Path, core: int) -> float:
    """Runs of one row for each second of CPU, best of five."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(bundle / "model.onnx", options, providers=["CPUExecutionProvider"])
    inputs, best = {"x": np.array([_ROW], np.float32)}, 0.0
    for _ in range(5):
        began = time.process_time()
        for _ in range(3000):
            session.run(["y"], inputs)
        best = max(best, 3000 / (time.process_time() - began))
    os.sched_setaffinity(0, before)
    return best


def rate(server: Server, connections: int, seconds: float, core: int) -> float:
    """Requests answered for each second of CPU the server used."""
    command = [sys.executable, "-m", "tests.bench.batching", "--seconds", str(seconds), "--load", str(server.port), str(connections)]
    before = used(server)
    answered = subprocess.run(["taskset", "-c", str(core), *command], capture_output=True, text=True, check=True).stdout
    return int(answered) / (used(server) - before)


def used(server: Server) -> float:
    """Seconds of CPU, of all threads."""
    tasks = Path(f"/proc/{server.process.pid}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9


class _Client(asyncio.Protocol):
    """Asks again as soon as it is answered."""

    def __init__(self, request: bytes) -> None:
        self.answered = 0
        self._request = request
        self._said = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not one by name
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._said += data
        if self._said.endswith(b"]}]}"):
            if not self._said.startswith(b"HTTP/1.1 200"):
                raise SystemExit(self._said.decode())
            self._said = b""
            self.answered += 1
            self._transport.write(self._request)


async def load(port: int, connections: int, seconds: float) -> int:
    """How many were answered."""
    body = json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": _ROW}]}).encode()
    request = b"POST /v2/models/fraud/infer HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    loop = asyncio.get_running_loop()
    clients = [(await loop.create_connection(lambda: _Client(request), "127.0.0.1", port))[1] for _ in range(connections)]
    await asyncio.sleep(seconds)
    return sum(client.answered for client in clients)


def line(*words: str) -> None:
    sys.stdout.write(f"{words[0]:26}" + "".join(f"{word:>14}" for word in words[1:]) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
