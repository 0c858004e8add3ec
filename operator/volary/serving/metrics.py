"""What the server counts: the evidence a canary is judged by."""

from collections.abc import Callable, Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client import generate_latest as _generate

from volary.bundle.manifest import Tensor
from volary.serving import bins
from volary.serving.tensors import Array

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()

_LABELS = ("model", "version", "revision")
# Seconds. From a tiny model on a fast core to a large one on a slow core.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_OUTPUTS = 2  # whose answers are counted; the operator compares no more


class Registry:
    """The metrics of one process: those of each revision are series of the same families."""

    def __init__(self, in_flight: Callable[[], float]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "volary_requests", "Inference requests answered, by HTTP status.", (*_LABELS, "code"), registry=self._registry
        )
        self.outputs = Counter(
            "volary_outputs", "Answers by what the first item of an output is.", (*_LABELS, "output", "bin"), registry=self._registry
        )
        self.synthetic = Counter(
            "volary_synthetic_requests",
            "Golden samples that the agent in the pod asked, by HTTP status.",
            (*_LABELS, "code"),
            registry=self._registry,
        )
        self.request_duration = self._histogram("volary_request_duration_seconds", "From a request's headers to its answer.")
        self.inference_duration = self._histogram("volary_inference_duration_seconds", "Inside ONNX Runtime.")
        self.errors = Counter(
            "volary_request_errors", "Inference requests without outputs, by reason.", (*_LABELS, "reason"), registry=self._registry
        )
        self.queue_length = Gauge("volary_queue_length", "Requests that wait for their turn.", _LABELS, registry=self._registry)
        self.queue_wait = self._histogram("volary_queue_wait_seconds", "Of the requests that had to wait for their turn.")
        self.batch_size = Histogram(
            "volary_batch_requests", "Requests joined in one run.", _LABELS, buckets=_SIZES, registry=self._registry
        )
        self.loaded = Gauge("volary_model_loaded", "1 once the model is loaded.", _LABELS, registry=self._registry)
        Gauge("volary_in_flight_requests", "Inference requests not yet answered.", registry=self._registry).set_function(in_flight)

    def render(self) -> bytes:
        """The body of GET /metrics."""
        return _generate(self._registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, _LABELS, buckets=_BUCKETS, registry=self._registry)


class Metrics:
    """Counters of one revision. Children are bound once: a look-up by labels costs more than the count itself.

    A revision that comes back goes on where it stopped: a counter that starts anew is a reset.
    """

    def __init__(self, registry: Registry, model: str, version: str, revision: str) -> None:
        self._labels = (model, version, revision)
        self._registry = registry
        self._requests = registry.requests
        self._by_code = {200: self._requests.labels(*self._labels, "200")}
        self.observe_request = registry.request_duration.labels(*self._labels).observe
        self.observe_inference = registry.inference_duration.labels(*self._labels).observe
        self.observe_wait = registry.queue_wait.labels(*self._labels).observe
        self.observe_batch = registry.batch_size.labels(*self._labels).observe
        self._by_bin: dict[str, tuple[bins.Bin, list[Counter]]] = {}
        self._loaded = registry.loaded.labels(*self._labels)

    def count(self, code: int) -> None:
        """One more inference request was answered with this HTTP status."""
        child = self._by_code.get(code)
        if child is None:
            child = self._by_code[code] = self._requests.labels(*self._labels, str(code))
        child.inc()

    def count_error(self, reason: str) -> None:
        """One more inference request was answered without outputs."""
        self._registry.errors.labels(*self._labels, reason).inc()

    def read_queue(self, length: Callable[[], float]) -> None:
        """Where the number of waiting requests is to be read."""
        self._registry.queue_length.labels(*self._labels).set_function(length)

    def count_synthetic(self, code: int) -> None:
        """One more request of the agent's: not a client's, so it is in no other number."""
        self._registry.synthetic.labels(*self._labels, str(code)).inc()

    def declare_outputs(self, outputs: Iterable[Tensor]) -> None:
        """Answers are counted from now on; of a model with many outputs the first two."""
        for tensor in list(outputs)[:_OUTPUTS]:
            counters = [self._registry.outputs.labels(*self._labels, tensor.name, name) for name in bins.names(tensor)]
            self._by_bin[tensor.name] = (bins.binning(tensor), counters)

    def observe_outputs(self, outputs: Iterable[Tensor], arrays: Iterable[Array]) -> None:
        """One more answer with these outputs."""
        for tensor, array in zip(outputs, arrays, strict=True):
            known = self._by_bin.get(tensor.name)
            if known is not None and array.size:
                find, counters = known
                counters[find(array)].inc()

    def mark_loaded(self, *, loaded: bool) -> None:
        """Whether the model is loaded."""
        self._loaded.set(loaded)

    def drop(self) -> None:
        """Remove the series. What is counted afterwards is lost."""
        for counter in (self._requests, self._registry.outputs, self._registry.synthetic, self._registry.errors):
            counter.remove_by_labels(dict(zip(_LABELS, self._labels, strict=True)))
        registry = self._registry
        histograms = (registry.request_duration, registry.inference_duration, registry.queue_wait, registry.batch_size)
        for family in (*histograms, registry.queue_length, registry.loaded):
            family.remove(*self._labels)
