"""Clients that speak gRPC alone: a canary is judged by them, and none of them notices a change of version."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.asking import done, volary
from tests.e2e.serving import Model
from tests.support import wait
from tests.support.grpc_load import GrpcLoad

if TYPE_CHECKING:
    from tests.demo.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

_ROLLOUT = {"steps": [{"weight": 50, "duration": "10s"}]}


def test_a_canary_is_judged_by_grpc_alone(stage: Stage, namespace: str) -> None:
    with Model.watched(stage, namespace, "spoken") as model:
        model.apply("1.0.0", replicas=2, rollout=_ROLLOUT)
        model.until_serving("1.0.0")
        service = stage.kubectl.get("Service", namespace, "spoken")
        assert service is not None
        port = next(each for each in service["spec"]["ports"] if each["name"] == "grpc")
        address = f"{service['spec']['clusterIP']}:{port['port']}"
        with GrpcLoad(f"grpc://{address}/spoken") as load:
            load.running()
            model.apply("5.0.0", replicas=2, rollout=_ROLLOUT)
            assert "5.0.0" in model.until_said("ErrorRateTooHigh", "RolledBack", 120)
            model.apply("2.0.0", replicas=2, rollout=_ROLLOUT)
            model.until_serving("2.0.0", 120)
            promoted = load.totals.by_version.get("2.0.0", 0)
            wait.until("clients are answered still", lambda: load.totals.by_version.get("2.0.0", 0) > promoted + 20, 30)
            for pod in model.pods():
                stage.kubectl.delete("Pod", namespace, pod["metadata"]["name"], "--wait=false")
                model.until_replaced({pod["metadata"]["uid"]}, 2)
            totals = load.stop()
        assert totals.failures == []
        assert totals.failed == 0
        assert totals.model_errors > 0
        _ask_by_name(model)


def _ask_by_name(model: Model) -> None:
    """`volary predict NAME`, through the API server and by gRPC."""
    request = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64], "data": [0] * 64}]})
    for protocol in ((), ("--grpc",)):
        assert '"model_version": "2.0.0"' in done(model, "predict", "-d", request, "-o", "json", *protocol)
    assert volary(model, "predict", "-d", "{}").returncode == 1
