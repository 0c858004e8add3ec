"""Canaries that fail no request and are worse all the same, one that is equal, and one that turns bad when it is stable."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.demo import bundles, models
from tests.demo.models import Candidate
from tests.e2e.serving import Model
from tests.support import wait
from tests.support.load import Load
from volary import packaging

if TYPE_CHECKING:
    from tests.demo.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

SLOW, SKEWED = "8.1.0", "8.2.0"
SIZE, PRODUCTS = 512, 8  # 8 x 2 x 512^3 operations: some 40 ms on a core
ANALYSIS = {"interval": "1s", "errors": {"tolerance": "5%"}, "latency": {}, "drift": {}, "restarts": {}}
ROLLOUT = {"steps": [{"weight": 50, "duration": "10s"}], "analysis": ANALYSIS, "watchAfterPromotion": "5m"}


def slow(graph: bytes) -> bytes:
    """The same answers after many products of matrices that depend on the input and count for nothing."""
    changed = onnx.load_from_string(graph)
    g = changed.graph
    for node in g.node:
        node.output[:] = ["quick" if name == "probabilities" else name for name in node.output]
        node.input[:] = ["quick" if name == "probabilities" else name for name in node.input]
    matrix = np.full((SIZE, SIZE), 1 / SIZE, np.float32)
    g.initializer.extend([numpy_helper.from_array(matrix, "matrix"), numpy_helper.from_array(np.zeros(1, np.float32), "nothing")])
    g.node.append(helper.make_node("ReduceSum", ["x"], ["ink"], keepdims=0))
    g.node.append(helper.make_node("Mul", ["matrix", "ink"], ["product_0"]))
    g.node.extend(helper.make_node("MatMul", [f"product_{n}", "matrix"], [f"product_{n + 1}"]) for n in range(PRODUCTS))
    g.node.append(helper.make_node("ReduceSum", [f"product_{PRODUCTS}"], ["work"], keepdims=0))
    g.node.append(helper.make_node("Mul", ["work", "nothing"], ["zero"]))
    g.node.append(helper.make_node("Add", ["quick", "zero"], ["probabilities"]))
    onnx.checker.check_model(changed)
    return changed.SerializeToString(deterministic=True)


def skewed(graph: bytes) -> bytes:
    """Calls every digit above 3 a 3: quick, no error, and its golden samples were recorded with it."""
    changed = onnx.load_from_string(graph)
    g = changed.graph
    for node in g.node:
        node.output[:] = ["honest" if name == "label" else name for name in node.output]
        node.input[:] = ["honest" if name == "label" else name for name in node.input]
    g.initializer.append(numpy_helper.from_array(np.array([3], np.int64), "most"))
    g.node.append(helper.make_node("Min", ["honest", "most"], ["label"]))
    onnx.checker.check_model(changed)
    return changed.SerializeToString(deterministic=True)


@pytest.fixture(scope="module")
def pushed(stage: Stage) -> None:
    samples, graph = models.images()[: models.GOLDEN], models.graph(1, 16)
    made = ((SLOW, slow(graph)), (SKEWED, skewed(graph)))
    with tempfile.TemporaryDirectory() as folder, bundles.environment(stage.cluster.s3):
        for version, changed in made:
            bundle = bundles.pack(Candidate(version, "", changed, samples, changed), Path(folder))
            packaging.push(bundle.path, bundles.URI)


@pytest.mark.usefixtures("pushed")
def test_what_is_worse_goes_and_what_is_equal_stays(stage: Stage, namespace: str) -> None:
    with Model.watched(stage, namespace, "judged") as model:

        def deploy(version: str) -> None:
            model.apply(version, replicas=2, rollout=ROLLOUT)

        deploy("1.0.0")
        model.until_serving("1.0.0")
        address = stage.url(namespace, "judged")
        assert address is not None
        with Load(address, 60, thinnest=60) as load:
            load.running()
            deploy(SLOW)
            assert "took longer than" in model.until_said("LatencyTooHigh", "RolledBack", 120)
            deploy(SKEWED)
            assert "label:3 in" in model.until_said("OutputDrift", "RolledBack", 120)
            deploy("2.0.0")
            model.until_serving("2.0.0", 150)
            deploy("5.0.0")
            model.until_serving("5.0.0", 150)
            assert model.watch.status["watch"]["baselineErrors"] == 0
            settled = load.totals
            with Load(address, 60) as bold:
                text = model.until_said("ErrorRateTooHigh", "RolledBack", 120)
                wait.until("2.0.0 answers alone", lambda: answers_alone(bold, "2.0.0"), 30, seen=lambda: bold.totals)
                others = bold.stop()
            totals = load.stop()
    assert "requests failed since its promotion" in text
    assert settled.model_errors == 0
    assert (totals.failed, others.failed) == (0, 0), [*totals.failures, *others.failures]
    assert others.model_errors > 0


def answers_alone(load: Load, version: str) -> bool:
    """All answers since a moment ago are of this version; a moment is a few looks at the totals."""
    before: dict[str, Any] = dict(load.totals.by_version)
    wait.until("more answers", lambda: sum(load.totals.by_version.values()) > sum(before.values()) + 60, 20)
    return {name for name, count in load.totals.by_version.items() if count > before.get(name, 0)} == {version}
