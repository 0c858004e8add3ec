"""What a person asks for by the annotation `serving.volary.dev/request: ACTION[:REVISION][@NONCE]`.

Acted on once: the value is recorded in `status.request` and the same value is never acted on
again. The CLI always names the revision, so that even a request that is seen twice (a status that
was wiped) cannot hit another canary than the one that was meant.

The marks it leaves carry its key: an operator that died after the first of them and before the
status was written goes on with the second, and does not take the request for a new one. Without
that, a rollback seen anew would find its own target in charge and return to what it had just left.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from volary.api.v1alpha1 import RequestStatus, RolloutStatus
from volary.common.reasons import Reason
from volary.planning import instructions, memory
from volary.planning.instructions import Refusal
from volary.planning.model import Action, DeletePreflight, Desired, Fact, Failure, Level, MarkRevision, Observed, PreflightEnded, Revision
from volary.planning.roles import Roles, assign


class Verb(StrEnum):
    """What can be asked for."""

    PROMOTE = "promote"
    PAUSE = "pause"
    RESUME = "resume"
    SKIP = "skip"
    APPROVE = "approve"
    ABORT = "abort"
    RETRY = "retry"
    ROLLBACK = "rollback"


_GRAMMAR = re.compile(r"^(?P<verb>[a-z]+)(?::(?P<revision>[A-Za-z0-9][A-Za-z0-9._-]*))?(?:@(?P<nonce>\S+))?$")
_USAGE = f"write {' | '.join(Verb)}, then optionally :REVISION and @ANYTHING, such as rollback:1a2b3c4d5e@1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What becomes of a request."""

    observed: Observed  # with the marks that were decided
    actions: tuple[Action, ...] = ()
    facts: tuple[Fact, ...] = ()
    record: RequestStatus | None = None
    memory: RolloutStatus | None = None  # of the canary, where the request changes it
    retried: bool = False


def answer(desired: Desired, observed: Observed, request: str, now: datetime) -> Answer:
    """Carries out a request that was not seen before; `request` is the id of the spec's preflight."""
    value = desired.request
    before = desired.status.request
    if not value or (before is not None and before.value == value):
        return Answer(observed=observed, record=before)
    key = _key(value, before)
    begun = next((r for r in observed.revisions if r.asked == key), None)
    result = _decide(desired, observed, request, value, now) if begun is None else _complete(observed, request, value, begun, now)
    if isinstance(result, Refusal):
        record = RequestStatus(value=value, outcome="Refused", message=result.message, at=now)
        fact = Fact(reason=Reason.REQUEST_REFUSED, message=f"{value}: {result.message}", level=Level.WARNING)
        return Answer(observed=observed, record=record, facts=(fact,))
    return replace(_signed(result, key), record=RequestStatus(value=value, outcome="Done", at=now))


def _key(value: str, before: RequestStatus | None) -> str:
    """The value alone may come again later, after another request."""
    return f"{value} after {before.value} of {before.at.isoformat()}" if before else value


def _signed(answer: Answer, key: str) -> Answer:
    """The same with its key on every mark."""
    marked = {action.revision for action in answer.actions if isinstance(action, MarkRevision)}
    actions = tuple(replace(action, asked=key) if isinstance(action, MarkRevision) else action for action in answer.actions)
    revisions = tuple(replace(r, asked=key) if r.id in marked else r for r in answer.observed.revisions)
    return replace(answer, actions=actions, observed=replace(answer.observed, revisions=revisions))


def _complete(observed: Observed, request: str, value: str, begun: Revision, now: datetime) -> Answer:
    """What is missing of a request that left its first mark on `begun`: only a rollback makes two."""
    if value.startswith(Verb.ROLLBACK) and begun.failed is None:
        return _displace(Answer(observed=observed), assign(observed, request).wanted, begun, now)
    return Answer(observed=observed)


def _decide(desired: Desired, observed: Observed, request: str, value: str, now: datetime) -> Answer | Refusal:
    match = _GRAMMAR.match(value)
    if match is None or match["verb"] not in set(Verb):
        return Refusal(f"not understood; {_USAGE}")
    roles, named = assign(observed, request), match["revision"]
    match Verb(match["verb"]):
        case Verb.PROMOTE | Verb.PAUSE | Verb.RESUME | Verb.SKIP | Verb.APPROVE as verb:
            return _instruct(desired, observed, roles, verb, named, now)
        case Verb.ABORT:
            return _abort(observed, roles, named, now)
        case Verb.RETRY:
            return _retry(observed, roles, request)
        case Verb.ROLLBACK:
            return _rollback(observed, roles, named, now)


