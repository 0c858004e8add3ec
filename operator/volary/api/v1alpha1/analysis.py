"""How a canary is judged: `spec.rollout.analysis`."""

from enum import StrEnum
from typing import Annotated, Any

from volary.api import fields, rules
from volary.api.fields import Duration, Flag, Integer, Latency, Percent
from volary.api.v1alpha1.base import Spec, percent
from volary.api.v1alpha1.checks import Queries, Synthetic, VerdictJobs


class OnInconclusive(StrEnum):
    """What happens at the end of a step when the evidence proves nothing."""

    EXTEND = "Extend"
    PAUSE = "Pause"
    PROMOTE = "Promote"
    ROLLBACK = "Rollback"


class ErrorAnalysis(Spec):
    """Failed requests of the canary against those of stable."""

    tolerance: Percent = "1%"
    """An error rate proved to be below this passes, whatever stable's is."""
    max_rate: Percent | None = None
    """An error rate proved to be above this fails, whatever stable's is."""
    dry_run: Flag = False
    """Only reports: it neither ends the canary nor keeps it waiting."""


_MALFORMED = " || ".join(f"!self.{name}.matches({rules.literal(fields.PERCENT_PATTERN)})" for name in ("maxRate", "tolerance"))
_RATES_IN_ORDER = rules.Rule(
    expression=f"!has(self.maxRate) || {_MALFORMED} || double(self.maxRate.replace('%', '')) >= double(self.tolerance.replace('%', ''))",
    message="maxRate must not be below tolerance: raise maxRate or lower tolerance, or one error rate would both pass and fail",
    holds=lambda errors: errors.max_rate is None or percent(errors.max_rate) >= percent(errors.tolerance),
)


MinRequests = Annotated[Integer, rules.between(0, 1_000_000_000, "minRequests must be between 0 and 1000000000 requests")]
Interval = Annotated[Duration, rules.at_least("1s", "interval must be 1s or longer, such as 5s")]


class LatencyAnalysis(Spec):
    """Slow requests of the canary against those of stable. Slow: above a bound of the server's histogram, counted exactly."""

    max_duration: Latency | None = None
    """What is slow: the histogram's lowest bound not below this. Default: at the start of each step, the lowest bound that 95 % of
    stable's requests keep."""
    tolerance: Percent = "10%"
    """A share of slow requests proved to be below this passes, whatever stable's is."""
    dry_run: Flag = False
    """Only reports: it neither ends the canary nor keeps it waiting."""


class DriftAnalysis(Spec):
    """What the canary answers against what stable answers: shares of the classes, or of ranges of values."""

    tolerance: Percent = "5%"
    """A class whose share is proved to be below this passes, whatever it is on stable."""
    dry_run: Flag = False
    """Only reports: it neither ends the canary nor keeps it waiting."""


MaxRestarts = Annotated[Integer, rules.between(0, 1000, "restarts.max must be between 0 and 1000 restarts")]
MaxInFlight = Annotated[Integer, rules.between(1, 100_000, "saturation.maxInFlight must be between 1 and 100000 requests")]


class RestartAnalysis(Spec):
    """Restarts of the canary's servers while it takes traffic."""

    max: MaxRestarts = 0
    """More than this, all pods together, fail."""
    dry_run: Flag = False
    """Only reports: it neither ends the canary nor keeps it waiting."""


class SaturationAnalysis(Spec):
    """Requests that a canary pod has at once: more than it can do pile up."""

    max_in_flight: MaxInFlight
    """A canary pod above this in three looks in a row fails. Choose it well above what stable has at its busiest."""
    dry_run: Flag = False
    """Only reports: it neither ends the canary nor keeps it waiting."""


