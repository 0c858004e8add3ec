"""TensorFlow Serving as a runtime, on a real cluster under load, by its official command line. The program is a stand-in."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster import images
from tests.cluster.images import Recipe
from tests.cluster.settings import REPOSITORY
from tests.demo import bundles, models
from tests.e2e.serving import Model
from tests.support import wait
from tests.support.load import Load
from tests.tfserving.bundles import saved
from volary import packaging

if TYPE_CHECKING:
    from tests.demo.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

STAND_IN = Recipe(
    "tensorflow-model-server-stand-in",
    REPOSITORY / "constraints" / "server.txt",
    ((REPOSITORY / "tests" / "tfserving", "tfserving"),),
    entrypoint=("tensorflow_model_server",),
    path="/app/tfserving/bin:/usr/bin:/bin",
)
GOOD, BETTER, WRONG, FAILING = "1.0.0", "2.0.0", "4.0.0", "5.0.0"
RESOURCES = {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}}


def as_saved(version: str) -> str:
    return f"{version}-tf"


@pytest.fixture(scope="module")
def runtime(stage: Stage) -> dict[str, Any]:
    """spec.runtime; the bundles are in the bucket."""
    with tempfile.TemporaryDirectory() as folder, bundles.environment(stage.cluster.s3):
        for each in models.candidates():
            if each.version in {GOOD, BETTER, WRONG, FAILING}:
                onnx = bundles.pack(each, Path(folder))
                version = as_saved(each.version)
                packaging.push(saved(onnx, Path(folder, version), version).path, bundles.URI)
    image = images.load([STAND_IN])[STAND_IN.name]
    return {"name": "tensorflow-serving", "image": image, "resources": RESOURCES}


def address(stage: Stage, namespace: str, name: str) -> str:
    """Predictions by TensorFlow Serving's REST."""
    url = stage.url(namespace, name)
    assert url is not None
    return url.replace("/v2/models/", "/v1/models/").removesuffix("/infer") + ":predict"


def test_a_good_savedmodel_is_promoted_and_bad_ones_are_rolled_back(stage: Stage, namespace: str, runtime: dict[str, Any]) -> None:
    rollout = {"steps": [{"weight": 50, "duration": "3s"}], "analysis": {"interval": "1s", "errors": {"tolerance": "5%"}}}
    with Model.watched(stage, namespace, "tf") as model:

        def deploy(version: str) -> None:
            model.apply(as_saved(version), replicas=2, runtime=runtime, rollout=rollout | {"progressDeadline": "120s"})

        deploy(GOOD)
        model.until_serving(as_saved(GOOD), 150)
        with Load(address(stage, namespace, "tf"), 40) as load:
            load.running()
            deploy(BETTER)
            model.until_serving(as_saved(BETTER), 200)
            deploy(WRONG)
            wrong = model.until_said("GoldenMismatch", "RolledBack", 150)
            quiet = load.totals.model_errors
            deploy(FAILING)
            model.until_said("ErrorRateTooHigh", "RolledBack", 200)
            before = load.totals.ok
            wait.until("clients are answered still", lambda: load.totals.ok > before + 20, 30)
            totals = load.stop()
    assert "golden sample" in wrong
    assert quiet == 0
    assert totals.model_errors > 0, "the bad canary answered nobody"
    assert totals.failed == 0, totals.failures


def test_a_model_moves_from_onnx_runtime_to_tensorflow_serving(stage: Stage, namespace: str, runtime: dict[str, Any]) -> None:
    rollout = {"steps": [], "progressDeadline": "120s"}
    with Model.watched(stage, namespace, "moves") as model:
        model.apply(GOOD, replicas=1, rollout=rollout)
        model.until_serving(GOOD, 120)
        model.apply(as_saved(GOOD), replicas=1, runtime=runtime, rollout=rollout)
        model.until_serving(as_saved(GOOD), 200)
        with Load(address(stage, namespace, "moves"), 20) as load:
            load.running()
            totals = load.stop()
    assert totals.failed == 0, totals.failures
