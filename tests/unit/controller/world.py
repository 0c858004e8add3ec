"""A FakeCluster with one ModelDeployment, and what Kubernetes' own controllers would make of our objects."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from tests.unit.planning import builders
from volary.adapters.agents import FakeAgents
from volary.adapters.cluster import CONTROLLER_REVISIONS, DEPLOYMENTS, JOBS, MODEL_DEPLOYMENTS, SERVICES, Body, Kind
from volary.adapters.cluster_fake import FakeCluster
from volary.adapters.scrape import FakeScraper
from volary.common.names import API_VERSION, COMPONENT_LABEL, KIND, MODEL_LABEL, REQUEST_LABEL, REVISION_LABEL
from volary.common.outcome import Outcome
from volary.common.reasons import Reason
from volary.common.settings import Settings
from volary.controller.events import Events
from volary.controller.observe import Look, Observer
from volary.controller.reconcile import Reconciler, Turn

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SETTINGS = Settings(agent_image="agent:1", server_images=MappingProxyType({"onnxruntime": "server:1"}))
KEY = ("shop", "fraud")
SPEC: Body = {"model": {"uri": "s3://models/fraud", "version": "1.0.0"}, "runtime": {"name": "onnxruntime"}}


class World:
    """Time stands still unless it is moved."""

    def __init__(self, spec: Body | None = None) -> None:
        self.now = NOW
        self.cluster = FakeCluster()
        self.scraper = FakeScraper()
        self.agents = FakeAgents()
        self.observer = Observer(self.cluster, self.scraper, SETTINGS, self.agents)
        self.events = Events(self.cluster, lambda: self.now, "test")
        self.reconciler = Reconciler(self.cluster, self.observer, self.events, lambda: self.now)
        self.cluster.put(
            {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "fraud", "namespace": "shop"}, "spec": spec or SPEC}
        )

    async def look(self) -> Look:
        found = await self.observer.look(*KEY, self.now)
        assert isinstance(found, Look)
        return found

    async def turn(self) -> Turn:
        self.cluster.requests.clear()
        return await self.reconciler.turn(KEY)

    async def md(self) -> Body:
        found = await self.cluster.get(MODEL_DEPLOYMENTS, *KEY)
        assert found is not None
        return found

    async def all(self, kind: Kind) -> list[Body]:
        return await self.cluster.list(kind, "shop")

    async def names(self, kind: Kind) -> list[str]:
        return [body["metadata"]["name"] for body in await self.all(kind)]

    async def condition(self, kind: str) -> Body | None:
        conditions = (await self.md()).get("status", {}).get("conditions", ())
        return next((condition for condition in conditions if condition["type"] == kind), None)

    # ---- what others do ----

    async def end_preflight(self, outcome: Outcome | None = None) -> None:
        """The Job's pod gives its answer."""
        passed = Outcome(reason=Reason.PREFLIGHT_PASSED, digest=builders.DIGEST, version="1.0.0", format="onnx", size=10)
        (job,) = await self.all(JOBS)
        terminated = {"exitCode": 0, "message": (outcome or passed).dump(), "finishedAt": NOW.isoformat()}
        labels = {COMPONENT_LABEL: "preflight", REQUEST_LABEL: job["metadata"]["labels"][REQUEST_LABEL]}
        status = {"phase": "Succeeded", "containerStatuses": [{"name": "preflight", "state": {"terminated": terminated}}]}
        self._pod(f"{job['metadata']['name']}-x", job, labels, status)

    async def start_pods(self) -> None:
        """Every Deployment gets its pods, ready."""
        for deployment in await self.all(DEPLOYMENTS):
            revision = deployment["metadata"]["labels"][REVISION_LABEL]
            for number in range(deployment["spec"]["replicas"]):
                labels = {COMPONENT_LABEL: "server", REVISION_LABEL: revision}
                status = {"phase": "Running", "podIP": f"10.0.0.{number}", "conditions": [{"type": "Ready", "status": "True"}]}
                self._pod(f"{deployment['metadata']['name']}-{number}", deployment, labels, status)

    async def serve(self) -> None:
        """Until the first revision serves."""
        await self.turn()
        await self.end_preflight()
        await self.serve_on()

    async def serve_on(self) -> None:
        """The same after its preflight."""
        for _ in range(4):
            await self.turn()
            await self.start_pods()
        assert (await self.md())["status"]["phase"] == "Serving"

    async def edit(self, version: str) -> None:
        """Another version."""
        body = await self.md()
        body["spec"]["model"]["version"] = version
        self.cluster.put(body)

    def _pod(self, name: str, owner: Body, labels: Body, status: Body) -> None:
        reference = {"uid": owner["metadata"]["uid"], "controller": True, "name": owner["metadata"]["name"]}
        metadata = {
            "name": name,
            "namespace": "shop",
            "labels": {MODEL_LABEL: "fraud", **labels},
            "ownerReferences": [reference],
            "creationTimestamp": NOW.isoformat(),
        }
        self.cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}, "status": status})


def play(story: Coroutine[Any, Any, None]) -> None:
    """Runs it with a deadline."""

    async def bounded() -> None:
        async with asyncio.timeout(5):
            await story

    asyncio.run(bounded())


OWNED = (JOBS, CONTROLLER_REVISIONS, DEPLOYMENTS, SERVICES)
