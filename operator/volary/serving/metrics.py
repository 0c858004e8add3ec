"""What the server counts: the evidence a canary is judged by."""

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client import generate_latest as _generate

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()

_LABELS = ("model", "version", "revision")
# Seconds. From a tiny model on a fast core to a large one on a slow core.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counters of one server. Children are bound once: a look-up by labels costs more than the count itself."""

    def __init__(self, model: str, version: str, revision: str, in_flight: Callable[[], float]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._labels = (model, version, revision)
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "volary_requests", "Inference requests answered, by HTTP status.", (*_LABELS, "code"), registry=self._registry
        )
        self._synthetic = Counter(
            "volary_synthetic_requests",
            "Golden samples that the agent in the pod asked, by HTTP status.",
            (*_LABELS, "code"),
            registry=self._registry,
        )
        self._by_code = {200: self._requests.labels(*self._labels, "200")}
        self.observe_request = self._histogram("volary_request_duration_seconds", "From a request's headers to its answer.")
        self.observe_inference = self._histogram("volary_inference_duration_seconds", "Inside ONNX Runtime.")
        self._loaded = Gauge("volary_model_loaded", "1 once the model is loaded.", _LABELS, registry=self._registry).labels(*self._labels)
        Gauge("volary_in_flight_requests", "Inference requests not yet answered.", registry=self._registry).set_function(in_flight)

    def count(self, code: int) -> None:
        """One more inference request was answered with this HTTP status."""
        child = self._by_code.get(code)
        if child is None:
            child = self._by_code[code] = self._requests.labels(*self._labels, str(code))
        child.inc()

    def count_synthetic(self, code: int) -> None:
        """One more request of the agent's: not a client's, so it is in no other number."""
        self._synthetic.labels(*self._labels, str(code)).inc()

    def mark_loaded(self) -> None:
        """The model is loaded."""
        self._loaded.set(1)

    def render(self) -> bytes:
        """The body of GET /metrics."""
        return _generate(self._registry)

    def _histogram(self, name: str, text: str) -> Callable[[float], None]:
        return Histogram(name, text, _LABELS, buckets=_BUCKETS, registry=self._registry).labels(*self._labels).observe
