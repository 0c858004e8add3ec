"""A ModelDeployment with its pods as people look at it: what `volary status` and `volary dashboard` both show.

Pure: objects and the present moment in, values out. Weights and evidence are in percent.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from volary.adapters.cluster import Body
from volary.api.v1alpha1 import (
    Checks,
    Condition,
    Finding,
    ModelDeployment,
    ModelDeploymentStatus,
    Phase,
    RevisionStatus,
    RolloutStatus,
    analysis_of,
    duration,
)
from volary.common.durations import show
from volary.common.names import REVISION_LABEL
from volary.common.reasons import REASONS, Reason
from volary.planning import findings
from volary.planning.strategy import chosen


class Tone(StrEnum):
    """How a person should feel about it."""

    GOOD = "good"
    BUSY = "busy"
    BAD = "bad"


_GOOD = frozenset({Phase.SERVING})
_BAD = frozenset({Phase.REFUSED, Phase.FAILED, Phase.ROLLED_BACK, Phase.ROLLING_BACK})
_TONES = {"Pass": Tone.GOOD, "Fail": Tone.BAD}  # of verdicts


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """One model pod."""

    name: str
    revision: str  # the one it was made for
    ready: bool
    restarts: int
    state: str  # Running, or why it does not run
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionView:
    """A revision in use and its pods."""

    role: str  # stable, canary or retiring
    version: str
    revision: str
    ready: int = 0
    replicas: int = 0
    weight: int = 0  # wanted
    reached: int = 0
    note: str = ""
    pods: tuple[PodView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """Where the rollout is. `at` is 0 while the pods start and above the number of steps while it is promoted."""

    at: int
    weights: tuple[int, ...]
    lasted: timedelta
    length: timedelta  # 0 outside of the steps
    waits: str = ""  # for whom

    @property
    def left(self) -> timedelta:
        """Until the step's time is over; the evidence may take longer."""
        return max(timedelta(0), self.length - self.lasted)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckView:
    """What Prometheus, a Job or golden samples say."""

    name: str
    verdict: str
    says: str
    dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """All that matters of one ModelDeployment."""

    namespace: str
    name: str
    phase: str
    tone: Tone
    ready: str
    message: str
    remedy: str  # what a person can do; empty where nothing is to be done
    seen: bool  # whether the operator has seen the latest change
    revisions: tuple[RevisionView, ...]
    step: StepView | None
    findings: tuple[Finding, ...]
    checks: tuple[CheckView, ...]
    kept: tuple[str, ...]
    conditions: tuple[Condition, ...]
    decisions: tuple[str, ...]  # the last rollout's end, the last request


def view(found: ModelDeployment, pods: Iterable[Body], now: datetime) -> ModelView:
    """`pods`: those of the model, others do no harm."""
    status = found.status
    memory = status.rollout if status.canary is not None else None
    return ModelView(
        namespace=found.metadata.namespace,
        name=found.metadata.name,
        phase=status.phase.value,
        tone=Tone.GOOD if status.phase in _GOOD else Tone.BAD if status.phase in _BAD else Tone.BUSY,
        ready=status.ready,
        message=status.message,
        remedy=_remedy(status),
        seen=found.metadata.generation <= status.observed_generation,
        revisions=tuple(_revisions(found, [pod(body) for body in pods])),
        step=_step(found, memory, now) if memory else None,
        findings=findings.findings(memory, analysis_of(found.spec.rollout, memory.step)) if memory else (),
        checks=tuple(_checks(memory.checks)) if memory else (),
        kept=tuple(_kept(status)),
        conditions=status.conditions,
        decisions=tuple(_decisions(status)),
    )


def tone(verdict: str) -> Tone:
    """Of Pass, Fail or Inconclusive."""
    return _TONES.get(verdict, Tone.BUSY)


def meaning(reason: str) -> str:
    """What a person can do about a Reason; empty for nothing, and for one of another version."""
    return REASONS[Reason(reason)].remedy if reason in set(Reason) else ""


def _remedy(status: ModelDeploymentStatus) -> str:
    ready = next((condition for condition in status.conditions if condition.type == "Ready"), None)
    return meaning(ready.reason) if ready is not None and ready.status != "True" and status.phase in _BAD else ""


# ---- pods -----------------------------------------------------------------------------------------


def pod(body: Body) -> PodView:
    """As `kubectl get pods` would describe it."""
    metadata, status = body["metadata"], body.get("status") or {}
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    ready = any(each.get("type") == "Ready" and each.get("status") == "True" for each in status.get("conditions") or ())
    return PodView(
        name=metadata["name"],
        revision=(metadata.get("labels") or {}).get(REVISION_LABEL, ""),
        ready=ready,
        restarts=sum(each.get("restartCount", 0) for each in containers),
        state="Terminating" if "deletionTimestamp" in metadata else _state(containers) or status.get("phase", "Pending"),
        since=datetime.fromisoformat(metadata["creationTimestamp"])
        if "creationTimestamp" in metadata
        else datetime.fromtimestamp(0).astimezone(),
    )


