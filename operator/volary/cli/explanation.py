"""Why a rollout goes, or went, as it does: read off the status alone, in sentences and figures."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from volary.api.v1alpha1 import (
    Finding,
    LastRollout,
    ModelDeployment,
    OnInconclusive,
    Phase,
    RevisionStatus,
    RolloutStatus,
    Step,
    analysis_of,
    duration,
)
from volary.common.durations import show
from volary.common.reasons import REASONS, Reason
from volary.planning import evidence, findings, timeline
from volary.planning.steps import EXTEND_LIMIT
from volary.planning.strategy import chosen
from volary.planning.timeline import Point

_RECENT = timedelta(seconds=60)  # the pace of requests is that of the last minute


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What happened at one weight."""

    step: int  # 0 while the pods started
    weight: int
    reached: int
    lasted: timedelta
    requests: int
    errors: int
    verdict: str  # at its end, or now


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Something that a person can do now."""

    line: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything `volary explain` tells."""

    namespace: str
    name: str
    version: str  # of the canary, or of the last one
    beside: str  # version of stable
    outcome: str  # of the rollout, or the phase of one that is under way
    began: datetime | None
    ended: datetime | None
    why: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    course: tuple[Point, ...] = ()
    stages: tuple[Stage, ...] = ()
    steps: int = 0
    next: tuple[str, ...] = ()
    commands: tuple[Command, ...] = ()


def explain(found: ModelDeployment, now: datetime) -> Explanation:
    """Of the rollout under way, else of the one that ended last, else of what there is."""
    status = found.status
    if status.rollout is not None and status.canary is not None:
        return _under_way(found, status.rollout, status.canary, now)
    if status.last_rollout is not None:
        return _over(found, status.last_rollout)
    return _nothing(found)


# ---- under way ------------------------------------------------------------------------------------


def _under_way(found: ModelDeployment, memory: RolloutStatus, canary: RevisionStatus, now: datetime) -> Explanation:
    status = found.status
    analysis = analysis_of(found.spec.rollout, memory.step)
    here = timeline.point(memory, analysis, canary.weight, canary.weight_reached, now)
    course = (*timeline.points(memory.timeline), here)
    return Explanation(
        namespace=found.metadata.namespace,
        name=found.metadata.name,
        version=canary.version,
        beside=status.stable.version if status.stable else "",
        outcome=status.phase.value,
        began=memory.started_at,
        ended=None,
        why=_reasons(found),
        findings=findings.findings(memory, analysis),
        course=course,
        stages=stages(course),
        steps=len(_steps(found)),
        next=tuple(_next(found, memory, course, now)),
        commands=tuple(_commands_now(found)),
    )


def _reasons(found: ModelDeployment) -> tuple[str, ...]:
    ready = next((condition for condition in found.status.conditions if condition.type == "Ready"), None)
    known = REASONS.get(Reason(ready.reason)) if ready is not None and ready.reason in set(Reason) else None
    return tuple(text for text in (found.status.message, known.text if known else "") if text)


def _next(found: ModelDeployment, memory: RolloutStatus, course: tuple[Point, ...], now: datetime) -> Iterator[str]:
    """What follows from what, by the rules of the spec."""
    steps = _steps(found)
    if memory.step < 0:
        limit = (memory.waiting_since or memory.started_at) + duration(found.spec.rollout.progress_deadline)
        yield f"its pods start; those that are not ready in {show(limit - now)} end the rollout (progressDeadline)"
    elif memory.step >= len(steps):
        yield "all steps are passed: it grows to full size and takes all traffic"
    else:
        yield from _in_a_step(found, memory, course, now)
    if found.status.stable is not None:
        yield f"a failure (evidence against at 100 %) returns all traffic to version {found.status.stable.version} at once, at any moment"


def _steps(found: ModelDeployment) -> tuple[Step, ...]:
    """Those of its strategy: BlueGreen has none."""
    return chosen(found.spec.rollout, 1).steps


