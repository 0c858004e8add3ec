"""How a new revision takes over: `spec.rollout`."""

from enum import StrEnum
from itertools import pairwise
from typing import Annotated

from pydantic import Field

from volary.api import fields, rules
from volary.api.fields import Duration, Flag, Integer
from volary.api.v1alpha1.analysis import Analysis, StepAnalysis, overridden
from volary.api.v1alpha1.base import Spec, percent
from volary.api.v1alpha1.traffic import ONE_ROUTE, OWN_ROUTE_ONLY, Traffic


class StrategyName(StrEnum):
    """Ways to take over."""

    CANARY = "Canary"
    BLUE_GREEN = "BlueGreen"


class Step(Spec):
    """One stage of a canary."""

    weight: Annotated[
        Integer,
        rules.between(
            1, 100, "spec.rollout.steps[].weight must be between 1 and 100 percent; without a canary write spec.rollout.steps: []"
        ),
    ]
    """Share of the requests in percent."""
    duration: Duration = "1m"
    """How long the canary stays at this weight at least."""
    approval: Flag = False
    """After its time and its evidence the step waits for `volary approve`."""
    analysis: StepAnalysis | None = None
    """What this step sets otherwise than spec.rollout.analysis."""


DEFAULT_STEPS = (Step(weight=10, duration="2m"), Step(weight=50, duration="3m"))
_WEIGHTS_INCREASE = rules.Rule(
    expression="self.map(s, s.weight).isSorted() && self.all(s, self.exists_one(t, t.weight == s.weight))",
    message="the weights of spec.rollout.steps must increase from step to step, such as 5, 25, 50; reorder or remove steps",
    holds=lambda steps: all(earlier.weight < later.weight for earlier, later in pairwise(steps)),
)


WATCH_COUNTS_ERRORS = rules.Rule(
    expression="!has(self.watchAfterPromotion) || !self.analysis.errors.dryRun",
    message="watchAfterPromotion takes a version back by its errors, and analysis.errors.dryRun says that errors only report; drop one",
    holds=lambda rollout: rollout.watch_after_promotion is None or not rollout.analysis.errors.dry_run,
)
JOBS_HAVE_A_STEP = rules.Rule(
    expression="!has(self.analysis) || !has(self.analysis.jobs) || !has(self.steps)"  # absent in the default of spec.rollout
    " || self.analysis.jobs.all(job, !has(job.atStep) || job.atStep <= size(self.steps))",
    message="analysis.jobs[].atStep names a step that spec.rollout.steps has not; the first step is 1",
    holds=lambda rollout: all(job.at_step is None or job.at_step <= len(rollout.steps) for job in rollout.analysis.jobs),
)


class Rollout(Spec):
    """How a new revision takes over."""

    strategy: StrategyName = StrategyName.CANARY
    """Canary: by spec.rollout.steps. BlueGreen: all pods start beside the old ones, then one switch takes all traffic."""
    steps: Annotated[tuple[Step, ...], Field(max_length=20), _WEIGHTS_INCREASE] = DEFAULT_STEPS
    """Weights that increase; after the last one the canary is promoted. Empty: promoted as soon as its pods are ready."""
    approval: Flag = False
    """Before it takes all traffic, a new revision whose pods are ready waits for `volary approve`."""
    surge: Annotated[Integer, rules.between(0, 1000, "spec.rollout.surge must be between 0 and 1000 pods")] | None = None
    """Pods beyond spec.replicas while revisions change. 0: a pod goes before one comes. Absent: as many as a step needs."""
    scale_down_delay: Duration | None = None
    """How long the pods of the revision before stay without traffic, so that a return is instant. Absent: 30s with BlueGreen, else 0s."""
    analysis: Analysis = Analysis()
    """How the canary is judged."""
    watch_after_promotion: (
        Annotated[Duration, rules.at_least("1m", "watchAfterPromotion must be 1m or longer, such as 15m; leave it out to watch nothing")]
        | None
    ) = None
    """How long the errors of a new stable are weighed against what the one before it did; proved worse, traffic returns to that. Default:
    not at all."""
    traffic: Annotated[Traffic, ONE_ROUTE, OWN_ROUTE_ONLY] | None = None
    """Exact weights by a gateway. Absent: the weight is the ratio of ready pods behind the plain Service."""
    progress_deadline: Annotated[Duration, rules.at_least("5s", "progressDeadline must be 5s or longer, such as 10m")] = "10m"
    """How long a new revision may take to get ready before it is given up."""
    min_ready_seconds: Annotated[Integer, rules.between(0, 3600, "minReadySeconds must be between 0 and 3600 seconds")] = 0
    """How long a new revision's pod must have been ready before it counts."""
    paused: Flag = False
    """Holds the rollout where it is; what serves goes on serving."""


# ---- what does not go together ------------------------------------------------------------------

_ARE_DEFAULT = " && ".join(
    [
        f"self.steps.size() == {len(DEFAULT_STEPS)}",
        *(
            f"self.steps[{n}].weight == {s.weight} && self.steps[{n}].duration == {rules.literal(s.duration)}"
            for n, s in enumerate(DEFAULT_STEPS)
        ),
        "self.steps.all(s, !s.approval && !has(s.analysis))",
    ]
)
_CANARY = f"!has(self.strategy) || self.strategy != {rules.literal(StrategyName.BLUE_GREEN)}"  # it is absent in the default of spec.rollout

