"""One rollout, played to its end by the real decisions: `planning.plan` on a simulated cluster and clock."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from volary.api.v1alpha1 import ModelDeploymentSpec, Phase, duration
from volary.simulation.bundles import Bundle
from volary.simulation.cluster import DRAIN, ROUTING_LAG
from volary.simulation.crowd import Answered, Crowd
from volary.simulation.world import SOON, Turn, World

_PATIENCE = timedelta(hours=1)  # beyond all that the spec itself allows
_EXTENDED = 3  # times its duration a step may last


class Outcome(StrEnum):
    """How a rollout ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    PAUSED = "Paused"  # a person has to decide
    UNDECIDED = "Undecided"  # not even that, for longer than a spec allows


_ENDS = {Phase.ROLLED_BACK: Outcome.ROLLED_BACK, Phase.FAILED: Outcome.ROLLED_BACK, Phase.PAUSED: Outcome.PAUSED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A spec that is rolled out beside its predecessor, and the requests meanwhile."""

    spec: ModelDeploymentSpec
    rps: float  # requests a second, of both versions together
    errors: float  # share of the predecessor's requests that fail
    canary_errors: float
    burst: float = 1.0
    noise: float = 0.0

    @property
    def before(self) -> str:
        """Name of the predecessor."""
        return "before" if self.spec.model.version != "before" else "earlier"

    @property
    def equal(self) -> "Scenario":
        """The same with a canary that is as good as its predecessor."""
        return replace(self, canary_errors=self.errors)

    def limit(self) -> timedelta:
        """After this nothing will come any more."""
        steps = sum((duration(step.duration) for step in self.spec.rollout.steps), timedelta(0))
        return _EXTENDED * steps + duration(self.spec.rollout.progress_deadline) + _PATIENCE

    def world(self, seed: int) -> World:
        """The predecessor serves with all its pods."""
        cluster = Crowd(seed=seed, rate=self.rps, burst=self.burst, noise=self.noise)
        cluster.bundles = {
            self.before: Bundle(errors=self.errors),
            self.spec.model.version: Bundle(errors=self.canary_errors),
        }
        model = self.spec.model.model_copy(update={"version": self.before, "digest": None})
        world = World(spec=self.spec.model_copy(update={"model": model}), cluster=cluster)
        world.run(lambda: world.status.phase is Phase.SERVING)
        return world


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What came of one rollout."""

    outcome: Outcome
    reason: str
    message: str
    took: timedelta  # from the change of the spec
    exposed: timedelta  # from the canary's first request to its last; to the end, if it was promoted
    requests: int  # that the canary answered meanwhile
    errors: int
    lost: float  # requests that found no pod


def play(scenario: Scenario, seed: int, listen: Callable[[Turn], None] | None = None) -> Ended:
    """Equal arguments give an equal end. `listen` is told of every turn of the operator."""
    world = scenario.world(seed)
    begin = world.cluster.now
    if listen is not None:
        world.listeners.append(listen)
    world.edit(model=scenario.spec.model.model_dump(by_alias=True))
    outcome = _until_the_end(world, scenario)
    took = world.cluster.now - begin
    if outcome is Outcome.ROLLED_BACK:
        world.cluster.advance(world.cluster.now + ROUTING_LAG + DRAIN)  # what is on its way to the canary still
    answered = _answered(world, scenario.spec.model.version)
    status = world.status
    return Ended(
        outcome=outcome,
        reason=next((condition.reason for condition in status.conditions if condition.type == "Ready"), ""),
        message=status.message,
        took=took,
        exposed=answered.exposed,
        requests=answered.requests,
        errors=answered.errors,
        lost=world.cluster.lost,
    )


def _until_the_end(world: World, scenario: Scenario) -> Outcome:
    limit = world.cluster.now + scenario.limit()
    while True:
        turn = world.turn()
        outcome = _outcome(turn, scenario.spec.model.version)
        if outcome is not None:
            return outcome
        # A status that was written makes the real operator look again, and do nothing: left out, for twice the speed.
        wake = world.cluster.now + SOON if turn.plan.actions else world.next_look(turn)
        if wake is None or wake > limit:
            return Outcome.UNDECIDED
        world.cluster.advance(wake)


def _outcome(turn: Turn, version: str) -> Outcome | None:
    status = turn.plan.status
    if status.phase is Phase.SERVING and status.stable is not None and status.stable.version == version:
        return Outcome.PROMOTED
    return _ENDS.get(status.phase)


def _answered(world: World, version: str) -> Answered:
    crowd = world.cluster
    revision = next((each.id for each in crowd.revisions.values() if each.version == version), "")
    return crowd.answered.get(revision, Answered()) if isinstance(crowd, Crowd) else Answered()
