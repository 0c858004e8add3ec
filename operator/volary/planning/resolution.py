"""From the spec to a revision: is it known, is its preflight under way, was it refused?"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from volary.common.outcome import Outcome
from volary.common.reasons import REASONS, Kind, Reason
from volary.planning.identity import revision_id
from volary.planning.model import (
    Action,
    DeletePreflight,
    Desired,
    Fact,
    Level,
    NoPreflight,
    Observed,
    PreflightEnded,
    PreflightRunning,
    Problem,
    RecordRevision,
    Revision,
    StartPreflight,
)
from volary.planning.roles import assign

RETRY_AFTER = timedelta(seconds=20)  # after a preflight that could not reach the storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What is known of the spec's revision."""

    observed: Observed  # with the revision, once it is resolved
    actions: tuple[Action, ...] = ()
    facts: tuple[Fact, ...] = ()
    waiting: Problem | None = None  # the preflight is under way, or is tried again by itself
    refused: Problem | None = None  # a person must change something
    wake_at: datetime | None = None


def resolve(desired: Desired, observed: Observed, request: str, now: datetime) -> Resolution:
    """Finds or makes the revision of a request; cleans up preflights that are of no more use."""
    tidy: tuple[Action, ...] = tuple(DeletePreflight(request=stale) for stale in observed.stale_preflights)
    if any(revision.request == request for revision in observed.revisions):
        done = () if isinstance(observed.preflight, NoPreflight) else (DeletePreflight(request=request),)
        return Resolution(observed=observed, actions=(*tidy, *done))
    found = _by_preflight(desired, observed, request, now)
    return replace(found, actions=(*found.actions, *tidy))


def _by_preflight(desired: Desired, observed: Observed, request: str, now: datetime) -> Resolution:
    match observed.preflight:
        case NoPreflight():
            text = f"checking {desired.spec.model.uri} version {desired.spec.model.version}"
            return Resolution(
                observed=observed,
                actions=(StartPreflight(request=request, stable=assign(observed, request).stable),),
                facts=(Fact(reason=Reason.PREFLIGHT_RUNNING, message=text),),
                waiting=Problem(reason=Reason.PREFLIGHT_RUNNING, message=text),
            )
        case PreflightRunning(problem=problem):
            text = f"checking {desired.spec.model.uri} version {desired.spec.model.version}"
            return Resolution(observed=observed, waiting=problem or Problem(reason=Reason.PREFLIGHT_RUNNING, message=text))
        case PreflightEnded(outcome=outcome, at=at):
            return _ended(desired, observed, request, outcome, at, now)


def _ended(desired: Desired, observed: Observed, request: str, outcome: Outcome, at: datetime, now: datetime) -> Resolution:
    if outcome.reason is Reason.PREFLIGHT_PASSED and outcome.digest is not None:
        return _record(desired, observed, request, outcome, now)
    problem = Problem(reason=outcome.reason, message=outcome.message)
    if REASONS[outcome.reason].kind in {Kind.TRANSIENT, Kind.PROGRESS, Kind.WAITING}:
        again = at + RETRY_AFTER
        if now < again:
            return Resolution(observed=observed, waiting=problem, wake_at=again)
        return Resolution(observed=observed, actions=(DeletePreflight(request=request),), waiting=problem)
    return Resolution(observed=observed, refused=problem)


def _record(desired: Desired, observed: Observed, request: str, outcome: Outcome, now: datetime) -> Resolution:
    """The preflight passed. The same bundle and pod under another spelling is the same revision."""
    digest = outcome.digest or ""
    spec = desired.spec
    name = revision_id(digest, spec.model, desired.model_name, spec.runtime)
    known = next((r for r in observed.revisions if r.id == name), None)
    revision = replace(known, request=request) if known else _new(desired, observed, request, outcome, name, now)
    text = f"version {revision.version} is {digest[:19]}..., {outcome.size} bytes, {outcome.golden} golden samples: revision {name}"
    return Resolution(
        observed=observed.mark(revision),
        actions=(RecordRevision(revision=revision), DeletePreflight(request=request)),
        facts=(Fact(reason=Reason.PREFLIGHT_PASSED, message=text),),
    )


def _new(desired: Desired, observed: Observed, request: str, outcome: Outcome, name: str, now: datetime) -> Revision:
    return Revision(
        id=name,
        request=request,
        ordinal=max((r.ordinal for r in observed.revisions), default=0) + 1,
        digest=outcome.digest or "",
        version=desired.spec.model.version,
        format=outcome.format or "",
        size=outcome.size,
        model=desired.spec.model,
        model_name=desired.model_name,
        runtime=desired.spec.runtime,
        images=desired.images,
        created_at=now,
    )


def refusal(desired: Desired, problem: Problem) -> Fact | None:
    """Tells of a refusal once: when the status does not show it yet."""
    shown = any(c.type == "Stalled" and c.status == "True" and c.reason == problem.reason for c in desired.status.conditions)
    fresh = desired.status.observed_generation != desired.generation or not shown
    return Fact(reason=problem.reason, message=problem.message, level=Level.WARNING) if fresh else None
