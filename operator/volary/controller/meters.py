"""What the operator counts of itself, in Prometheus' format."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, Metric, ProcessCollector, disable_created_metrics
from prometheus_client import generate_latest as _generate
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from volary.common.families import Family
from volary.common.reasons import REASONS, Kind, Reason
from volary.controller import families

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_RESULTS = ("ok", "gone", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What is read off the parts when somebody asks. Streams by kind, in seconds."""

    depth: Callable[[], float]
    age: Callable[[], float]
    sessions: Callable[[], float]
    silence: Callable[[], Mapping[str, float]]
    unproven: Callable[[], Mapping[str, float]]
    leads: Callable[[], bool]


class Meters:
    """One set a process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._turns = self._counter(families.RECONCILES)
        duration = families.RECONCILE_DURATION
        self._seconds = Histogram(duration.name, duration.text, duration.labels, buckets=_BUCKETS, registry=self._registry)
        self._decisions = self._counter(families.DECISIONS)
        self._preflights = self._counter(families.PREFLIGHTS)
        self._requests = self._counter(families.REQUESTS)
        self._events = self._counter(families.EVENTS)
        self._deaf = self._counter(families.DEAF)
        for result in _RESULTS:  # a counter that is not there yet cannot be seen to rise from 0 to 1
            self._turns.labels(result)
            self._seconds.labels(result)

    def read(self, readings: Readings) -> None:
        """Gauges that are read when somebody asks."""
        for kind in readings.silence():
            self._deaf.labels(kind)
        self.add(_Gauges(readings))

    def add(self, collector: Collector) -> None:
        """More families."""
        self._registry.register(collector)

    def turn(self, result: str, seconds: float) -> None:
        """One turn: ok, gone or failed."""
        self._turns.labels(result).inc()
        self._seconds.labels(result).observe(seconds)

    def decision(self, reason: str) -> None:
        """One fact."""
        self._decisions.labels(reason).inc()

    def preflight(self, reason: Reason) -> None:
        """One preflight ended."""
        self._preflights.labels(_result(reason), reason).inc()

    def request(self, verb: str, resource: str, code: str) -> None:
        """One request to the API server."""
        self._requests.labels(verb, resource, code).inc()

    def event(self, kind: str) -> None:
        """One event of a watch."""
        self._events.labels(kind).inc()

    def deaf(self, kind: str) -> None:
        """One watch was found deaf."""
        self._deaf.labels(kind).inc()

    def collect(self) -> Iterable[Metric]:
        """All families with their series."""
        return self._registry.collect()

    def render(self) -> bytes:
        """The body of GET /metrics."""
        return _generate(self._registry)

    def _counter(self, family: Family) -> Counter:
        return Counter(family.name, family.text, family.labels, registry=self._registry)


class _Gauges(Collector):
    """Of the parts."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    @override
    def collect(self) -> Iterable[Metric]:
        now = self._readings
        yield _one(families.DEPTH, now.depth())
        yield _one(families.AGE, now.age())
        yield _one(families.SESSIONS, now.sessions())
        yield _by_kind(families.SILENCE, now.silence())
        yield _by_kind(families.UNPROVEN, now.unproven())
        yield _one(families.LEADER, float(now.leads()))


def _one(family: Family, value: float) -> Metric:
    return GaugeMetricFamily(family.name, family.text, value)


def _by_kind(family: Family, values: Mapping[str, float]) -> Metric:
    made = GaugeMetricFamily(family.name, family.text, labels=family.labels)
    for kind, value in values.items():
        made.add_metric([kind], value)
    return made


def _result(reason: Reason) -> str:
    """Passed, refused, or to be tried again by itself."""
    if reason is Reason.PREFLIGHT_PASSED:
        return "passed"
    return "refused" if REASONS[reason].kind in {Kind.USER, Kind.VERDICT} else "again"
