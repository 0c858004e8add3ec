"""The operator on a real API server: watches, writes, rests, ends, comes again."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.controller import api
from tests.controller.operating import OURS, deployment, forbid_pods, operator, process, settings, status, versions
from tests.unit.planning import builders
from volary.adapters.cluster import DEPLOYMENTS, EVENTS, JOBS, LEASES, MODEL_DEPLOYMENTS, SERVICES, Body, Cluster
from volary.cli.exits import Exit
from volary.controller.observe import Unreadable, read
from volary.controller.status import RECONCILED
from volary.planning import identity, resources
from volary.planning.model import Revision

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

Story = Callable[[Cluster, str], Awaitable[None]]


def play(story: Story) -> None:
    async def scene(namespace: str) -> None:
        async with api.cluster() as cluster:
            await story(cluster, namespace)

    api.install_definition()
    with api.namespace() as namespace:
        forbid_pods(namespace)
        asyncio.run(scene(namespace))


async def pass_preflight(cluster: Cluster, namespace: str) -> Revision:
    """What the operator does after a preflight that passed: no pod runs here to do one."""
    body = await cluster.get(MODEL_DEPLOYMENTS, namespace, "fraud")
    assert body is not None
    desired = read(body, settings(namespace))
    assert not isinstance(desired, Unreadable)
    request = identity.request_id(desired.spec.model, desired.model_name, desired.spec.runtime)
    revision = replace(
        builders.revision(), request=request, ordinal=1, model=desired.spec.model, runtime=desired.spec.runtime, images=desired.images
    )
    await cluster.apply(resources.controller_revision(desired, revision))
    return revision


async def begun(cluster: Cluster, namespace: str) -> None:
    """The preflight was started and the status tells of it."""

    async def checking() -> bool:
        return (await status(cluster, namespace)).get("phase") == "Checking"

    await api.eventually("the preflight starts", checking)


async def resting(cluster: Cluster, namespace: str) -> dict[str, str]:
    """A revision whose pods cannot start; the world stands still."""
    await begun(cluster, namespace)
    revision = await pass_preflight(cluster, namespace)

    async def refused() -> bool:
        found = await status(cluster, namespace)
        return "exceeded quota" in found.get("message", "")

    await api.eventually("the quota is told of", refused, seen=lambda: status(cluster, namespace))
    assert await cluster.get(DEPLOYMENTS, namespace, f"fraud-{revision.id}") is not None
    return await versions(cluster, namespace)


async def turns(app: Any) -> float:
    """How many turns were taken."""
    lines = app.meters.render().decode().splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("volary_operator_reconciles_total"))


async def conditions(cluster: Cluster, namespace: str) -> dict[str, Body]:
    return {condition["type"]: condition for condition in (await status(cluster, namespace)).get("conditions", ())}


def test_from_a_spec_to_a_job_a_status_and_an_event() -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        async with operator(namespace):
            await cluster.apply(deployment(namespace))
            await begun(cluster, namespace)
            (job,) = await cluster.list(JOBS, namespace)
            assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "volary.test/agent:none"

            async def told() -> bool:
                return any(event["reason"] == "PreflightRunning" for event in await cluster.list(EVENTS, namespace))

            await api.eventually("the Event is posted", told)
            revision = await pass_preflight(cluster, namespace)

            async def moved_on() -> bool:
                return await cluster.get(SERVICES, namespace, "fraud") is not None and await cluster.list(JOBS, namespace) == []

            await api.eventually("Deployment and Service are there, the Job is not", moved_on)
            made = await cluster.get(DEPLOYMENTS, namespace, f"fraud-{revision.id}")
            assert made is not None
            assert made["spec"]["replicas"] == 1
            assert (await status(cluster, namespace))["canary"]["revision"] == revision.id

    play(story)


def test_an_idle_operator_writes_nothing_and_neither_does_one_that_starts() -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        await cluster.apply(deployment(namespace))
        async with operator(namespace):
            before = await resting(cluster, namespace)
        for _ in range(2):
            async with operator(namespace, relist=1.0, silence=1.0) as app:

                async def looked(app: Any = app) -> bool:
                    return await turns(app) >= 3

                await api.eventually("three looks", looked)
                assert "apply" not in app.meters.render().decode()
            assert await versions(cluster, namespace) == before

    play(story)


def test_deleted_and_made_anew_at_once() -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        async with operator(namespace):
            first = await cluster.apply(deployment(namespace))
            await resting(cluster, namespace)
            await cluster.delete(MODEL_DEPLOYMENTS, namespace, "fraud", first["metadata"]["uid"])
            second = await cluster.apply(deployment(namespace))
            assert second["metadata"]["uid"] != first["metadata"]["uid"]
            await begun(cluster, namespace)

            async def only_the_second() -> bool:
                bodies = [body for kind in OURS[1:] for body in await cluster.list(kind, namespace)]
                owners = {owner["uid"] for body in bodies for owner in body["metadata"]["ownerReferences"]}
                return owners == {second["metadata"]["uid"]} and [body["kind"] for body in bodies] == ["Job"]

            # Kubernetes' garbage collector looks for new kinds every 30 s; before, it does not know whose these are.
            await api.eventually("nothing of the first is left", only_the_second, within=75)
            await cluster.delete(MODEL_DEPLOYMENTS, namespace, "fraud", second["metadata"]["uid"])

            async def nothing() -> bool:
                return await versions(cluster, namespace) == {}

            await api.eventually("all is gone", nothing)

    play(story)


def test_a_service_of_somebody_else_is_left_alone_until_it_goes() -> None:
    theirs: Body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "fraud"}, "spec": {"ports": [{"name": "x", "port": 1}]}}

    async def story(cluster: Cluster, namespace: str) -> None:
        theirs["metadata"]["namespace"] = namespace
        service = await cluster.create(theirs)
        async with operator(namespace):
            await cluster.apply(deployment(namespace))
            await begun(cluster, namespace)
            await pass_preflight(cluster, namespace)

            async def told() -> bool:
                return "is not Volary's" in (await conditions(cluster, namespace)).get(RECONCILED, {}).get("message", "")

            await api.eventually("the clash is told of", told)
            assert (await cluster.get(SERVICES, namespace, "fraud")) == service
            await cluster.delete(SERVICES, namespace, "fraud", service["metadata"]["uid"])

            async def healed() -> bool:
                return RECONCILED not in await conditions(cluster, namespace)

            await api.eventually("it heals by itself", healed)

    play(story)


def test_what_was_deleted_by_hand_comes_back() -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        async with operator(namespace):
            await cluster.apply(deployment(namespace))
            await resting(cluster, namespace)
            for kind in (DEPLOYMENTS, SERVICES):
                for body in await cluster.list(kind, namespace):
                    await cluster.delete(kind, namespace, body["metadata"]["name"], body["metadata"]["uid"])

            async def back() -> bool:
                return len(await cluster.list(DEPLOYMENTS, namespace)) == 1 and len(await cluster.list(SERVICES, namespace)) == 2

            await api.eventually("Deployment and Services are back", back)

    play(story)


# ---- an API server that is away ---------------------------------------------------------------


class Wire:
    """A TCP proxy before the API server that can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._open: set[asyncio.StreamWriter] = set()
        self.cut = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            self.sever()

    def sever(self) -> None:
        """All connections break, and new ones do too."""
        self.cut = True
        for writer in self._open:
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.cut:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(*self._to)
        self._open |= {writer, back}
        await asyncio.gather(_pump(reader, back), _pump(there, writer))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.CancelledError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.transport.abort()


