"""Jobs of the user's that judge a canary: which should be there, and what those that are there said.

Nothing of a Job is remembered: its result is read off it each time, so it survives a restart of the
operator. One that is deleted by hand is run again.
"""

import hashlib
import json
from collections.abc import Sequence

from volary.api.v1alpha1 import Analysis, JobState, VerdictJob
from volary.common.names import CHECK_CONTAINER, CHECK_LABEL, RECIPE_LABEL, REVISION_LABEL, STEP_LABEL
from volary.planning import containers
from volary.planning.evidence import Verdict
from volary.planning.excerpts import harmless, line
from volary.planning.outside import Ending, Outside, SeenJob
from volary.runtimes.runtime import Body

_NAME_LIMIT = 63  # of a Job: its pods carry it as a label
_NOT_STARTED = {"OOMKilled", "StartError", "ContainerCannotRun", "ContainerStatusUnknown"}  # the program did not come to its end
_VERDICTS = {Ending.SUCCEEDED: Verdict.PASS, Ending.FAILED: Verdict.FAIL}


def object_name(name: str, revision: str, step: int, check: str) -> str:
    """`NAME-REVISION-STEP-CHECK`, with a digest in place of a CHECK that is too long for it."""
    whole = f"{name}-{revision}-{step}-{check}"
    return whole if len(whole) <= _NAME_LIMIT else f"{name}-{revision}-{step}-{hashlib.sha256(check.encode()).hexdigest()[:8]}"


def recipe(job: VerdictJob) -> str:
    """Another template or timeout is another Job."""
    content = {"template": job.template.model_dump(mode="json", by_alias=True, exclude_defaults=True), "timeout": job.timeout}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:10]


def wanted(analysis: Analysis, step: int) -> tuple[VerdictJob, ...]:
    """Those of a step; the first is 1."""
    return tuple(job for job in analysis.jobs if job.at_step in {None, step})


def is_current(seen: SeenJob, analysis: Analysis, revision: str, step: int) -> bool:
    """Whether a Job is of this rollout and, where it is of this step, still what the spec says."""
    if seen.revision != revision or not 1 <= seen.step <= step:
        return False
    return seen.step < step or any((job.name, recipe(job)) == (seen.name, seen.recipe) for job in wanted(analysis, step))


def states(outside: Outside, analysis: Analysis, asked: Sequence[VerdictJob], revision: str, step: int) -> tuple[JobState, ...]:
    """Those `asked` for in this step, and those of earlier ones that failed: harm that is proved late is proved."""
    dry = {job.name: job.dry_run for job in analysis.jobs}
    late = (job for job in outside.jobs if job.ending is Ending.FAILED and job.step < step and is_current(job, analysis, revision, step))
    earlier = tuple(_state(job, dry_run=dry[job.name]) for job in late if job.name in dry)
    return (*earlier, *(_of_step(outside, job, analysis, revision, step) for job in asked))


def _of_step(outside: Outside, job: VerdictJob, analysis: Analysis, revision: str, step: int) -> JobState:
    seen = outside.job(revision, step, job.name)
    if seen is None or seen.terminating or not is_current(seen, analysis, revision, step):
        return JobState(name=job.name, step=step, message="not started", dry_run=job.dry_run)
    return _state(seen, dry_run=job.dry_run)


def _state(seen: SeenJob, *, dry_run: bool) -> JobState:
    return JobState(
        name=seen.name,
        step=seen.step,
        verdict=_VERDICTS.get(seen.ending, Verdict.INCONCLUSIVE),
        message=seen.message or seen.ending.value,
        dry_run=dry_run,
    )


# ---- off the cluster --------------------------------------------------------------------------


def seen(body: Body, pods: Sequence[Body]) -> SeenJob | None:
    """A Job and those of `pods` that are its own; None where it is none that judges."""
    metadata = body.get("metadata", {})
    labels = metadata.get("labels") or {}
    if CHECK_LABEL not in labels:
        return None
    ending, message = _ending(body, max(pods, key=_age, default=None))
    step = labels.get(STEP_LABEL, "")
    return SeenJob(
        object_name=metadata.get("name", ""),
        name=labels[CHECK_LABEL],
        revision=labels.get(REVISION_LABEL, ""),
        step=int(step) if step.isdecimal() else 0,
        recipe=labels.get(RECIPE_LABEL, ""),
        ending=ending,
        message=message,
        terminating="deletionTimestamp" in metadata,
    )


def _age(body: Body) -> str:
    return body.get("metadata", {}).get("creationTimestamp") or ""


def _ending(body: Body, pod: Body | None) -> tuple[Ending, str]:
    done = containers.terminated(pod, CHECK_CONTAINER) if pod is not None else None
    for condition in body.get("status", {}).get("conditions") or ():
        if condition.get("status") != "True":
            continue
        if condition.get("type") == "Complete":
            return Ending.SUCCEEDED, line((done or {}).get("message") or "")
        if condition.get("type") == "Failed":
            return _failed(condition, pod, done)
    waits = containers.problems(pod) if pod is not None else []
    return Ending.RUNNING, waits[0].message if waits else ""


def _failed(condition: Body, pod: Body | None, done: Body | None) -> tuple[Ending, str]:
    """Only a program that ran and ended by itself has said something of the canary."""
    if condition.get("reason") == "DeadlineExceeded":
        waits = containers.problems(pod) if pod is not None else []
        return Ending.UNKNOWN, f"did not end in time{f': {waits[0].message}' if waits else ''}"
    if pod is None or done is None or pod.get("status", {}).get("reason"):
        return Ending.UNKNOWN, harmless(f"its pod was taken away: {condition.get('message') or 'no more is known'}")
    text = containers.ending(CHECK_CONTAINER, done, pod)
    if done.get("reason") in _NOT_STARTED:
        return Ending.UNKNOWN, text
    return Ending.FAILED, line(done.get("message") or "") or text
