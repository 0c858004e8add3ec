"""A real API server for tests, with a namespace a test."""

from __future__ import annotations

import asyncio
import os
import secrets
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from kubernetes import client, config

from tests.cluster import binaries
from tests.cluster.progress import Silent
from tests.cluster.settings import Paths
from tests.controller import plane
from tests.support.wait import until
from volary.adapters.kubeconfig import Connection, connect
from volary.api import crdgen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from volary.adapters.cluster import KubernetesCluster


@cache
def kubeconfig() -> str:
    """Of a control plane of our own, started at the first call; of KUBECONFIG's cluster where its programs are not built."""
    cache_folder = Paths.from_environment().cache
    found = binaries.locate(cache_folder)
    if not binaries.complete(found):
        if given := os.environ.get("KUBECONFIG"):
            return given
        found = binaries.build(cache_folder, Silent())
    return str(plane.start(found).kubeconfig)


@cache
def sync_client() -> client.ApiClient:
    """The synchronous client, for what a test does beside the code under test."""
    made: client.ApiClient = config.new_client_from_config(kubeconfig())
    return made


@contextmanager
def namespace() -> Iterator[str]:
    """A fresh namespace, deleted at the end (which goes on in the background)."""
    core, name = client.CoreV1Api(sync_client()), f"test-{secrets.token_hex(4)}"
    core.create_namespace({"metadata": {"name": name}})
    try:
        yield name
    finally:
        core.delete_namespace(name)


def install_definition() -> None:
    """The CustomResourceDefinition, and wait until it is served."""
    definition = crdgen.crd()
    api = client.ApiextensionsV1Api(sync_client())
    api.patch_custom_resource_definition(
        definition["metadata"]["name"],
        definition,
        field_manager="volary-install",
        force=True,
        _content_type="application/apply-patch+yaml",
    )

    def established() -> bool:
        body = api.read_custom_resource_definition(definition["metadata"]["name"])
        return any(c.type == "Established" and c.status == "True" for c in body.status.conditions or ())

    until("the CustomResourceDefinition is served", established, within=30)


async def connection() -> Connection:
    """As the code under test would connect."""
    with patch.dict(os.environ, KUBECONFIG=kubeconfig()):  # the end-to-end tests of this session look at it too
        return await connect()


@asynccontextmanager
async def cluster() -> AsyncIterator[KubernetesCluster]:
    """The code under test, connected."""
    made = (await connection()).cluster()
    try:
        yield made
    finally:
        await made.close()


async def eventually(
    what: str, probe: Callable[[], Awaitable[Any]], within: float = 30, seen: Callable[[], Awaitable[object]] | None = None
) -> Any:
    """The first truthy answer of a coroutine function; `seen` tells of the world when it does not come."""
    try:
        async with asyncio.timeout(within):
            while not (found := await probe()):  # noqa: ASYNC110 -- the condition is elsewhere
                await asyncio.sleep(0.05)
            return found
    except TimeoutError:
        tail = f"; seen last: {await seen()}" if seen else ""
        raise AssertionError(f"not within {within:g} s: {what}{tail}") from None