def test_an_api_server_that_goes_and_comes_back() -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        connection = await api.connection()
        address = urlsplit(connection.configuration.host)
        wire = Wire(address.hostname or "", address.port or 443)
        async with wire.running() as port:
            connection.configuration.host = f"https://127.0.0.1:{port}"
            connection.configuration.verify_ssl = False
            async with operator(namespace, connection) as app:
                await cluster.apply(deployment(namespace))
                await begun(cluster, namespace)
                wire.sever()

                async def noticed() -> bool:
                    return 'code="error"' in app.meters.render().decode()

                await api.eventually("the operator notices", noticed)
                await pass_preflight(cluster, namespace)
                wire.cut = False

                async def moved_on() -> bool:
                    return await cluster.get(SERVICES, namespace, "fraud") is not None

                await api.eventually("it goes on within 30 s", moved_on, within=30)

    play(story)


# ---- as a process -----------------------------------------------------------------------------


async def holder(cluster: Cluster, namespace: str) -> str | None:
    lease = await cluster.get(LEASES, namespace, "volary")
    found: str | None = (lease or {}).get("spec", {}).get("holderIdentity")
    return found


async def held_by(cluster: Cluster, namespace: str, name: str, within: float = 30) -> None:
    async def held() -> bool:
        return await holder(cluster, namespace) == name

    await api.eventually(f"{name} holds the Lease", held, within)


