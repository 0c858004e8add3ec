"""The way of one candidate: start, take traffic step by step, be judged, be promoted or given up.

`step` in the memory: -1 while the first pods start, 0 .. n-1 in the steps of the spec, n while it
grows to full capacity before it takes over. Each function takes the memory and returns the next.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from volary.api.v1alpha1 import OnInconclusive, RolloutStatus, Step, duration
from volary.common.durations import show as show_duration
from volary.common.reasons import REASONS, Kind, Reason
from volary.planning import evidence
from volary.planning.model import Desired, Fact, Failure, Observed, Problem, Revision, Workload
from volary.planning.weights import canary_replicas

EXTEND_LIMIT = 3  # a step without proof lasts at most three times its duration, then it pauses


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Where the candidate stands after this plan."""

    memory: RolloutStatus
    replicas: int
    hold: Problem  # what it waits for
    paused: bool = False  # waits for a person
    promote: bool = False
    failed: Failure | None = None
    facts: tuple[Fact, ...] = ()
    wake_at: datetime | None = None

    @property
    def shares(self) -> bool:
        """Whether the candidate should take traffic beside stable."""
        return self.memory.step >= 0


def advance(desired: Desired, observed: Observed, candidate: Revision, stable: Revision | None, now: datetime) -> Course:
    """One look at the candidate: at most one stage further."""
    memory = _recall(desired, observed, candidate, now)
    memory = _skip_steps(desired, memory)
    course = _course(desired, memory, candidate, stable, now)
    workload = observed.workload(candidate.id)
    fatal = _fatal(workload)
    if fatal is not None:
        return _give_up(course, fatal, now)
    proof = evidence.against(memory)
    if proof is not None:
        return _give_up(course, proof, now)
    if observed.ready(candidate.id) < course.replicas:
        return _wait_for_pods(desired, course, workload, now)
    course = replace(course, memory=memory.model_copy(update={"waiting_since": None}))
    if desired.spec.rollout.paused and not memory.approved:
        return replace(course, paused=True, hold=Problem(reason=Reason.PAUSED, message="spec.rollout.paused is true"))
    return _go_on(desired, course, candidate, stable, now)


def _recall(desired: Desired, observed: Observed, candidate: Revision, now: datetime) -> RolloutStatus:
    """Memory of another revision is void; evidence is folded in only while traffic is shared."""
    memory = desired.status.rollout
    if memory is None or memory.revision != candidate.id:
        return RolloutStatus(revision=candidate.id, generation=desired.generation, started_at=now, waiting_since=now)
    memory = memory.model_copy(update={"generation": desired.generation})
    if memory.step < 0:
        return memory
    live = (pod.uid for workload in observed.workloads for pod in workload.pods)
    return evidence.fold(memory, observed.sample, live, desired.spec.rollout.analysis)


def _skip_steps(desired: Desired, memory: RolloutStatus) -> RolloutStatus:
    """Approved in a step, or steps taken out of the spec meanwhile: on to the last stage."""
    last = len(desired.spec.rollout.steps)
    if memory.step >= 0 and (memory.approved or memory.step > last):
        return memory.model_copy(update={"step": last})
    return memory


def _direct(desired: Desired, memory: RolloutStatus, candidate: Revision, stable: Revision | None) -> bool:
    """No steps: nothing to compare with, none asked for, approved, or it has proved itself before."""
    return stable is None or not desired.spec.rollout.steps or memory.approved or candidate.promoted > 0


def _course(desired: Desired, memory: RolloutStatus, candidate: Revision, stable: Revision | None, now: datetime) -> Course:
    steps, replicas = desired.spec.rollout.steps, desired.replicas
    full = _direct(desired, memory, candidate, stable) or memory.step >= len(steps)
    wanted = replicas if full else canary_replicas(steps[max(0, memory.step)].weight, replicas)
    reason = Reason.PROMOTING if memory.step >= len(steps) else Reason.PODS_STARTING
    return Course(memory=memory, replicas=wanted, hold=Problem(reason=reason, message=""), wake_at=_next_sample(desired, memory, now))


def _next_sample(desired: Desired, memory: RolloutStatus, now: datetime) -> datetime | None:
    if memory.step < 0:
        return None
    interval = duration(desired.spec.rollout.analysis.interval)
    return max(now, memory.last_sample_at + interval) if memory.last_sample_at else now + timedelta(milliseconds=100)


def _problems(workload: Workload | None) -> tuple[Problem, ...]:
    if workload is None:
        return ()
    own = (workload.problem,) if workload.problem else ()
    return (*own, *(pod.problem for pod in workload.pods if pod.problem and not pod.terminating))


def _fatal(workload: Workload | None) -> Problem | None:
    """A crash, a mismatch, a refusal: waiting longer cannot mend it."""
    return next((p for p in _problems(workload) if REASONS[p.reason].kind in {Kind.VERDICT, Kind.USER}), None)


def _give_up(course: Course, problem: Problem, now: datetime) -> Course:
    return replace(course, hold=problem, failed=Failure(reason=problem.reason, message=problem.message, at=now))


