"""The real operator on the real API server, in the test's own loop or as a process."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kubernetes import client

from tests.controller import api
from tests.support.wait import until
from volary.adapters.cluster import CONTROLLER_REVISIONS, DEPLOYMENTS, JOBS, MODEL_DEPLOYMENTS, SERVICES, Body, Cluster
from volary.common.settings import Settings
from volary.controller.app import App

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from volary.adapters.kubeconfig import Connection

OURS = (MODEL_DEPLOYMENTS, JOBS, CONTROLLER_REVISIONS, DEPLOYMENTS, SERVICES)


def settings(namespace: str, **more: Any) -> Settings:
    """Serves one namespace; its Lease is there too."""
    given: dict[str, Any] = {
        "agent_image": "volary.test/agent:none",
        "server_images": MappingProxyType({"onnxruntime": "volary.test/server:none"}),
        "namespaces": (namespace,),
        "lease_namespace": namespace,
        "listen": "127.0.0.1:0",
    }
    return Settings(**given | more)


@asynccontextmanager
async def operator(namespace: str, connection: Connection | None = None, **more: Any) -> AsyncIterator[App]:
    """Runs while the block does, and must end well."""
    async with AsyncExitStack() as stack:
        app = await App.assemble(settings(namespace, **more), connection or await api.connection(), stack)
        running = asyncio.create_task(app.run())
        try:
            yield app
        finally:
            app.stop()
            async with asyncio.timeout(5):
                assert await running == 0


@asynccontextmanager
async def process(namespace: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`volary run`; killed at the end if it still runs."""
    given = {
        **os.environ,
        "KUBECONFIG": api.kubeconfig(),
        "PYTHONPATH": "operator",
        "VOLARY_AGENT_IMAGE": "volary.test/agent:none",
        "VOLARY_SERVER_IMAGE": "volary.test/server:none",
        "VOLARY_NAMESPACES": namespace,
        "VOLARY_LEASE_NAMESPACE": namespace,
        "VOLARY_LISTEN": "127.0.0.1:0",
        **environment,
    }
    started = await asyncio.create_subprocess_exec(sys.executable, "-m", "volary", "run", env=given, stderr=asyncio.subprocess.PIPE)
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


def deployment(namespace: str, name: str = "fraud", version: str = "1.0.0", **spec: Any) -> Body:
    """A small ModelDeployment."""
    model = {"uri": "s3://models/fraud", "version": version}
    return {
        "apiVersion": MODEL_DEPLOYMENTS.api_version,
        "kind": MODEL_DEPLOYMENTS.name,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"model": model, "runtime": {"name": "onnxruntime"}, **spec},
    }


def forbid_pods(namespace: str) -> None:
    """No pod starts here: what a test sees is the operator's doing, not the kubelet's."""
    quota = {"metadata": {"name": "no-pods"}, "spec": {"hard": {"pods": "0"}}}
    core = client.CoreV1Api(api.sync_client())
    core.create_namespaced_resource_quota(namespace, quota)

    def counted() -> bool:
        return bool(core.read_namespaced_resource_quota("no-pods", namespace).status.used)

    until("the quota is in force", counted, within=60)


async def status(cluster: Cluster, namespace: str, name: str = "fraud") -> Body:
    """Of a ModelDeployment, empty where there is none."""
    body = await cluster.get(MODEL_DEPLOYMENTS, namespace, name)
    found: Body = (body or {}).get("status", {})
    return found


async def versions(cluster: Cluster, namespace: str) -> dict[str, str]:
    """resourceVersion of everything of ours: what moves when anybody writes."""
    return {
        f"{kind.plural}/{body['metadata']['name']}": body["metadata"]["resourceVersion"]
        for kind in OURS
        for body in await cluster.list(kind, namespace)
    }
