"""Kubernetes' own words about our pods and Jobs, turned into reasons of ours.

Bodies come as the API server sends them (dictionaries, camelCase). Nothing in them is taken for
granted: a field may be missing at any moment of a pod's life.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from volary.common.names import FIELD_MANAGER, PREFLIGHT_CONTAINER, REVISION_LABEL
from volary.common.outcome import Outcome, parse
from volary.common.reasons import REASONS, Kind, Reason
from volary.planning import containers
from volary.planning.excerpts import harmless
from volary.planning.model import NoPreflight, Pod, Preflight, PreflightEnded, PreflightRunning, Problem, Workload
from volary.runtimes.runtime import Body

# When several things are wrong, the one that decides most is shown. A plain crash often only
# follows from another container's trouble, so it comes after all that has a name.
_ORDER = {Kind.VERDICT: 0, Kind.USER: 1, Kind.TRANSIENT: 3, Kind.WAITING: 4, Kind.PROGRESS: 5}
_CRASHED_ORDER = 2


def pod(body: Body) -> Pod:
    """A model pod. One that is ready or on its way out has no problem, whatever happened to it before."""
    metadata, status = body.get("metadata", {}), body.get("status", {})
    terminating = "deletionTimestamp" in metadata
    ready = not ended(body) and _condition(status, "Ready") == "True"
    return Pod(
        name=metadata.get("name", ""),
        uid=metadata.get("uid", ""),
        revision=(metadata.get("labels") or {}).get(REVISION_LABEL, ""),
        ip=status.get("podIP"),
        ready=ready,
        terminating=terminating,
        problem=None if ready or terminating else _problem(body),
        ready_since=_ready_since(status) if ready else None,
    )


def deployment(body: Body, pods: Iterable[Body]) -> Workload:
    """A Deployment and those of `pods` that are its revision's.

    A pod that was evicted stays in the API for days, next to its successor. It is of interest
    only until as many pods are ready as should be.
    """
    metadata, spec = body.get("metadata", {}), body.get("spec", {})
    revision, replicas = (metadata.get("labels") or {}).get(REVISION_LABEL, ""), int(spec.get("replicas", 1))
    own = [(pod(part), ended(part)) for part in sorted(pods, key=_age)]
    own = [(one, over) for one, over in own if one.revision == revision]
    short = sum(one.ready and not one.terminating for one, _ in own) < replicas
    return Workload(
        revision=revision,
        replicas=replicas,
        pods=tuple(one for one, over in own if short or not over),
        problem=_replica_failure(body.get("status", {})),
        owned=any("f:replicas" in (entry.get("fieldsV1") or {}).get("f:spec", {}) for entry in _ours(metadata)),
        written_at=next((_time(entry["time"]) for entry in _ours(metadata) if entry.get("time")), None),
    )


def _ours(metadata: Body) -> list[Body]:
    """The entry of our server-side applies; its time changes with what we write, not with what others take over."""
    entries = metadata.get("managedFields") or ()
    return [entry for entry in entries if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply"]


def ended(body: Body) -> bool:
    """Whether a pod runs no more and never will: evicted, refused by its node, or done."""
    return body.get("status", {}).get("phase") in {"Failed", "Succeeded"}


def preflight(job: Body | None, pods: Sequence[Body]) -> Preflight:
    """The Job of a request and its pods.

    With one try a Job is over when its pod is, so its pod's answer is not kept waiting for the
    Job's condition.
    """
    if job is None:
        return NoPreflight()
    newest = max(pods, key=_age, default=None)
    answered = _answer(newest) if newest else None
    if answered is not None:
        return answered
    over = _over(job)
    if over is None or (newest is not None and over.silent and not _dying(newest)):
        return PreflightRunning(problem=_problem(newest) if newest else None)
    return PreflightEnded(outcome=_interrupted(_why(newest) or over.why), at=over.at)


# ---- pods -------------------------------------------------------------------------------------


def _problem(body: Body) -> Problem | None:
    status = body.get("status", {})
    if status.get("phase") == "Failed" and status.get("reason"):
        return _removed(status)
    found = [*containers.problems(body), *_unscheduled(status)]
    return min(found, key=_rank, default=None)


def _rank(problem: Problem) -> int:
    return _CRASHED_ORDER if problem.reason is Reason.CRASHED else _ORDER[REASONS[problem.reason].kind]


def _removed(status: Body) -> Problem:
    """Only a pod that outgrew its own limit is to blame; a node that is short of something is not the model's fault."""
    text = harmless(f"{status['reason']}: {status.get('message', '')}").removesuffix(":")
    own_fault = "exceeds the" in text and ("ephemeral" in text or "emptydir" in text.lower())
    if status["reason"] == "Evicted" and own_fault:
        return Problem(reason=Reason.DISK_FULL, message=text)
    return Problem(reason=Reason.UNSCHEDULABLE, message=f"the pod lost its place: {text}")


