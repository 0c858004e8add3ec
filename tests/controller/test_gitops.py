"""What GitOps tools count on, on a real API server: each example through a life, applied either way, always in sync."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.controller import api
from tests.controller.operating import forbid_pods, operator
from tests.crashes.live import Nodes
from tests.crashes.scenarios import CRASHING
from tests.gitops import kstatus, sync, testdata
from tests.gitops.test_argocd import health
from tests.support.kubectl import Kubectl
from volary.adapters.cluster import (
    AUTOSCALERS,
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    JOBS,
    MODEL_DEPLOYMENTS,
    PODS,
    SERVICES,
    Body,
    Cluster,
)
from volary.cli import manifest_text
from volary.cli.manifest_text import Pin
from volary.common.names import FIELD_MANAGER, MODEL_LABEL
from volary.planning.requests import Verb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

EXAMPLES = Path(__file__).resolve().parents[2] / "manifests" / "examples"
TEXTS = {
    path.stem: path.read_text("utf-8") for path in sorted(EXAMPLES.glob("*.yaml")) if "kind: ModelDeployment" in path.read_text("utf-8")
}
UNSERVED = {"gateway", "inplace", "autoscaling"}  # need a gateway, agents that answer, a priority class: worked on, and no more
NEXT = "7.0.0"
ARGOCD = {"argocd.argoproj.io/tracking-id": "models:serving.volary.dev/ModelDeployment:x/y", "argocd.argoproj.io/sync-wave": "10"}
INSTANCE = {"app.kubernetes.io/instance": "models", "argocd.argoproj.io/instance": "models", "team": "risk"}
CHILDREN = (DEPLOYMENTS, PODS, JOBS, SERVICES, CONTROLLER_REVISIONS, CONFIG_MAPS, AUTOSCALERS, DISRUPTION_BUDGETS)
WAYS = {
    "client": ("apply", "-f", "-"),
    "server": ("apply", "--server-side", "--field-manager=argocd-controller", "-f", "-"),
}


@dataclass(frozen=True)
class Git:
    """One example in Git, and how it is applied."""

    kubectl: Kubectl
    cluster: Cluster
    namespace: str
    name: str
    way: str

    def document(self, version: str | None = None) -> Body:
        """The text of the example, as `volary set-version` leaves it, with what Argo CD adds."""
        text = TEXTS[self.name]
        if version is not None:
            text = manifest_text.replaced(text, manifest_text.find(text, None), Pin(version=version, digest=None))
        body: Body = next(each for each in yaml.safe_load_all(text) if each["kind"] == MODEL_DEPLOYMENTS.name)
        body["metadata"] = {"name": self.name, "namespace": self.namespace, "annotations": dict(ARGOCD), "labels": dict(INSTANCE)}
        return body

    async def apply(self, version: str | None = None) -> None:
        await asyncio.to_thread(self.kubectl.run, *WAYS[self.way], stdin=json.dumps(self.document(version)))

    async def live(self) -> Body:
        found = await self.cluster.get(MODEL_DEPLOYMENTS, self.namespace, self.name)
        assert found is not None
        return found

    async def until(self, phase: str, version: str) -> None:
        """The status speaks of this spec, in this phase."""

        async def there() -> bool:
            body = await self.live()
            status = body.get("status", {})
            current = status.get("observedGeneration") == body["metadata"]["generation"]
            return current and body["spec"]["model"]["version"] == version and status.get("phase") == phase

        async def seen() -> object:
            status = (await self.live()).get("status", {})
            return {key: status.get(key) for key in ("observedGeneration", "phase", "message")}

        await api.eventually(f"{self.way} {self.name}: {phase}", there, within=90, seen=seen)

    async def act(self, verb: Verb) -> None:
        """An action of Argo CD: the patch between what it got and what the script made of it."""
        body = await self.live()
        after = testdata.acted(verb, body)
        annotations = {
            key: value for key, value in after["metadata"]["annotations"].items() if value != body["metadata"]["annotations"].get(key)
        }
        await self.cluster.patch(MODEL_DEPLOYMENTS, self.namespace, self.name, {"metadata": {"annotations": annotations}})

    async def in_sync(self, version: str | None = None) -> None:
        """Both ways of looking find nothing to do."""
        live, desired = await self.live(), self.document(version)
        assert sync.three_way(desired, live) == {}, f"{self.way} {self.name}"
        if self.way == "server":
            dry = (*WAYS["server"], "--dry-run=server", "--output=json", "--show-managed-fields")
            predicted = json.loads(await asyncio.to_thread(self.kubectl.run, *dry, stdin=json.dumps(desired)))
            assert sync.server_side(predicted, await self.live()) == {}, f"{self.way} {self.name}"


@asynccontextmanager
async def scene() -> AsyncIterator[list[Git]]:
    """All examples in a namespace for each way, an operator, and nodes that run their pods; where they cannot, no pod is let in."""
    with ExitStack() as stack:
        spaces = {(way, served): stack.enter_context(api.namespace()) for way in WAYS for served in (True, False)}
        for way in WAYS:
            forbid_pods(spaces[way, False])
        kubectl = Kubectl(Path(api.kubeconfig()))
        stack.callback(kubectl.close)
        everywhere = tuple(spaces.values())
        async with api.cluster() as cluster, Nodes(cluster).running(), operator(everywhere[0], namespaces=everywhere):
            yield [Git(kubectl, cluster, spaces[way, name not in UNSERVED], name, way) for way in WAYS for name in TEXTS]


async def each(gits: list[Git], deed: Any) -> None:
    await asyncio.gather(*(deed(git) for git in gits))


async def first(git: Git) -> None:
    await git.apply()
    version = git.document()["spec"]["model"]["version"]
    if git.name in UNSERVED:
        await git.until("Checking", version)
    else:
        await git.until("Serving", version)
    await git.in_sync()


async def canary(git: Git) -> None:
    """A new version to its end, moved on by an action."""
    await git.apply(NEXT)
    if git.name in UNSERVED:
        await git.until("Checking", NEXT)
        await git.in_sync(NEXT)
        return

    async def shown() -> bool:
        return (await git.live())["status"].get("canary", {}).get("version") == NEXT

    await api.eventually(f"{git.name}: the canary", shown, within=90)
    await git.in_sync(NEXT)
    await git.act(Verb.PROMOTE)
    await git.until("Serving", NEXT)
    await git.in_sync(NEXT)


async def rollback(git: Git) -> None:
    """A version that crashes: back by itself, Degraded and in sync with a Git that still asks for it."""
    if git.name in UNSERVED:
        return
    await git.apply(CRASHING)
    await git.until("RolledBack", CRASHING)
    await git.in_sync(CRASHING)
    live = await git.live()
    assert health(live)["status"] == "Degraded"
    assert kstatus.compute(live) is kstatus.Verdict.FAILED


async def untouched(git: Git) -> None:
    """The operator wrote nothing but the status; each generation is one that Git made."""
    live = await git.live()
    entries = [entry for entry in live["metadata"]["managedFields"] if entry["manager"] == FIELD_MANAGER]
    assert {entry.get("subresource") for entry in entries} == {"status"}
    assert live["metadata"]["generation"] == (2 if git.name in UNSERVED else 3)
    assert live["metadata"].get("finalizers", []) == []
    assert {key: live["metadata"]["annotations"][key] for key in ARGOCD} == ARGOCD


async def childless_of_labels(git: Git) -> None:
    """Children carry none of the tracking labels and annotations, and an owner: no tool takes them for its own."""
    for kind in CHILDREN:
        for child in await git.cluster.list(kind, git.namespace, {MODEL_LABEL: git.name}):
            metadata = child["metadata"]
            carried = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
            assert not carried.keys() & {*ARGOCD, *INSTANCE, sync.LAST_APPLIED}, f"{kind.name} {metadata['name']}"
            assert any(owner.get("controller") for owner in metadata["ownerReferences"])


def test_every_example_is_in_sync_all_its_life_and_nothing_of_it_is_anybody_elses() -> None:
    async def story() -> None:
        async with scene() as gits:
            for deed in (first, canary, rollback, untouched, childless_of_labels):
                await each(gits, deed)
            await rests(gits)

    api.install_definition()
    asyncio.run(story())


async def rests(gits: list[Git]) -> None:
    """What has come to an end is written no more, however often it is looked at."""
    settled = [git for git in gits if git.name not in UNSERVED]

    async def versions() -> list[str]:
        return [(await git.live())["metadata"]["resourceVersion"] for git in settled]

    async def still() -> bool:
        before = await versions()
        await asyncio.sleep(5)
        return await versions() == before

    await api.eventually("five seconds without a write", still, within=90)
