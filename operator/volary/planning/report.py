"""The status that follows from a plan: phase, message, conditions, revisions in use, history."""

from dataclasses import dataclass
from datetime import datetime

from volary.api.v1alpha1 import (
    Condition,
    HistoryEntry,
    LastRollout,
    ModelDeploymentStatus,
    Phase,
    RequestStatus,
    RevisionStatus,
    RolloutStatus,
    Update,
    WatchStatus,
    analysis_of,
)
from volary.common.reasons import Reason
from volary.planning import checks, exact, timeline
from volary.planning.course import Course
from volary.planning.labels import selector
from volary.planning.model import Desired, Divided, Observed, Only, Problem, Revision, Shared
from volary.planning.resolution import Resolution
from volary.planning.roles import Roles
from volary.planning.shape import carrier
from volary.planning.strategy import Strategy, chosen
from volary.planning.traffic import Steering
from volary.planning.weights import reached


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that was decided, for the report."""

    desired: Desired
    observed: Observed
    roles: Roles
    resolution: Resolution
    course: Course | None
    ended: RolloutStatus | None = None  # the memory to tell of, if its revision is a candidate no more
    steering: Steering
    watch: WatchStatus | None
    request: RequestStatus | None
    now: datetime

    @property
    def strategy(self) -> Strategy:
        """What the spec says of it."""
        return chosen(self.desired.spec.rollout, self.desired.replicas)


def status(situation: Situation) -> ModelDeploymentStatus:
    """The whole status. Nothing of the old one is kept but the memory that `course` carries, and the tale of the last rollout."""
    phase, problem = _phase(situation)
    roles, course = situation.roles, situation.course
    stable = _in_use(situation, roles.stable, situation.steering.replicas.get(roles.stable.id, 0)) if roles.stable else None
    canary = _in_use(situation, roles.candidate, course.replicas) if roles.candidate and course else None
    return ModelDeploymentStatus(
        observed_generation=situation.desired.generation,
        phase=phase,
        message=problem.message,
        stable=stable,
        canary=canary,
        watch=situation.watch,
        route=situation.steering.route,
        rollout=_rollout(situation),
        last_rollout=_last_rollout(situation),
        retiring=situation.steering.retiring,
        history=_history(situation),
        request=situation.request,
        replicas=sum(one.replicas for one in (stable, canary) if one is not None),
        selector=selector(situation.desired.name),
        ready=f"{stable.ready if stable else 0}/{situation.desired.replicas}",
        conditions=_conditions(situation, phase, problem),
    )


def _phase(situation: Situation) -> tuple[Phase, Problem]:
    """One word and its reason. The order is the order of importance to a person."""
    resolution, course = situation.resolution, situation.course
    if resolution.refused is not None:
        return Phase.REFUSED, _while_serving(situation, resolution.refused)
    if resolution.waiting is not None:
        return Phase.CHECKING, resolution.waiting
    if course is not None and situation.roles.candidate is not None:
        return _candidate_phase(situation, course)
    return _settled_phase(situation)


def _candidate_phase(situation: Situation, course: Course) -> tuple[Phase, Problem]:
    steps = len(situation.strategy.steps)
    if course.paused:
        return Phase.PAUSED, course.hold
    if course.joins and situation.steering.traffic == Shared():
        return Phase.PROMOTING, course.hold
    if course.memory.step < 0:
        return Phase.STARTING, course.hold
    return (Phase.PROMOTING if course.memory.step >= steps else Phase.CANARY), course.hold


def _settled_phase(situation: Situation) -> tuple[Phase, Problem]:
    """No candidate: the wanted revision is stable, or it failed."""
    wanted, stable, traffic = situation.roles.wanted, situation.roles.stable, situation.steering.traffic
    if wanted is not None and wanted.failed is not None:
        problem = Problem(reason=wanted.failed.reason, message=f"version {wanted.version}: {wanted.failed.message}")
        if stable is None:
            return Phase.FAILED, problem
        there = traffic == Only(stable.id) and situation.observed.ready(stable.id) > 0 and exact.alone(situation.observed, stable.id)
        return (Phase.ROLLED_BACK if there else Phase.ROLLING_BACK), _while_serving(situation, problem)
    if stable is None:
        return Phase.PENDING, Problem(reason=Reason.PODS_STARTING, message="nothing serves yet")
    return _stable_phase(situation, stable)


def _stable_phase(situation: Situation, stable: Revision) -> tuple[Phase, Problem]:
    """What the spec asks for is stable: does it serve, all of it and everywhere?"""
    traffic = situation.steering.traffic
    unrouted = exact.unsettled(situation.desired, situation.observed, stable.id)
    ready, replicas = situation.observed.ready(stable.id), situation.desired.replicas
    if traffic == Only(stable.id) and ready >= replicas:
        if unrouted is not None:
            return Phase.STARTING, _while_serving(situation, unrouted)
        return Phase.SERVING, Problem(reason=Reason.SERVING, message=f"version {stable.version} serves all traffic")
    if isinstance(traffic, Divided) and ready >= replicas:
        text = f"the pods give version {stable.version} {traffic.of(stable.id)} % of their requests so far, all are wanted"
        return Phase.PROMOTING, Problem(reason=Reason.PROMOTING, message=text)
    workload = situation.observed.workload(stable.id)
    trouble = next((p.problem for p in workload.pods if p.problem), None) if workload else None
    text = f"version {stable.version}: {ready} of {replicas} pods are ready"
    return Phase.STARTING, trouble or Problem(reason=Reason.PODS_STARTING, message=text)


def _while_serving(situation: Situation, problem: Problem) -> Problem:
    serving = situation.steering.traffic.revision if isinstance(situation.steering.traffic, Only) else None
    revision = next((r for r in situation.observed.revisions if r.id == serving), None)
    stable = situation.roles.stable
    if stable is not None and situation.strategy.room is not None and not any(w.ready for w in situation.observed.workloads):
        return Problem(reason=problem.reason, message=f"{problem.message} (nothing serves until version {stable.version} is back)")
    if revision is None or situation.observed.ready(revision.id) == 0:
        return problem
    return Problem(reason=problem.reason, message=f"{problem.message} (version {revision.version} serves)")


# ---- revisions --------------------------------------------------------------------------------


def _in_use(situation: Situation, revision: Revision, replicas: int) -> RevisionStatus:
    observed = situation.observed
    return RevisionStatus(
        revision=revision.id,
        version=revision.version,
        digest=revision.digest,
        deployment=_deployment(situation, revision),
        replicas=replicas,
        ready=observed.ready(revision.id),
        weight=_weight(situation, revision),
        weight_reached=_reached(situation, revision),
    )


def _deployment(situation: Situation, revision: Revision) -> str | None:
    return f"{situation.desired.name}-{carrier(revision)}" if revision.update is Update.IN_PLACE else None


def _canary_weight(situation: Situation) -> int:
    course = situation.course
    if course is None or not course.shares:
        return 0
    return 100 if course.joins else situation.strategy.weight(course.memory.step)


def _weight(situation: Situation, revision: Revision) -> int:
    """What the spec wants of this revision at this moment."""
    roles = situation.roles
    canary = _canary_weight(situation) if roles.candidate is not None else 0
    if roles.candidate is not None and revision.id == roles.candidate.id:
        return 100 if roles.stable is None else canary
    return 100 - canary


def _reached(situation: Situation, revision: Revision) -> int:
    """What the Service does, the share of this revision among the ready pods it selects, or the HTTPRoute."""
    observed = situation.observed
    if exact.wanted(situation.desired):
        return exact.reached(observed, revision.id)
    match situation.steering.traffic:
        case Only(revision=serving):
            return 100 if serving == revision.id and observed.ready(serving) > 0 else 0
        case Shared():
            others = sum(w.ready for w in observed.workloads if w.revision != revision.id)
            return reached(observed.ready(revision.id), others)
        case Divided() as inside:
            return inside.of(revision.id)
        case _:
            return 0


def _rollout(situation: Situation) -> RolloutStatus | None:
    course, candidate = situation.course, situation.roles.candidate
    if course is None or candidate is None:
        return None
    analysis = analysis_of(situation.desired.spec.rollout, course.memory.step)
    return timeline.record(course.memory, analysis, _weight(situation, candidate), _reached(situation, candidate), situation.now)


def _last_rollout(situation: Situation) -> LastRollout | None:
    """Told when it ends; until the next one ends it stays as it was told."""
    ended, course, roles = situation.ended, situation.course, situation.roles
    kept = situation.desired.status.last_rollout
    if ended is None or (course is not None and course.memory.revision == ended.revision):
        return kept
    revision = next((r for r in situation.observed.revisions if r.id == ended.revision), None)
    if revision is None:
        return kept
    analysis = analysis_of(situation.desired.spec.rollout, ended.step)
    return timeline.conclude(ended, analysis, revision, roles.stable.id if roles.stable else None, situation.now)


def _history(situation: Situation) -> tuple[HistoryEntry, ...]:
    newest = sorted(situation.observed.revisions, key=lambda r: r.ordinal, reverse=True)
    return tuple(
        HistoryEntry(
            revision=r.id,
            version=r.version,
            digest=r.digest,
            created_at=r.created_at,
            promoted=r.promoted > 0,
            failed=r.failed.reason if r.failed else None,
            message=r.failed.message[:512] if r.failed else None,
        )
        for r in newest
    )


# ---- conditions -------------------------------------------------------------------------------

_WORKING = frozenset({Phase.PENDING, Phase.CHECKING, Phase.STARTING, Phase.CANARY, Phase.PROMOTING, Phase.ROLLING_BACK})
_STALLED = frozenset({Phase.REFUSED, Phase.ROLLED_BACK, Phase.FAILED})
_NEEDS_A_PERSON = frozenset(
    {Reason.SECRET_NOT_FOUND, Reason.GATEWAY_ABSENT, Reason.GATEWAY_UNSUPPORTED, Reason.ROUTE_UNUSABLE}
)  # mended without a change of the spec, but not by waiting


def _conditions(situation: Situation, phase: Phase, problem: Problem) -> tuple[Condition, ...]:
    stalled = phase in _STALLED or problem.reason in _NEEDS_A_PERSON
    serving = _serving(situation)
    available = Problem(
        reason=Reason.SERVING if serving else Reason.PODS_STARTING,
        message=f"{serving} ready pods take traffic" if serving else "no ready pod takes traffic",
    )
    return (
        _condition(situation, "Ready", phase is Phase.SERVING, problem),
        _condition(situation, "Reconciling", phase in _WORKING, problem),
        _condition(situation, "Stalled", stalled, problem),
        _condition(situation, "Available", serving > 0, available),
        *_unasked(situation),
    )


def _unasked(situation: Situation) -> tuple[Condition, ...]:
    """Only there, and False, while queries can have no value."""
    problem = checks.unavailable(situation.desired)
    return () if problem is None else (_condition(situation, "QueriesAvailable", holds=False, problem=problem),)


def _serving(situation: Situation) -> int:
    observed = situation.observed
    match situation.steering.traffic:
        case Only(revision=revision):
            return observed.ready(revision)
        case Shared():
            return sum(w.ready for w in observed.workloads)
        case Divided(weights=weights):
            return max((observed.ready(revision) for revision, weight in weights if weight > 0), default=0)
        case _:
            return 0


def _condition(situation: Situation, kind: str, holds: bool, problem: Problem) -> Condition:  # noqa: FBT001 -- a truth value is what a condition is
    value = "True" if holds else "False"
    before = next((c for c in situation.desired.status.conditions if c.type == kind), None)
    since = before.last_transition_time if before is not None and before.status == value else situation.now
    return Condition(
        type=kind,
        status=value,
        reason=problem.reason,
        message=problem.message,
        last_transition_time=since,
        observed_generation=situation.desired.generation,
    )
