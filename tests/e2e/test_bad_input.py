"""Every bad input gets a condition that says what is wrong, and what serves goes on serving."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.demo import bundles
from tests.demo.stage import SECRET, secret
from tests.e2e.serving import Model, Serving, another_revision, owned, pretty, uids
from tests.support import wait
from tests.support.kubectl import KubectlFailed, condition
from tests.support.load import Load
from volary.bundle import layout, manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.demo.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Case:
    """One bad spec. `words` must be in the message; `phase` is where a ModelDeployment ends that has nothing else to serve."""

    name: str
    reason: str
    words: tuple[str, ...]
    version: str = "1.0.0"
    spec: dict[str, Any] = field(default_factory=dict)
    phase: str = "Refused"

    @property
    def phase_beside_stable(self) -> str:
        """Where it ends when another version serves."""
        return {"Failed": "RolledBack"}.get(self.phase, self.phase)


def _storage(**values: str) -> dict[str, Any]:
    return {"model": {"storage": values}}


_SMALL = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "32Mi"}}
_SOON = {"progressDeadline": "30s"}  # on a busy machine the server, and so its image, has its turn late
_OTHER = {"name": "tensorflow-serving"}
NOT_JSON, NO_FILE = "7.0.0", "7.1.0"
CASES = (
    Case("wrong-secret", "CredentialsRefused", ("s3://models/digits",), spec=_storage(secretName="wrong-keys")),
    Case("no-secret", "SecretNotFound", ("absent",), spec=_storage(secretName="absent"), phase="Checking"),
    Case("no-bucket", "BucketNotFound", ("no-such-bucket",), spec={"model": {"uri": "s3://no-such-bucket/digits"}}),
    Case("no-version", "VersionNotFound", ("9.9.9",), "9.9.9"),
    Case("not-json", "ManifestInvalid", ("manifest",), NOT_JSON),
    Case("no-file", "FileNotFound", ("model.onnx",), NO_FILE),
    Case(
        "wrong-format", "FormatUnsupported", ("onnx", "tensorflow-serving"), spec={"runtime": _OTHER | {"image": "127.0.0.1:1/server:none"}}
    ),
    Case("no-runtime", "RuntimeUnsupported", ("tensorflow-serving", "spec.runtime.image"), spec={"runtime": _OTHER}),
    Case(
        *("no-image", "ImagePullFailed", ("127.0.0.1:1/server:none",)),
        spec={"runtime": {"image": "127.0.0.1:1/server:none"}, "rollout": _SOON},
        phase="Failed",
    ),
    Case("no-memory", "OutOfMemory", ("32Mi",), spec={"runtime": {"resources": _SMALL}}, phase="Failed"),
)
REJECTED = (
    ("weight-0", {"rollout": {"steps": [{"weight": 0}]}}, "between 1 and 100 percent"),
    ("weight-101", {"rollout": {"steps": [{"weight": 101}]}}, "between 1 and 100 percent"),
    ("steps-not-increasing", {"rollout": {"steps": [{"weight": 50}, {"weight": 25}]}}, "must increase from step to step"),
    ("replicas-0", {"replicas": 0}, "to stop serving, delete the ModelDeployment"),
    ("unknown-runtime", {"runtime": {"name": "torchserve"}}, "onnxruntime"),
)


@pytest.fixture(scope="module")
def space(stage: Stage, session: str, serving: Serving) -> Iterator[str]:
    """A namespace in which all the bad ones are applied at once, beside a wrong Secret; the bucket has two bad versions."""
    s3 = stage.cluster.s3
    bundles.put_version(s3, NOT_JSON, b"{not json")
    good = manifest.parse(bundles.read(s3, layout.version_key("1.0.0")))
    missing = good.model_file.model_copy(update={"sha256": "0" * 64})
    files = tuple(missing if file == good.model_file else file for file in good.files)
    bundles.put_version(s3, NO_FILE, manifest.dump(good.model_copy(update={"files": files, "version": NO_FILE})))
    name = stage.namespace(f"e2e-bad-input-{session}")
    wrong = {"AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": "x" * 40}
    stage.kubectl.apply(secret(name, "wrong-keys", wrong), secret(serving.watch.namespace, "wrong-keys", wrong))
    stage.kubectl.apply(*(stage.model(name, case.name, case.version, replicas=1, **case.spec) for case in CASES))
    yield name
    stage.leave(name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_alone_it_says_what_is_wrong(stage: Stage, undisturbed: Serving, space: str, case: Case) -> None:
    with Model.watched(stage, space, case.name) as model:
        message = model.until_said(case.reason, case.phase)
        stalled, ready = condition(model.watch.body, "Stalled"), condition(model.watch.body, "Ready")
    assert all(word in message for word in case.words), message
    assert (ready["status"], stalled["status"], stalled["reason"]) == ("False", "True", case.reason), pretty(model.watch.body)
    assert stage.cluster.s3.secret_key not in pretty(model.watch.body)
    if case.phase != "Failed":
        assert model.pods() == [], "a pod was started for a bundle that was not accepted"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_as_a_change_it_leaves_alone_what_serves(undisturbed: Serving, space: str, case: Case) -> None:
    before = uids(undisturbed.pods())
    undisturbed.change(case.version, **case.spec)
    message = undisturbed.until_said(case.reason, case.phase_beside_stable)
    assert all(word in message for word in case.words), message
    assert undisturbed.stable == "1.0.0"
    undisturbed.change()
    undisturbed.until_serving("1.0.0")
    assert before <= uids(undisturbed.pods()), "a pod that served was replaced"


@pytest.mark.parametrize(("spec", "words"), [row[1:] for row in REJECTED], ids=[row[0] for row in REJECTED])
def test_the_api_server_rejects_it(undisturbed: Serving, spec: dict[str, Any], words: str) -> None:
    undisturbed.watch.look()
    before = undisturbed.watch.body
    with pytest.raises(KubectlFailed, match=words):
        undisturbed.change(**spec)
    undisturbed.watch.look()
    assert before is not None
    assert undisturbed.watch.body is not None
    assert undisturbed.watch.body["spec"] == before["spec"]


def test_a_secret_that_comes_later_is_enough(stage: Stage, namespace: str) -> None:
    with Model.watched(stage, namespace, "patient") as model:
        model.apply("1.0.0", replicas=1, **_storage(secretName="later"))
        model.until_said("SecretNotFound", "Checking")
        s3 = stage.cluster.s3
        stage.kubectl.apply(secret(namespace, "later", {"AWS_ACCESS_KEY_ID": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key}))
        model.until_serving("1.0.0", 120)


def test_edited_twice_during_a_canary(undisturbed: Serving) -> None:
    new = another_revision("edited twice")
    waits = {"steps": [{"weight": 50, "duration": "1h"}]}
    undisturbed.change("2.0.0", **new, rollout=waits)
    undisturbed.until_canary("2.0.0")
    undisturbed.change("6.0.0", **new, rollout=waits)
    undisturbed.until_canary("6.0.0")
    undisturbed.change("2.0.0", **new)
    undisturbed.until_serving("2.0.0")
    promoted = {entry["version"]: entry.get("promoted", False) for entry in undisturbed.watch.status["history"]}
    assert promoted["2.0.0"]
    assert not promoted["6.0.0"]


def test_deleted_during_a_canary(stage: Stage, namespace: str) -> None:
    """All children go, and a new one of the same name, which comes at once, starts clean."""
    name = "again"
    with Model.watched(stage, namespace, name) as model:
        model.apply("1.0.0", replicas=1)
        model.until_serving("1.0.0")
        address = stage.url(namespace, name)
        assert address is not None
        with Load(address, 50):  # so that the canary has evidence
            model.apply("2.0.0", replicas=1)
            model.until_canary("2.0.0")
            old = str((model.watch.body or {})["metadata"]["uid"])
            stage.kubectl.delete("ModelDeployment", namespace, name, "--wait=false")
        model.apply("6.0.0", replicas=1)
        model.watch.until("the new one is seen", lambda: (model.watch.body or {}).get("metadata", {}).get("uid", old) != old, 30)
        model.until_serving("6.0.0")
        history = [entry["version"] for entry in model.watch.status["history"]]
        assert history == ["6.0.0"]
        stage.kubectl.delete("ModelDeployment", namespace, name, "--wait=false")
        wait.until("every child is gone", lambda: not owned(stage, namespace, name), 90, seen=lambda: owned(stage, namespace, name))


def test_the_secret_is_used_by_its_name(stage: Stage, serving: Serving) -> None:
    """What the operator made holds a reference to the keys, never the keys."""
    keys = (stage.cluster.s3.access_key, stage.cluster.s3.secret_key)
    for kind in ("Deployment", "Pod", "ControllerRevision", "ModelDeployment", "Event"):
        text = str(stage.kubectl.list(kind, serving.watch.namespace))
        assert not any(key in text for key in keys), kind
    assert SECRET in str(stage.kubectl.list("Deployment", serving.watch.namespace))
