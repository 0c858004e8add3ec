"""The story in six chapters. Each is a change a person makes, and what must follow from it, seen from outside.

`make demo` tells it; tests/e2e/test_story.py asserts it. A chapter that does not happen raises.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from tests.demo import models
from tests.support import wait
from tests.support.kubectl import Body, condition
from tests.support.load import Load, Totals
from volary.common.names import COMPONENT_LABEL, MODEL_LABEL, REVISION_LABEL

if TYPE_CHECKING:
    from tests.demo.stage import Stage
    from tests.demo.watching import Watch

NAME = "digits"
PREDICTION_TOLERANCE = 1e-6  # between two sessions of ONNX Runtime with another number of threads


class NotAsTold(AssertionError):
    """Something of the story did not happen."""


@dataclass
class Chapter:
    """One part of the story; what became of it is filled in when it is played."""

    title: str
    play: Callable[[Story], str]
    began: float | None = None
    seconds: float | None = None
    result: str = ""


@dataclass
class Story:
    """The play in progress. The view reads it from another thread."""

    stage: Stage
    watch: Watch
    load: Load | None = None
    chapters: list[Chapter] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    revisions: dict[str, str] = field(default_factory=dict)  # of versions that were stable once

    def __post_init__(self) -> None:
        self.chapters = [Chapter(title, play) for title, play in CHAPTERS]

    @property
    def totals(self) -> Totals:
        """Of the load; zeros before it runs."""
        return self.load.totals if self.load else Totals()

    def tell(self) -> None:
        """All chapters. Raises AssertionError where one does not happen; the load is stopped in every case."""
        try:
            for chapter in self.chapters:
                self._play(chapter)
        finally:
            if self.load:
                self.load.stop()
        self._check_requests()

    def apply(self, version: str) -> float:
        """`kubectl apply` with another version; when."""
        began = time.monotonic()
        self.stage.kubectl.apply(self.stage.model(self.watch.namespace, NAME, version))
        self.watch.look()  # from now on, what is seen is the new spec's
        return began

    def require(self, holds: object, otherwise: str) -> None:
        """A fact the story claims."""
        if not holds:
            raise NotAsTold(otherwise)

    def _play(self, chapter: Chapter) -> None:
        chapter.began = time.monotonic()
        failed = self.totals.failed
        chapter.result = chapter.play(self)
        chapter.seconds = time.monotonic() - chapter.began
        lost = self.totals.failed - failed
        self.require(lost == 0, f"{lost} requests failed in this chapter: {self.totals.failures[-3:]}")

    def _check_requests(self) -> None:
        totals = self.totals
        self.require(totals.failed == 0, f"{totals.failed} requests failed because of Volary: {totals.failures[:3]}")
        self.require(totals.sent > 0, "no request was sent")


# ---- 1


def first_version(story: Story) -> str:
    """v1 serves, and answers as ONNX Runtime does in this process."""
    began = story.apply("1.0.0")
    address = wait.until("the Service has an address", lambda: story.stage.url(story.watch.namespace, NAME), 60, seen=story.watch.sentence)
    row = models.images()[0].tolist()
    wait.until("the first prediction", lambda: _ask(address, [row]) is not None, 60, poll=0.05, seen=story.watch.sentence)
    story.figures["apply to served"] = time.monotonic() - began
    _compare(story, address)
    story.load = Load(address)
    story.load.running()
    _serves(story, "1.0.0", 60)
    seconds = story.figures["apply to served"]
    return f"served {seconds:.1f} s after apply; {len(models.images())} predictions equal onnxruntime's in process"


def _ask(address: str, rows: list[list[float]]) -> Body | None:
    """The answer's tensors by name, or None while nothing answers."""
    parts = urlsplit(address)
    tensor = {"name": "x", "datatype": "FP32", "shape": [len(rows), 64], "data": rows}
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=5)
    try:
        connection.request("POST", parts.path, json.dumps({"inputs": [tensor]}), {"Content-Type": "application/json"})
        response = connection.getresponse()
        body = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return {tensor["name"]: tensor for tensor in body["outputs"]} if response.status == 200 else None


