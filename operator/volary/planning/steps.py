"""Within the steps of a canary: enter one, hold it until its time is over, then go by the verdict and the approval."""

from dataclasses import replace
from datetime import datetime, timedelta

from volary.api.v1alpha1 import OnInconclusive, Step, analysis_of, duration
from volary.common.reasons import Reason
from volary.planning import checks, evidence, memory
from volary.planning.course import Course, Stage, earliest
from volary.planning.model import Fact, Problem

EXTEND_LIMIT = 3  # a step without proof lasts at most three times its duration, then it pauses
_AT_ONCE = timedelta(milliseconds=100)


def enter(stage: Stage, course: Course, index: int) -> Course:
    """Begins a step, or the growth to full capacity after the last one."""
    strategy, now = stage.strategy, stage.now
    passed = course.memory.evidence
    course = replace(course, memory=memory.entered(course.memory, index, now), replicas=strategy.pods(index))
    if index >= len(strategy.steps):
        onward = "taking all requests" if strategy.together else f"growing to {strategy.replicas} pods"
        text = f"all {len(strategy.steps)} steps passed; {onward}"
        course = course.remembers(evidence=passed)  # there is nothing left to pass: what passed the last step stays to be seen
        hold = Problem(reason=Reason.PROMOTING, message=text)
        return replace(course, hold=hold, facts=(Fact(reason=Reason.PROMOTING, message=text),), wake_at=now)
    step = strategy.steps[index]
    share = f"copies of {step.weight} % of the requests" if strategy.shadow and index == 0 else f"weight {step.weight} %"
    text = f"step {index + 1} of {len(strategy.steps)}: {share} for {step.duration}"
    hold = Problem(reason=Reason.COLLECTING_EVIDENCE, message=text)
    return replace(course, hold=hold, facts=(Fact(reason=Reason.STEP_STARTED, message=text),), wake_at=now + _AT_ONCE)


def judge(stage: Stage, course: Course) -> Course:
    """In a step with all its pods ready."""
    if course.memory.step_started_at is None:
        course = course.remembers(step_started_at=stage.now)
    started, step = course.memory.step_started_at or stage.now, stage.strategy.steps[course.memory.step]
    end = started + duration(step.duration)
    if stage.now < end:
        seen = f"{_seen(stage, course)}{checks.show(course.memory)}"
        return replace(course, hold=Problem(reason=Reason.COLLECTING_EVIDENCE, message=seen), wake_at=earliest(course.wake_at, end))
    analysis = analysis_of(stage.desired.spec.rollout, course.memory.step)
    if course.memory.awaits_approval or checks.proved(course.memory, analysis):
        return _leave(stage, course, step)
    return _without_proof(stage, course, step, analysis.on_inconclusive, started)


def _leave(stage: Stage, course: Course, step: Step) -> Course:
    """Time and evidence are over."""
    if step.approval and not course.memory.step_approved:
        seen = _seen(stage, course)
        return ask(stage, course, f"step {course.memory.step + 1} of {len(stage.strategy.steps)} is over: {seen}")
    return enter(stage, course, course.memory.step + 1)


def _seen(stage: Stage, course: Course) -> str:
    return evidence.tell(course.memory, analysis_of(stage.desired.spec.rollout, course.memory.step))


def ask(stage: Stage, course: Course, what: str) -> Course:
    """Waits for a person; told once, with the command to type."""
    text = f"{what}; `volary approve {stage.desired.name} --namespace {stage.desired.namespace}` lets it go on"
    hold = Problem(reason=Reason.APPROVAL_NEEDED, message=text)
    facts = () if course.memory.awaits_approval else (Fact(reason=Reason.APPROVAL_NEEDED, message=text),)
    return replace(course.remembers(awaits_approval=True), hold=hold, paused=True, facts=facts)


def _without_proof(stage: Stage, course: Course, step: Step, choice: OnInconclusive, started: datetime) -> Course:
    match choice:
        case OnInconclusive.PROMOTE:
            return _leave(stage, course, step)
        case OnInconclusive.ROLLBACK:
            text = f"{_seen(stage, course)}: too few to tell within {step.duration}{checks.show(course.memory)}"
            return course.given_up(Problem(reason=Reason.EVIDENCE_INCONCLUSIVE, message=text), stage.now)
        case OnInconclusive.EXTEND:
            limit = started + EXTEND_LIMIT * duration(step.duration)
            return _unproved(stage, course, paused=stage.now >= limit, wake_at=limit)
        case OnInconclusive.PAUSE:
            return _unproved(stage, course, paused=True, wake_at=None)


def _unproved(stage: Stage, course: Course, *, paused: bool, wake_at: datetime | None) -> Course:
    """More requests may still prove it; a person need not wait for them."""
    needed = evidence.needed(course.memory, analysis_of(stage.desired.spec.rollout, course.memory.step))
    more = f"; about {needed} more canary requests are needed" if needed > 0 else ""
    text = f"{_seen(stage, course)}: not enough to tell{more}{checks.show(course.memory)}"
    hold = Problem(reason=Reason.EVIDENCE_INCONCLUSIVE, message=text)
    return replace(course, hold=hold, paused=paused, wake_at=course.wake_at if paused else earliest(course.wake_at, wake_at))