# The API server fills the default steps in before it evaluates a rule: they are as good as none.
NO_STEPS = rules.Rule(
    expression=f"{_CANARY} || !has(self.steps) || self.steps.size() == 0 || ({_ARE_DEFAULT})",
    message="strategy BlueGreen takes all traffic at once: remove spec.rollout.steps, or write strategy: Canary",
    holds=lambda rollout: rollout.strategy is not StrategyName.BLUE_GREEN or rollout.steps in {(), DEFAULT_STEPS},
)
NO_SURGE = rules.Rule(
    expression=f"{_CANARY} || !has(self.surge)",
    message="strategy BlueGreen starts all pods beside the old ones: remove spec.rollout.surge, or write strategy: Canary",
    holds=lambda rollout: rollout.strategy is not StrategyName.BLUE_GREEN or rollout.surge is None,
)
NO_DELAY = rules.Rule(
    expression="!has(self.surge) || !has(self.scaleDownDelay)",
    message="pods that stay need room that spec.rollout.surge does not give: remove scaleDownDelay or surge",
    holds=lambda rollout: rollout.surge is None or rollout.scale_down_delay is None,
)
_NOBODY_ASKED = " && ".join(f"(!has(self.analysis.{name}) || self.analysis.{name}.size() == 0)" for name in ("queries", "jobs"))
ASKED_IN_STEPS = rules.Rule(
    expression=f"!has(self.analysis) || ({_NOBODY_ASKED}) || (({_CANARY}) && (!has(self.steps) || self.steps.size() > 0))",
    message="analysis.queries and analysis.jobs are asked in the steps of a canary: write steps with strategy Canary, or remove them",
    holds=lambda rollout: (
        not (rollout.analysis.queries or rollout.analysis.jobs) or (rollout.strategy is not StrategyName.BLUE_GREEN and bool(rollout.steps))
    ),
)


def _in_order(tolerance: str, limit: str) -> str:
    malformed = " || ".join(f"!{path}.matches({rules.literal(fields.PERCENT_PATTERN)})" for path in (limit, tolerance))
    return f"{malformed} || double({limit}.replace('%', '')) >= double({tolerance}.replace('%', ''))"


def _step_rates_hold(rollout: Rollout) -> bool:
    for step in rollout.steps:
        if step.analysis is not None and step.analysis.errors is not None:
            own, common = step.analysis.errors, rollout.analysis.errors
            tolerance, limit = own.tolerance or common.tolerance, own.max_rate or common.max_rate
            if limit is not None and percent(limit) < percent(tolerance):
                return False
    return True


_OWN, _COMMON = "s.analysis.errors", "self.analysis.errors"
STEP_RATES = rules.Rule(
    expression=f"!has(self.steps) || self.steps.all(s, !has(s.analysis) || !has({_OWN}) || (has({_OWN}.maxRate)"
    f" ? (has({_OWN}.tolerance) ? ({_in_order(f'{_OWN}.tolerance', f'{_OWN}.maxRate')})"
    f" : ({_in_order(f'{_COMMON}.tolerance', f'{_OWN}.maxRate')}))"
    f" : (!has({_OWN}.tolerance) || !has({_COMMON}.maxRate) || {_in_order(f'{_OWN}.tolerance', f'{_COMMON}.maxRate')})))",
    message="in a step, with what it sets itself, errors.maxRate must not be below errors.tolerance: set both in its analysis",
    holds=_step_rates_hold,
)
_OPTIONAL = ("latency", "drift", "restarts", "saturation")
STEP_METRICS = rules.Rule(
    expression="!has(self.steps) || self.steps.all(s, !has(s.analysis) || ("
    + " && ".join(f"(!has(s.analysis.{name}) || (has(self.analysis) && has(self.analysis.{name})))" for name in _OPTIONAL)
    + "))",
    message="a step changes the limits of latency, drift, restarts and saturation, it puts none of them on: "
    "write the metric into spec.rollout.analysis too, such as latency: {}",
    holds=lambda rollout: (
        not any(
            getattr(step.analysis, name) and not getattr(rollout.analysis, name)
            for step in rollout.steps
            if step.analysis
            for name in _OPTIONAL
        )
    ),
)
NO_SURGE_THERE = rules.Rule(
    expression="!has(self.surge) || !has(self.traffic)",
    message="a gateway needs the pods for its weights: remove spec.rollout.surge, or spec.rollout.traffic",
    holds=lambda rollout: rollout.surge is None or rollout.traffic is None,
)
NO_SHADOW = rules.Rule(
    expression=f"{_CANARY} || !has(self.traffic) || !has(self.traffic.mirror)",
    message="strategy BlueGreen has no steps, and so no shadow: remove spec.rollout.traffic.mirror, or write strategy: Canary",
    holds=lambda rollout: rollout.strategy is not StrategyName.BLUE_GREEN or rollout.traffic is None or rollout.traffic.mirror is None,
)
CheckedRollout = Annotated[
    Rollout, NO_STEPS, NO_SURGE, NO_DELAY, NO_SURGE_THERE, NO_SHADOW, STEP_RATES, STEP_METRICS, JOBS_HAVE_A_STEP, ASKED_IN_STEPS
]


def analysis_of(rollout: Rollout, step: int) -> Analysis:
    """How the canary is judged in a step: spec.rollout.analysis, with what the step sets in place of it."""
    own = rollout.steps[step].analysis if 0 <= step < len(rollout.steps) else None
    return overridden(rollout.analysis, own)
