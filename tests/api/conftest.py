"""An API server that serves our CustomResourceDefinition."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from tests.api.documents import document
from tests.cluster import up
from volary.api import crdgen
from volary.common import names

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVED_WITHIN = 30.0  # seconds from the definition's arrival to its first use
POLL = 0.05


@dataclass(frozen=True)
class Verdict:
    """What the API server said of a document: what it would store, or why not."""

    stored: dict[str, Any] | None
    message: str = ""


@dataclass(frozen=True)
class Judge:
    """Sends documents for a trial; nothing is stored."""

    api: client.CustomObjectsApi

    def __call__(self, body: dict[str, Any]) -> Verdict:
        """Create it with `dryRun`, unknown fields refused, as `kubectl apply` does."""
        place = (names.GROUP, names.VERSION, "default", names.PLURAL)
        try:
            stored: Any = self.api.create_namespaced_custom_object(*place, body, dry_run="All", field_validation="Strict")
        except ApiException as error:
            if error.status not in {400, 422}:  # 400: unknown field, 422: rules
                raise
            return Verdict(None, json.loads(error.body or "")["message"])
        return Verdict(stored)


@pytest.fixture(scope="session")
def api_client() -> Iterator[client.ApiClient]:
    """Of KUBECONFIG's cluster, or of the test cluster, which starts when it does not run yet."""
    kubeconfig = os.environ.get("KUBECONFIG") or str(up().kubeconfig)
    connection: client.ApiClient = config.new_client_from_config(kubeconfig)  # type: ignore[no-untyped-call]  # theirs
    with connection:
        yield connection


@pytest.fixture(scope="session")
def judge(api_client: client.ApiClient) -> Judge:
    """Install the definition by server-side apply (never deleted: the cluster may be somebody's) and wait until it serves."""
    definition = crdgen.crd()
    client.ApiextensionsV1Api(api_client).patch_custom_resource_definition(
        definition["metadata"]["name"],
        definition,
        field_manager="volary-install",
        force=True,
        _content_type="application/apply-patch+yaml",
    )
    found = Judge(client.CustomObjectsApi(api_client))
    _wait_until_served(found)
    return found


def _wait_until_served(judge: Judge) -> None:
    end = time.monotonic() + SERVED_WITHIN
    while True:
        try:
            assert judge(document()).stored
        except ApiException as error:
            if error.status != 404 or time.monotonic() > end:
                raise
        else:
            return
        time.sleep(POLL)