def _state(containers: Sequence[Body]) -> str:
    """Why a container does not run, such as CrashLoopBackOff; empty where all do."""
    for each in containers:
        state = each.get("state") or {}
        reason = (state.get("waiting") or {}).get("reason") or (state.get("terminated") or {}).get("reason")
        if reason and reason != "Completed":
            return str(reason)
    return ""


# ---- revisions ------------------------------------------------------------------------------------


def _revisions(found: ModelDeployment, pods: Sequence[PodView]) -> Iterator[RevisionView]:
    """Stable, canary and what retires, each pod once. With an update in place two of them share their pods."""
    status = found.status
    shown: set[str] = set()
    for role, one in (("stable", status.stable), ("canary", status.canary)):
        if one is None:
            continue
        carrier = _carrier(found, one)
        own = tuple(each for each in pods if each.revision == carrier)
        note = "in the same pods" if carrier in shown else ""
        yield RevisionView(
            role=role,
            version=one.version,
            revision=one.revision,
            ready=one.ready,
            replicas=one.replicas,
            weight=one.weight,
            reached=one.weight_reached,
            note=note,
            pods=() if note else own,
        )
        shown.add(carrier)
    if status.retiring is not None:
        gone = status.retiring
        until = f"its pods stay until {gone.until.astimezone():%H:%M:%S}: until then a rollback is instant"
        own = tuple(each for each in pods if each.revision == gone.revision and gone.revision not in shown)
        ready = sum(each.ready for each in own)
        yield RevisionView(
            role="retiring", version=gone.version, revision=gone.revision, ready=ready, replicas=len(own), note=until, pods=own
        )
        shown.add(gone.revision)
    yield from _leaving([each for each in pods if each.revision and each.revision not in shown])


def _carrier(found: ModelDeployment, one: RevisionStatus) -> str:
    """The revision that its pods were made for: another one with an update in place."""
    return one.deployment.removeprefix(f"{found.metadata.name}-") if one.deployment else one.revision


def _leaving(pods: Sequence[PodView]) -> Iterator[RevisionView]:
    """Pods of no revision in use: they are on their way out."""
    for revision in dict.fromkeys(each.revision for each in pods):
        own = tuple(each for each in pods if each.revision == revision)
        ready = sum(each.ready for each in own)
        yield RevisionView(role="leaving", version="", revision=revision, ready=ready, replicas=len(own), pods=own)


def _kept(status: ModelDeploymentStatus) -> Iterator[str]:
    """Revisions that a rollback can return to, or that failed; not those in use."""
    used = {one.revision for one in (status.stable, status.canary) if one is not None}
    for entry in status.history:
        if entry.revision not in used:
            end = f"failed: {entry.failed}" if entry.failed else "promoted before" if entry.promoted else "never promoted"
            yield f"{entry.version} {end}"


# ---- the rollout ----------------------------------------------------------------------------------


def _step(found: ModelDeployment, memory: RolloutStatus, now: datetime) -> StepView:
    steps = chosen(found.spec.rollout, found.spec.replicas or 1).steps
    here = steps[memory.step] if 0 <= memory.step < len(steps) else None
    waits = "a person approves" if memory.awaits_approval else "a person resumes it" if memory.paused else ""
    return StepView(
        at=memory.step + 1,
        weights=tuple(step.weight for step in steps),
        lasted=now - (memory.step_started_at or memory.started_at),
        length=duration(here.duration) if here else timedelta(0),
        waits=waits,
    )


def _checks(checks: Checks) -> Iterator[CheckView]:
    for query in checks.queries:
        value = "" if query.value is None else f"{query.value:.6g}"
        yield CheckView(name=f"query {query.name}", verdict=query.verdict, says=query.message or value, dry_run=query.dry_run)
    for job in checks.jobs:
        yield CheckView(name=f"job {job.name} of step {job.step}", verdict=job.verdict, says=job.message, dry_run=job.dry_run)
    golden = checks.golden
    if golden is not None:
        asked = f"{golden.canary_failed} of {golden.canary_asked} failed, {golden.stable_failed} of {golden.stable_asked} of stable"
        yield CheckView(name="golden samples", verdict=golden.verdict, says=golden.message or asked, dry_run=golden.dry_run)


def _decisions(status: ModelDeploymentStatus) -> Iterator[str]:
    last, watch, request = status.last_rollout, status.watch, status.request
    if watch is not None:
        seen = f"{watch.errors} of {watch.requests} requests failed since its promotion"
        yield f"watched beside the record of version {watch.version_before}: {seen}"
    if last is not None:
        ended, took = f"{last.ended_at.astimezone():%Y-%m-%d %H:%M:%S}", show(last.ended_at - last.started_at)
        yield f"last rollout: version {last.version} {last.outcome} ({last.reason}) at {ended}, took {took}"
    if request is not None:
        yield f"last request {request.value}: {request.outcome}{f': {request.message}' if request.message else ''}"
