"""One kind of bad event, canary against stable: the evidence of errors, and of latency."""

import math
from enum import StrEnum
from typing import TypeVar

from volary.api.v1alpha1 import ErrorAnalysis, Evidence, percent
from volary.planning.evidence.betting import ALPHA, BETA, EQUAL_RATIO, LOWER, WORSE_RATIO, Increment, higher, mean, rate, vote

E = TypeVar("E", bound=Evidence)


class Verdict(StrEnum):
    """The three outcomes; no data is never a pass."""

    PASS = "Pass"
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"


def weigh(evidence: E, grown: Increment, analysis: ErrorAnalysis, alpha: float = ALPHA) -> E:
    """The evidence after one sample, with its verdict. `alpha` is the share of the error budget that this metric has."""
    tolerance = percent(analysis.tolerance)
    limit = None if analysis.max_rate is None else percent(analysis.max_rate)
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
            "fail_rate": higher(evidence.fail_rate, n, k, limit) if limit is not None else (),
        }
    )
    judged = after.model_copy(update={"verdict": verdict(after, alpha)})
    return judged.model_copy(update={"requests_needed": requests_needed(judged, tolerance)})


def verdict(evidence: Evidence, alpha: float = ALPHA) -> Verdict:
    """Fail before Pass: proof of harm counts more than proof of a low rate."""
    tests = 1 + bool(evidence.fail_rate)
    if max(mean(evidence.fail), mean(evidence.fail_rate)) >= math.log(tests / alpha):
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


def next_step(evidence: E) -> E:
    """A new step must pass by itself; the case against the canary goes on through all steps."""
    return evidence.model_copy(update={"verdict": Verdict.INCONCLUSIVE, "pass_ratio": (), "pass_rate": (), "requests_needed": None})


def show(evidence: Evidence, what: str = "failed") -> str:
    """`3 of 1200 (0.25 %) requests of the canary failed, 10 of 4000 (0.25 %) of stable`."""
    canary = side(evidence.canary_errors, evidence.canary_requests)
    return f"{canary} requests of the canary {what}, {side(evidence.stable_errors, evidence.stable_requests)} of stable"


def side(errors: int, requests: int) -> str:
    """`3 of 1200 (0.25 %)`."""
    share = f" ({100 * errors / requests:.3g} %)" if requests else ""
    return f"{errors} of {requests}{share}"
