"""How a canary is judged: `spec.rollout.analysis`."""

from enum import StrEnum
from typing import Annotated, Any

from volary.api import fields, rules
from volary.api.fields import Duration, Integer, Percent
from volary.api.v1alpha1.base import Spec, percent


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


_MALFORMED = " || ".join(f"!self.{name}.matches({rules.literal(fields.PERCENT_PATTERN)})" for name in ("maxRate", "tolerance"))
_RATES_IN_ORDER = rules.Rule(
    expression=f"!has(self.maxRate) || {_MALFORMED} || double(self.maxRate.replace('%', '')) >= double(self.tolerance.replace('%', ''))",
    message="maxRate must not be below tolerance: raise maxRate or lower tolerance, or one error rate would both pass and fail",
    holds=lambda errors: errors.max_rate is None or percent(errors.max_rate) >= percent(errors.tolerance),
)


MinRequests = Annotated[Integer, rules.between(0, 1_000_000_000, "minRequests must be between 0 and 1000000000 requests")]
Interval = Annotated[Duration, rules.at_least("1s", "interval must be 1s or longer, such as 5s")]


class Analysis(Spec):
    """How the canary is judged: false rollback of an equal canary in at most 1 % of rollouts."""

    errors: Annotated[ErrorAnalysis, _RATES_IN_ORDER] = ErrorAnalysis()
    """Failed requests."""
    min_requests: MinRequests = 0
    """Requests the canary must have answered in a step before it may pass."""
    interval: Interval = "5s"
    """How often the pods' counters are read."""
    on_inconclusive: OnInconclusive = OnInconclusive.EXTEND
    """At the end of a step without proof. Extend: keep the weight for up to three times the step's duration, then pause."""


class StepErrors(Spec):
    """What one step sets otherwise about failed requests."""

    tolerance: Percent | None = None
    """In place of spec.rollout.analysis.errors.tolerance."""
    max_rate: Percent | None = None
    """In place of spec.rollout.analysis.errors.maxRate."""


class StepAnalysis(Spec):
    """What one step sets otherwise; the rest is spec.rollout.analysis."""

    errors: StepErrors | None = None
    """Failed requests."""
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
