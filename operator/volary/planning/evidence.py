"""Is the canary worse than stable? One vote a sample, weighed as a bet.

Each sample gives the increments of requests and errors of both sides. Given that an error happened
it was the canary's with probability at most `pi0` if the canary is no worse than `ratio` times
stable; so a gambler who bets on "canary" at those odds cannot expect to win. When his wealth
exceeds 1/alpha the claim is dropped: by Ville's inequality that happens to a good canary with
probability at most alpha, however often one looks, over all steps together. A whole sample is one
vote, whatever the number of errors in it, so a burst of failing retries counts once.

Sources: Ville 1939; Ramdas et al., "Game-theoretic statistics and safe anytime-valid inference",
2023. Logarithms are natural, wealth starts at 1 (log 0).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from volary.api.v1alpha1 import Analysis, ErrorAnalysis, Evidence, PodCount, RolloutStatus, analysis_of, duration, percent
from volary.common.reasons import Reason
from volary.planning.model import Desired, Problem, Sample


class Verdict(StrEnum):
    """The three outcomes; no data is never a pass."""

    PASS = "Pass"
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"


ALPHA = 0.01  # false rollbacks of equal canaries, over a whole rollout and all metrics
BETA = 0.05  # canaries outside the bounds that pass a step
WORSE_RATIO = 1.25  # a canary with up to 1.25 times stable's error rate is never failed by the comparison
EQUAL_RATIO = 2.0  # a canary proved below twice stable's error rate passes
BETS = (0.1, 0.3, 0.6, 0.9)  # shares of the wealth at stake; their mean is a bet too
LOWER = (0.02, 0.1, 0.25, 0.5)  # alternatives to "rate >= tolerance", as factors of it
HIGHER = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0)  # alternatives to "rate <= maxRate"


@dataclass(frozen=True, slots=True)
class Increment:
    """What happened between two samples, both sides."""

    canary_requests: int = 0
    canary_errors: int = 0
    stable_requests: int = 0
    stable_errors: int = 0


def sample_due(desired: Desired, now: datetime) -> bool:
    """Whether the pods' counters should be read before the next plan."""
    memory = desired.status.rollout
    if memory is None or memory.step < 0:
        return False
    return memory.last_sample_at is None or now - memory.last_sample_at >= duration(analysis_of(desired.spec.rollout, memory.step).interval)


def fold(memory: RolloutStatus, sample: Sample | None, live: Iterable[str], analysis: Analysis) -> RolloutStatus:
    """The memory after a sample. A sample that was folded before changes nothing.

    `live` are the uids of pods whose counters are worth remembering.
    """
    if sample is None or (memory.last_sample_at is not None and sample.at <= memory.last_sample_at):
        return memory
    grown = increment(memory, sample)
    return memory.model_copy(
        update={
            "evidence": weigh(memory.evidence, grown, analysis.errors),
            "counts": _counts(memory, sample, frozenset(live)),
            "last_sample_at": sample.at,
            "step_requests": memory.step_requests + grown.canary_requests,
        }
    )


def increment(memory: RolloutStatus, sample: Sample) -> Increment:
    """What the counters grew by. The first look at a pod is its zero; a counter that fell was reset and counts from 0."""
    known = {count.uid: count for count in memory.counts}
    total = Increment()
    for count in sample.counts:
        before = known.get(count.uid)
        if before is None:
            continue
        reset = count.requests < before.requests or count.errors < before.errors
        requests = count.requests - (0 if reset else before.requests)
        errors = min(requests, count.errors - (0 if reset else before.errors))
        if count.revision == memory.revision:
            total = replace(total, canary_requests=total.canary_requests + requests, canary_errors=total.canary_errors + errors)
        else:
            total = replace(total, stable_requests=total.stable_requests + requests, stable_errors=total.stable_errors + errors)
    return total


def _counts(memory: RolloutStatus, sample: Sample, live: frozenset[str]) -> tuple[PodCount, ...]:
    """Counters to compare the next sample with; those of a pod that did not answer are kept, those of a gone pod are not."""
    counts = {count.uid: count for count in memory.counts}
    counts |= {count.uid: PodCount(uid=count.uid, requests=count.requests, errors=count.errors) for count in sample.counts}
    return tuple(counts[uid] for uid in sorted(counts) if uid in live)


def weigh(evidence: Evidence, grown: Increment, analysis: ErrorAnalysis) -> Evidence:
    """The evidence after one sample, with its verdict."""
    tolerance, limit = percent(analysis.tolerance), _limit(analysis)
    n, k = grown.canary_requests, grown.canary_errors
    after = evidence.model_copy(
        update={
            "canary_requests": evidence.canary_requests + n,
            "canary_errors": evidence.canary_errors + k,
            "stable_requests": evidence.stable_requests + grown.stable_requests,
            "stable_errors": evidence.stable_errors + grown.stable_errors,
            "fail": vote(evidence.fail, grown, WORSE_RATIO, worse=True),
            "pass_ratio": vote(evidence.pass_ratio, grown, EQUAL_RATIO, worse=False),
            "pass_rate": rate(evidence.pass_rate, n, k, tolerance, LOWER),
            "fail_rate": rate(evidence.fail_rate, n, k, limit, HIGHER) if limit is not None else (),
        }
    )
    judged = after.model_copy(update={"verdict": verdict(after)})
    return judged.model_copy(update={"requests_needed": requests_needed(judged, tolerance)})


