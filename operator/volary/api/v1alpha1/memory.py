"""What cannot be read off the cluster: `status.rollout`, the memory of the rollout under way, and `status.watch`."""

from datetime import datetime

from pydantic import Field

from volary.api.v1alpha1.base import Status
from volary.api.v1alpha1.verdicts import Checks


class Evidence(Status):
    """What was seen of one metric since the canary began. The logarithms are the e-processes' wealth."""

    verdict: str = "Inconclusive"
    """Pass, Fail or Inconclusive."""
    canary_requests: int = 0
    canary_errors: int = 0
    stable_requests: int = 0
    stable_errors: int = 0
    fail: tuple[float, ...] = ()
    """Log wealth of the bets that the canary is worse than stable; memory."""
    pass_ratio: tuple[float, ...] = ()
    """Log wealth of the bets that the canary is no worse; memory."""
    pass_rate: tuple[float, ...] = ()
    """Log wealth of the bets that the canary's error rate is below the tolerance; memory."""
    fail_rate: tuple[float, ...] = ()
    """Log wealth of the bets that the canary's error rate is above maxRate, one vote a sample; memory."""
    requests_needed: int | None = None
    """About how many more canary requests without an error would pass."""


class LatencyEvidence(Evidence):
    """Of latency: the errors are the requests slower than the bound."""

    bound: float | None = None
    """Seconds; chosen from stable at the first look of a step. None: not enough requests of stable yet."""


class BinEvidence(Status):
    """One class, or one range of values, of an output."""

    name: str
    """OUTPUT:BIN, as the server counts it."""
    canary: int = 0
    """Answers of the canary that fell into it."""
    stable: int = 0
    grew: tuple[float, ...] = ()
    """Log wealth of the bets that its share grew; memory."""
    equal: tuple[float, ...] = ()
    """Log wealth of the bets that its share did not grow; memory."""
    small: tuple[float, ...] = ()
    """Log wealth of the bets that its share is small; memory."""


class DriftEvidence(Status):
    """Of the outputs: how often each bin was met."""

    bins: tuple[BinEvidence, ...] = ()


class MetricState(Status):
    """What one metric says of the canary."""

    verdict: str = "Inconclusive"
    """Pass, Fail or Inconclusive."""
    reason: str = ""
    """Of a Fail."""
    message: str = ""
    """What was seen, in words."""
    dry_run: bool = False
    """It reports only."""


class PodCount(Status):
    """Counters of one revision in one pod at the last look; memory."""

    uid: str
    requests: int
    errors: int
    revision: str = ""
    """Empty in the memory of an older operator, when a pod served one revision all its life."""
    timed: int | None = None
    """Requests whose duration was counted."""
    slow: int | None = None
    """Those of them slower than the bound."""
    bins: tuple[int, ...] | None = None
    """Answers by bin, in the order of drift.bins."""
    restarts: int = 0


class RolloutStatus(Status):
    """Memory of the rollout under way: what cannot be read off the cluster."""

    revision: str
    """The canary this belongs to; memory of another revision is void."""
    generation: int
    started_at: datetime
    step: int = -1
    """Index into spec.rollout.steps; -1 while the pods start; the number of steps while promoting."""
    step_started_at: datetime | None = None
    evidence: Evidence = Evidence()
    """Of errors."""
    latency: LatencyEvidence | None = None
    drift: DriftEvidence | None = None
    restarts: int = 0
    """Of the canary's servers since it takes traffic."""
    saturated: int = 0
    """Looks in a row, an interval apart, at which a canary pod had too many requests at once."""
    saturated_at: datetime | None = None
    """When the last of them was counted; memory."""
    # Atomic: of a map that is merged key by key the API server makes null when its last key goes, and then refuses it.
    verdicts: dict[str, MetricState] = Field(default_factory=dict, json_schema_extra={"x-kubernetes-map-type": "atomic"})
    """Each metric that is on, by name. All that gate must pass; one that fails ends the canary."""
    judged_step: int = -1
    """The step that the verdicts are of; memory."""
    checks: Checks = Checks()
    """Verdicts from outside."""
    waiting_since: datetime | None = None
    """Since when its pods are fewer than wanted; the progress deadline counts from here."""
    counts: tuple[PodCount, ...] = ()
    last_sample_at: datetime | None = None
    step_requests: int = 0
    """Canary requests in this step."""
    approved: bool = False
    """A person promoted it: no more evidence is asked for."""
    paused: bool = False
    """A person paused it; `volary resume` or a new revision clears this."""
    awaits_approval: bool = False
    """Time and evidence are over; a person decides."""
    step_approved: bool = False
    """A person approved this step."""
    timeline: tuple[str, ...] = ()
    """Its course, one line a moment: seconds since the beginning, step, weight wanted/reached, errors/requests of the canary and of stable,
    evidence against and in favour in percent of a proof, verdict. At most 60 lines; older ones are thinned out."""


class WatchStatus(Status):
    """Memory of the time after a promotion: the new stable against what the old one was recorded to do."""

    revision: str
    """The one that is watched; memory of another revision is void."""
    version_before: str
    """What stable was until then."""
    started_at: datetime
    baseline_requests: int
    """Of the old stable, during the canary."""
    baseline_errors: int
    requests: int = 0
    """Of the new stable, since its promotion."""
    errors: int = 0
    fail: tuple[float, ...] = ()
    """Log wealth of the bets that it fails more often than the old one did; memory."""
    counts: tuple[PodCount, ...] = ()
    last_sample_at: datetime | None = None


class RouteStatus(Status):
    """The HTTPRoute that Volary writes; memory of what was written, and when it last had to be put back."""

    name: str
    own: bool
    """Made by Volary; false: spec.rollout.traffic.httpRoute."""
    generation: int = 0
    written: str = ""
    """Weights by revision, as last written."""
    restored_at: datetime | None = None
    """When somebody else's change was last undone."""
