"""Ways to take over, on a real cluster under load: the examples as users apply them, only faster."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
import yaml

from tests.e2e.asking import done
from tests.e2e.serving import Serving, names
from tests.support import load, wait
from tests.support.kubectl import condition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from tests.demo.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

EXAMPLES = Path(__file__).resolve().parents[2] / "manifests" / "examples"
SOON = 6.0  # seconds from a wish to its beginning: below 1 on a quiet machine


def example(name: str, *durations: str) -> dict[str, Any]:
    """spec.rollout of an example, with steps that last seconds and rules for the few requests of a test."""
    spec: dict[str, Any] = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text("utf-8"))["spec"]
    rollout: dict[str, Any] = spec["rollout"]
    for step, lasts in zip(rollout.get("steps") or (), durations, strict=True):
        step["duration"] = lasts
    rollout.setdefault("steps", None)  # not those that models of these tests have otherwise
    return rollout | {"analysis": {"interval": "1s", "errors": {"tolerance": "5%"}}, "progressDeadline": "60s"}


@pytest.fixture
def begun(stage: Stage, namespace: str, request: pytest.FixtureRequest) -> Iterator[Serving]:
    """1.0.0 with two pods under the rollout of an example; no request fails until the end."""
    with Serving.begin(stage, namespace, "fraud", replicas=2, rollout=request.param, rate=60) as serving:
        yield serving
        ended = serving.load.totals.ok
        wait.until("clients are answered still", lambda: serving.load.totals.ok > ended + 20, 30)
        totals = serving.load.totals
        assert totals.failed == 0, totals.failures


class MostPods:
    """The largest number of a model's pods that held room at once."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.most = 0
        self.seen: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(15)

    def _run(self) -> None:
        watch = self._serving.watch
        selector = f"serving.volary.dev/model={watch.name},app.kubernetes.io/component=server"
        while not self._stop.wait(0.1):
            found = self._serving.stage.kubectl.list("Pod", watch.namespace, selector)
            held = [pod for pod in found if pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"}]  # what ended holds no room
            if len(held) > self.most:
                self.most, self.seen = len(held), [f"{pod['metadata']['name']} {pod.get('status', {}).get('phase')}" for pod in held]


def answered_by(url: str) -> str:
    """Version of the model that answers one request."""
    asked = urllib.request.Request(url, data=load.bodies()[0], headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return str(json.loads(answer.read())["model_version"])


def selects(serving: Serving) -> str:
    """The revision that the model's Service selects."""
    found = serving.stage.kubectl.get("Service", serving.watch.namespace, serving.watch.name)
    return str((found or {})["spec"]["selector"].get("serving.volary.dev/revision", ""))


def seconds_from_wish(serving: Serving, happened: Callable[[], object]) -> float:
    """From the moment `volary rollback` has written its wish until something has happened."""
    written: list[float] = []

    def seen() -> bool:
        body = serving.stage.kubectl.get("ModelDeployment", serving.watch.namespace, serving.watch.name) or {}
        if not written and "rollback" in (body["metadata"].get("annotations") or {}).get("serving.volary.dev/request", ""):
            written.append(time.monotonic())
        return bool(happened())

    asking = threading.Thread(target=done, args=(serving, "rollback"))
    asking.start()
    wait.until("it is on its way back", seen, 60, poll=0.05)
    took = time.monotonic() - written[0]
    asking.join()
    print(f"rollback began after {took:.2f} s")
    return took


@pytest.mark.parametrize("begun", [example("bluegreen")], indirect=True, ids=["example"])
def test_blue_green_waits_behind_its_preview_then_switches_and_returns_at_once(begun: Serving) -> None:
    stable = selects(begun)
    rollout = example("bluegreen")
    begun.apply("2.0.0", replicas=2, rollout=rollout)
    message = begun.until_said("ApprovalNeeded", "Paused", 90)
    assert f"volary approve fraud --namespace {begun.watch.namespace}" in message
    preview = begun.stage.url(begun.watch.namespace, "fraud-preview", "fraud")
    assert preview is not None
    assert wait.until("the preview answers", lambda: answered_by(preview), 10) == "2.0.0"
    assert set(begun.load.totals.by_version) == {"1.0.0"}
    done(begun, "approve")
    begun.until_serving("2.0.0")
    assert begun.watch.status["retiring"]["version"] == "1.0.0"
    assert begun.stage.kubectl.get("Service", begun.watch.namespace, "fraud-preview") is None
    assert seconds_from_wish(begun, lambda: selects(begun) == stable) < SOON
    begun.until_said("RollbackRequested", "RolledBack")
    wait.until("only the pods of 1.0.0 are left", lambda: len(begun.pods()) == 2, 60, seen=lambda: names(begun.pods()))


@pytest.mark.parametrize("begun", [example("no-surge", "3s")], indirect=True, ids=["example"])
def test_without_surge_no_pod_comes_before_one_goes(begun: Serving) -> None:
    rollout = example("no-surge", "3s")
    with MostPods(begun) as pods:
        begun.apply("2.0.0", replicas=2, rollout=rollout)
        begun.until_serving("2.0.0", 150)
        begun.apply("4.0.0", replicas=2, rollout=rollout)
        begun.until_said("GoldenMismatch", "RolledBack", 120)
        wait.until("both pods of 2.0.0 are ready again", lambda: begun.watch.status["stable"]["ready"] == 2, 60)
    assert pods.most == 2, pods.seen
    assert begun.stable == "2.0.0"


@pytest.mark.parametrize("begun", [example("approval", "1s", "1h")], indirect=True, ids=["example"])
def test_a_person_pauses_resumes_approves_and_skips(begun: Serving) -> None:
    before = selects(begun)
    begun.apply("2.0.0", replicas=2, rollout=example("approval", "1s", "1h"))
    begun.until_canary("2.0.0")
    done(begun, "pause")
    assert "volary resume" in begun.until_said("Paused", "Paused")
    done(begun, "resume")
    begun.until_said("ApprovalNeeded", "Paused", 90)
    done(begun, "approve")
    begun.until_said("CollectingEvidence", "Canary", 90)
    done(begun, "skip")
    begun.until_serving("2.0.0")
    wait.until("the pods of 1.0.0 are gone", lambda: len(begun.pods()) == 2, 60, seen=lambda: names(begun.pods()))
    own = f"fraud-{before}"
    assert seconds_from_wish(begun, lambda: begun.stage.kubectl.get("Deployment", begun.watch.namespace, own)) < SOON
    begun.until_said("RollbackRequested", "RolledBack")
    assert selects(begun) == before
    assert condition(begun.watch.body, "Available")["status"] == "True"
