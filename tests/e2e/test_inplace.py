"""Versions that come to pods which run, on a real cluster under load: no pod starts, no request fails, shares are exact."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from tests.demo.stage import OPERATOR, OPERATOR_NAMESPACE
from tests.e2e.serving import Serving, uids
from tests.e2e.test_requests import done
from tests.support import wait
from tests.support.kubectl import Body, condition
from volary.common.names import AGENT_PORT, REVISIONS_FILE, WRITTEN_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.demo.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

TEN = {"steps": [{"weight": 10, "duration": "1h"}]}  # nothing goes on before somebody asks
HALF = {"steps": [{"weight": 50, "duration": "3s"}]}
SHAPE: dict[str, Any] = {"update": "InPlace", "replicas": 1}


@pytest.fixture(scope="module")
def inside(stage: Stage, session: str) -> Iterator[Serving]:
    """A model with one pod that takes every further version."""
    name = stage.namespace(f"e2e-inplace-{session}")
    with Serving.begin(stage, name, "inside", rollout=TEN, rate=100, **SHAPE) as serving:
        yield serving
        totals = serving.load.totals
        assert totals.failed == 0, totals.failures
    stage.leave(name)


@pytest.fixture
def same_pods(inside: Serving) -> Iterator[Serving]:
    """`inside` with 1.0.0, with proof afterwards that no pod and no container was started."""
    inside.apply("1.0.0", rollout={"steps": []}, **SHAPE)
    inside.until_serving("1.0.0")
    before = inside.pods()
    yield inside
    after = inside.pods()
    assert uids(after) == uids(before)
    assert restarts(after) == 0
    assert inside.load.totals.failed == 0, inside.load.totals.failures


def restarts(pods: list[Body]) -> int:
    """Of all containers together."""
    return sum(
        container["restartCount"]
        for pod in pods
        for container in (*pod["status"].get("containerStatuses", ()), *pod["status"].get("initContainerStatuses", ()))
    )


def said(pod: Body) -> Body:
    """What the agent of a pod says it holds."""
    with urlopen(f"http://{pod['status']['podIP']}:{AGENT_PORT}/revisions", timeout=2) as answer:
        found: Body = json.load(answer)
        return found


def weights(serving: Serving) -> dict[str, int]:
    """Version -> percent in effect, in the one pod there is."""
    (pod,) = serving.pods()
    return {one["version"]: one["weight"] for one in said(pod)["revisions"]}


def both(serving: Serving) -> str:
    """What pods are told, and what they say."""
    return f"{config_map(serving)['data']} {[said(pod) for pod in serving.pods()]}"


def config_map(serving: Serving) -> Body:
    """The one that the pods mount."""
    (pod,) = serving.pods()
    name = next(volume["configMap"]["name"] for volume in pod["spec"]["volumes"] if "configMap" in volume)
    found = serving.stage.kubectl.get("ConfigMap", serving.watch.namespace, name)
    assert found is not None
    return found


def figure(text: str) -> None:
    """For the report."""
    sys.stderr.write(f"\nfigure: {text}\n")


def until_weights(serving: Serving, wanted: dict[str, int], within: float = 60) -> float:
    """Waits until this is in effect; the time at which it was seen. Late tells what the pod and the ConfigMap say."""

    def reached() -> float | None:
        now = weights(serving)
        return time.time() if {name: weight for name, weight in now.items() if weight} == wanted else None

    return wait.until(f"the pod divides its requests {wanted}", reached, within, poll=0.02, seen=lambda: both(serving))


def test_a_good_version_comes_step_by_step_and_goes_back_in_two_seconds(same_pods: Serving) -> None:
    same_pods.apply("2.0.0", rollout=TEN, **SHAPE)
    effect = until_weights(same_pods, {"1.0.0": 90, "2.0.0": 10})
    same_pods.until_canary("2.0.0")
    written = datetime.fromisoformat(config_map(same_pods)["metadata"]["annotations"][WRITTEN_ANNOTATION]).timestamp()
    figure(f"write to effect of 90/10: {effect - written:.2f} s")
    first = same_pods.load.totals
    wait.until("1,000 requests are answered", lambda: same_pods.load.totals.ok >= first.ok + 1000, 60)
    last = same_pods.load.totals
    count = last.ok - first.ok
    canary = last.by_version.get("2.0.0", 0) - first.by_version.get("2.0.0", 0)
    figure(f"one replica, 10 %: {canary} of {count} requests")
    assert abs(canary - count / 10) <= 3  # answers on their way when the two reports were written
    done(same_pods, "promote")
    same_pods.until_serving("2.0.0")
    asked = time.time()
    done(same_pods, "rollback", "--to", "1.0.0")
    effect = until_weights(same_pods, {"1.0.0": 100})
    same_pods.until_said("RollbackRequested", "RolledBack")
    acted = datetime.fromisoformat(same_pods.watch.status["request"]["at"]).timestamp()
    figure(f"rollback to a kept revision: {effect - acted:.2f} s from the operator's turn, {effect - asked:.2f} s with the command itself")


@pytest.mark.parametrize(("version", "reason"), [("4.0.0", "GoldenMismatch"), ("5.0.0", "ErrorRateTooHigh")])
def test_a_bad_version_is_given_up(same_pods: Serving, version: str, reason: str) -> None:
    same_pods.apply(version, rollout=HALF, **SHAPE)
    same_pods.until_said(reason, "RolledBack")
    until_weights(same_pods, {"1.0.0": 100})
    assert same_pods.stable == "1.0.0"


@contextmanager
def operator_away(stage: Stage) -> Iterator[None]:
    """Nobody looks and nobody nudges."""
    scale = ("scale", f"deployment/{OPERATOR}", f"--namespace={OPERATOR_NAMESPACE}")
    stage.kubectl.run(*scale, "--replicas=0")
    wait.until("the operator is gone", lambda: not stage.operator_pods(), 60)
    try:
        yield
    finally:
        stage.kubectl.run(*scale, "--replicas=1")


def test_without_the_operator_a_split_arrives_later_and_a_new_pod_starts_on_it(inside: Serving) -> None:
    inside.apply("6.0.0", rollout=TEN, **SHAPE)
    inside.until_canary("6.0.0")
    until_weights(inside, {"1.0.0": 90, "6.0.0": 10})
    with operator_away(inside.stage):
        kept = config_map(inside)
        split = json.loads(kept["data"][REVISIONS_FILE])
        split["generation"] += 1
        for one in split["revisions"]:
            one["weight"] = {"1.0.0": 70, "6.0.0": 30}[one["version"]]
        began = time.time()
        patch = json.dumps({"data": {REVISIONS_FILE: json.dumps(split)}})
        inside.stage.kubectl.run("patch", "configmap", kept["metadata"]["name"], f"--namespace={inside.watch.namespace}", "-p", patch)
        figure(f"without a nudge: {until_weights(inside, {'1.0.0': 70, '6.0.0': 30}, 180) - began:.1f} s from write to effect")
        gone = inside.pods()
        inside.stage.kubectl.run("scale", "deployment", kept["metadata"]["name"], f"--namespace={inside.watch.namespace}", "--replicas=2")
        wait.until("a second pod is ready", lambda: len(ready(inside)) == 2, 60)
        (new,) = [pod for pod in ready(inside) if pod["metadata"]["uid"] not in uids(gone)]
        assert {one["version"]: one["weight"] for one in said(new)["revisions"]} == {"1.0.0": 70, "6.0.0": 30}
    wait.until("the operator has put it right", lambda: len(inside.pods()) == 1, 90)
    until_weights(inside, {"1.0.0": 90, "6.0.0": 10}, 90)
    done(inside, "abort")
    inside.until_said("AbortRequested", "RolledBack")
    until_weights(inside, {"1.0.0": 100})


def ready(serving: Serving) -> list[Body]:
    """Pods that serve."""
    return [pod for pod in serving.pods() if condition(pod, "Ready").get("status") == "True"]
