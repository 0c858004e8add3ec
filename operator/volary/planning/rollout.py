"""The way of one candidate: start, take traffic step by step, be judged, be promoted or given up.

One look is at most one stage further. Each function takes the course so far and returns the next;
what the stages are, the strategy says.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from volary.api.v1alpha1 import RolloutStatus, analysis_of, duration
from volary.common.durations import show as show_duration
from volary.common.reasons import REASONS, Kind, Reason
from volary.planning import capacity, checks, evidence, exact, memory, shape, steps
from volary.planning.course import Course, Stage, earliest
from volary.planning.model import Desired, Observed, Problem, Revision, Workload
from volary.planning.strategy import chosen


def advance(desired: Desired, observed: Observed, candidate: Revision, stable: Revision | None, now: datetime) -> Course:
    """One look at the candidate: at most one stage further."""
    strategy = chosen(desired.spec.rollout, desired.replicas)
    if shape.beside(candidate, stable):
        strategy = replace(strategy, together=True, surge=None)
    stage = Stage(desired=desired, observed=observed, strategy=strategy, candidate=candidate, stable=stable, now=now)
    course = _course(stage, _skip_steps(stage, _recall(stage)))
    workload = observed.workload(candidate.id)
    fatal = _fatal(workload)
    if fatal is not None:
        return course.given_up(fatal, now)
    proof = evidence.against(course.memory) or checks.against(course.memory)
    if proof is not None:
        return course.given_up(proof, now)
    if observed.ready(candidate.id) < course.replicas:
        return _wait_for_pods(stage, course, workload)
    course = course.remembers(waiting_since=None)
    obstacle = exact.obstacle(desired, observed) if stable is not None else None
    return _go_on(stage, course) if obstacle is None else replace(course, hold=obstacle)


def _recall(stage: Stage) -> RolloutStatus:
    """Evidence is folded in only while traffic is shared."""
    known = memory.recalled(stage.desired, stage.candidate, stage.now)
    if known.step < 0:
        return known
    live = (pod.uid for workload in stage.observed.workloads for pod in workload.pods)
    known = evidence.fold(known, stage.observed.sample, live, analysis_of(stage.desired.spec.rollout, known.step))
    return checks.fold(stage.desired, stage.observed, known)


def _skip_steps(stage: Stage, known: RolloutStatus) -> RolloutStatus:
    """Promoted by a person in a step, or steps taken out of the spec meanwhile: on to the last stage."""
    last = len(stage.strategy.steps)
    if known.step >= 0 and known.step != last and (known.approved or known.step > last):
        return known.model_copy(update={"step": last, "awaits_approval": False, "step_approved": False})
    return known


def _direct(stage: Stage, known: RolloutStatus) -> bool:
    """No steps: nothing to compare with, none asked for, promoted by a person, or it has proved itself before."""
    return stage.stable is None or not stage.strategy.steps or known.approved or stage.candidate.promoted > 0


def _last(stage: Stage, known: RolloutStatus) -> bool:
    """Nothing is left but to take over."""
    return _direct(stage, known) or known.step >= len(stage.strategy.steps)


def _course(stage: Stage, known: RolloutStatus) -> Course:
    strategy = stage.strategy
    reason = Reason.PROMOTING if known.step >= len(strategy.steps) else Reason.PODS_STARTING
    return Course(
        memory=known,
        replicas=strategy.replicas if _last(stage, known) else strategy.pods(known.step),
        joins=strategy.room is not None and _direct(stage, known),
        hold=Problem(reason=reason, message=""),
        wake_at=_next_sample(stage, known),
    )


def _next_sample(stage: Stage, known: RolloutStatus) -> datetime | None:
    if known.step < 0:
        return None
    pause = evidence.pause(known, analysis_of(stage.desired.spec.rollout, known.step))
    sample = max(stage.now, known.last_sample_at + pause) if known.last_sample_at else stage.now + timedelta(milliseconds=100)
    return earliest(sample, checks.wake_at(stage.desired, known, stage.now))


def _problems(workload: Workload | None) -> tuple[Problem, ...]:
    if workload is None:
        return ()
    own = (workload.problem,) if workload.problem else ()
    return (*own, *(pod.problem for pod in workload.pods if pod.problem and not pod.terminating))


def _fatal(workload: Workload | None) -> Problem | None:
    """A crash, a mismatch, a refusal: waiting longer cannot mend it."""
    return next((p for p in _problems(workload) if REASONS[p.reason].kind in {Kind.VERDICT, Kind.USER}), None)


def _wait_for_pods(stage: Stage, course: Course, workload: Workload | None) -> Course:
    """Fewer pods ready than wanted: normal for a while, given up at the progress deadline."""
    since = course.memory.waiting_since or stage.now
    limit = duration(stage.desired.spec.rollout.progress_deadline)
    text = f"{workload.ready if workload else 0} of {course.replicas} pods are ready"
    problem = next(iter(_problems(workload)), None)
    if stage.now - since >= limit:
        reason = problem.reason if problem else Reason.PROGRESS_DEADLINE_EXCEEDED
        detail = f": {problem.message}" if problem else ""
        return course.given_up(Problem(reason=reason, message=f"{text} after {show_duration(limit)}{detail}"), stage.now)
    hold = problem or Problem(reason=course.hold.reason, message=text)
    hold = capacity.told(stage, course, hold)
    wake = earliest(since + limit, course.wake_at)
    return replace(course.remembers(waiting_since=since), hold=hold, wake_at=wake)


def _go_on(stage: Stage, course: Course) -> Course:
    """All its pods are ready."""
    known = course.memory
    if known.paused:
        text = f"paused by request; `volary resume {stage.desired.name} --namespace {stage.desired.namespace}` lets it go on"
        return replace(course, paused=True, hold=Problem(reason=Reason.PAUSED, message=text))
    if stage.desired.spec.rollout.paused and not known.approved:
        return replace(course, paused=True, hold=Problem(reason=Reason.PAUSED, message="spec.rollout.paused is true"))
    if _last(stage, known):
        return _take_over(stage, course)
    if known.step < 0:
        return steps.enter(stage, course, 0)
    return steps.judge(stage, course)


def _take_over(stage: Stage, course: Course) -> Course:
    """All traffic, once a person approved where the spec wants that; what served before needs no approval."""
    known = course.memory
    new = stage.stable is not None and stage.candidate.promoted == 0
    if stage.strategy.approval and new and not known.approved and not known.step_approved:
        return steps.ask(stage, course, f"version {stage.candidate.version} is ready to take all traffic")
    return replace(course, promote=True, hold=Problem(reason=Reason.PROMOTING, message="takes all traffic"))
