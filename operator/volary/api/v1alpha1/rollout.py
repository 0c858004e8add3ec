"""How a new revision takes over: `spec.rollout`."""

from enum import StrEnum
from itertools import pairwise
from typing import Annotated

from pydantic import Field

from volary.api import fields, rules
from volary.api.fields import Duration, Flag, Integer
from volary.api.v1alpha1.analysis import Analysis, StepAnalysis, overridden
from volary.api.v1alpha1.base import Spec, percent


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
CheckedRollout = Annotated[Rollout, NO_STEPS, NO_SURGE, NO_DELAY, STEP_RATES]


def analysis_of(rollout: Rollout, step: int) -> Analysis:
    """How the canary is judged in a step: spec.rollout.analysis, with what the step sets in place of it."""
    own = rollout.steps[step].analysis if 0 <= step < len(rollout.steps) else None
    return overridden(rollout.analysis, own)
