"""What the operator counts of itself, in Prometheus' format."""

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client import generate_latest as _generate

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Meters:
    """One set a process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._turns = Counter("volary_operator_reconciles", "Turns of ModelDeployments.", ("result",), registry=self._registry)
        self._seconds = Histogram("volary_operator_reconcile_seconds", "Length of a turn.", buckets=_BUCKETS, registry=self._registry)
        self._decisions = Counter("volary_operator_decisions", "Decisions by reason.", ("reason",), registry=self._registry)
        self._requests = Counter(
            "volary_operator_api_requests", "Requests to the API server.", ("verb", "kind", "code"), registry=self._registry
        )
        self._events = Counter("volary_operator_watch_events", "Events of the watches.", ("kind",), registry=self._registry)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A value that is read when somebody asks."""
        Gauge(f"volary_operator_{name}", text, registry=self._registry).set_function(read)

    def turn(self, result: str, seconds: float) -> None:
        """One turn: ok, gone or failed."""
        self._turns.labels(result).inc()
        self._seconds.observe(seconds)

    def decision(self, reason: str) -> None:
        """One fact."""
        self._decisions.labels(reason).inc()

    def request(self, verb: str, kind: str, code: str) -> None:
        """One request to the API server."""
        self._requests.labels(verb, kind, code).inc()

    def event(self, kind: str) -> None:
        """One event of a watch."""
        self._events.labels(kind).inc()

    def render(self) -> bytes:
        """The body of GET /metrics."""
        return _generate(self._registry)