def _compare(story: Story, address: str) -> None:
    """All images at once, over HTTP and in process."""
    rows = models.images()
    served = _ask(address, rows.tolist())
    story.require(served is not None, "the whole data set in one request is not answered")
    assert served is not None
    label, probabilities = models.predict(models.candidates()[0].graph, rows)
    story.require(served["label"]["data"] == label.tolist(), "labels over HTTP are not those of onnxruntime in process")
    over_http = np.array(served["probabilities"]["data"], np.float32).reshape(probabilities.shape)
    difference = float(np.max(np.abs(over_http - probabilities)))
    story.require(difference <= PREDICTION_TOLERANCE, f"probabilities over HTTP differ by {difference} from onnxruntime's")


def _serves(story: Story, version: str, within: float) -> None:
    """This version is stable, has all its pods, and takes all traffic."""
    watch = story.watch

    def settled() -> bool:
        stable = watch.status.get("stable") or {}
        return watch.phase == "Serving" and stable.get("version") == version and stable.get("ready") == stable.get("replicas")

    watch.until(f"{version} serves all traffic", settled, within)
    story.revisions[version] = watch.status["stable"]["revision"]


# ---- 2


def canary(story: Story) -> str:
    """v2 goes through its steps and is promoted."""
    began = story.apply("2.0.0")
    _serves(story, "2.0.0", 120)
    row = story.watch.rows["2.0.0"]
    wanted = tuple(step["weight"] for step in story.stage.model("", "", "")["spec"]["rollout"]["steps"])
    story.require(set(wanted) <= set(row.weights), f"canary steps {wanted} were wanted, {row.weights} were seen")
    story.require(row.requests > 0 and row.errors == 0, f"evidence was {row.errors} of {row.requests}")
    answers = wait.until("clients hear from 2.0.0", lambda: story.totals.by_version.get("2.0.0"), 10)
    story.require(answers, "no client was answered by 2.0.0")
    seconds = time.monotonic() - began
    steps = " → ".join(f"{weight} %" for weight in row.weights if weight < 100)
    return f"{steps} → promoted {seconds:.1f} s after apply; {row.requests} canary requests, no error"


# ---- 3


def flipped_byte(story: Story) -> str:
    """v3 was pushed correctly, then one byte of its blob flipped: the preflight refuses it, no pod starts."""
    flipped = story.stage.shelf.flipped
    began = story.apply("3.0.0")
    story.watch.until("3.0.0 is refused", lambda: story.watch.phase == "Refused", 60)
    seconds = time.monotonic() - began
    stalled = condition(story.watch.body, "Stalled")
    story.require(stalled.get("status") == "True" and stalled.get("reason") == "DigestMismatch", f"the condition is {stalled}")
    for word in (flipped.path, flipped.expected, flipped.found):
        story.require(word in stalled["message"], f"the condition does not name {word}: {stalled['message']}")
    _only_pods_of(story, "2.0.0")
    return f"refused in {seconds:.1f} s, no pod: {flipped.path} is {flipped.found[:8]}…, was packed as {flipped.expected[:8]}…"


def _only_pods_of(story: Story, version: str) -> None:
    found = _model_pods(story)
    others = [pod["metadata"]["name"] for pod in found if pod["metadata"]["labels"][REVISION_LABEL] != story.revisions[version]]
    story.require(not others, f"there are pods of other revisions than {version}: {others}")


def _model_pods(story: Story) -> list[Body]:
    selector = f"{MODEL_LABEL}={NAME},{COMPONENT_LABEL}=server"
    pods = story.stage.kubectl.list("Pod", story.watch.namespace, selector)
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


# ---- 4


def wrong_weights(story: Story) -> str:
    """v4 loads and answers, but not as it did when it was packed: never Ready, rolled back."""
    began = story.apply("4.0.0")
    story.watch.until("4.0.0 is rolled back", lambda: story.watch.phase == "RolledBack", 90)
    seconds = time.monotonic() - began
    entry = story.watch.history("4.0.0")
    story.require(entry.get("failed") == "GoldenMismatch", f"4.0.0 failed with {entry.get('failed')}: {entry.get('message')}")
    story.require(story.watch.rows["4.0.0"].most_ready == 0, "a pod of 4.0.0 was Ready")
    story.require("4.0.0" not in story.totals.by_version, "a client was answered by 4.0.0")
    _stable_is(story, "2.0.0")
    return f"golden samples failed in its pod, given up in {seconds:.1f} s; no request reached it"