class Analysis(Spec):
    """How the canary is judged: false rollback of an equal canary in at most 1 % of rollouts."""

    errors: Annotated[ErrorAnalysis, _RATES_IN_ORDER] = ErrorAnalysis()
    """Failed requests; always on."""
    latency: LatencyAnalysis | None = None
    """Slow requests; on where it is there, such as `latency: {}`."""
    drift: DriftAnalysis | None = None
    """Other answers; on where it is there."""
    restarts: RestartAnalysis | None = None
    """Restarts; on where it is there. A server that ends again and again fails without it."""
    saturation: SaturationAnalysis | None = None
    """Too many requests at once; on where it is there."""
    min_requests: MinRequests = 0
    """Requests the canary must have answered in a step before it may pass."""
    interval: Interval = "5s"
    """How often the pods' counters are read. Five times as often, at most each second, while the canary takes its first requests and while
    something speaks against it: errors that come together for longer than a fifth of this count more than once."""
    queries: Queries = ()
    """Numbers of the operator's Prometheus that must stay in a range."""
    jobs: VerdictJobs = ()
    """Jobs of yours that judge the canary."""
    synthetic: Synthetic = Synthetic()
    """Golden samples as traffic."""
    on_inconclusive: OnInconclusive = OnInconclusive.EXTEND
    """At the end of a step without proof. Extend: keep the weight for up to three times the step's duration, then pause."""


class StepErrors(Spec):
    """What one step sets otherwise about failed requests."""

    tolerance: Percent | None = None
    """In place of spec.rollout.analysis.errors.tolerance."""
    max_rate: Percent | None = None
    """In place of spec.rollout.analysis.errors.maxRate."""


class StepLatency(Spec):
    """What one step sets otherwise about slow requests."""

    max_duration: Latency | None = None
    """In place of spec.rollout.analysis.latency.maxDuration."""
    tolerance: Percent | None = None
    """In place of spec.rollout.analysis.latency.tolerance."""


class StepDrift(Spec):
    """What one step sets otherwise about other answers."""

    tolerance: Percent | None = None
    """In place of spec.rollout.analysis.drift.tolerance."""


class StepRestarts(Spec):
    """What one step sets otherwise about restarts."""

    max: MaxRestarts | None = None
    """In place of spec.rollout.analysis.restarts.max; restarts of the steps before count."""


class StepSaturation(Spec):
    """What one step sets otherwise about requests at once: more weight, more of them."""

    max_in_flight: MaxInFlight | None = None
    """In place of spec.rollout.analysis.saturation.maxInFlight."""


class StepAnalysis(Spec):
    """What one step sets otherwise; the rest is spec.rollout.analysis.

    A step changes limits alone, it puts no metric on or off: the metrics that are on share one error budget for the whole canary.
    """

    errors: StepErrors | None = None
    """Failed requests."""
    latency: StepLatency | None = None
    """Slow requests, where spec.rollout.analysis.latency is there."""
    drift: StepDrift | None = None
    """Other answers, where spec.rollout.analysis.drift is there."""
    restarts: StepRestarts | None = None
    """Restarts, where spec.rollout.analysis.restarts is there."""
    saturation: StepSaturation | None = None
    """Requests at once, where spec.rollout.analysis.saturation is there."""
    min_requests: MinRequests | None = None
    """Requests the canary must have answered in this step before it may pass."""
    interval: Interval | None = None
    """How often the pods' counters are read in this step."""
    on_inconclusive: OnInconclusive | None = None
    """What happens at the end of this step without proof."""


def overridden(analysis: Analysis, change: StepAnalysis | None) -> Analysis:
    """The analysis with what `change` sets in place of it, field by field, at any depth."""
    if change is None:
        return analysis
    whole = _laid_over(analysis.model_dump(), change.model_dump(exclude_none=True))
    return Analysis.model_validate(whole)


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    def one(name: str, value: Any) -> Any:
        under = below.get(name)
        return _laid_over(under, value) if isinstance(value, dict) and isinstance(under, dict) else value

    return below | {name: one(name, value) for name, value in above.items()}
