"""The cluster as a user sees it: kubectl to change things, plain GETs to look at them often."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml
from kubernetes import client, config

from tests.cluster import binaries
from tests.cluster.settings import Paths

Body = dict[str, Any]

_ROOTS = {
    "ModelDeployment": ("/apis/serving.volary.dev/v1alpha1", "modeldeployments"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets"),
    "ControllerRevision": ("/apis/apps/v1", "controllerrevisions"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "Job": ("/apis/batch/v1", "jobs"),
    "Pod": ("/api/v1", "pods"),
    "Service": ("/api/v1", "services"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Event": ("/api/v1", "events"),
    "Secret": ("/api/v1", "secrets"),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices"),
    "HTTPRoute": ("/apis/gateway.networking.k8s.io/v1", "httproutes"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
}


class KubectlFailed(RuntimeError):
    """kubectl ended with an error; the message is its own."""


class Kubectl:
    """One cluster. Thread-safe: every thread that looks opens connections of its own."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.program = program()
        self._client = config.new_client_from_config(str(kubeconfig))  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    # ---- looking

    def get(self, kind: str, namespace: str, name: str) -> Body | None:
        """One object, or None where it does not exist."""
        root, plural = _ROOTS[kind]
        return self._read(f"{root}/namespaces/{namespace}/{plural}/{name}")

    def list(self, kind: str, namespace: str, selector: str = "") -> list[Body]:
        """The objects of a kind; `selector` is a label selector."""
        root, plural = _ROOTS[kind]
        query = f"?{urlencode({'labelSelector': selector})}" if selector else ""
        found = self._read(f"{root}/namespaces/{namespace}/{plural}{query}")
        return list(found["items"]) if found else []

    def _read(self, path: str) -> Body | None:
        parameters = self._client.param_serialize("GET", path, auth_settings=["BearerToken"], header_params={"Accept": "application/json"})
        response = self._client.call_api(*parameters, _request_timeout=10)
        data = response.read()
        if response.status == 404:
            return None
        if response.status >= 400:
            raise client.ApiException(http_resp=response, body=data, data=None)
        found: Body = json.loads(data)
        return found

    # ---- changing, as a user does

    def apply(self, *documents: Body) -> str:
        """`kubectl apply --server-side -f -`. Raises KubectlFailed with what the API server said."""
        text = yaml.safe_dump_all(documents, sort_keys=False)
        return self.run("apply", "--server-side", "--force-conflicts", "--field-manager=demo", "-f", "-", stdin=text)

    def delete(self, kind: str, namespace: str, name: str, *options: str) -> str:
        """`kubectl delete`, not an error where it is gone already."""
        return self.run("delete", kind, name, f"--namespace={namespace}", "--ignore-not-found", *options)

    def run(self, *arguments: str, stdin: str = "", timeout: float = 120) -> str:
        """Any kubectl command; its output."""
        done = subprocess.run(
            [self.program, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
        )
        if done.returncode:
            raise KubectlFailed(done.stderr.strip() or done.stdout.strip())
        return done.stdout


def program() -> str:
    """kubectl of the test cluster, else the user's."""
    own = binaries.locate(Paths.from_environment().cache).get("kubectl")
    found = str(own) if own else shutil.which("kubectl")
    if not found:
        raise KubectlFailed("kubectl is missing: `python -m tests.cluster build`, or install it")
    return found


def condition(body: Body | None, kind: str) -> Body:
    """A condition of an object's status; empty where there is none."""
    conditions = (body or {}).get("status", {}).get("conditions", ())
    return next((c for c in conditions if c["type"] == kind), {})


def settled(body: Body | None) -> bool:
    """Whether the status speaks of the spec as it is now."""
    return body is not None and body.get("status", {}).get("observedGeneration") == body["metadata"]["generation"]
