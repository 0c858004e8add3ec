"""The evidence in figures for people: of each metric what it saw, and how far it is on its way to a proof.

Wealth is shown by its logarithm in percent of the logarithm that proves: half of the way is 50 %,
though the odds there are only the root of those at the end. Below 0 the bets lose. From -100 to 100.
"""

import math
from collections.abc import Iterable, Iterator

from volary.api.v1alpha1 import Analysis, DriftEvidence, Evidence, Finding, MetricState, RolloutStatus
from volary.planning import evidence
from volary.planning.evidence import drift

_MESSAGE = 200  # characters


def findings(memory: RolloutStatus, analysis: Analysis) -> tuple[Finding, ...]:
    """One for each metric that is on; that of the errors first."""
    return tuple(_findings(memory, analysis))


def _findings(memory: RolloutStatus, analysis: Analysis) -> Iterator[Finding]:
    alpha = evidence.share(analysis)
    yield _compared("errors", memory.evidence, evidence.ALPHA if analysis.errors.dry_run else alpha, dry_run=analysis.errors.dry_run)
    if memory.latency is not None and analysis.latency is not None:
        dry = analysis.latency.dry_run
        message = _message(memory.verdicts.get("latency"))
        yield _compared("latency", memory.latency, evidence.ALPHA if dry else alpha, dry_run=dry).model_copy(update={"message": message})
    if memory.drift is not None and analysis.drift is not None:
        dry = analysis.drift.dry_run
        yield _drifted(memory.drift, memory.verdicts.get("drift"), evidence.ALPHA if dry else alpha, dry_run=dry)
    for name, state in sorted(memory.verdicts.items()):
        if name not in {"errors", "latency", "drift"}:
            yield _told(name, state)


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


def _compared(metric: str, seen: Evidence, alpha: float, *, dry_run: bool) -> Finding:
    """By bad events of the canary and of stable; `alpha` is the metric's share of the error budget."""
    tests = 1 + bool(seen.fail_rate)
    worse = max(evidence.mean(seen.fail), evidence.mean(seen.fail_rate))
    better = max(evidence.mean(seen.pass_ratio), evidence.mean(seen.pass_rate))
    return Finding(
        metric=metric,
        verdict=seen.verdict,
        canary_requests=seen.canary_requests,
        canary_bad=seen.canary_errors,
        stable_requests=seen.stable_requests,
        stable_bad=seen.stable_errors,
        against=_percent(worse, tests / alpha),
        in_favour=_percent(better, 1 / evidence.BETA),
        requests_needed=seen.requests_needed,
        dry_run=dry_run,
    )


def _drifted(seen: DriftEvidence, state: MetricState | None, alpha: float, *, dry_run: bool) -> Finding:
    """Counts are those of the bin that stands out most; each bin must pass."""
    better = min((max(evidence.mean(one.equal), evidence.mean(one.small)) for one in seen.bins), default=0.0)
    worst = max(seen.bins, key=lambda one: (evidence.mean(one.grew), one.canary), default=None)
    mates = [one for one in seen.bins if worst is not None and drift.output_of(one.name) == drift.output_of(worst.name)]
    return Finding(
        metric="drift",
        verdict=state.verdict if state else evidence.Verdict.INCONCLUSIVE,
        canary_requests=sum(one.canary for one in mates),
        canary_bad=worst.canary if worst else 0,
        stable_requests=sum(one.stable for one in mates),
        stable_bad=worst.stable if worst else 0,
        against=_percent(drift.wealth(seen), 1 / alpha),
        in_favour=_percent(better, 1 / evidence.BETA),
        message=_message(state),
        dry_run=dry_run,
    )


def _told(name: str, state: MetricState) -> Finding:
    """A verdict that knows no chance: it is there or it is not."""
    return Finding(
        metric=name,
        verdict=state.verdict,
        canary_requests=0,
        canary_bad=0,
        stable_requests=0,
        stable_bad=0,
        against=100 if state.verdict == evidence.Verdict.FAIL else 0,
        in_favour=100 if state.verdict == evidence.Verdict.PASS else 0,
        message=_message(state),
        dry_run=state.dry_run,
    )


def _message(state: MetricState | None) -> str:
    return state.message[:_MESSAGE] if state else ""


def _percent(log_wealth: float, proof: float) -> int:
    """Wealth 10 of the 100 that prove: 50 %. Rounded down, so that 100 is a proof; what is beyond one is no surer."""
    return max(-100, min(100, math.floor(100 * log_wealth / math.log(proof) + 1e-9)))
