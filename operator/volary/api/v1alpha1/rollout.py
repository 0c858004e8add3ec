"""How a new revision takes over: `spec.rollout`."""

from itertools import pairwise
from typing import Annotated

from pydantic import Field

from volary.api import rules
from volary.api.fields import Duration, Flag, Integer
from volary.api.v1alpha1.analysis import Analysis
from volary.api.v1alpha1.base import Spec


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


DEFAULT_STEPS = (Step(weight=10, duration="2m"), Step(weight=50, duration="3m"))
_WEIGHTS_INCREASE = rules.Rule(
    expression="self.map(s, s.weight).isSorted() && self.all(s, self.exists_one(t, t.weight == s.weight))",
    message="the weights of spec.rollout.steps must increase from step to step, such as 5, 25, 50; reorder or remove steps",
    holds=lambda steps: all(earlier.weight < later.weight for earlier, later in pairwise(steps)),
)


class Rollout(Spec):
    """How a new revision takes over."""

    steps: Annotated[tuple[Step, ...], Field(max_length=20), _WEIGHTS_INCREASE] = DEFAULT_STEPS
    """Weights that increase; after the last one the canary is promoted. Empty: promoted as soon as its pods are ready."""
    analysis: Analysis = Analysis()
    """How the canary is judged."""
    progress_deadline: Annotated[Duration, rules.at_least("5s", "progressDeadline must be 5s or longer, such as 10m")] = "10m"
    """How long a new revision may take to get ready before it is given up."""
    min_ready_seconds: Annotated[Integer, rules.between(0, 3600, "minReadySeconds must be between 0 and 3600 seconds")] = 0
    """How long a new revision's pod must have been ready before it counts."""
    paused: Flag = False
    """Holds the rollout where it is; what serves goes on serving."""
