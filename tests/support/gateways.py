"""Gateways of the tests: Traefik, a Gateway in each namespace, and plain requests through it."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tests.cluster import add_gateway
from tests.support import wait
from tests.support.install import REPOSITORY
from tests.support.load import bodies

if TYPE_CHECKING:
    from tests.cluster import Gateway
    from tests.support.kubectl import Body, Kubectl

NAME = "edge"  # of the Gateway in every namespace
_API = "gateway.networking.k8s.io/v1"


@dataclass(frozen=True)
class Edge:
    """The gateway as clients see it."""

    kubectl: Kubectl
    gateway: Gateway

    @classmethod
    def of(cls, kubectl: Kubectl) -> Edge:
        """Starts it if need be, and lets the operator write HTTPRoutes."""
        gateway = add_gateway()
        kubectl.apply(*yaml.safe_load_all((REPOSITORY / "manifests" / "gateway" / "rbac.yaml").read_text("utf-8")))
        return cls(kubectl, gateway)

    def open(self, namespace: str) -> None:
        """A Gateway in this namespace, on the port that all of them share."""
        listener = {"name": "web", "protocol": "HTTP", "port": self.gateway.port}
        body = {"apiVersion": _API, "kind": "Gateway", "metadata": {"name": NAME, "namespace": namespace}}
        self.kubectl.apply({**body, "spec": {"gatewayClassName": self.gateway.class_name, "listeners": [listener]}})

    def url(self, model: str) -> str:
        """Where predictions are asked for."""
        return f"http://{self.gateway.host}:{self.gateway.port}/v2/models/{model}/infer"

    def ask(self, model: str, count: int, **headers: str) -> Counter[str]:
        """So many requests, one after the other, by the version that answered; `HTTP 503` and the like count too."""
        connection = http.client.HTTPConnection(self.gateway.host, self.gateway.port, timeout=10)
        body = bodies()[0]
        found: Counter[str] = Counter()
        wire = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        for _ in range(count):
            connection.request("POST", f"/v2/models/{model}/infer", body=body, headers=wire)
            answer = connection.getresponse()
            content = answer.read()
            found[json.loads(content)["model_version"] if answer.status == 200 else f"HTTP {answer.status}"] += 1
        connection.close()
        return found

    def until_open(self, model: str) -> None:
        """The first request that is answered."""
        wait.until(f"{model} answers through the gateway", lambda: not any(key.startswith("HTTP") for key in self.ask(model, 1)), 60)


def traffic(model: str, **extras: Any) -> Body:
    """`spec.rollout.traffic` with a route of Volary's own."""
    return {"gateway": {"parentRefs": [{"name": NAME}], "path": f"/v2/models/{model}"}, **extras}


def route(namespace: str, name: str, *rules: Body) -> Body:
    """An HTTPRoute of a user's."""
    body = {"apiVersion": _API, "kind": "HTTPRoute", "metadata": {"name": name, "namespace": namespace}}
    return {**body, "spec": {"parentRefs": [{"name": NAME}], "rules": list(rules)}}
