"""A world that writes down what happens in it."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, assert_never

from tests.world.invariants import Guard
from tests.world.specs import spec
from volary.api.v1alpha1 import RevisionStatus
from volary.common.durations import show as show_duration
from volary.planning.model import (
    Action,
    DeleteAutoscaler,
    DeleteBudget,
    DeleteCheck,
    DeletePreflight,
    DeleteRevision,
    DeleteWorkload,
    Directing,
    Divided,
    EnsureAutoscaler,
    EnsureBudget,
    EnsureWorkload,
    MarkRevision,
    NoService,
    Nudge,
    Only,
    Preview,
    RecordRevision,
    ReleaseRoute,
    Route,
    Scaling,
    Shared,
    StartCheck,
    StartPreflight,
    Traffic,
    Weigh,
    WriteSplit,
)
from volary.planning.weighted import Weighted
from volary.simulation.bundles import Bundle
from volary.simulation.cluster import START, Cluster
from volary.simulation.world import Turn, World


@dataclass(slots=True)
class Story:
    """Lines like `t+1m7s  Canary  stable 1.0.0 3/3 75 %  canary 2.0.0 1/1 25 %`, with what was decided and done below."""

    world: World
    lines: list[str] = field(default_factory=list)
    _last: str = ""

    @classmethod
    def of(cls, title: str, *, bundles: dict[str, Bundle] | None = None, rate: float = 50, stagger: float = 0, **fields: Any) -> "Story":
        """`stagger`: seconds that each further pod of a Deployment takes longer; `fields` are those of the spec."""
        cluster = Cluster(rate=rate, bundles=bundles or {}, stagger=timedelta(seconds=stagger))
        story = cls(World(spec=spec("1.0.0", **fields), cluster=cluster), lines=[f"# {title}", ""])
        guard = Guard(story.world)
        story.world.listeners += [guard.plan_is_sound, story._tell]
        return story

    def begins_here(self, text: str) -> None:
        """What came before is another story."""
        self.lines = [self.lines[0], "", f"{self._clock()}  == {text}"]

    # ---- what happens from outside ------------------------------------------------------------------

    def says(self, text: str) -> None:
        """A line of the narrator."""
        self.lines += ["", f"{self._clock()}  == {text}"]

    def deploys(self, version: str) -> None:
        self.says(f"spec.model.version: {version}")
        self.world.deploy(version)

    def edits(self, text: str, **fields: Any) -> None:
        self.says(text)
        self.world.edit(**fields)

    def asks(self, request: str) -> None:
        self.says(f"a person asks: {request}")
        self.world.request = request

    def scales(self, text: str, replicas: int) -> None:
        """Somebody else writes the number of stable's pods."""
        self.says(text)
        stable = self.world.roles().stable
        assert stable is not None
        self.world.cluster.deployments[stable.id] = replicas

    def goes_on(self, **span: float) -> None:
        """Turn after turn for so long."""
        self.world.run(timedelta(**span))

    def deleted(self) -> None:
        """The ModelDeployment with all it owns; its pods have a few seconds left."""
        self.says("the ModelDeployment is deleted")
        self.world.deleted()

    def operator_dies_in_its_next_plan(self, *, after: int) -> None:
        """It carries out so many actions of the next plan that has that many, and writes no status."""
        for _ in range(200):
            turn = self.world.think()
            if len(turn.plan.actions) > after:
                self.says(f"the operator is killed after {after} of {len(turn.plan.actions)} actions:")
                self.lines += [f"{'':10}-> {self._action(action)}" for action in turn.plan.actions[:after]]
                self.world.act(turn, dies_after=after)
                return
            wake = self.world.wake(self.world.turn())
            assert wake is not None
            self.world.cluster.advance(wake)
        raise AssertionError("no such plan came")

    def text(self) -> str:
        lost = f"lost requests: {round(self.world.cluster.lost)}"
        return "\n".join([*self.lines, "", f"{self._clock()}  == end; {lost}", ""])

    # ---- what is written ------------------------------------------------------------------------------

    def _clock(self) -> str:
        return f"{'t+' + show_duration(self.world.cluster.now - START):<8}"

    def _tell(self, turn: Turn) -> None:
        plan = turn.plan
        head = f"{plan.status.phase:<12}{self._side('stable', plan.status.stable):<27}{self._side('canary', plan.status.canary):<27}"
        ready = next(c for c in plan.status.conditions if c.type == "Ready")
        why = f"{ready.reason}: {plan.status.message}"
        if not (plan.facts or plan.actions or f"{head}{ready.reason}" != self._last):
            return
        self.lines.append(f"{self._clock()}  {head}{why}")
        self.lines += [f"{'':10}{'!' if fact.level == 'Warning' else '*'} {fact.reason}: {fact.message}" for fact in plan.facts]
        self.lines += [f"{'':10}-> {self._action(action)}" for action in plan.actions]
        self._last = f"{head}{ready.reason}"

    def _side(self, role: str, revision: RevisionStatus | None) -> str:
        if revision is None:
            return f"{role} -"
        return f"{role} {revision.version} {revision.ready}/{revision.replicas} {revision.weight_reached} %"

    def _name(self, revision: str) -> str:
        return self.world.cluster.revisions[revision].version if revision in self.world.cluster.revisions else revision

    def _action(self, action: Action) -> str:  # noqa: C901 -- one case for each action
        match action:
            case StartPreflight() | DeletePreflight():
                text = f"{'start' if isinstance(action, StartPreflight) else 'delete'} the preflight"
            case RecordRevision(revision=revision):
                text = f"record revision {revision.ordinal}: {revision.version}"
            case MarkRevision(revision=name, promoted=promoted, failed=failed):
                text = f"mark {self._name(name)}: promoted {promoted or '-'}, failed {failed.reason if failed else '-'}"
            case DeleteRevision(revision=name):
                text = f"forget {self._name(name)}"
            case EnsureWorkload(revision=revision, replicas=replicas, floating=floating):
                text = f"{replicas} pods of {revision.version}{', from now on scaled by others' if floating else ''}"
            case DeleteWorkload(revision=name):
                text = f"no pods of {self._name(name)}"
            case WriteSplit() | Nudge():
                text = self._inside_pods(action)
            case StartCheck(visit=visit):
                text = f"start job {visit.job.name} of step {visit.step}"
            case DeleteCheck(name=name):
                text = f"delete job {name.split('-', 2)[2]}"
            case Route() | Preview() | Weigh() | ReleaseRoute():
                text = self._directing(action)
            case EnsureAutoscaler() | DeleteAutoscaler() | EnsureBudget() | DeleteBudget():
                text = self._scaling(action)
            case _:
                assert_never(action)
        return text

    def _directing(self, action: Directing) -> str:
        match action:
            case Route(to=to):
                return f"traffic to {self._traffic(to)}"
            case Preview(revision=name):
                return "no preview" if name is None else f"preview shows {self._name(name)}"
            case Weigh(to=to):
                return f"HTTPRoute: {self._weights(to)}"
            case ReleaseRoute(route=left):
                return f"delete the HTTPRoute {left.name}" if left.own else f"leave the HTTPRoute {left.name} alone"

    def _weights(self, to: Weighted) -> str:
        parts = [f"{share.weight} % to {self._name(share.revision)}" for share in to.shares]
        parts += [f"by header to {self._name(to.named)}"] if to.named else []
        parts += [f"copies of {to.shadow.percent} % to {self._name(to.shadow.revision)}"] if to.shadow else []
        return ", ".join(parts)

    def _scaling(self, action: Scaling) -> str:
        match action:
            case EnsureAutoscaler(autoscaler=wanted):
                return f"autoscaler of {self._name(wanted.revision)}: {wanted.spec.min_replicas} to {wanted.spec.max_replicas} pods"
            case DeleteAutoscaler(revision=name):
                return f"no autoscaler of {self._name(name)}"
            case EnsureBudget(budget=budget):
                return f"disruption budget: {budget.model_dump(exclude_none=True)}"
            case DeleteBudget():
                return "no disruption budget"

    def _inside_pods(self, action: WriteSplit | Nudge) -> str:
        match action:
            case WriteSplit(split=split):
                return "split " + ", ".join(f"{share.version} {share.weight} %" for share in split.shares)
            case Nudge(pod=pod):
                return f"nudge {pod}"

    def _traffic(self, to: Traffic) -> str:
        match to:
            case Only(revision=name):
                return f"{self._name(name)} only"
            case Shared():
                return "all ready pods"
            case NoService():
                return "nobody"
            case Divided():
                return "what the pods say"
            case _:
                assert_never(to)


def serving(title: str, versions: dict[str, Bundle] | None = None, **fields: Any) -> Story:
    """1.0.0 serves since a minute."""
    told = Story.of(title, bundles=versions, **fields)
    told.goes_on(minutes=1)
    told.begins_here(f"version 1.0.0 serves with {told.world.spec.replicas} pods")
    return told
