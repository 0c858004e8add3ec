"""Slow requests, canary against stable: exact counts above one bound of the server's histogram, no quantiles.

The bound is chosen before the requests it is applied to are counted, so that what is slow does not
depend on what it is used to judge.
"""

import math
from collections.abc import Sequence

from volary.api.v1alpha1 import ErrorAnalysis, LatencyAnalysis, LatencyEvidence, seconds
from volary.planning.evidence.betting import Increment
from volary.planning.evidence.comparison import next_step, show, weigh
from volary.planning.evidence.counting import Growth, both
from volary.planning.model import Count, Sample

KEPT = 0.95  # share of stable's requests that keep the bound
LEAST = 100  # requests of stable that a bound is chosen from

Durations = tuple[tuple[float, int], ...]


def fold(evidence: LatencyEvidence, canary: str, grown: Sequence[Growth], analysis: LatencyAnalysis, alpha: float) -> LatencyEvidence:
    """The evidence after one sample."""
    if evidence.bound is None:
        return evidence
    total = both(canary, ((one.revision, one.timed, one.slow) for one in grown))
    return weigh(evidence, total if total.canary_requests + total.stable_requests else Increment(), _as_errors(analysis), alpha)


def enter(evidence: LatencyEvidence) -> LatencyEvidence:
    """A new step: a new proof, and a bound for the traffic of now."""
    return next_step(evidence).model_copy(update={"bound": None})


def bounded(evidence: LatencyEvidence, canary: str, sample: Sample, analysis: LatencyAnalysis) -> LatencyEvidence:
    """With a bound, if there is none yet and the sample has enough to choose it from; it counts from the next sample on."""
    if evidence.bound is not None:
        return evidence
    seen = [count for count in sample.counts if count.durations]
    if analysis.max_duration is not None:
        bound = _not_below(seconds(analysis.max_duration), seen)
    else:
        bound = chosen([count.durations for count in seen if count.revision != canary])
    return evidence.model_copy(update={"bound": bound})


def chosen(pods: Sequence[Durations]) -> float | None:
    """The lowest bound that 95 % of stable's requests keep; None with too few requests, or where only the infinite one would do.

    40 of 1000 requests above 0.1 s and 60 above 0.05 s: 0.1 s, for 94 % is not enough.
    """
    within: dict[float, int] = {}
    for durations in pods:
        for bound, count in durations:
            within[bound] = within.get(bound, 0) + count
    total = within.get(math.inf, 0)
    if total < LEAST:
        return None
    return min((bound for bound, count in within.items() if count >= KEPT * total and math.isfinite(bound)), default=None)


def _not_below(limit: float, counts: Sequence[Count]) -> float | None:
    """None without any page, and where the histogram ends below the limit."""
    bounds = {bound for count in counts for bound, _ in count.durations}
    return min((bound for bound in bounds if bound >= limit and math.isfinite(bound)), default=None)


def tell(evidence: LatencyEvidence) -> str:
    """`3 of 1200 (0.25 %) requests of the canary took longer than 0.1 s, 10 of 4000 (0.25 %) of stable`."""
    if evidence.bound is None and not evidence.canary_requests:
        return f"no bound yet: stable has had fewer than {LEAST} requests, or they are slower than all bounds"
    bound = f"{evidence.bound:g} s" if evidence.bound is not None else "the bounds"
    return show(evidence, f"took longer than {bound}")


def _as_errors(analysis: LatencyAnalysis) -> ErrorAnalysis:
    return ErrorAnalysis(tolerance=analysis.tolerance)
