"""After a promotion: the new stable is weighed against what the one before it was recorded to do.

There is nothing left to compare it with at the same time, so its errors are tested against a fixed
rate: the highest that the old stable's record allows, and a quarter more. That is one side alone
(no client and no neighbour is held against both), so the error budget is a tenth of a canary's.
Only with another good revision at hand: what serves alone is better than nobody.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from volary.api.v1alpha1 import RolloutStatus, WatchStatus, duration
from volary.common.reasons import Reason
from volary.planning.evidence import WORSE_RATIO, above, mean, upper
from volary.planning.evidence.comparison import side
from volary.planning.evidence.counting import Scale, both, growths, remembered
from volary.planning.model import Desired, Fact, Failure, Observed, Revision, Sample
from volary.planning.roles import Roles

ALPHA = 0.001  # good revisions that are taken back, over the whole watch
_Z = 3.09  # leaves ALPHA above the upper end of the baseline
_SOON = timedelta(milliseconds=100)  # to the first look


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What follows from one look at a new stable."""

    memory: WatchStatus | None = None
    failed: Failure | None = None  # it is given up
    facts: tuple[Fact, ...] = ()
    wake_at: datetime | None = None


def look(desired: Desired, observed: Observed, roles: Roles, now: datetime) -> Watched:
    """One look. Nothing is watched while a candidate is under way, nor without a good revision to return to."""
    span, analysis = desired.spec.rollout.watch_after_promotion, desired.spec.rollout.analysis
    stable = roles.stable
    if span is None or stable is None or roles.candidate is not None or analysis.errors.dry_run:
        return Watched()
    before = _before(observed, stable)
    if before is None:
        return Watched()
    memory, facts = _recall(desired, stable, before, now)
    if memory is None:
        return Watched()
    end = memory.started_at + duration(span)
    if now >= end:
        return Watched(facts=(Fact(reason=Reason.WATCH_ENDED, message=f"version {stable.version} stays: {tell(memory)}"),))
    memory = _fold(memory, observed, 1 / (1 + duration(span) / duration(analysis.interval)))
    failed = None if desired.spec.rollout.paused else _against(memory, before, now)
    return Watched(memory=memory, failed=failed, facts=facts, wake_at=min(end, _next_sample(memory, desired, now)))


def _before(observed: Observed, stable: Revision) -> Revision | None:
    """The revision to return to: promoted last before this one, and good."""
    good = [r for r in observed.revisions if r.promoted and r.failed is None and r.id != stable.id]
    return max(good, key=lambda r: r.promoted, default=None)


def _recall(desired: Desired, stable: Revision, before: Revision, now: datetime) -> tuple[WatchStatus | None, tuple[Fact, ...]]:
    """The watch under way, or one that begins with what the canary's memory says of the stable of then."""
    memory, canary = desired.status.watch, desired.status.rollout
    if memory is not None and memory.revision == stable.id:
        return memory, ()
    if canary is None or canary.revision != stable.id or not canary.evidence.stable_requests:
        return None, ()
    begun = _begin(canary, before, now)
    span = desired.spec.rollout.watch_after_promotion
    text = f"version {stable.version} is watched for {span}: more than {100 * bound(begun):.3g} % failed requests take it back"
    return begun, (Fact(reason=Reason.WATCH_STARTED, message=text),)


def _begin(canary: RolloutStatus, before: Revision, now: datetime) -> WatchStatus:
    return WatchStatus(
        revision=canary.revision,
        version_before=before.version,
        started_at=now,
        baseline_requests=canary.evidence.stable_requests,
        baseline_errors=canary.evidence.stable_errors,
        counts=tuple(count for count in canary.counts if count.revision == canary.revision),
    )


def _fold(memory: WatchStatus, observed: Observed, stake: float) -> WatchStatus:
    """The memory after a sample, `stake` being one part for each there will be. A sample that was folded before changes nothing."""
    sample = observed.sample
    if sample is None or (memory.last_sample_at is not None and sample.at <= memory.last_sample_at):
        return memory
    own = Sample(at=sample.at, counts=tuple(count for count in sample.counts if count.revision == memory.revision))
    grown = both(memory.revision, ((one.revision, one.requests, one.errors) for one in growths(memory.counts, own, Scale())))
    live = frozenset(pod.uid for workload in observed.workloads for pod in workload.pods)
    return memory.model_copy(
        update={
            "requests": memory.requests + grown.canary_requests,
            "errors": memory.errors + grown.canary_errors,
            "fail": above(memory.fail, grown.canary_requests, grown.canary_errors, bound(memory), stake),
            "counts": remembered(memory.counts, own, live, Scale(), memory.revision),
            "last_sample_at": sample.at,
        }
    )


def bound(memory: WatchStatus) -> float:
    """The rate of errors that is not held against it: 10 in 4000 before are 0.62 % at most, a quarter more 0.78 %."""
    return min(0.99, WORSE_RATIO * upper(memory.baseline_requests, memory.baseline_errors, _Z))


def tell(memory: WatchStatus) -> str:
    """`80 of 400 (20 %) requests failed since its promotion, 10 of 4000 (0.25 %) of version 1.0.0 before it`."""
    here, there = side(memory.errors, memory.requests), side(memory.baseline_errors, memory.baseline_requests)
    return f"{here} requests failed since its promotion, {there} of version {memory.version_before} before it"


def _against(memory: WatchStatus, before: Revision, now: datetime) -> Failure | None:
    if mean(memory.fail) < math.log(1 / ALPHA):
        return None
    text = f"{tell(memory)}; traffic returns to version {before.version}"
    return Failure(reason=Reason.ERROR_RATE_TOO_HIGH, message=text, at=now)


def _next_sample(memory: WatchStatus, desired: Desired, now: datetime) -> datetime:
    interval = duration(desired.spec.rollout.analysis.interval)
    return max(now, memory.last_sample_at + interval) if memory.last_sample_at else now + _SOON
