"""The whole case for and against a canary: all metrics that are on, one error budget, one verdict.

Fail as soon as one metric that gates fails, Pass once all of them pass. The verdicts stand in
`status.rollout.verdicts` by name. Who judges by other means (queries, Jobs) adds entries of other
names there: they gate like the rest, and a sample leaves them alone.
"""

from collections.abc import Iterable
from datetime import datetime

from volary.api.v1alpha1 import Analysis, DriftEvidence, Evidence, LatencyEvidence, MetricState, RolloutStatus, analysis_of, duration
from volary.common.reasons import REASONS, Kind, Reason
from volary.planning import exact
from volary.planning.evidence import comparison, drift, latency, limits, looks
from volary.planning.evidence.betting import ALPHA
from volary.planning.evidence.comparison import Verdict
from volary.planning.evidence.counting import Growth, Scale, both, growths, remembered
from volary.planning.model import Desired, Problem, Sample

ERRORS, LATENCY, DRIFT, RESTARTS, SATURATION = "errors", "latency", "drift", "restarts", "saturation"
_OWN = frozenset({ERRORS, LATENCY, DRIFT, RESTARTS, SATURATION})


def share(analysis: Analysis) -> float:
    """Each metric's part of the error budget: those that only report have none, nor have limits, which know no chance.

    Errors, latency and drift on: 1 % / 3 each, so an equal canary is failed by any of them in at most 1 % of rollouts.
    """
    tests = (analysis.errors, analysis.latency, analysis.drift)
    return ALPHA / max(1, sum(test is not None and not test.dry_run for test in tests))


def sample_due(desired: Desired, now: datetime) -> bool:
    """Whether the pods' counters should be read before the next plan."""
    memory, watch, desired = desired.status.rollout, desired.status.watch, exact.with_shadow(desired)
    analysis = analysis_of(desired.spec.rollout, memory.step if memory else -1)
    if memory is not None:
        return memory.step >= 0 and (memory.last_sample_at is None or now - memory.last_sample_at >= looks.pause(memory, analysis))
    interval = duration(analysis.interval)
    return watch is not None and (watch.last_sample_at is None or now - watch.last_sample_at >= interval)


def fold(memory: RolloutStatus, sample: Sample | None, live: Iterable[str], analysis: Analysis) -> RolloutStatus:
    """The memory after a sample. A sample that was folded before changes nothing.

    `live` are the uids of pods whose counters are worth remembering; `analysis` is the step's own.
    """
    if sample is None or (memory.last_sample_at is not None and sample.at <= memory.last_sample_at):
        return memory
    before = _prepared(memory, analysis)
    grown = growths(before.counts, sample, _scale(before))
    after = _weighed(before, grown, sample, analysis)
    after = after.model_copy(update={"verdicts": _verdicts(after, sample, analysis), "judged_step": memory.step})
    return _looked(after, sample, frozenset(live), analysis)


def _prepared(memory: RolloutStatus, analysis: Analysis) -> RolloutStatus:
    """Evidence of what is on, and of a new step what it begins with. The errors' own was told of the step already."""
    seen = memory.latency if analysis.latency else None
    outputs = memory.drift if analysis.drift else None
    if memory.judged_step != memory.step:
        seen, outputs = (seen and latency.enter(seen)), (outputs and drift.enter(outputs))
    seen = seen or (LatencyEvidence() if analysis.latency else None)
    outputs = outputs or (DriftEvidence() if analysis.drift else None)
    return memory.model_copy(update={"latency": seen, "drift": outputs})


def _scale(memory: RolloutStatus) -> Scale:
    names = tuple(one.name for one in memory.drift.bins) if memory.drift else ()
    return Scale(bound=memory.latency.bound if memory.latency else None, bins=names)


def _weighed(memory: RolloutStatus, grown: list[Growth], sample: Sample, analysis: Analysis) -> RolloutStatus:
    """All evidence after one sample."""
    alpha, canary = share(analysis), memory.revision
    total = both(canary, ((one.revision, one.requests, one.errors) for one in grown))
    busy = _busy(memory, sample, analysis)
    updates: dict[str, object] = {
        "evidence": comparison.weigh(memory.evidence, total, analysis.errors, _alpha(alpha, dry=analysis.errors.dry_run)),
        "step_requests": memory.step_requests + total.canary_requests,
        "restarts": limits.restarts(memory.restarts, canary, grown),
        "saturated": busy.looks,
        "saturated_at": busy.counted_at,
    }
    if analysis.latency and memory.latency:
        spent = _alpha(alpha, dry=analysis.latency.dry_run)
        updates["latency"] = latency.fold(memory.latency, canary, grown, analysis.latency, spent)
    if analysis.drift and memory.drift:
        updates["drift"] = drift.fold(memory.drift, canary, grown, analysis.drift)
    return memory.model_copy(update=updates)


def _busy(memory: RolloutStatus, sample: Sample, analysis: Analysis) -> limits.Saturated:
    if analysis.saturation is None:
        return limits.Saturated()
    mine = [count for count in sample.counts if count.revision == memory.revision]
    before = limits.Saturated(memory.saturated, memory.saturated_at)
    return limits.saturated(before, mine, analysis.saturation.max_in_flight, sample.at, duration(analysis.interval))


def _alpha(alpha: float, *, dry: bool) -> float:
    """What only reports may say what it would have said alone."""
    return ALPHA if dry else alpha


def _looked(memory: RolloutStatus, sample: Sample, live: frozenset[str], analysis: Analysis) -> RolloutStatus:
    """Ready for the next sample: the bound, the bins, the counters."""
    seen, outputs = memory.latency, memory.drift
    if seen is not None and analysis.latency is not None:
        seen = latency.bounded(seen, memory.revision, sample, analysis.latency)
    if outputs is not None:
        outputs = drift.known(outputs, sample)
    after = memory.model_copy(update={"latency": seen, "drift": outputs})
    counts = remembered(memory.counts, sample, live, _scale(after), memory.revision)
    return after.model_copy(update={"counts": counts, "last_sample_at": sample.at})


