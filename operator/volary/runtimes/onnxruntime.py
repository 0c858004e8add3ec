"""Volary's own server: ONNX Runtime behind the Open Inference Protocol."""

import re

from volary.api.v1alpha1 import RuntimeName
from volary.bundle.formats import Format
from volary.common.names import CONTROL_PORT, SERVER_PORT
from volary.runtimes.runtime import Body, Metrics, Runtime, Served


def _http(path: str) -> Body:
    return {"httpGet": {"path": path, "port": SERVER_PORT}}


def _container(served: Served, directory: str) -> Body:
    return _serving("--bundle", directory, "--model", served.model_name, "--revision", served.revision)


def _shared(model_name: str) -> Body:
    return _serving("--split", "--model", model_name, "--control", f"127.0.0.1:{CONTROL_PORT}")


def _serving(*arguments: str) -> Body:
    """Loading may take minutes, so until the first `live` only the startup probe asks, for up to an hour.

    Three late answers in a row, not one, take a pod out of the Service: a server whose cores are
    all busy is slow, and taking it away would make its neighbours slower. A crash needs no probe.
    """
    return {
        "args": ["serve", *arguments, "--listen", f"0.0.0.0:{SERVER_PORT}"],
        "startupProbe": _http("/v2/health/live") | {"periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 3600},
        "readinessProbe": _http("/v2/health/ready") | {"periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 3},
        "livenessProbe": _http("/v2/health/live") | {"periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 6},
    }


RUNTIME = Runtime(
    name=RuntimeName.ONNXRUNTIME,
    format=Format.ONNX,
    metrics=Metrics(
        path="/metrics",
        requests="volary_requests_total",
        label="code",
        failures=re.compile(r"5\d\d"),
        durations="volary_request_duration_seconds",
        outputs="volary_outputs_total",
        in_flight="volary_in_flight_requests",
    ),
    folder=lambda version: version,
    container=_container,
    shared=_shared,
)