def _wait_for_pods(desired: Desired, course: Course, workload: Workload | None, now: datetime) -> Course:
    """Fewer pods ready than wanted: normal for a while, given up at the progress deadline."""
    since = course.memory.waiting_since or now
    limit = duration(desired.spec.rollout.progress_deadline)
    ready = workload.ready if workload else 0
    text = f"{ready} of {course.replicas} pods are ready"
    problem = next(iter(_problems(workload)), None)
    if now - since >= limit:
        reason = problem.reason if problem else Reason.PROGRESS_DEADLINE_EXCEEDED
        detail = f": {problem.message}" if problem else ""
        return _give_up(course, Problem(reason=reason, message=f"{text} after {show_duration(limit)}{detail}"), now)
    hold = problem or Problem(reason=course.hold.reason, message=text)
    wake = min(since + limit, course.wake_at) if course.wake_at else since + limit
    return replace(course, memory=course.memory.model_copy(update={"waiting_since": since}), hold=hold, wake_at=wake)


def _go_on(desired: Desired, course: Course, candidate: Revision, stable: Revision | None, now: datetime) -> Course:
    """All its pods are ready."""
    memory = course.memory
    steps = desired.spec.rollout.steps
    if _direct(desired, memory, candidate, stable) or memory.step >= len(steps):
        return replace(course, promote=True, hold=Problem(reason=Reason.PROMOTING, message="takes all traffic"))
    if memory.step < 0:
        return _enter(desired, course, 0, now)
    step = steps[memory.step]
    if memory.step_started_at is None:
        return _judge(desired, replace(course, memory=memory.model_copy(update={"step_started_at": now})), step, now)
    return _judge(desired, course, step, now)


def _enter(desired: Desired, course: Course, index: int, now: datetime) -> Course:
    """Begins a step: the weight is new, and so is the proof it needs."""
    steps, replicas = desired.spec.rollout.steps, desired.replicas
    memory = course.memory.model_copy(
        update={
            "step": index,
            "step_started_at": now if index == 0 else None,
            "step_requests": 0,
            "waiting_since": None,
            # After the last step there is nothing left to pass: what passed it stays to be seen.
            "evidence": evidence.next_step(course.memory.evidence) if index < len(steps) else course.memory.evidence,
        }
    )
    if index >= len(steps):
        text = f"all {len(steps)} steps passed; growing to {replicas} pods"
        fact = Fact(reason=Reason.PROMOTING, message=text)
        hold = Problem(reason=Reason.PROMOTING, message=text)
        return replace(course, memory=memory, replicas=replicas, hold=hold, facts=(fact,), wake_at=now)
    step = steps[index]
    text = f"step {index + 1} of {len(steps)}: weight {step.weight} % for {step.duration}"
    fact = Fact(reason=Reason.STEP_STARTED, message=text)
    wanted = canary_replicas(step.weight, replicas)
    hold = Problem(reason=Reason.COLLECTING_EVIDENCE, message=text)
    return replace(course, memory=memory, replicas=wanted, hold=hold, facts=(fact,), wake_at=now + timedelta(milliseconds=100))


def _judge(desired: Desired, course: Course, step: Step, now: datetime) -> Course:
    """In a step: hold until its time is over, then go by the verdict."""
    memory, analysis = course.memory, desired.spec.rollout.analysis
    started = memory.step_started_at or now
    end = started + duration(step.duration)
    seen = evidence.show(memory.evidence)
    hold = Problem(reason=Reason.COLLECTING_EVIDENCE, message=seen)
    if now < end:
        return replace(course, hold=hold, wake_at=_earliest(course.wake_at, end))
    if evidence.proved(memory, analysis):
        return _enter(desired, course, memory.step + 1, now)
    match analysis.on_inconclusive:
        case OnInconclusive.PROMOTE:
            return _enter(desired, course, memory.step + 1, now)
        case OnInconclusive.ROLLBACK:
            text = f"{seen}: too few to tell within {step.duration}"
            return _give_up(course, Problem(reason=Reason.EVIDENCE_INCONCLUSIVE, message=text), now)
        case OnInconclusive.EXTEND:
            limit = started + EXTEND_LIMIT * duration(step.duration)
            return _unproved(course, desired, paused=now >= limit, wake_at=limit)
        case OnInconclusive.PAUSE:
            return _unproved(course, desired, paused=True, wake_at=end)


def _unproved(course: Course, desired: Desired, *, paused: bool, wake_at: datetime) -> Course:
    """More requests may still prove it; a person need not wait for them."""
    memory = course.memory
    needed = evidence.needed(memory, desired.spec.rollout.analysis)
    more = f"; about {needed} more canary requests are needed" if needed > 0 else ""
    text = f"{evidence.show(memory.evidence)}: not enough to tell{more}"
    hold = Problem(reason=Reason.EVIDENCE_INCONCLUSIVE, message=text)
    wake = course.wake_at if paused else _earliest(course.wake_at, wake_at)
    return replace(course, hold=hold, paused=paused, wake_at=wake)


def _earliest(*times: datetime | None) -> datetime | None:
    return min((time for time in times if time is not None), default=None)
