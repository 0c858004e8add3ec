"""Numbers of pods that others change: autoscalers, people, drains of nodes; on a real cluster under load."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.serving import QUICK, Serving
from tests.support import wait
from volary.common.names import FIELD_MANAGER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.demo.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

BOUNDS = {"minReplicas": 2, "maxReplicas": 4, "requestsPerSecond": 1000}


@pytest.fixture
def scaled(stage: Stage, session: str, request: pytest.FixtureRequest) -> Iterator[Serving]:
    """A model whose number of pods the spec does not say; no request of its clients may fail."""
    name = stage.namespace(f"e2e-scaling-{request.node.name.split('_')[1]}-{session}")
    with Serving.begin(stage, name, "scaled", rollout=QUICK, rate=50, **request.param) as serving:
        yield serving
        totals = serving.load.totals
        assert totals.failed == 0, totals.failures
        assert totals.ok > 0
    stage.leave(name)


def autoscalers(serving: Serving) -> dict[str, tuple[int, int]]:
    """Target -> bounds."""
    found = serving.stage.kubectl.list("HorizontalPodAutoscaler", serving.watch.namespace)
    return {one["spec"]["scaleTargetRef"]["name"]: (one["spec"]["minReplicas"], one["spec"]["maxReplicas"]) for one in found}


def deployment(serving: Serving) -> str:
    """Name of stable's Deployment."""
    return f"scaled-{serving.watch.status['stable']['revision']}"


def ours(serving: Serving) -> bool:
    """Whether the operator claims the number of stable's pods."""
    body = serving.stage.kubectl.get("Deployment", serving.watch.namespace, deployment(serving))
    assert body is not None
    entries = [e for e in body["metadata"]["managedFields"] if e["manager"] == FIELD_MANAGER and e["operation"] == "Apply"]
    return any("f:replicas" in entry["fieldsV1"]["f:spec"] for entry in entries)


def until_pods(serving: Serving, count: int) -> None:
    def enough() -> bool:
        return serving.watch.phase == "Serving" and serving.watch.status.get("ready") == f"{count}/{count}" and len(serving.pods()) == count

    wait.until(f"{count} pods serve", enough, 120, seen=lambda: str(serving.watch.status.get("ready")))


@pytest.mark.parametrize("scaled", [{"autoscaling": BOUNDS, "replicas": None}], indirect=True)
def test_autoscaled_through_a_canary(scaled: Serving) -> None:
    kubectl, namespace = scaled.stage.kubectl, scaled.watch.namespace
    first = deployment(scaled)
    wait.until("stable has its autoscaler", lambda: autoscalers(scaled) == {first: (2, 4)}, 30)
    wait.until("the number is not the operator's", lambda: not ours(scaled), 30)
    until_pods(scaled, 2)
    kubectl.run("scale", "deployment", first, "--namespace", namespace, "--replicas=3")  # as its controller does when load grows
    until_pods(scaled, 3)
    scaled.apply("2.0.0", autoscaling=BOUNDS, replicas=None, rollout=QUICK)
    scaled.until_serving("2.0.0", 180)
    second = deployment(scaled)
    until_pods(scaled, 3)
    wait.until("the autoscaler moved on", lambda: autoscalers(scaled) == {second: (2, 4)}, 30)
    # Above its limit: the real controller brings it back.
    kubectl.run("scale", "deployment", second, "--namespace", namespace, "--replicas=6")
    until_pods(scaled, 4)
    assert not ours(scaled)
    scaled.apply("2.0.0", replicas=2, rollout=QUICK)
    until_pods(scaled, 2)
    assert autoscalers(scaled) == {}
    assert ours(scaled)


@pytest.mark.parametrize("scaled", [{"replicas": 3, "disruptionBudget": {"minAvailable": 2}}], indirect=True)
def test_drained_and_scaled_by_people(scaled: Serving) -> None:
    kubectl, namespace = scaled.stage.kubectl, scaled.watch.namespace
    wait.until("there is a budget", lambda: kubectl.get("PodDisruptionBudget", namespace, "scaled") is not None, 30)

    def allowed() -> bool:
        budget = kubectl.get("PodDisruptionBudget", namespace, "scaled") or {}
        return budget.get("status", {}).get("disruptionsAllowed") == 1

    wait.until("one pod may go", allowed, 60)
    first, second, _ = scaled.pods()
    evict(scaled, first["metadata"]["name"])
    with pytest.raises(Exception, match="disruption budget"):
        evict(scaled, second["metadata"]["name"])
    until_pods(scaled, 3)
    kubectl.run("scale", "modeldeployment", "scaled", "--namespace", namespace, "--replicas=2")
    until_pods(scaled, 2)


def evict(serving: Serving, pod: str) -> None:
    namespace = serving.watch.namespace
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
    serving.stage.kubectl.run("create", "--raw", f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", "-f", "-", stdin=json.dumps(body))