def _meant(candidate: Revision | None, named: str | None) -> Revision | Refusal:
    if candidate is None:
        return Refusal("no canary is under way")
    if named not in {None, candidate.id, candidate.version}:
        return Refusal(f"the canary is {candidate.id} (version {candidate.version}), not {named}")
    return candidate


def _instruct(desired: Desired, observed: Observed, roles: Roles, verb: Verb, named: str | None, now: datetime) -> Answer | Refusal:
    candidate = _meant(roles.candidate, named)
    if isinstance(candidate, Refusal):
        return candidate
    known = memory.recalled(desired, candidate, now)
    situation = instructions.Situation(desired=desired, known=known, version=candidate.version, now=now)
    noted = instructions.INSTRUCTIONS[verb](situation)
    if isinstance(noted, Refusal):
        return noted
    return Answer(observed=observed, memory=noted.memory, facts=(Fact(reason=noted.reason, message=noted.text),))


def _abort(observed: Observed, roles: Roles, named: str | None, now: datetime) -> Answer | Refusal:
    candidate = _meant(roles.candidate, named)
    if isinstance(candidate, Refusal):
        return candidate
    failure = Failure(reason=Reason.ABORT_REQUESTED, message="aborted by request", at=now)
    return _marked(
        observed, replace(candidate, failed=failure), Reason.ABORT_REQUESTED, f"version {candidate.version} is aborted, as asked"
    )


def _retry(observed: Observed, roles: Roles, request: str) -> Answer | Refusal:
    wanted = roles.wanted
    if wanted is not None and wanted.failed is not None:
        text = f"version {wanted.version} is tried again, as asked"
        return replace(_marked(observed, replace(wanted, failed=None), Reason.RETRY_REQUESTED, text), retried=True)
    if wanted is None and isinstance(observed.preflight, PreflightEnded):
        fact = Fact(reason=Reason.RETRY_REQUESTED, message="the bundle is checked again, as asked")
        return Answer(observed=observed, actions=(DeletePreflight(request=request),), facts=(fact,), retried=True)
    if wanted is None:
        return Answer(observed=observed, facts=(Fact(reason=Reason.RETRY_REQUESTED, message="the bundle is being checked"),))
    return Refusal("nothing has failed: there is nothing to try again")


def _rollback(observed: Observed, roles: Roles, named: str | None, now: datetime) -> Answer | Refusal:
    target = _target(observed, roles, named)
    if isinstance(target, Refusal):
        return target
    top = max(r.promoted for r in observed.revisions)
    back = _marked(
        observed,
        replace(target, promoted=top + 1, failed=None),
        Reason.ROLLBACK_REQUESTED,
        f"traffic returns to version {target.version} ({target.id}), as asked",
    )
    return _displace(back, roles.wanted, target, now)


def _displace(back: Answer, wanted: Revision | None, target: Revision, now: datetime) -> Answer:
    """What the spec asks for would come back by itself: it is given up."""
    if wanted is None or wanted.id == target.id or wanted.failed is not None:
        return back
    failure = Failure(reason=Reason.ROLLBACK_REQUESTED, message=f"rolled back to version {target.version} by request", at=now)
    gone = _marked(back.observed, replace(wanted, failed=failure), Reason.ROLLBACK_REQUESTED, "")
    return replace(gone, actions=(*back.actions, *gone.actions), facts=back.facts)


def _target(observed: Observed, roles: Roles, named: str | None) -> Revision | Refusal:
    """The revision to return to: the one that is named, else the one promoted before stable."""
    others = [r for r in observed.revisions if r.promoted and (roles.stable is None or r.id != roles.stable.id)]
    if named is None:
        good = [r for r in others if r.failed is None]
        return max(good, key=lambda r: r.promoted) if good else Refusal("no earlier revision is kept")
    if roles.stable is not None and named in {roles.stable.id, roles.stable.version}:
        return Refusal(f"{named} is the stable revision already")
    found = [r for r in others if named in {r.id, r.version}]
    if found:
        return max(found, key=lambda r: r.promoted)
    kept = ", ".join(f"{r.id} (version {r.version})" for r in others) or "none"
    return Refusal(f"{named} is not a kept revision that was promoted once; kept: {kept}")


def _marked(observed: Observed, revision: Revision, reason: Reason, text: str) -> Answer:
    mark = MarkRevision(revision=revision.id, promoted=revision.promoted, failed=revision.failed)
    facts = (Fact(reason=reason, message=text),) if text else ()
    return Answer(observed=observed.mark(revision), actions=(mark,), facts=facts)
