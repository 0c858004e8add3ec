"""`plan(desired, observed, now)`: what follows from what is seen. The one place where the order of the stages stands.

1. requests    what a person asked for becomes marks on revisions
2. resolution  the spec becomes a revision, by a preflight if it is not known
3. roles       stable and candidate, read off the marks
4. rollout     the candidate goes at most one stage further, is promoted or given up: marks again;
               a new stable that proves worse than the one before it is given up too
5. scaling     what is left to an autoscaler or to people, and their bounds
6. traffic     pods, Service and HTTPRoute for those roles, in an order in which every prefix is safe
7. checks      Jobs that judge the candidate
8. history     revisions beyond it are forgotten
9. report      the status

A verdict is written as a mark on its ControllerRevision before anything follows from it, so a
crash at any point repeats at most what is idempotent, and a wiped status forgets no failure.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from volary.api.v1alpha1 import RolloutStatus
from volary.common.reasons import Reason
from volary.planning import (
    checks,
    exact,
    identity,
    inplace,
    perspective,
    readiness,
    report,
    requests,
    resolution,
    rollout,
    scaling,
    shape,
    watch,
)
from volary.planning.course import Course, earliest
from volary.planning.model import (
    Action,
    DeleteRevision,
    Desired,
    Fact,
    Level,
    MarkRevision,
    NoPreflight,
    Observed,
    Only,
    Plan,
    Revision,
    Traffic,
)
from volary.planning.roles import Roles, assign
from volary.planning.strategy import chosen
from volary.planning.traffic import Steering
from volary.planning.watch import Watched


def plan(desired: Desired, observed: Observed, now: datetime) -> Plan:
    """All actions, the status and the next time to look. Equal input gives an equal plan."""
    desired = exact.with_shadow(desired)
    ground, observed = observed, perspective.by_revision(observed)
    request = identity.request_id(desired.spec.model, desired.model_name, desired.spec.runtime, desired.spec.update)
    asked = requests.answer(desired, observed, request, now)
    remembered = desired.status.rollout
    desired = _instructed(desired, asked.memory)
    resolved = resolution.resolve(desired, _without_preflight(asked), request, now)
    desired = scaling.settle(desired, resolved.observed, assign(resolved.observed, request).stable)
    verdict = _judge(desired, resolved.observed, request, now)
    watched = watch.look(desired, verdict.observed, verdict.roles, now)
    verdict = _taken_back(verdict, watched, request)
    ground = replace(ground, revisions=verdict.observed.revisions)
    pods, owners = shape.carried(ground), shape.carried_roles(verdict.roles)
    released = scaling.release(desired, pods, owners)
    contested = scaling.contested(desired, pods, now)
    steering = inplace.steer(desired, ground, verdict.roles, verdict.course, contested, now)
    tended = scaling.tend(desired, pods, owners)
    forgotten = _forget(desired, verdict.observed, verdict.roles, steering.traffic)
    judges = checks.actions(desired, verdict.observed, verdict.roles, verdict.course.memory if verdict.course else None)
    situation = report.Situation(
        desired=desired,
        observed=verdict.observed,
        roles=verdict.roles,
        resolution=resolved,
        course=verdict.course,
        ended=verdict.ended or remembered,
        steering=steering,
        watch=None if watched.failed else watched.memory,
        request=asked.record,
        now=now,
    )
    refused = resolution.refusal(desired, resolved.refused) if resolved.refused else None
    return Plan(
        actions=(*asked.actions, *resolved.actions, *verdict.actions, *released, *tended, *steering.actions, *judges, *forgotten),
        status=report.status(situation),
        facts=(*asked.facts, *_superseded(desired, remembered, verdict), *resolved.facts, *((refused,) if refused else ()), *verdict.facts),
        wake_at=_wake_at(resolved, verdict.course, steering, (*contested.values(), *((watched.wake_at,) if watched.wake_at else ()))),
    )


def _instructed(desired: Desired, memory: RolloutStatus | None) -> Desired:
    """What a person asked of the canary is part of its memory, even if there was none of it yet."""
    if memory is None:
        return desired
    return replace(desired, status=desired.status.model_copy(update={"rollout": memory}))


def _without_preflight(asked: requests.Answer) -> Observed:
    """After a retry of a refused bundle its Job is on its way out: nothing is concluded from it."""
    if asked.retried and asked.actions and not any(isinstance(a, MarkRevision) for a in asked.actions):
        return replace(asked.observed, preflight=NoPreflight())
    return asked.observed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """The roles after the candidate was looked at."""

    observed: Observed
    roles: Roles
    course: Course | None = None
    ended: RolloutStatus | None = None  # memory of a candidate that is none any more
    actions: tuple[Action, ...] = ()
    facts: tuple[Fact, ...] = ()


def _judge(desired: Desired, observed: Observed, request: str, now: datetime) -> _Verdict:
    roles = assign(observed, request)
    candidate = roles.candidate
    if candidate is None:
        return _Verdict(observed=observed, roles=roles)
    settled, matures = readiness.seasoned(observed, candidate.id, timedelta(seconds=desired.spec.rollout.min_ready_seconds), now)
    course = rollout.advance(desired, settled, candidate, roles.stable, now)
    began = _began(desired, candidate, roles)
    if course.failed is not None:
        text = f"version {candidate.version} is given up: {course.failed.message}"
        fact = Fact(reason=course.failed.reason, message=text, level=Level.WARNING)
        marked = _mark(observed, replace(candidate, failed=course.failed), request, (*began, *course.facts, fact))
        return replace(marked, ended=course.memory)
    if course.promote:
        top = max(r.promoted for r in observed.revisions)
        fact = Fact(reason=Reason.PROMOTED, message=f"version {candidate.version} is stable now")
        marked = _mark(observed, replace(candidate, promoted=top + 1), request, (*began, *course.facts, fact))
        return replace(marked, ended=course.memory)
    course = replace(course, wake_at=earliest(course.wake_at, matures))
    return _Verdict(observed=observed, roles=roles, course=course, facts=(*began, *course.facts))


def _taken_back(verdict: _Verdict, watched: Watched, request: str) -> _Verdict:
    """A stable that turned out bad after its promotion is marked like a failed canary, and not tried again."""
    stable, facts = verdict.roles.stable, (*verdict.facts, *watched.facts)
    if stable is None or watched.failed is None:
        return replace(verdict, facts=facts)
    text = f"version {stable.version} is given up: {watched.failed.message}"
    fact = Fact(reason=watched.failed.reason, message=text, level=Level.WARNING)
    marked = _mark(verdict.observed, replace(stable, failed=watched.failed), request, (*facts, fact))
    return replace(marked, actions=(*verdict.actions, *marked.actions))


def _began(desired: Desired, candidate: Revision, roles: Roles) -> tuple[Fact, ...]:
    memory = desired.status.rollout
    if memory is not None and memory.revision == candidate.id:
        return ()
    if roles.stable is None:
        return (Fact(reason=Reason.PODS_STARTING, message=f"starting version {candidate.version}, the first to serve"),)
    surge = chosen(desired.spec.rollout, desired.replicas).surge
    limited = surge is not None and not shape.beside(candidate, roles.stable)
    how = f"with a surge of {surge} in place of pods of version {roles.stable.version}" if limited else shape.place(candidate, roles.stable)
    text = f"starting version {candidate.version} ({candidate.id}) {how}"
    return (Fact(reason=Reason.CANARY_STARTED, message=text),)


def _superseded(desired: Desired, memory: RolloutStatus | None, verdict: _Verdict) -> tuple[Fact, ...]:
    """Tells of a canary that is remembered and is none any more, though it neither failed nor was promoted."""
    roles = verdict.roles
    left = None if memory is None else next((r for r in verdict.observed.revisions if r.id == memory.revision), None)
    if left is None or left.failed is not None or left in (roles.stable, roles.candidate):
        return ()
    text = f"version {left.version} ({left.id}) is a canary no more: the spec asks for version {desired.spec.model.version}"
    return (Fact(reason=Reason.SUPERSEDED, message=text),)


def _mark(observed: Observed, revision: Revision, request: str, facts: tuple[Fact, ...]) -> _Verdict:
    after = observed.mark(revision)
    mark = MarkRevision(revision=revision.id, promoted=revision.promoted, failed=revision.failed, asked=revision.asked)
    return _Verdict(observed=after, roles=assign(after, request), actions=(mark,), facts=facts)


def _forget(desired: Desired, observed: Observed, roles: Roles, traffic: Traffic) -> tuple[Action, ...]:
    """Beyond `spec.history` revisions that nobody uses, the oldest go."""
    used = {r.id for r in (roles.wanted, roles.stable, roles.candidate) if r is not None}
    used |= {w.revision for w in observed.workloads} | {pod.revision for pod in observed.strangers}
    if isinstance(traffic, Only):
        used.add(traffic.revision)
    idle = sorted((r for r in observed.revisions if r.id not in used), key=lambda r: r.ordinal, reverse=True)
    return tuple(DeleteRevision(revision=r.id) for r in idle[desired.spec.history :])


def _wake_at(resolved: resolution.Resolution, course: Course | None, steering: Steering, more: Iterable[datetime]) -> datetime | None:
    retires = steering.retiring.until if steering.retiring else None
    return earliest(resolved.wake_at, course.wake_at if course else None, retires, steering.wake_at, *more)
