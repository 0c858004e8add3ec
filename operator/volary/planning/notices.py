"""What is worth telling the people who are not looking: decisions, read off two statuses of one ModelDeployment.

The status is the truth that survives an operator. So a notice is made of what the status says and not of the turn that
made it say so: whoever starts later makes the same notice of the same decision, with the same key.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from volary.api.v1alpha1 import Condition, HistoryEntry, ModelDeploymentStatus, Phase, RevisionStatus
from volary.common.reasons import REASONS, Kind, Reason
from volary.planning import excerpts

_QUERY = re.compile(r"(\b\w+://[^\s?\"']+)\?[^\s\"']*")  # of a URL: that is where tokens are


class Decision(StrEnum):
    """What was decided."""

    NEW_REVISION = "NewRevision"  # a bundle passed its preflight
    STEP = "Step"  # a canary gets another share of the requests
    WAITING = "Waiting"  # a rollout waits for a person
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"  # an earlier revision serves
    REFUSED = "Refused"  # nothing of it was started
    DEGRADED = "Degraded"  # a person has to act, or nothing serves


LONG_AGO = datetime.min.replace(tzinfo=UTC)
GOOD = frozenset({Decision.NEW_REVISION, Decision.STEP, Decision.PROMOTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One decision about one ModelDeployment."""

    decision: Decision
    mark: str  # tells it from the others that one status shows
    key: str  # the same for the same decision at any time, whoever reads it off which status
    version: str = ""  # it is about; empty: the spec as a whole
    revision: str = ""
    reason: str
    message: str
    at: datetime | None  # None: a moment ago

    def recent(self, now: datetime, window: timedelta) -> bool:
        """Whether whoever decided it may have died before anybody was told."""
        return self.at is None or now - self.at <= window


def told(status: ModelDeploymentStatus) -> tuple[Notice, ...]:
    """Every decision that the status shows, in the order in which they were made. News are those whose mark the status before had not."""
    new = (_new(entry) for entry in reversed(status.history))
    failed = (_given_up(status, entry) for entry in reversed(status.history) if entry.failed is not None)
    return (*new, *_course(status), *_promotion(status), *failed, *_troubles(status))


def _new(entry: HistoryEntry) -> Notice:
    return Notice(
        decision=Decision.NEW_REVISION,
        mark=entry.revision,
        key=f"{entry.revision} {_stamp(entry.created_at)}",
        version=entry.version,
        revision=entry.revision,
        reason=Reason.PREFLIGHT_PASSED,
        message=f"version {entry.version} passed its checks",
        at=entry.created_at,
    )


def _course(status: ModelDeploymentStatus) -> Iterator[Notice]:
    """Of the rollout under way. The first version of a model has no steps: nothing serves that it could share with."""
    rollout, canary = status.rollout, status.canary
    if rollout is None or canary is None:
        return
    this = f"{rollout.revision} {_stamp(rollout.started_at)} {rollout.step}"
    if rollout.step >= 0 and status.stable is not None:
        text = f"version {canary.version} is to get {canary.weight} % of the requests"
        yield _of(canary, Decision.STEP, this, Reason.STEP_STARTED, text, rollout.step_started_at)
    ready, held = _condition(status, "Ready"), _condition(status, "Reconciling")
    if status.phase is Phase.PAUSED and ready is not None and held is not None:
        text = f"version {canary.version}: {status.message}"
        key = f"{this} {ready.reason} {_stamp(held.last_transition_time)}"
        yield _of(canary, Decision.WAITING, key, ready.reason, text, held.last_transition_time)


def _of(canary: RevisionStatus, decision: Decision, key: str, reason: str, text: str, at: datetime | None) -> Notice:
    return Notice(
        decision=decision, mark=key, key=key, version=canary.version, revision=canary.revision, reason=reason, message=text, at=at
    )


def _promotion(status: ModelDeploymentStatus) -> Iterator[Notice]:
    last = status.last_rollout
    if last is not None and last.outcome == Reason.PROMOTED:
        key = f"{last.revision} {_stamp(last.ended_at)}"
        text = f"version {last.version} takes all requests"
        yield Notice(
            decision=Decision.PROMOTED,
            mark=key,
            key=key,
            version=last.version,
            revision=last.revision,
            reason=Reason.PROMOTED,
            message=text,
            at=last.ended_at,
        )


def _given_up(status: ModelDeploymentStatus, entry: HistoryEntry) -> Notice:
    """A revision that failed. One that is tried again and fails again is another decision: its rollout ended at another time."""
    last = status.last_rollout
    mine = last is not None and last.revision == entry.revision
    serving = status.stable.version if status.stable is not None else ""
    tail = f"version {serving} serves" if serving else "nothing else can serve"
    return Notice(
        decision=Decision.ROLLED_BACK if serving else Decision.DEGRADED,
        mark=f"{entry.revision} failed",
        key=f"{entry.revision} {entry.failed} {_stamp(last.ended_at) if last is not None and mine else ''}",
        version=entry.version,
        revision=entry.revision,
        reason=entry.failed or "",
        message=f"version {entry.version}: {entry.message or entry.failed}; {tail}",
        at=_failed_at(status, entry),
    )


def _failed_at(status: ModelDeploymentStatus, entry: HistoryEntry) -> datetime:
    """As near as the status tells; for one that the status no longer speaks of, long ago."""
    last, ready = status.last_rollout, _condition(status, "Ready")
    if last is not None and last.revision == entry.revision and last.outcome != Reason.PROMOTED:
        return last.ended_at
    spoken_of = status.message.startswith(f"version {entry.version}: ")
    return ready.last_transition_time if spoken_of and ready is not None else LONG_AGO


def _troubles(status: ModelDeploymentStatus) -> Iterator[Notice]:
    """What stays until a person acts, and that nothing serves."""
    stalled, available, done = (_condition(status, kind) for kind in ("Stalled", "Available", "Reconciled"))
    generation = str(status.observed_generation)
    if stalled is not None and stalled.status == "True" and status.phase is Phase.REFUSED:
        yield _trouble(Decision.REFUSED, stalled, stalled.message, generation)
    elif stalled is not None and stalled.status == "True" and status.phase not in _ENDS:
        yield _trouble(Decision.DEGRADED, stalled, stalled.message, generation)
    if done is not None and done.status == "False" and _kind(done.reason) is not Kind.TRANSIENT:
        yield _trouble(Decision.DEGRADED, done, done.message, generation)
    if available is not None and available.status == "False" and status.stable is not None and status.stable.replicas > 0:
        yield _trouble(Decision.DEGRADED, available, f"version {status.stable.version}: {available.message}", "")


_ENDS = frozenset({Phase.ROLLED_BACK, Phase.FAILED})  # told by the revision that failed


def _trouble(decision: Decision, condition: Condition, text: str, generation: str) -> Notice:
    mark = f"{condition.type} {condition.reason} {generation}"
    since = condition.last_transition_time
    return Notice(decision=decision, mark=mark, key=f"{mark} {_stamp(since)}", reason=condition.reason, message=text, at=since)


def _kind(reason: str) -> Kind | None:
    """None for a reason of another version of Volary."""
    return REASONS[Reason(reason)].kind if reason in {known.value for known in Reason} else None


def _condition(status: ModelDeploymentStatus, kind: str) -> Condition | None:
    return next((condition for condition in status.conditions if condition.type == kind), None)


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def said(notice: Notice) -> str:
    """Its message on one line, without what must not leave the cluster."""
    return excerpts.harmless(_QUERY.sub(r"\1", notice.message))
