"""What the rest of Volary needs to know of a model server."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from volary.api.v1alpha1 import RuntimeName
from volary.bundle.formats import Format
from volary.common.names import MODELS_PATH, SERVER_PORT

Body = dict[str, Any]  # part of a Kubernetes object, spelled as in JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What one server is to serve: exactly one version of one model."""

    model_name: str
    version: str  # of the bundle
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Where a server counts its answers, in Prometheus' text format on the server's port."""

    path: str
    requests: str  # name of the counter, one sample for each value of `label`
    label: str  # tells how a request was answered
    failures: re.Pattern[str]  # values of `label` that count against a canary; the client's own mistakes do not
    durations: str | None = None  # name of the histogram of whole requests in seconds; None: not counted
    outputs: str | None = None  # name of the counter of answers, labels `output` and `bin`
    in_flight: str | None = None  # name of the gauge of requests not yet answered

    def failed(self, value: str) -> bool:
        """Whether an answer of this kind counts against a canary."""
        return self.failures.fullmatch(value) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """One kind of model server."""

    name: RuntimeName
    format: Format
    metrics: Metrics
    folder: Callable[[str], str]  # version of the bundle -> directory below the model's that the server looks into
    container: Callable[[Served, str], Body]  # what is particular to its container: command, args, probes, lifecycle
    shared: Callable[[str], Body] | None = None  # model name -> the same for a server that holds several versions
    port: int = SERVER_PORT  # of HTTP: clients, golden samples and metrics; named `http` in the pod
    grace: int = 45  # seconds a pod may take to end: the server's drain delay and the longest answer fit in

    @property
    def server_url(self) -> str:
        """Where the agent in the same pod finds the server."""
        return f"http://127.0.0.1:{self.port}"

    def directory(self, served: Served) -> str:
        """Where the agent publishes the bundle."""
        return f"{MODELS_PATH}/{served.model_name}/{self.folder(served.version)}"

    def server(self, served: Served) -> Body:
        """The part of the server's container that depends on the runtime; port `http` is the same for all."""
        return self.container(served, self.directory(served)) | self._ports()

    def shared_server(self, model_name: str) -> Body:
        """The same for a server that is told what to hold while it runs. Raises LookupError where the runtime has none."""
        if self.shared is None:
            raise LookupError(f"{self.name.value} holds one version for the life of its pod")
        return self.shared(model_name) | self._ports()

    def _ports(self) -> Body:
        return {"ports": [{"name": "http", "containerPort": self.port, "protocol": "TCP"}]}