def _in_a_step(found: ModelDeployment, memory: RolloutStatus, course: tuple[Point, ...], now: datetime) -> Iterator[str]:
    steps, analysis = _steps(found), analysis_of(found.spec.rollout, memory.step)
    step = steps[memory.step]
    left = (memory.step_started_at or now) + duration(step.duration) - now
    later = memory.step + 1
    goal = f"step {later + 1} ({steps[later].weight} %)" if later < len(steps) else "promotion"
    when = f"in {show(left)}" if left > timedelta(0) else "as soon as the evidence says Pass"
    if memory.awaits_approval:
        yield f"{goal} comes as soon as a person approves"
        return
    yield f"{goal} comes {when}" + (", if the evidence says Pass by then" if left > timedelta(0) else "")
    if not evidence.proved(memory, analysis):
        needed = evidence.needed(memory, analysis)
        if needed:
            yield f"about {needed} more canary requests without an error would prove it{_pace(needed, course)}"
        yield _without_proof(analysis.on_inconclusive, duration(step.duration))


def _pace(needed: int, course: tuple[Point, ...]) -> str:
    """At the requests a second of the last minute."""
    now = course[-1]
    earlier = next((each for each in reversed(course) if now.seconds - each.seconds >= _RECENT.total_seconds()), course[0])
    seconds, requests = now.seconds - earlier.seconds, now.canary_requests - earlier.canary_requests
    return f": at the pace of now that takes {show(timedelta(seconds=needed * seconds / requests))}" if requests > 0 and seconds > 0 else ""


def _without_proof(what: OnInconclusive, length: timedelta) -> str:
    match what:
        case OnInconclusive.EXTEND:
            limit = show(EXTEND_LIMIT * length)
            return f"without proof the step goes on for up to {limit} in all, then a person is asked (onInconclusive: Extend)"
        case OnInconclusive.PAUSE:
            return "without proof it stops at this weight and a person is asked (onInconclusive: Pause)"
        case OnInconclusive.PROMOTE:
            return "without proof it goes on all the same (onInconclusive: Promote)"
        case OnInconclusive.ROLLBACK:
            return "without proof it is given up at the end of the step (onInconclusive: Rollback)"


def _commands_now(found: ModelDeployment) -> Iterator[Command]:
    where = _where(found)
    if found.spec.rollout.paused:
        patch = '{"spec":{"rollout":{"paused":false}}}'
        yield Command(line=f"kubectl patch md {where} --type merge -p '{patch}'", effect="goes on: spec.rollout.paused is true")
    memory = found.status.rollout
    if memory is not None and memory.awaits_approval:
        yield Command(line=f"volary approve {where}", effect="it goes on to its next stage")
    if memory is not None and memory.paused:
        yield Command(line=f"volary resume {where}", effect="goes on: a person paused it")
    yield Command(line=f"volary promote {where}", effect="it takes over now, without further evidence")
    yield Command(line=f"volary abort {where}", effect="all traffic returns to stable; it is not tried again until asked")
    yield Command(line=f"volary status {where} --watch", effect="look on")


# ---- over -----------------------------------------------------------------------------------------

_ENDINGS = {
    "Promoted": "all steps were passed; it serves all traffic",
    "Superseded": "the spec asked for another version before this one was decided upon",
    "RolledBack": "it was given up; all traffic is with stable",
    "Failed": "it was given up, and no other version can serve",
}


def _over(found: ModelDeployment, last: LastRollout) -> Explanation:
    status = found.status
    course = timeline.points(last.timeline)
    known = REASONS.get(Reason(last.reason)) if last.reason in set(Reason) else None
    ending = _ENDINGS.get(last.outcome, "")
    why = [ending, last.message, f"{last.reason}: {known.text}" if known and last.outcome not in {"Promoted", "Superseded"} else ""]
    return Explanation(
        namespace=found.metadata.namespace,
        name=found.metadata.name,
        version=last.version,
        beside=status.stable.version if status.stable and status.stable.revision != last.revision else "",
        outcome=last.outcome,
        began=last.started_at,
        ended=last.ended_at,
        why=tuple(text for text in why if text),
        findings=last.findings,
        course=course,
        stages=stages(course),
        steps=len(_steps(found)),
        next=tuple(_after(found, last)),
        commands=tuple(_commands_after(found, last)),
    )