def _stable_is(story: Story, version: str) -> None:
    stable = story.watch.status.get("stable") or {}
    story.require(stable.get("version") == version, f"stable is {stable.get('version')}, not {version}")


# ---- 5


def failing_requests(story: Story) -> str:
    """v5 passes its golden samples and fails 30 % of live requests: the evidence rolls it back."""
    before = story.totals.model_errors
    began = story.apply("5.0.0")
    story.watch.until("5.0.0 is rolled back", lambda: story.watch.phase == "RolledBack" and story.watch.history("5.0.0"), 120)
    story.figures["5.0.0 applied to rolled back"] = time.monotonic() - began
    entry = story.watch.history("5.0.0")
    story.require(entry.get("failed") == "ErrorRateTooHigh", f"5.0.0 failed with {entry.get('failed')}: {entry.get('message')}")
    _stable_is(story, "2.0.0")
    wait.until("the pods of 5.0.0 are gone", lambda: not _pods_of(story, str(entry["revision"])), 30)
    totals = story.totals
    bad, first, last = totals.model_errors - before, totals.first_model_error, totals.last_model_error
    story.require(bad > 0 and first is not None and last is not None, "5.0.0 never gave a bad answer")
    assert first is not None
    assert last is not None
    to_zero = _traffic_left(story) - first
    story.figures["first bad answer to 0 % traffic"] = to_zero
    story.figures["first to last bad answer"] = last - first
    errors, requests = re.findall(r"(\d+) of (\d+)", entry["message"])[0]
    return f"{errors} of {requests} failed; back to 0 % {to_zero:.1f} s after its first bad answer"


def _pods_of(story: Story, revision: str) -> list[Body]:
    return [pod for pod in _model_pods(story) if pod["metadata"]["labels"][REVISION_LABEL] == revision]


def _traffic_left(story: Story) -> float:
    """When the Service was seen to select stable alone again."""
    stable = story.revisions["2.0.0"]
    return max(at for at, where in story.watch.moves if where == stable)


# ---- 6


def operator_dies(story: Story) -> str:
    """The operator is killed in the middle of v6's canary: v6 is promoted all the same."""
    began = story.apply("6.0.0")
    watch = story.watch
    watch.until("6.0.0 takes traffic", lambda: _canary_requests(watch) > 0, 90)
    old = story.stage.operator_pods()
    uids = {pod["metadata"]["uid"] for pod in old}
    for pod in old:
        metadata = pod["metadata"]
        story.stage.kubectl.delete("Pod", metadata["namespace"], metadata["name"], "--grace-period=0", "--force")
    killed = time.monotonic()
    weight = (watch.status.get("canary") or {}).get("weightReached", 0)
    wait.until(
        "another operator pod is ready",
        lambda: any(pod["metadata"]["uid"] not in uids and _is_ready(pod) for pod in story.stage.operator_pods()),
        60,
    )
    back = time.monotonic() - killed
    story.figures["operator killed to ready again"] = back
    _serves(story, "6.0.0", 120)
    seconds = time.monotonic() - began
    return f"killed at {weight} %, back after {back:.1f} s; 6.0.0 promoted {seconds:.1f} s after apply"


def _canary_requests(watch: Watch) -> int:
    if (watch.status.get("canary") or {}).get("version") != "6.0.0":
        return 0
    return int(((watch.status.get("rollout") or {}).get("evidence") or {}).get("canaryRequests", 0))


def _is_ready(pod: Body) -> bool:
    return condition(pod, "Ready").get("status") == "True"


CHAPTERS: tuple[tuple[str, Callable[[Story], Any]], ...] = (
    ("the first version", first_version),
    ("a retrained one, in steps", canary),
    ("a flipped byte", flipped_byte),
    ("wrong weights", wrong_weights),
    ("30 % of requests fail", failing_requests),
    ("the operator dies", operator_dies),
)