def _limit(analysis: ErrorAnalysis) -> float | None:
    return None if analysis.max_rate is None else percent(analysis.max_rate)


def vote(wealth: tuple[float, ...], grown: Increment, ratio: float, *, worse: bool) -> tuple[float, ...]:
    """Log wealth after one vote against "canary <= ratio x stable" (`worse`) or against "canary >= ratio x stable".

    25 % of the requests and `ratio` 1.25: pi0 = 0.294. All errors on the canary: a bet of 0.9
    wins 1 + 0.9 x 0.706 / 0.294 = 3.16 times its stake; six such samples in a row exceed 1/alpha = 100.
    """
    start = wealth or (0.0,) * len(BETS)
    errors = grown.canary_errors + grown.stable_errors
    if errors == 0 or min(grown.canary_requests, grown.stable_requests) <= 0:
        return start
    share = grown.canary_requests / (grown.canary_requests + grown.stable_requests)
    odds = share * ratio / (share * ratio + 1 - share)
    seen = grown.canary_errors / errors
    gain = (seen - odds) / odds if worse else (odds - seen) / (1 - odds)
    return tuple(log + math.log1p(bet * gain) for log, bet in zip(start, BETS, strict=True))


def rate(wealth: tuple[float, ...], n: int, k: int, bound: float, factors: tuple[float, ...]) -> tuple[float, ...]:
    """Log likelihood ratios of k errors in n requests: rate `bound x factor` against rate `bound`.

    Without an error 300 to 450 requests prove a rate below 1 % (the rule of three, paid for looking often).
    """
    start = wealth or (0.0,) * len(factors)
    if not 0 < bound < 1:
        return start
    others = [min(bound * factor, (1 + bound) / 2) for factor in factors]
    grown = [k * math.log(p / bound) + (n - k) * math.log((1 - p) / (1 - bound)) for p in others]
    return tuple(log + step for log, step in zip(start, grown, strict=True))


def mean(wealth: tuple[float, ...]) -> float:
    """Log of the mean of the bets' wealth: betting a part on each is a bet as well."""
    if not wealth:
        return 0.0
    top = max(wealth)
    return top + math.log(sum(math.exp(log - top) for log in wealth) / len(wealth))


def verdict(evidence: Evidence) -> Verdict:
    """Fail before Pass: proof of harm counts more than proof of a low rate."""
    metrics = 1 + bool(evidence.fail_rate)
    if max(mean(evidence.fail), mean(evidence.fail_rate)) >= math.log(metrics / ALPHA):
        return Verdict.FAIL
    if max(mean(evidence.pass_ratio), mean(evidence.pass_rate)) >= math.log(1 / BETA):
        return Verdict.PASS
    return Verdict.INCONCLUSIVE


def requests_needed(evidence: Evidence, tolerance: float) -> int | None:
    """About how many more requests without an error pass; 0 once passed, None where errors stand against it."""
    if evidence.verdict == Verdict.PASS:
        return 0
    if not evidence.pass_rate or not 0 < tolerance < 1:
        return None
    wanted = math.log(len(LOWER) / BETA)  # what one bet needs if the others have nothing
    gains = [math.log((1 - tolerance * factor) / (1 - tolerance)) for factor in LOWER]
    needed = min((wanted - log) / gain for log, gain in zip(evidence.pass_rate, gains, strict=True))
    clean = wanted / gains[0]  # from nothing, without an error
    return max(1, math.ceil(needed)) if needed <= 10 * clean else None


def against(memory: RolloutStatus) -> Problem | None:
    """Why the canary is given up, once it is proved worse."""
    if memory.evidence.verdict != Verdict.FAIL:
        return None
    text = f"{show(memory.evidence)}; chance is excluded (error probability {100 * ALPHA:g} %)"
    return Problem(reason=Reason.ERROR_RATE_TOO_HIGH, message=text)


def proved(memory: RolloutStatus, analysis: Analysis) -> bool:
    """Whether the canary may go on to its next step."""
    return memory.evidence.verdict == Verdict.PASS and memory.step_requests >= analysis.min_requests


def needed(memory: RolloutStatus, analysis: Analysis) -> int:
    """About how many more canary requests would prove it; 0 where that is not known."""
    return max(analysis.min_requests - memory.step_requests, memory.evidence.requests_needed or 0)


def next_step(evidence: Evidence) -> Evidence:
    """A new step must pass by itself; the case against the canary goes on through all steps."""
    return evidence.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "pass_ratio": (), "pass_rate": (), "requests_needed": None})


def show(evidence: Evidence) -> str:
    """`3 of 1200 failed (0.25 %), stable 10 of 4000 (0.25 %)`."""

    def side(errors: int, requests: int) -> str:
        share = f" ({100 * errors / requests:.3g} %)" if requests else ""
        return f"{errors} of {requests}{share}"

    canary = side(evidence.canary_errors, evidence.canary_requests)
    return f"{canary} requests of the canary failed, {side(evidence.stable_errors, evidence.stable_requests)} of stable"
