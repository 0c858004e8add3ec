"""TensorFlow Serving, stock image.

Its ports open only after the model is loaded and its health never changes afterwards, so whether
a pod is ready is the agent's to say, and there is no readiness probe here. It knows no graceful
end: `preStop` keeps it serving until the pod is out of all endpoints. It counts requests only when
a monitoring file is given, which is not done yet: a canary on it gets no evidence of errors.
"""

import re

from volary.api.v1alpha1 import RuntimeName
from volary.bundle.formats import Format
from volary.common.names import SERVER_PORT
from volary.runtimes.runtime import Body, Metrics, Runtime, Served

_GRPC_PORT = 8500
_DRAIN_SECONDS = 10
_SERVER_FAULTS = (
    "ABORTED",
    "DATA_LOSS",
    "DEADLINE_EXCEEDED",
    "INTERNAL",
    "RESOURCE_EXHAUSTED",
    "UNAVAILABLE",
    "UNIMPLEMENTED",
    "UNKNOWN",
)


def _container(served: Served, directory: str) -> Body:
    """No load is tried twice: five more tries a minute apart, the default, would hide the cause for as long."""
    listening: Body = {"tcpSocket": {"port": SERVER_PORT}}
    return {
        "command": ["tensorflow_model_server"],
        "args": [
            f"--port={_GRPC_PORT}",
            f"--rest_api_port={SERVER_PORT}",
            f"--model_name={served.model_name}",
            f"--model_base_path={directory.rpartition('/')[0]}",
            "--max_num_load_retries=0",
        ],
        "startupProbe": listening | {"periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 3600},
        "livenessProbe": listening | {"periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 6},
        "lifecycle": {"preStop": {"sleep": {"seconds": _DRAIN_SECONDS}}},
    }


RUNTIME = Runtime(
    name=RuntimeName.TENSORFLOW_SERVING,
    format=Format.TENSORFLOW_SAVEDMODEL,
    metrics=Metrics(
        path="/monitoring/prometheus/metrics",
        requests=":tensorflow:serving:request_count",
        label="status",
        failures=re.compile("|".join(_SERVER_FAULTS)),
    ),
    folder=lambda _version: "1",  # only integers are looked at; each pod serves one version, so any will do
    container=_container,
)