def _unscheduled(status: Body) -> list[Problem]:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            text = harmless(condition.get("message") or condition.get("reason") or "not scheduled")
            return [Problem(reason=Reason.UNSCHEDULABLE, message=text)]
    return []


def _ready_since(status: Body) -> datetime | None:
    times = (c.get("lastTransitionTime") for c in status.get("conditions") or () if c.get("type") == "Ready")
    since = next(times, None)
    return _time(since) if since else None


def _condition(status: Body, kind: str) -> str | None:
    return next((c.get("status") for c in status.get("conditions") or () if c.get("type") == kind), None)


def _age(body: Body) -> tuple[str, str]:
    """Sorts pods oldest first; times of the API server sort as text."""
    metadata = body.get("metadata", {})
    return metadata.get("creationTimestamp") or "", metadata.get("name", "")


# ---- Deployments ------------------------------------------------------------------------------


def _replica_failure(status: Body) -> Problem | None:
    """A quota, a pod security standard or an admission policy says no."""
    for condition in status.get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return Problem(
                reason=Reason.POD_REFUSED,
                message=harmless(condition.get("message") or condition.get("reason") or "refused"),
            )
    return None


# ---- preflights -------------------------------------------------------------------------------


class _Over:
    """A Job that has ended, by its own account."""

    def __init__(self, condition: Body) -> None:
        self.at = _time(condition.get("lastTransitionTime"))
        self.silent = condition.get("reason") != "DeadlineExceeded"  # its pod should have said more
        self.why = harmless(condition.get("message") or condition.get("reason") or "the Job ended")


def _over(job: Body) -> _Over | None:
    for condition in job.get("status", {}).get("conditions") or ():
        if condition.get("type") in {"Complete", "Failed"} and condition.get("status") == "True":
            return _Over(condition)
    return None


def _answer(body: Body) -> PreflightEnded | None:
    """What the preflight itself said: passed with all that a revision needs, or why not."""
    done = containers.terminated(body, PREFLIGHT_CONTAINER)
    outcome = parse(done.get("message") or "") if done else None
    if done is None or outcome is None:
        return None
    at = _time(done.get("finishedAt"))
    if outcome.reason is Reason.PREFLIGHT_PASSED:
        complete = outcome.digest and outcome.version and outcome.format
        return PreflightEnded(outcome=outcome if complete else _interrupted("the preflight's answer is incomplete"), at=at)
    conclusive = REASONS[outcome.reason].kind in {Kind.TRANSIENT, Kind.USER, Kind.VERDICT}
    return PreflightEnded(outcome=outcome, at=at) if conclusive else None


def _dying(body: Body) -> bool:
    """Nothing more will be heard of this pod."""
    return ended(body) or "deletionTimestamp" in body.get("metadata", {}) or containers.terminated(body, PREFLIGHT_CONTAINER) is not None


def _why(body: Body | None) -> str | None:
    """How a preflight ended that gave no answer."""
    if body is None:
        return None
    done = containers.terminated(body, PREFLIGHT_CONTAINER)
    if done is not None:
        return containers.ending(PREFLIGHT_CONTAINER, done, body)
    problem = _problem(body)
    return problem.message if problem else None


def _interrupted(why: str) -> Outcome:
    """No answer proves nothing about the bundle, so it is asked again."""
    return Outcome(reason=Reason.PREFLIGHT_INTERRUPTED, message=f"the preflight gave no answer: {why}")


def _time(text: str | None) -> datetime:
    """A time of the API server, which always gives one; without it, the beginning of time, so that nothing waits for it."""
    return datetime.fromisoformat(text or "1970-01-01T00:00:00+00:00")
