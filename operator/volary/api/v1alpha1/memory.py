"""What cannot be read off the cluster: `status.rollout`, the memory of the rollout under way."""

from datetime import datetime

from volary.api.v1alpha1.base import Status


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
    """Log wealth of the bets that the canary's error rate is above maxRate; memory."""
    requests_needed: int | None = None
    """About how many more canary requests without an error would pass."""


class PodCount(Status):
    """Counters of one pod at the last look; memory."""

    uid: str
    requests: int
    errors: int


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
