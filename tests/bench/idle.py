"""What many ModelDeployments cost that want nothing: how long an operator that starts takes to have looked at all, its memory, its writes.

python -m tests.bench.idle [--objects 500]
"""

from __future__ import annotations

import argparse
import asyncio
import re
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import aiohttp

from tests.controller import api
from tests.controller.operating import settings
from tests.crashes import scenarios
from tests.crashes.live import Nodes
from tests.crashes.process import Operator
from tests.crashes.scenarios import GOOD, Deploy
from tests.unit.planning import builders
from volary.adapters.cluster import MODEL_DEPLOYMENTS, Cluster
from volary.controller.observe import Unreadable, read
from volary.planning import identity, resources

STILL = 5.0  # seconds without a write after which all is settled
QUIET = 40.0  # seconds that are watched for writes
MIB = 1024.0
GOALS = "goals 3 s and 120 MB"
ARGO = "Argo Rollouts 1.10.1, measured elsewhere on one node: 46 s, 120 MB"


async def measure(objects: int) -> None:
    """Prints one table."""
    api.install_definition()
    with tempfile.TemporaryDirectory(prefix="volary-bench-") as name, api.namespace() as namespace:
        async with api.cluster() as cluster:
            await make(cluster, namespace, objects, Path(name))
            seconds, memory, largest, writes = await rest(namespace, objects, Path(name))
    say(f"\n{objects} idle objects: settled {seconds:.1f} s after the operator's start ({GOALS}; {ARGO})")
    say(f"ratio to Argo's 46 s: {46 / seconds:.1f} x as fast")
    say(f"resident memory: {memory:.0f} MiB now, {largest:.0f} MiB at most; writes in {QUIET:.0f} s: {writes:.0f}")


async def make(cluster: Cluster, namespace: str, objects: int, folder: Path) -> None:
    """All of them serve, with one pod each."""
    gate = asyncio.Semaphore(8)

    async def one(number: int) -> None:
        body = scenarios.body(namespace, Deploy(GOOD, "Serving", {"replicas": 1}))
        body["metadata"]["name"] = f"fraud-{number}"
        async with gate:
            desired = read(await cluster.create(body), settings(namespace))
            assert not isinstance(desired, Unreadable)
            request = identity.request_id(desired.spec.model, desired.model_name, desired.spec.runtime)
            revision = replace(builders.revision(), request=request, ordinal=1, model=desired.spec.model, runtime=desired.spec.runtime)
            await cluster.apply(resources.controller_revision(desired, replace(revision, version=GOOD, images=desired.images)))

    began = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(objects)))
    operator = Operator(Path(api.kubeconfig()), namespace, folder / "first.log", VOLARY_WORKERS="8")
    async with Nodes(cluster).running() as nodes:
        with operator.running():
            await until(lambda: serving(nodes) == objects, "all serve", 1200)
            await still(nodes)
    say(f"{objects} objects made in {time.monotonic() - began:.0f} s")


async def still(nodes: Nodes) -> None:
    """Until nobody writes any more: those that came last are reported on late."""
    seen, since = versions(nodes), time.monotonic()
    while time.monotonic() - since < STILL:
        await asyncio.sleep(0.5)
        if (now := versions(nodes)) != seen:
            seen, since = now, time.monotonic()


def versions(nodes: Nodes) -> set[str]:
    return {body["metadata"]["resourceVersion"] for bodies in nodes.models.values() for kind in bodies.values() for body in kind}


def serving(nodes: Nodes) -> int:
    found = (bodies[MODEL_DEPLOYMENTS] for bodies in nodes.models.values())
    return sum(body.get("status", {}).get("phase") == "Serving" for bodies in found for body in bodies)


async def rest(namespace: str, objects: int, folder: Path) -> tuple[float, float, float, float]:
    """Of a new process: seconds until it settled, memory now and at most, writes while nothing happens."""
    port = free()
    operator = Operator(Path(api.kubeconfig()), namespace, folder / "second.log", VOLARY_LISTEN=f"127.0.0.1:{port}")
    async with aiohttp.ClientSession() as session:
        began = time.monotonic()
        with operator.alone() as pid:
            seconds = await settled(session, port, objects) - began
            before = await writes(session, port)
            await asyncio.sleep(QUIET)
            after = await writes(session, port)
            now, largest = memory(pid)
    return seconds, now, largest, after - before


async def settled(session: aiohttp.ClientSession, port: int, objects: int) -> float:
    """When the last of as many turns was over and nothing waited."""
    while True:
        found = await metrics(session, port)
        turns = sum(value for name, value in found.items() if name.startswith("volary_operator_reconciles_total"))
        if turns >= objects and found["volary_operator_queue_depth"] == 0:
            return time.monotonic()
        await asyncio.sleep(0.05)


async def writes(session: aiohttp.ClientSession, port: int) -> float:
    """All but those to the Lease."""
    found = await metrics(session, port)
    requests = {name: value for name, value in found.items() if name.startswith("volary_operator_api_requests_total")}
    return sum(value for name, value in requests.items() if 'resource="leases"' not in name and not re.search('verb="(get|list)"', name))


async def metrics(session: aiohttp.ClientSession, port: int) -> dict[str, float]:
    try:
        async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            lines = (await answer.text()).splitlines()
    except aiohttp.ClientError:
        return {}
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


def memory(pid: int) -> tuple[float, float]:
    """MiB, now and at most."""
    text = Path(f"/proc/{pid}/status").read_text("ascii")
    return tuple(int(re.search(rf"{key}:\s+(\d+)", text)[1]) / MIB for key in ("VmRSS", "VmHWM"))  # type: ignore[index,return-value]


def free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


async def until(probe: Callable[[], bool], what: str, within: float) -> None:
    end = time.monotonic() + within
    while not probe():
        if time.monotonic() > end:
            raise SystemExit(f"not within {within:.0f} s: {what}")
        await asyncio.sleep(0.2)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=500)
    asyncio.run(measure(parser.parse_args().objects))


if __name__ == "__main__":
    main()