def test_sigterm_ends_it_quickly_and_hands_the_lease_over() -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        async with process(namespace, POD_NAME="one") as one:
            await held_by(cluster, namespace, "one")
            async with process(namespace, POD_NAME="two") as two:
                await cluster.apply(deployment(namespace))
                await begun(cluster, namespace)
                began = time.monotonic()
                one.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(one.wait(), 10) == 0
                assert time.monotonic() - began < 5
                await held_by(cluster, namespace, "two", within=10)
                await pass_preflight(cluster, namespace)

                async def moved_on() -> bool:
                    return await cluster.get(SERVICES, namespace, "fraud") is not None

                await api.eventually("the second goes on", moved_on)
                two.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(two.wait(), 10) == 0
            assert one.stderr is not None
            lines = [json.loads(line) for line in (await one.stderr.read()).splitlines()]
            assert [line["message"] for line in lines][-1] == "operator ends"

    play(story)


def test_a_killed_operator_is_followed_by_the_next_within_its_term() -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        async with process(namespace, POD_NAME="one") as one:
            await held_by(cluster, namespace, "one")
            async with process(namespace, POD_NAME="two"):
                one.kill()
                await held_by(cluster, namespace, "two", within=25)

    play(story)


def test_frozen_beyond_its_term_it_writes_nothing_when_it_wakes_up() -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        async with process(namespace, POD_NAME="one") as one:
            await held_by(cluster, namespace, "one")
            one.send_signal(signal.SIGSTOP)
            lease = await cluster.get(LEASES, namespace, "volary")
            assert lease is not None
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            theirs = {**lease["spec"], "holderIdentity": "other", "renewTime": now, "leaseDurationSeconds": 3600}

            async def expired() -> bool:
                renewed = datetime.fromisoformat(lease["spec"]["renewTime"])
                return (datetime.now(UTC) - renewed).total_seconds() > 16

            await api.eventually("its term is over", expired)
            await cluster.replace({**lease, "spec": theirs})
            await cluster.apply(deployment(namespace))
            one.send_signal(signal.SIGCONT)
            assert one.stderr is not None
            async with asyncio.timeout(20):  # it finds out at its next renewal
                while b"lease lost" not in (line := await one.stderr.readline()):
                    assert line
            assert await status(cluster, namespace) == {"observedGeneration": -1}  # as the schema says of one that nobody has written
            assert await cluster.list(JOBS, namespace) == []
            assert await holder(cluster, namespace) == "other"

    play(story)


# ---- what a person asks for -------------------------------------------------------------------


async def volary(namespace: str, *words: str) -> tuple[int | None, str]:
    """The command as a person runs it."""
    given = {**os.environ, "KUBECONFIG": api.kubeconfig(), "PYTHONPATH": "operator", "COLUMNS": "160"}
    command = (sys.executable, "-m", "volary", *words, "-n", namespace)
    running = await asyncio.create_subprocess_exec(*command, env=given, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    output, _ = await running.communicate()
    return running.returncode, output.decode()


def test_the_command_asks_and_shows() -> None:
    async def story(cluster: Cluster, namespace: str) -> None:
        async with operator(namespace):
            await cluster.apply(deployment(namespace))
            await resting(cluster, namespace)
            assert "fraud" in (await volary(namespace, "list"))[1]
            code, text = await volary(namespace, "status", "fraud")
            assert code == 0
            assert "exceeded quota" in text
            assert await volary(namespace, "abort", "fraud") == (0, "abort fraud: done\n")
            assert (await status(cluster, namespace))["phase"] == "Failed"
            code, text = await volary(namespace, "abort", "fraud")
            assert (code, "has no canary under way" in text) == (1, True)
            assert await volary(namespace, "retry", "fraud") == (0, "retry fraud: done\n")
            assert (await volary(namespace, "rollback", "fraud"))[0] == 1
            assert (await volary(namespace, "status", "nobody"))[0] == Exit.NOT_FOUND

    play(story)
