"""`helm test`: the operator is ready, the API server takes a ModelDeployment; with a spec the model serves, and goes."""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
HOST = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
NAMESPACE = os.environ["NAMESPACE"]
NAME = os.environ["NAME"]
SPEC = json.loads(os.environ["SPEC"])
SMALLEST = {"model": {"uri": "s3://models/helm-test", "version": "1.0.0"}, "runtime": {"name": "onnxruntime"}}
MODELS = f"/apis/serving.volary.dev/v1alpha1/namespaces/{NAMESPACE}/modeldeployments"
DEADLINE = time.monotonic() + float(os.environ["TIMEOUT"])


def ask(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the API server answers, as JSON."""
    request = urllib.request.Request(HOST + path, method=method, data=json.dumps(body).encode() if body else None)
    request.add_header("Authorization", f"Bearer {(ACCOUNT / 'token').read_text()}")
    request.add_header("Content-Type", "application/json")
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, context=trust, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def until(what: str, look: Callable[[], tuple[bool, str]]) -> None:
    """Ask again every second; the end of the time is an error that tells what was seen last."""
    while not (seen := look())[0]:
        if time.monotonic() > DEADLINE:
            sys.exit(f"not in time: {what}; last seen: {seen[1]}")
        time.sleep(1)
    print(f"{what}: {seen[1]}", flush=True)


def ready() -> tuple[bool, str]:
    """Whether a pod of the operator is ready."""
    status = ask("GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAME}").get("status", {})
    return status.get("readyReplicas", 0) > 0, f"{status.get('readyReplicas', 0)} ready"


def serving() -> tuple[bool, str]:
    """Whether the model serves; a refusal ends the test at once."""
    status = ask("GET", f"{MODELS}/{NAME}-test").get("status", {})
    if status.get("phase") in {"Refused", "Failed"}:
        sys.exit(f"{status['phase']}: {json.dumps(status.get('conditions'))}")
    return status.get("phase") == "Serving", status.get("phase", "no status")


def model(spec: dict[str, Any]) -> dict[str, Any]:
    """A ModelDeployment of the test's name."""
    body = {"apiVersion": "serving.volary.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": f"{NAME}-test"}}
    return {**body, "spec": spec}


try:
    until("the operator is ready", ready)
    ask("POST", f"{MODELS}?dryRun=All", model(SPEC or SMALLEST))
    print("the API server takes a ModelDeployment")
    if SPEC:
        ask("POST", MODELS, model(SPEC))
        try:
            until("the model serves", serving)
        finally:
            ask("DELETE", f"{MODELS}/{NAME}-test")
except urllib.error.HTTPError as error:
    sys.exit(f"{error.url}: {error.code} {error.read().decode(errors='replace')}")