def _verdicts(memory: RolloutStatus, sample: Sample, analysis: Analysis) -> dict[str, MetricState]:
    """What others said is kept; a metric that is off says nothing."""
    mine = [count for count in sample.counts if count.revision == memory.revision]
    found = {name: state for name, state in memory.verdicts.items() if name not in _OWN}
    errors = memory.evidence
    found[ERRORS] = _state(errors.verdict, Reason.ERROR_RATE_TOO_HIGH, comparison.show(errors), dry_run=analysis.errors.dry_run)
    if analysis.latency and memory.latency:
        text = latency.tell(memory.latency)
        found[LATENCY] = _state(memory.latency.verdict, Reason.LATENCY_TOO_HIGH, text, dry_run=analysis.latency.dry_run)
    if analysis.drift and memory.drift:
        judged = drift.verdict(memory.drift, _alpha(share(analysis), dry=analysis.drift.dry_run))
        found[DRIFT] = _state(judged, Reason.OUTPUT_DRIFT, drift.tell(memory.drift), dry_run=analysis.drift.dry_run)
    if analysis.restarts:
        judged = limits.restarts_verdict(memory.restarts, bool(mine), analysis.restarts)
        text = f"the canary's servers were restarted {memory.restarts} times, allowed are {analysis.restarts.max}"
        found[RESTARTS] = _state(judged, Reason.TOO_MANY_RESTARTS, text, dry_run=analysis.restarts.dry_run)
    if analysis.saturation:
        text = f"a canary pod had more than {analysis.saturation.max_in_flight} requests at once in {memory.saturated} looks in a row"
        judged = limits.saturation_verdict(memory.saturated, mine)
        found[SATURATION] = _state(judged, Reason.SATURATED, text, dry_run=analysis.saturation.dry_run)
    return dict(sorted(found.items()))


def _state(verdict: str, reason: Reason, message: str, *, dry_run: bool) -> MetricState:
    return MetricState(verdict=verdict, reason=reason if verdict == Verdict.FAIL else "", message=message, dry_run=dry_run)


# ---- what follows from it -----------------------------------------------------------------------


def against(memory: RolloutStatus) -> Problem | None:
    """Why the canary is given up, once it is proved worse."""
    for name, state in _gating(memory).items():
        if state.verdict == Verdict.FAIL:
            reason = _reason(state.reason)
            chance = f"; chance is excluded (error probability {100 * ALPHA:g} %)" if name in {ERRORS, LATENCY, DRIFT} else ""
            return Problem(reason=reason, message=f"{state.message}{chance}")
    return None


def _reason(text: str) -> Reason:
    """A name that this operator does not know, or one that is no verdict, must not keep a bad canary alive."""
    known = text in set(Reason) and REASONS[Reason(text)].kind is Kind.VERDICT
    return Reason(text) if known else Reason.ERROR_RATE_TOO_HIGH


def _gating(memory: RolloutStatus) -> dict[str, MetricState]:
    """Errors first. An older operator, or a step just begun, left their verdict in the evidence alone."""
    errors = memory.verdicts.get(ERRORS, MetricState())
    evidence = memory.evidence
    told = _state(evidence.verdict, Reason.ERROR_RATE_TOO_HIGH, comparison.show(evidence), dry_run=errors.dry_run)
    return {name: state for name, state in ({ERRORS: told} | {**memory.verdicts, ERRORS: told}).items() if not state.dry_run}


def proved(memory: RolloutStatus, analysis: Analysis) -> bool:
    """Whether the canary may go on to its next step."""
    if memory.step_requests < analysis.min_requests:
        return False
    return not unproved(memory, analysis)


def unproved(memory: RolloutStatus, analysis: Analysis) -> list[str]:
    """Names of the metrics that gate and have not passed in this step."""
    gating = _gating(memory)
    current = memory.judged_step == memory.step
    states = {name: gating.get(name) for name in _wanted(analysis)}
    states |= {name: state for name, state in gating.items() if name not in _OWN}
    fresh = {name for name in states if current or name == ERRORS or name not in _OWN}
    return [name for name, state in states.items() if state is None or name not in fresh or state.verdict != Verdict.PASS]


def _wanted(analysis: Analysis) -> list[str]:
    """Own metrics that gate."""
    metrics = (
        (ERRORS, analysis.errors),
        (LATENCY, analysis.latency),
        (DRIFT, analysis.drift),
        (RESTARTS, analysis.restarts),
        (SATURATION, analysis.saturation),
    )
    return [name for name, metric in metrics if metric is not None and not metric.dry_run]


def needed(memory: RolloutStatus, analysis: Analysis) -> int:
    """About how many more canary requests would prove it; 0 where that is not known."""
    more = [memory.evidence.requests_needed, memory.latency.requests_needed if memory.latency else None]
    return max(analysis.min_requests - memory.step_requests, 0, *(one or 0 for one in more))


def next_step(evidence: Evidence) -> Evidence:
    """A new step must pass by itself; the case against the canary goes on through all steps."""
    return comparison.next_step(evidence)


def tell(memory: RolloutStatus, analysis: Analysis) -> str:
    """The errors in numbers, and in words whatever else keeps the canary waiting."""
    words = [comparison.show(memory.evidence)]
    for name in unproved(memory, analysis):
        state = memory.verdicts.get(name)
        words += [f"{name}: {state.message}"] if name != ERRORS and state is not None and state.message else []
    return "; ".join(words)
