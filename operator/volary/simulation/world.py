"""The cluster, one ModelDeployment in it, and the operator's loop around `plan()`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from volary.api.v1alpha1 import ModelDeploymentSpec, ModelDeploymentStatus
from volary.planning import checks, evidence, identity
from volary.planning.model import (
    Desired,
    Images,
    NoPreflight,
    NoService,
    Observed,
    Plan,
    Preflight,
    PreflightEnded,
    PreflightRunning,
    Revision,
    Sample,
)
from volary.planning.outside import Outside
from volary.planning.plan import plan
from volary.planning.roles import Roles, assign
from volary.planning.weighted import LeftRoute, NotAsked
from volary.simulation.cluster import Cluster

IMAGES = Images(agent="agent:1", server="server:1")
SOON = timedelta(milliseconds=200)  # until the operator hears of a change


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn of the operator."""

    desired: Desired
    observed: Observed
    plan: Plan
    status: ModelDeploymentStatus  # as the API server has it afterwards
    now: datetime


@dataclass(slots=True)
class World:
    """What a test holds in its hands."""

    spec: ModelDeploymentSpec
    cluster: Cluster = field(default_factory=Cluster)
    generation: int = 1
    request: str | None = None
    stored: dict[str, Any] = field(default_factory=dict)  # the status as JSON
    seen: list[Turn] = field(default_factory=list)
    listeners: list[Callable[[Turn], None]] = field(default_factory=list)

    # ---- people -----------------------------------------------------------------------------------

    def edit(self, **fields: Any) -> None:
        """Change the spec, as `kubectl apply` does; the same spec again is no change."""
        changed = ModelDeploymentSpec.model_validate(self.spec.model_dump(by_alias=True) | fields)
        if changed != self.spec:
            self.spec, self.generation = changed, self.generation + 1

    def deploy(self, version: str) -> None:
        """Ask for another version."""
        self.edit(model=self.spec.model.model_dump(by_alias=True) | {"version": version})

    def deleted(self) -> None:
        """Garbage collection takes what it owned; whoever creates it again begins anew."""
        for revision in list(self.cluster.deployments):
            self.cluster.delete(revision)
        self.cluster.jobs.clear()
        self.cluster.revisions.clear()
        self.cluster.preview = None
        self.cluster.route(NoService())
        self.stored, self.request, self.generation = {}, None, 1

    @property
    def status(self) -> ModelDeploymentStatus:
        """As the API server has it."""
        return ModelDeploymentStatus.model_validate(self.stored)

    # ---- the operator ---------------------------------------------------------------------------

    def desired(self) -> Desired:
        """The ModelDeployment as it is stored."""
        return Desired(
            namespace="shop",
            name="fraud",
            uid="u-1",
            generation=self.generation,
            model_name="fraud",
            spec=self.spec,
            images=IMAGES,
            prometheus=self.cluster.outside.prometheus,
            request=self.request,
            status=self.status,
        )

    def request_id(self) -> str:
        """Names the spec's preflight."""
        return identity.request_id(self.spec.model, "fraud", self.spec.runtime, self.spec.update)

    def observe(self, desired: Desired) -> Observed:
        """One look at everything."""
        cluster, request = self.cluster, self.request_id()
        due = evidence.sample_due(desired, cluster.now)
        return Observed(
            preflight=self._preflight(request),
            stale_preflights=tuple(sorted(cluster.jobs.keys() - {request})),
            revisions=tuple(sorted(cluster.revisions.values(), key=lambda revision: revision.ordinal)),
            workloads=cluster.workloads(),
            strangers=cluster.strangers(),
            traffic=cluster.traffic,
            written=tuple(cluster.splits.values()),
            holdings=cluster.holdings(),
            route=cluster.http_route() if self.spec.rollout.traffic else NotAsked(),
            left=LeftRoute(name="fraud", own=True) if not self.spec.rollout.traffic and cluster.weighted else None,
            preview=cluster.preview,
            outside=self._outside(desired),
            sample=Sample(at=cluster.now, counts=cluster.counts()) if due else None,
            autoscalers=tuple(cluster.autoscalers.values()),
            budget=cluster.budget,
        )

    def _outside(self, desired: Desired) -> Outside:
        """What the others say of whom it is time to ask; to ask the agents is to have them go on."""
        cluster = self.cluster
        questions = checks.due(desired, self.roles(), cluster.now)
        rate = checks.golden_rate(desired, cluster.now)
        if rate:
            cluster.outside.ask_agents(rate, cluster.now + timedelta(seconds=checks.golden_span(desired)))
        pods = [pod for pod in cluster.pods if pod.ready and pod.gone is None]
        return Outside(
            measurements=cluster.outside.measure(questions, cluster.now),
            jobs=cluster.outside.seen(cluster.now),
            replies=cluster.outside.replies(pods) if rate else None,
        )

    def _preflight(self, request: str) -> Preflight:
        job = self.cluster.jobs.get(request)
        if job is None:
            return NoPreflight()
        if job.problem is not None or job.ends > self.cluster.now:
            return PreflightRunning(problem=job.problem)
        return PreflightEnded(outcome=job.outcome, at=job.ends)

    def think(self) -> Turn:
        """Look and plan, do nothing."""
        desired = self.desired()
        observed = self.observe(desired)
        return Turn(
            desired=desired, observed=observed, plan=plan(desired, observed, self.cluster.now), status=desired.status, now=self.cluster.now
        )

    def act(self, turn: Turn, *, dies_after: int | None = None) -> None:
        """Carry out a plan. An operator that dies writes no status; all it knew is what the cluster knows."""
        for action in turn.plan.actions[:dies_after]:
            self.cluster.apply(action, turn.desired.spec.model.version)
        if dies_after is None:
            self.stored = turn.plan.status.model_dump(mode="json", by_alias=True)

    def turn(self) -> Turn:
        """One whole turn."""
        thought = self.think()
        self.act(thought)
        done = Turn(desired=thought.desired, observed=thought.observed, plan=thought.plan, status=thought.plan.status, now=thought.now)
        for listener in self.listeners:
            listener(done)
        return done

    def idle(self, turn: Turn) -> bool:
        """Nothing was done and nothing new was learnt."""
        return not turn.plan.actions and turn.plan.status == turn.desired.status

    def wake(self, turn: Turn) -> datetime | None:
        """When the operator looks again: when something happened, or when the plan asked for it."""
        if not self.idle(turn):
            return self.cluster.now + SOON
        return self.next_look(turn)

    def next_look(self, turn: Turn) -> datetime | None:
        """When something happens by itself, or the plan asked for a look."""
        times = (turn.plan.wake_at, self.cluster.next_news())
        return min((max(time, self.cluster.now + SOON) for time in times if time is not None), default=None)

    def run(self, until: datetime | timedelta | Callable[[], bool], *, turns: int = 2000) -> Turn:
        """Turn after turn until a time, or something holds, or nothing will ever happen again.

        Without traffic, or with a canary that needs a person, only samples would follow: `until` a time ends that.
        """
        end = self.cluster.now + until if isinstance(until, timedelta) else until
        for _ in range(turns):
            turn = self.turn()
            if callable(end) and end():
                return turn
            wake = self.wake(turn)
            if wake is None or (isinstance(end, datetime) and wake > end):
                if isinstance(end, datetime):
                    self.cluster.advance(end)
                return turn
            self.cluster.advance(wake)
        raise AssertionError(f"no end after {turns} turns: {self.status.phase}, {self.status.message}")

    # ---- who is who -----------------------------------------------------------------------------

    def roles(self) -> Roles:
        """By the marks of the revisions."""
        revisions = tuple(self.cluster.revisions.values())
        return assign(Observed(revisions=revisions), self.request_id())

    def revision(self, version: str) -> Revision:
        """The one of a version."""
        return next(revision for revision in self.cluster.revisions.values() if revision.version == version)
