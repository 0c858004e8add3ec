"""TensorFlow Serving, the official image with its own ports and paths.

Its ports open only after the model is loaded and its health never changes afterwards, so whether
a pod is ready is the agent's to say, and there is no readiness probe here. The agent writes its
configuration before it starts. It knows no SIGTERM: as the first process of its container it goes on
until the kubelet kills it, so `preStop` keeps it serving until the pod is out of all endpoints, and
the grace after that is for answers under way only.

It counts by how a request ended and not by version, so one pod serves one version. A model that
refuses a request with INVALID_ARGUMENT cannot be told from a client that sent a wrong one.
"""

import re

from volary.api.v1alpha1 import RuntimeName
from volary.bundle.formats import Format
from volary.runtimes import tensorflow_files
from volary.runtimes.runtime import Body, Metrics, Runtime, Served

_GRPC_PORT = 8500
_REST_PORT = 8501
_DRAIN_SECONDS = 10
_ANSWER_SECONDS = 10
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
    """No load is tried twice: five more tries a minute apart, the default, would hide the cause for as long.

    Name and base path are those of the configuration file, which wins; they are there for people who read the pod.
    """
    listening: Body = {"tcpSocket": {"port": _REST_PORT}}
    files = tensorflow_files.DIRECTORY
    return {
        "command": ["tensorflow_model_server"],
        "args": [
            f"--port={_GRPC_PORT}",
            f"--rest_api_port={_REST_PORT}",
            f"--model_name={served.model_name}",
            f"--model_base_path={directory.rpartition('/')[0]}",
            f"--model_config_file={files}/{tensorflow_files.MODELS}",
            f"--monitoring_config_file={files}/{tensorflow_files.MONITORING}",
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
        path=tensorflow_files.METRICS_PATH,
        requests=":tensorflow:serving:request_count",
        label="status",
        failures=re.compile("|".join(_SERVER_FAULTS)),
    ),
    folder=lambda _version: "1",  # only integers are looked at; each pod serves one version, so any will do
    container=_container,
    port=_REST_PORT,
    grace=_DRAIN_SECONDS + _ANSWER_SECONDS,
)
