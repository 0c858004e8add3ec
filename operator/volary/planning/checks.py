"""Verdicts from outside, joined with the evidence of clients' requests.

Any Fail ends the canary. It passes a step once the evidence passes and every check that gates does;
`dryRun` ones are shown and decide nothing. Where clients send nothing, golden samples may stand in
for them: while no client's request failed, what the agents prove is as good as the evidence.
"""

from collections.abc import Iterator
from datetime import datetime

from volary.api.v1alpha1 import Analysis, Checks, GoldenState, JobState, QueryState, RolloutStatus, VerdictJob, analysis_of, duration
from volary.common.reasons import Reason
from volary.planning import evidence, jobs, queries, synthetic
from volary.planning.evidence import Verdict
from volary.planning.model import Action, DeleteCheck, Desired, Observed, Problem, StartCheck
from volary.planning.outside import Question, Visit
from volary.planning.roles import Roles
from volary.planning.strategy import chosen


def effective(desired: Desired, memory: RolloutStatus | None = None) -> Analysis:
    """How the canary is judged where it stands."""
    rollout, here = desired.spec.rollout, memory or desired.status.rollout
    return analysis_of(rollout, here.step) if here is not None else rollout.analysis


# ---- what is to be asked ----------------------------------------------------------------------


def due(desired: Desired, roles: Roles, now: datetime) -> tuple[Question, ...]:
    """Queries that should be asked before the next plan."""
    memory, stable = desired.status.rollout, roles.stable
    if memory is None or memory.step < 0 or stable is None or not desired.prometheus:
        return ()
    values = {"revision": memory.revision, "stable": stable.id, "namespace": desired.namespace, "name": desired.name}
    return queries.due(memory.checks.queries, effective(desired).queries, values, now)


def golden_rate(desired: Desired, now: datetime) -> int:
    """Synthetic requests a second to ask each agent for, with a look at its counters; 0: do not ask now."""
    wanted = effective(desired).synthetic
    return wanted.rate if wanted.enabled and evidence.sample_due(desired, now) else 0


def golden_span(desired: Desired) -> int:
    """Seconds that an agent goes on after it was asked: until it is asked again, and a late look more."""
    return int(2 * duration(effective(desired).interval).total_seconds()) + 10


def wake_at(desired: Desired, memory: RolloutStatus, now: datetime) -> datetime | None:
    """When the next query is due."""
    if memory.step < 0 or not desired.prometheus:
        return None
    return queries.wake_at(memory.checks.queries, effective(desired, memory).queries, now)


# ---- what was answered ------------------------------------------------------------------------


def fold(desired: Desired, observed: Observed, memory: RolloutStatus) -> RolloutStatus:
    """The memory after a look. What was folded before changes nothing."""
    analysis, outside = effective(desired, memory), observed.outside
    live = (pod.uid for workload in observed.workloads for pod in workload.pods)
    golden = memory.checks.golden
    checks = Checks(
        queries=queries.fold(memory.checks.queries, outside.measurements, analysis.queries, available=desired.prometheus),
        jobs=jobs.states(outside, analysis, _asked(desired, memory), memory.revision, memory.step + 1),
        golden=synthetic.fold(golden, outside.replies, memory.revision, live, analysis) if analysis.synthetic.enabled else None,
    )
    return memory.model_copy(update={"checks": checks})


def next_step(checks: Checks) -> Checks:
    """A new step must pass by itself."""
    return Checks(queries=queries.next_step(checks.queries), golden=synthetic.next_step(checks.golden))


def against(memory: RolloutStatus) -> Problem | None:
    """Why the canary is given up, by whatever failed first: a known answer before a number before a program."""
    checks = memory.checks
    golden = checks.golden
    if golden is not None and _fails(golden):
        return Problem(reason=Reason.GOLDEN_MISMATCH, message=f"{golden.message}; {synthetic.show(golden)}")
    problems = (
        *(Problem(reason=Reason.QUERY_FAILED, message=f"query {query.name}: {query.message}") for query in checks.queries if _fails(query)),
        *(
            Problem(reason=Reason.JOB_FAILED, message=f"job {job.name} of step {job.step}: {job.message}")
            for job in checks.jobs
            if _fails(job)
        ),
    )
    return next(iter(problems), None)


def _fails(state: QueryState | JobState | GoldenState) -> bool:
    return state.verdict == Verdict.FAIL and not state.dry_run


def proved(memory: RolloutStatus, analysis: Analysis) -> bool:
    """Whether the canary may go on to its next step."""
    return (evidence.proved(memory, analysis) or _stands_in(memory, analysis)) and not list(_open(memory))


def _stands_in(memory: RolloutStatus, analysis: Analysis) -> bool:
    """Enough golden samples were answered, and nothing that clients saw speaks against it."""
    golden = memory.checks.golden
    if golden is None or golden.dry_run or golden.verdict != Verdict.PASS or memory.evidence.canary_errors > 0:
        return False
    return memory.step_requests + golden.step_asked >= analysis.min_requests


def _open(memory: RolloutStatus) -> Iterator[str]:
    """What gates and has not passed."""
    checks = memory.checks
    for query in checks.queries:
        if query.verdict != Verdict.PASS and not query.dry_run:
            yield f"query {query.name} ({query.message or 'no value in this step yet'})"
    for job in checks.jobs:
        if job.verdict != Verdict.PASS and not job.dry_run:
            yield f"job {job.name} ({job.message})"
    golden = checks.golden
    if golden is not None and golden.verdict != Verdict.PASS and not golden.dry_run:
        yield f"golden samples ({golden.message or synthetic.show(golden)})"


def show(memory: RolloutStatus) -> str:
    """`; waits for query p99 (...), job smoke (running)`, or nothing."""
    waits = ", ".join(_open(memory))
    return f"; waits for {waits}" if waits else ""


def _asked(desired: Desired, memory: RolloutStatus) -> tuple[VerdictJob, ...]:
    """Jobs of the step it is in; none while the pods start and while it grows to take over."""
    if not 0 <= memory.step < len(chosen(desired.spec.rollout, desired.replicas).steps):
        return ()
    return jobs.wanted(effective(desired, memory), memory.step + 1)


# ---- what is to be done -----------------------------------------------------------------------


def actions(desired: Desired, observed: Observed, roles: Roles, memory: RolloutStatus | None) -> tuple[Action, ...]:
    """Jobs of this step that are not there, after those of other rollouts have gone. They touch nothing that serves."""
    if memory is None or roles.candidate is None or roles.stable is None:
        return tuple(DeleteCheck(name=job.object_name) for job in observed.outside.jobs if not job.terminating)
    analysis, step = effective(desired, memory), memory.step + 1
    gone = [job for job in observed.outside.jobs if not jobs.is_current(job, analysis, memory.revision, step)]
    visits = [
        Visit(job=job, step=step, revision=memory.revision, version=roles.candidate.version, stable=roles.stable.id)
        for job in _asked(desired, memory)
        if memory.step_started_at is not None and observed.outside.job(memory.revision, step, job.name) is None
    ]
    starts = (StartCheck(visit=visit) for visit in visits)
    return (*(DeleteCheck(name=job.object_name) for job in gone if not job.terminating), *starts)


def unavailable(desired: Desired) -> Problem | None:
    """Why no query of the spec will ever have a value."""
    if desired.prometheus or not effective(desired).queries:
        return None
    return Problem(reason=Reason.QUERIES_UNAVAILABLE, message=f"{queries.NO_PROMETHEUS}, so no canary passes its queries")
