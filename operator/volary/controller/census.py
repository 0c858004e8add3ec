"""What each ModelDeployment is at, as gauges: known from its last turn, dropped when it goes.

At most 13 series an object whatever happens to it: phase, Reason, beginning of the step, and five for each of two revisions.
Only the leader tells: one that stands by knows what was, not what is.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from volary.api.v1alpha1 import ModelDeploymentStatus, RevisionStatus
from volary.common.families import Family
from volary.controller import families
from volary.controller.queue import Key

_PERCENT = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """One of them. Smaller than its status, whose memory of a rollout may be many kilobytes."""

    phase: str
    reason: str
    stable: RevisionStatus | None
    canary: RevisionStatus | None
    step: float | None  # seconds since 1970

    @classmethod
    def of(cls, status: ModelDeploymentStatus) -> "Entry":
        """What is told of this status."""
        ready = next((condition.reason for condition in status.conditions if condition.type == "Ready"), "")
        began = None if status.rollout is None else status.rollout.step_started_at or status.rollout.started_at
        return cls(status.phase.value, ready, status.stable, status.canary, None if began is None else began.timestamp())

    @property
    def roles(self) -> Iterator[tuple[str, RevisionStatus]]:
        """Those that are taken."""
        for role, one in (("stable", self.stable), ("canary", self.canary)):
            if one is not None:
                yield role, one


class Census(Collector):
    """Of all that this process looks after."""

    def __init__(self, leads: Callable[[], bool]) -> None:
        self._leads = leads
        self._entries: dict[Key, Entry] = {}

    def record(self, key: Key, status: ModelDeploymentStatus) -> None:
        """What its last turn came to."""
        self._entries[key] = Entry.of(status)

    def forget(self, key: Key) -> None:
        """It is gone."""
        self._entries.pop(key, None)

    def retain(self, keys: Iterable[Key]) -> None:
        """Only these are there: what went unseen is gone too."""
        there = set(keys)
        self._entries = {key: entry for key, entry in self._entries.items() if key in there}

    @override
    def collect(self) -> Iterable[Metric]:
        made = {family: GaugeMetricFamily(family.name, family.text, labels=family.labels) for family in families.OF_MODELS}
        for key, entry in self._entries.items() if self._leads() else ():
            for family, labels, value in _samples(entry):
                made[family].add_metric((*key, *labels), value)
        return made.values()


def _samples(entry: Entry) -> Iterator[tuple[Family, tuple[str, ...], float]]:
    """Family, labels after namespace and name, value."""
    yield families.PHASE, (entry.phase,), 1
    if entry.reason:
        yield families.REASON, (entry.reason,), 1
    if entry.step is not None:
        yield families.STEP, (), entry.step
    for role, one in entry.roles:
        yield families.REVISION, (role, one.version, one.revision), 1
        yield families.WEIGHT, (role,), one.weight / _PERCENT
        yield families.REACHED, (role,), one.weight_reached / _PERCENT
        yield families.WANTED, (role,), one.replicas
        yield families.READY, (role,), one.ready
