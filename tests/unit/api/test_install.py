"""The installation: least rights, restricted pods, one CustomResourceDefinition."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.support.install import REPOSITORY, documents
from volary.api import crdgen

READ = {"get", "list", "watch"}
OWN = READ | {"create", "patch", "delete"}
CLUSTER_RIGHTS = {
    "serving.volary.dev/modeldeployments": READ,
    "serving.volary.dev/modeldeployments/status": {"patch"},
    "apps/controllerrevisions": OWN,
    "apps/deployments": OWN,
    "autoscaling/horizontalpodautoscalers": OWN - {"watch"},
    "policy/poddisruptionbudgets": OWN - {"watch"},
    "batch/jobs": OWN,
    "/services": OWN,
    "/configmaps": OWN,
    "/pods": READ | {"patch"},  # the annotation that makes the kubelet mount a changed ConfigMap at once
    "/events": {"create", "patch"},
}
GATEWAY_RIGHTS = {
    "gateway.networking.k8s.io/httproutes": OWN,
    "gateway.networking.k8s.io/gateways": {"get"},
    "gateway.networking.k8s.io/gatewayclasses": {"get"},
}
LEASE_RIGHTS = {"coordination.k8s.io/leases": {"get", "create", "update", "patch"}}


def one(kind: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    """The only object of its kind."""
    (document,) = [document for document in found if document["kind"] == kind]
    return document


def rights(role: dict[str, Any]) -> dict[str, set[str]]:
    """GROUP/RESOURCE -> verbs."""
    return {f"{group}/{name}": set(rule["verbs"]) for rule in role["rules"] for group in rule["apiGroups"] for name in rule["resources"]}


def test_rights_are_these_and_no_others() -> None:
    found = documents()
    assert rights(one("ClusterRole", found)) == CLUSTER_RIGHTS
    assert rights(one("Role", found)) == LEASE_RIGHTS


def test_rights_for_a_gateway_are_asked_for_by_themselves() -> None:
    found = list(yaml.safe_load_all((REPOSITORY / "manifests" / "gateway" / "rbac.yaml").read_text("utf-8")))
    assert rights(one("ClusterRole", found)) == GATEWAY_RIGHTS


def test_definition_is_the_generated_one() -> None:
    assert one("CustomResourceDefinition", documents()) == crdgen.crd()


def test_namespace_comes_first_and_is_restricted() -> None:
    namespace = one("Namespace", documents())
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    kinds = [document["kind"] for document in documents()]
    assert kinds.index("Namespace") < min(kinds.index("ServiceAccount"), kinds.index("Deployment"))


def test_pod_is_locked_down() -> None:
    pod = one("Deployment", documents())["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "volumes" not in pod


def test_images_are_replaced_everywhere() -> None:
    found = documents({"operator": "o:1", "agent": "a:1", "server": "s:1"})
    (container,) = one("Deployment", found)["spec"]["template"]["spec"]["containers"]
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert (container["image"], variables["VOLARY_AGENT_IMAGE"], variables["VOLARY_SERVER_IMAGE"]) == ("o:1", "a:1", "s:1")


def test_unknown_image_is_an_error() -> None:
    with pytest.raises(KeyError, match="model"):
        documents({"model": "m:1"})
