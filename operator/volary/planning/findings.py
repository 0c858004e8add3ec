"""The evidence in figures for people: of each metric what it saw, and how far it is on its way to a proof.

Wealth is shown by its logarithm in percent of the logarithm that proves: half of the way is 50 %,
though the odds there are only the root of those at the end. Below 0 the bets lose. From -100 to 100.
"""

import math
from collections.abc import Iterable

from volary.api.v1alpha1 import Analysis, Evidence, Finding, RolloutStatus
from volary.planning import evidence


def findings(memory: RolloutStatus, analysis: Analysis) -> tuple[Finding, ...]:
    """One for each metric that is on; that of the errors first."""
    return (_errors(memory.evidence, 1 + (analysis.errors.max_rate is not None)),)


def against(found: Iterable[Finding]) -> int:
    """The metric nearest to a failure decides."""
    return max((each.against for each in found if not each.dry_run), default=0)


def in_favour(found: Iterable[Finding]) -> int:
    """All metrics must pass: the one farthest from it decides."""
    return min((each.in_favour for each in found if not each.dry_run), default=0)


def verdict(found: Iterable[Finding]) -> str:
    """Of all that gate: one that fails fails, and all must pass."""
    verdicts = {each.verdict for each in found if not each.dry_run}
    if evidence.Verdict.FAIL in verdicts:
        return evidence.Verdict.FAIL
    return evidence.Verdict.PASS if verdicts == {evidence.Verdict.PASS} else evidence.Verdict.INCONCLUSIVE


def _errors(seen: Evidence, metrics: int) -> Finding:
    worse = max(evidence.mean(seen.fail), evidence.mean(seen.fail_rate))
    better = max(evidence.mean(seen.pass_ratio), evidence.mean(seen.pass_rate))
    return Finding(
        metric="errors",
        verdict=seen.verdict,
        canary_requests=seen.canary_requests,
        canary_bad=seen.canary_errors,
        stable_requests=seen.stable_requests,
        stable_bad=seen.stable_errors,
        against=_percent(worse, metrics / evidence.ALPHA),
        in_favour=_percent(better, 1 / evidence.BETA),
        requests_needed=seen.requests_needed,
    )


def _percent(log_wealth: float, proof: float) -> int:
    """Wealth 10 of the 100 that prove: 50 %. Rounded down, so that 100 is a proof; what is beyond one is no surer."""
    return max(-100, min(100, math.floor(100 * log_wealth / math.log(proof) + 1e-9)))
