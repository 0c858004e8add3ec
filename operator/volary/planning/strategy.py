"""How the spec wants a new revision to take over, as one value: the strategies differ in what is in it.

Canary     its steps; its pods share the traffic in each of them
BlueGreen  no steps: all pods start without traffic, behind a preview Service, then one switch
"""

from dataclasses import dataclass
from datetime import timedelta

from volary.api.v1alpha1 import Rollout, Step, StrategyName, duration
from volary.planning.weights import canary_replicas, exact_replicas

LINGER = timedelta(seconds=30)  # how long the pods that served before a BlueGreen switch stay


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """What the stages of a rollout are made of."""

    replicas: int
    steps: tuple[Step, ...]
    approval: bool  # a person lets it take all traffic
    preview: bool  # a Service of its own while it is a candidate
    linger: timedelta  # how long the pods of the revision before stay
    exact: bool  # a gateway gives the weights: pods only for their share of the work
    shadow: bool  # the first step answers nothing
    together: bool = False  # the new revision comes to the pods that run: it has all of them from the start
    surge: int | None  # pods beyond `replicas`, which is a number of the spec's then; None: as many as a step needs

    @property
    def room(self) -> int | None:
        """Pods there may be at once, of all revisions; None: any number."""
        return None if self.surge is None else self.replicas + self.surge

    def pods(self, step: int) -> int:
        """Pods of the candidate in a step; -1 is its start, the number of steps its last stage."""
        if self.together or step >= len(self.steps):
            return self.replicas
        if self.exact:
            return exact_replicas(self.steps[max(0, step)].weight, self.replicas)
        wanted = canary_replicas(self.steps[max(0, step)].weight, self.replicas, self.room)
        if step < 0 and self.room is not None:
            return min(wanted, max(1, self.room - 1))  # it has no traffic yet: one pod of stable must stay
        return wanted

    def weight(self, step: int) -> int:
        """Share of the requests in percent that a stage is meant to give the candidate."""
        if step < 0 or (self.shadow and step == 0):
            return 0
        if self.exact and self.steps:
            return self.steps[min(step, len(self.steps) - 1)].weight if not self.shadow or len(self.steps) > 1 else 0
        return self.steps[step].weight if step < len(self.steps) else 100


def chosen(rollout: Rollout, replicas: int) -> Strategy:
    """The strategy of a spec; with a shadow, of one that has it among its steps (`exact.with_shadow`)."""
    blue_green = rollout.strategy is StrategyName.BLUE_GREEN
    usual = LINGER if blue_green else timedelta(0)
    return Strategy(
        replicas=replicas,
        steps=() if blue_green else rollout.steps,
        approval=rollout.approval,
        preview=blue_green,
        linger=usual if rollout.scale_down_delay is None else duration(rollout.scale_down_delay),
        exact=rollout.traffic is not None,
        shadow=rollout.traffic is not None and rollout.traffic.mirror is not None,
        surge=rollout.surge,
    )
