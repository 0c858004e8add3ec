"""What the server counts: the evidence a canary is judged by."""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client import generate_latest as _generate

from volary.bundle.manifest import Tensor
from volary.common.families import Family
from volary.serving import bins, families
from volary.serving.families import LABELS
from volary.serving.tensors import Array

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()

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
        self.requests = self._counter(families.REQUESTS)
        self.errors = self._counter(families.ERRORS)
        self.synthetic = self._counter(families.SYNTHETIC)
        self.outputs = self._counter(families.OUTPUTS)
        self.request_duration = self._histogram(families.REQUEST_DURATION)
        self.inference_duration = self._histogram(families.INFERENCE_DURATION)
        self.queue_length = self._gauge(families.QUEUE_LENGTH)
        self.queue_wait = self._histogram(families.QUEUE_WAIT)
        self.batch_requests = self._histogram(families.BATCH_REQUESTS, _SIZES)
        self.batch_limit = self._gauge(families.BATCH_LIMIT)
        self.loaded = self._gauge(families.LOADED)
        self._gauge(families.IN_FLIGHT).set_function(in_flight)

    def render(self) -> bytes:
        """The body of GET /metrics."""
        return _generate(self._registry)

    def _counter(self, family: Family) -> Counter:
        return Counter(family.name, family.text, family.labels, registry=self._registry)

    def _gauge(self, family: Family) -> Gauge:
        return Gauge(family.name, family.text, family.labels, registry=self._registry)

    def _histogram(self, family: Family, buckets: Sequence[float] = _BUCKETS) -> Histogram:
        return Histogram(family.name, family.text, family.labels, buckets=buckets, registry=self._registry)


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
        self.observe_batch = registry.batch_requests.labels(*self._labels).observe
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

    def mark_loaded(self, *, loaded: bool, rows: int = 1) -> None:
        """Whether the model is loaded, and to how many rows its requests are joined."""
        self._loaded.set(loaded)
        self._registry.batch_limit.labels(*self._labels).set(rows)

    def drop(self) -> None:
        """Remove the series. What is counted afterwards is lost."""
        for counter in (self._requests, self._registry.outputs, self._registry.synthetic, self._registry.errors):
            counter.remove_by_labels(dict(zip(LABELS, self._labels, strict=True)))
        registry = self._registry
        histograms = (registry.request_duration, registry.inference_duration, registry.queue_wait, registry.batch_requests)
        for family in (*histograms, registry.queue_length, registry.batch_limit, registry.loaded):
            family.remove(*self._labels)