def _after(found: ModelDeployment, last: LastRollout) -> Iterator[str]:
    status = found.status
    if found.spec.model.version != last.version and status.phase is not Phase.SERVING:
        yield f"since then version {found.spec.model.version} was asked for: {status.phase.value}, {status.message}"
    if last.outcome in {"RolledBack", "Failed"}:
        if found.spec.model.version == last.version:
            yield f"the spec still asks for version {last.version}; it is not tried again by itself"
            yield "a change of the spec starts a new rollout"
        remedy = REASONS[Reason(last.reason)].remedy if last.reason in set(Reason) else ""
        if remedy:
            yield remedy
    elif status.phase is Phase.SERVING:
        yield "nothing: the next change of the spec starts the next rollout"


def _commands_after(found: ModelDeployment, last: LastRollout) -> Iterator[Command]:
    where, status = _where(found), found.status
    if last.outcome in {"RolledBack", "Failed"} and found.spec.model.version == last.version:
        yield Command(line=f"volary retry {where}", effect=f"version {last.version} is tried again")
        if status.stable is not None:
            patch = f'{{"spec":{{"model":{{"version":"{status.stable.version}"}}}}}}'
            yield Command(line=f"kubectl patch md {where} --type merge -p '{patch}'", effect="the spec asks for what serves")
    stable = status.stable.revision if status.stable else ""
    back = next((entry for entry in status.history if entry.promoted and entry.failed is None and entry.revision != stable), None)
    if last.outcome == "Promoted" and back is not None:
        yield Command(line=f"volary rollback {where} --to {back.version}", effect=f"return to version {back.version}, which is kept")
    yield Command(line="volary simulate -f FILE --rps N --error-rate SHARE", effect="what other steps would do, before they are applied")


def _nothing(found: ModelDeployment) -> Explanation:
    """No rollout is told of: the phase and its reason are what there is to say."""
    status = found.status
    return Explanation(
        namespace=found.metadata.namespace,
        name=found.metadata.name,
        version=found.spec.model.version,
        beside=status.stable.version if status.stable else "",
        outcome=status.phase.value,
        began=None,
        ended=None,
        why=_reasons(found) or ("the operator has said nothing of it yet",),
        next=("the next change of the spec starts a rollout",) if status.phase is Phase.SERVING else (),
        commands=(Command(line=f"volary status {_where(found)} --watch", effect="look on"),),
    )


def _where(found: ModelDeployment) -> str:
    return f"{found.metadata.name} -n {found.metadata.namespace}"


# ---- figures --------------------------------------------------------------------------------------


def stages(course: tuple[Point, ...]) -> tuple[Stage, ...]:
    """The course by step. A step's counts are what was added in it."""
    found = []
    steps = sorted({each.step for each in course})
    for step in steps:
        own = [each for each in course if each.step == step]
        after = next((each for each in course if each.step > step), own[-1])
        first, last = own[0], own[-1]
        found.append(
            Stage(
                step=step,
                weight=first.weight,
                reached=max(each.reached for each in own),
                lasted=timedelta(seconds=after.seconds - first.seconds),
                requests=after.canary_requests - first.canary_requests,
                errors=after.canary_errors - first.canary_errors,
                verdict=last.verdict,
            )
        )
    return tuple(found)


def odds(percent: int, proof: float) -> int:
    """1 in how many: evidence of so many percent of a proof comes about by chance at most as often."""
    return max(1, math.floor(math.pow(proof, percent / 100) + 1e-9))


def against_in_words(percent: int) -> str:
    """How sure it is that the canary is worse."""
    if percent <= 0:
        return "nothing speaks against it"
    if percent >= 100:
        return "proved worse"
    word = "hardly anything speaks" if percent < 30 else "something speaks" if percent < 60 else "much speaks"
    return f"{word} against it: an equal canary looks like this in at most 1 of {odds(percent, 1 / evidence.ALPHA)} rollouts"


def in_favour_in_words(percent: int) -> str:
    """How sure it is that the canary is no worse."""
    if percent <= 0:
        return "nothing speaks for it yet"
    if percent >= 100:
        return "proved good enough"
    word = "little speaks" if percent < 50 else "much speaks"
    return f"{word} for it: a canary outside the bounds looks like this in at most 1 of {odds(percent, 1 / evidence.BETA)} cases"
