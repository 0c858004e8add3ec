"""How long a bad canary takes requests, and what many idle objects cost, beside published figures of Argo Rollouts.

    python -m tests.bench.rollback [--only errors|idle] [--objects 500]

errors: on the one-node test cluster. Three pods of a good version and one of a canary take 20 requests a second, each on a
connection of its own. The canary fails a share of them, by the requests' own content. Nothing is tuned: the default steps
and the default analysis. idle: on a control plane without nodes, so that the operator is all that is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.bench import idle
from tests.cluster.progress import Console
from tests.demo import bundles, models
from tests.demo import stage as stages
from tests.demo.models import Candidate
from tests.demo.stage import Stage
from tests.support import wait
from volary import packaging

RATE = 20.0  # requests a second
REPLICAS = 3  # and one pod of the canary beside them
ENTRIES = 1000  # of the table that makes a share of the requests fail
SETTLE = 10.0  # seconds without an answer of the canary after which it has none any more


@dataclass(frozen=True)
class Case:
    """A canary that is worse than stable."""

    stable: float  # share of requests that fail
    canary: float
    goal: float  # seconds
    argo: str  # as published

    @property
    def title(self) -> str:
        return f"{self.stable:.1%} -> {self.canary:.1%}"


CASES = (
    Case(0.0, 0.5, 10.0, "4.8 s at a 5 s interval, failureLimit 0; 60.5 s at 1 min"),
    Case(0.0, 0.2, 20.0, "21.7 s at a 5 s interval, failureLimit 3"),
    Case(0.005, 0.04, 180.0, "never (its rule: more than 5 % in 30 s)"),
)


# ---- models that fail -------------------------------------------------------------------------


def failing(share: float, seed: int) -> bytes:
    """A good network with a lookup by the first pixel, which is white in every image: its table ends early."""
    changed = onnx.load_from_string(models.graph(seed, 16))
    g = changed.graph
    for node in g.node:
        node.output[:] = ["raw_probabilities" if name == "probabilities" else name for name in node.output]
        node.input[:] = ["raw_probabilities" if name == "probabilities" else name for name in node.input]
    table = np.ones((round(ENTRIES * (1 - share)), 1), np.float32)
    constants = {"factors": table, "first": np.array([0], np.int64), "entries": np.array(ENTRIES, np.float32)}
    g.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    g.node.extend(
        [
            helper.make_node("Gather", ["x", "first"], ["pixel"], axis=1),
            helper.make_node("Mul", ["pixel", "entries"], ["place"]),
            helper.make_node("Cast", ["place"], ["entry"], to=TensorProto.INT64),
            helper.make_node("Gather", ["factors", "entry"], ["nested"], axis=0),
            helper.make_node("Squeeze", ["nested", "last"], ["factor"]),
            helper.make_node("Mul", ["raw_probabilities", "factor"], ["probabilities"]),
        ]
    )
    g.initializer.append(numpy_helper.from_array(np.array([2], np.int64), "last"))
    onnx.checker.check_model(changed)
    content: bytes = changed.SerializeToString(deterministic=True)
    return content


def push(stage: Stage) -> None:
    """A version for each share of errors."""
    samples = models.images()[models.TRAINING :][: models.GOLDEN]
    with tempfile.TemporaryDirectory() as temporary, bundles.environment(stage.cluster.s3):
        for share, seed in sorted({each for case in CASES for each in ((case.stable, 1), (case.canary, 2))}):
            graph = failing(share, seed)
            candidate = Candidate(version(share, seed), "", graph, samples, graph)
            packaging.push(bundles.pack(candidate, Path(temporary)).path, stage.shelf.uri)


def version(share: float, seed: int) -> str:
    return f"9{seed}.{round(share * ENTRIES)}.0"  # the shelf holds 1.0.0 to 8.x of others


# ---- clients ----------------------------------------------------------------------------------


@dataclass
class Clients:
    """20 requests a second, each on a new connection, from a thread of its own."""

    url: str
    answers: list[tuple[float, str]] = field(default_factory=list)  # when it was sent; version, "error" or what failed
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        self._host, self._path = parts.hostname or "", parts.path
        self._rows = models.images().copy()
        self._random = random.Random(7)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join(15)

    @property
    def failed(self) -> list[str]:
        """What is no answer of a model."""
        return [what for _, what in self.answers if what.startswith("!")]

    async def _run(self) -> None:
        due, tasks = time.monotonic(), set[asyncio.Task[None]]()
        while not self._stop.is_set():
            due += 1 / RATE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self._one())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

    async def _one(self) -> None:
        row = self._rows[self._random.randrange(len(self._rows))].copy()
        row[0] = self._random.random()
        sent = time.monotonic()
        try:
            async with asyncio.timeout(10):
                what = await self._ask(row.tolist())
        except (OSError, TimeoutError, EOFError, ValueError) as error:
            what = f"!{type(error).__name__} {error}"
        self.answers.append((sent, what))

    async def _ask(self, row: list[float]) -> str:
        body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64], "data": row}]}).encode()
        reader, writer = await asyncio.open_connection(self._host, 80)
        try:
            head = f"POST {self._path} HTTP/1.1\r\nHost: model\r\nContent-Type: application/json\r\nConnection: close\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = (await reader.read()).partition(b"\r\n\r\n")
            status, found = int(answer[0].split(b" ", 2)[1]), json.loads(answer[2])
        finally:
            writer.close()
        if status == 500:
            return "error"
        return str(found["model_version"]) if status == 200 else f"!{status}"


# ---- one case ---------------------------------------------------------------------------------


@dataclass
class Result:
    """What came of a case."""

    seconds: float | None = None  # from the canary's first bad answer until the last request that reached it
    requests: int = 0  # the canary's
    sent: int = 0
    failed: list[str] = field(default_factory=list)


def measure(stage: Stage, case: Case, number: int) -> Result:
    """A good version serves, then the canary comes."""
    namespace, name = stage.namespace(f"bench-rollback-{number}"), "digits"
    stable, canary = version(case.stable, 1), version(case.canary, 2)
    stage.kubectl.apply(body(stage, namespace, name, stable))
    wait.until(f"{stable} serves", lambda: status(stage, namespace, name).get("phase") == "Serving", 120)
    url = stage.url(namespace, name, "digits")
    assert url is not None
    clients = Clients(url)
    try:
        wait.until("answers", lambda: len(clients.answers) > RATE, 30)
        stage.kubectl.apply(body(stage, namespace, name, canary))
        wait.until("the canary is asked", lambda: any(reached(one, canary, case) for one in clients.answers), 120)
        limit = time.monotonic() + 2 * case.goal + 60

        def over() -> bool:
            last = max(at for at, what in clients.answers if reached((at, what), canary, case))
            return time.monotonic() - last > SETTLE or time.monotonic() > limit

        wait.until("the canary is not asked any more", over, 2 * case.goal + 120)
    finally:
        clients.end()
    back = status(stage, namespace, name).get("phase") in {"RolledBack", "RollingBack"}
    stage.leave(namespace)
    return judge(clients, canary, case, back=back)


def reached(answer: tuple[float, str], canary: str, case: Case) -> bool:
    """Whether the canary answered. An error does not say whose it is: it counts where stable makes none."""
    return answer[1] == canary or (answer[1] == "error" and case.stable == 0)


def judge(clients: Clients, canary: str, case: Case, *, back: bool) -> Result:
    answers = sorted(clients.answers)
    its = [at for at, what in answers if reached((at, what), canary, case)]
    bad = [at for at, what in answers if what == "error" and at >= its[0]]
    first = bad[0] if bad else its[0]
    seconds = max(its) - first if back else None
    return Result(seconds, len(its), len(answers), clients.failed)


def status(stage: Stage, namespace: str, name: str) -> dict[str, Any]:
    """Of the present spec only."""
    found = stage.kubectl.get("ModelDeployment", namespace, name) or {}
    told: dict[str, Any] = found.get("status", {})
    return told if told.get("observedGeneration") == found.get("metadata", {}).get("generation") else {}


def body(stage: Stage, namespace: str, name: str, wanted: str) -> dict[str, Any]:
    """All defaults, three pods."""
    return stage.model(namespace, name, wanted, rollout=None, replicas=REPLICAS)


# ---- the table --------------------------------------------------------------------------------


def rollbacks() -> None:
    stage = stages.prepare(Console())
    push(stage)
    say(f"\n{'errors':14} {'goal':>7} {'Volary':>8} {'goal / Volary':>14}  {'failed':>11}  Argo Rollouts 1.10.1, measured elsewhere *")
    for number, case in enumerate(CASES):
        result = measure(stage, case, number)
        seconds = "never" if result.seconds is None else f"{result.seconds:.1f} s"
        ratio = "-" if not result.seconds else f"{case.goal / result.seconds:.1f}"
        say(f"{case.title:14} {case.goal:5.0f} s {seconds:>8} {ratio:>14}  {len(result.failed):4} of {result.sent:4}  {case.argo}")
        for failure in result.failed[:3]:
            say(f"    {failure}")
    say("* one node of the same kind, 4 pods, one of them the canary, 20 requests a second on new connections,")
    say("  rule 'more than 5 % errors in 30 s' by its web metric; no failed connection in 4,800 requests.")
    say(f"load average of this machine: {' '.join(f'{one:.1f}' for one in os.getloadavg())}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("errors", "idle"))
    parser.add_argument("--objects", type=int, default=500)
    args = parser.parse_args()
    if args.only != "idle":
        rollbacks()
    if args.only != "errors":
        asyncio.run(idle.measure(args.objects))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
