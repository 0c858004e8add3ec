"""Verdicts from outside beside the evidence: any Fail ends the canary, all that gates must pass, dry runs decide nothing."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.planning.builders import NOW, desired, revision, spec
from volary.api.v1alpha1 import (
    Analysis,
    Checks,
    Evidence,
    GoldenState,
    JobState,
    ModelDeploymentStatus,
    QueryState,
    Rollout,
    RolloutStatus,
    Step,
)
from volary.common.reasons import Reason
from volary.planning import checks, jobs
from volary.planning.evidence import Verdict
from volary.planning.model import DeleteCheck, Desired, Observed, StartCheck
from volary.planning.outside import Ending, Outside, SeenJob
from volary.planning.roles import Roles

CANARY, STABLE = revision(id="8fb5556369", version="2.0.0"), revision()
ROLES = Roles(wanted=CANARY, stable=STABLE, candidate=CANARY)
PASSED = Evidence(verdict="Pass")
JOB = {"name": "smoke", "template": {"image": "i"}}
QUERY = {"name": "p99", "query": 'x{r="{{revision}}",s="{{stable}}"}', "max": 1}


def memory(evidence: Evidence = PASSED, *, step: int = 0, **fields: Any) -> RolloutStatus:
    given = {"revision": CANARY.id, "generation": 1, "started_at": NOW, "step": step, "step_started_at": NOW, "evidence": evidence}
    return RolloutStatus(**given | fields)


def wanted(analysis: dict[str, Any], of: RolloutStatus | None = None, **fields: Any) -> Desired:
    rollout = Rollout(steps=(Step(weight=25), Step(weight=50)), analysis=Analysis.model_validate(analysis))
    status = ModelDeploymentStatus(rollout=of) if of else ModelDeploymentStatus()
    return desired(spec=spec(rollout=rollout), status=status, **fields)


def said(kind: str, verdict: Verdict, *, dry: bool = False) -> Checks:
    match kind:
        case "query":
            return Checks(queries=(QueryState(name="p99", verdict=verdict, message="2 is above 1", dry_run=dry),))
        case "job":
            return Checks(jobs=(JobState(name="smoke", step=1, verdict=verdict, message="no", dry_run=dry),))
        case _:
            return Checks(golden=GoldenState(verdict=verdict, message="sample 3", dry_run=dry))


KINDS = [("query", Reason.QUERY_FAILED), ("job", Reason.JOB_FAILED), ("golden", Reason.GOLDEN_MISMATCH)]


@pytest.mark.parametrize(("kind", "reason"), KINDS)
@pytest.mark.parametrize("verdict", list(Verdict))
def test_what_gates(kind: str, reason: Reason, verdict: Verdict) -> None:
    after = memory(checks=said(kind, verdict))
    problem = checks.against(after)
    assert (problem and problem.reason) == (reason if verdict is Verdict.FAIL else None)
    assert checks.proved(after, Analysis()) is (verdict is Verdict.PASS)
    assert bool(checks.show(after)) is (verdict is not Verdict.PASS)


@pytest.mark.parametrize(("kind", "reason"), KINDS)
@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_dry_run_decides_nothing(kind: str, reason: Reason, verdict: Verdict) -> None:
    after = memory(checks=said(kind, verdict, dry=True))
    assert checks.against(after) is None, reason
    assert checks.proved(after, Analysis())
    assert checks.show(after) == ""


@pytest.mark.parametrize(
    ("evidence", "golden", "fields", "stands_in"),
    [
        (Evidence(), {"verdict": "Pass", "step_asked": 400}, {}, True),
        (Evidence(canary_requests=3), {"verdict": "Pass", "step_asked": 400}, {}, True),
        (Evidence(canary_requests=3, canary_errors=1), {"verdict": "Pass", "step_asked": 400}, {}, False),
        (Evidence(), {"verdict": "Inconclusive", "step_asked": 400}, {}, False),
        (Evidence(), {"verdict": "Pass", "step_asked": 400, "dry_run": True}, {}, False),
        (Evidence(), {"verdict": "Pass", "step_asked": 400}, {"min_requests": 500}, False),
        (Evidence(), {"verdict": "Pass", "step_asked": 500}, {"min_requests": 500}, True),
    ],
)
def test_golden_samples_stand_in_for_silent_clients(
    evidence: Evidence, golden: dict[str, Any], fields: dict[str, Any], stands_in: bool
) -> None:
    after = memory(evidence, checks=Checks(golden=GoldenState(**golden)))
    assert checks.proved(after, Analysis(**fields)) is stands_in


def test_a_new_step_must_pass_by_itself() -> None:
    for kind, _ in KINDS:
        after = memory(checks=checks.next_step(said(kind, Verdict.PASS)))
        assert kind == "job" or not checks.proved(after, Analysis())  # jobs are read off the cluster at the next look


# ---- what is asked ----------------------------------------------------------------------------


def test_queries_are_asked_only_in_a_step_and_only_of_a_prometheus() -> None:
    asked = checks.due(wanted({"queries": [QUERY]}, memory()), ROLES, NOW)
    assert [question.text for question in asked] == [f'x{{r="{CANARY.id}",s="{STABLE.id}"}}']
    assert checks.due(wanted({"queries": [QUERY]}, memory(step=-1)), ROLES, NOW) == ()
    assert checks.due(wanted({"queries": [QUERY]}), ROLES, NOW) == ()
    assert checks.due(wanted({"queries": [QUERY]}, memory(), prometheus=False), ROLES, NOW) == ()
    assert checks.due(wanted({"queries": [QUERY]}, memory()), replace(ROLES, stable=None), NOW) == ()


def test_agents_are_asked_only_where_it_is_wanted_and_when_a_sample_is_due() -> None:
    on = {"synthetic": {"enabled": True, "rate": 7}, "interval": "20s"}
    assert checks.golden_rate(wanted(on, memory()), NOW) == 7
    long_ago = NOW - timedelta(minutes=5)
    assert checks.golden_rate(wanted(on, memory(last_sample_at=NOW, step_started_at=long_ago)), NOW + timedelta(seconds=19)) == 0
    assert checks.golden_rate(wanted({}, memory()), NOW) == 0
    assert checks.golden_rate(wanted(on, memory(step=-1)), NOW) == 0
    assert checks.golden_span(wanted(on, memory())) == 50  # two intervals of 20 s and 10 s


def test_what_is_missing_is_told_while_nothing_is_under_way() -> None:
    problem = checks.unavailable(wanted({"queries": [QUERY]}, prometheus=False))
    assert problem is not None
    assert problem.reason is Reason.QUERIES_UNAVAILABLE
    assert checks.unavailable(wanted({"queries": [QUERY]})) is None
    assert checks.unavailable(wanted({}, prometheus=False)) is None


# ---- Jobs -------------------------------------------------------------------------------------


def seen(step: int = 1, *, of: str = CANARY.id, terminating: bool = False) -> SeenJob:
    recipe = jobs.recipe(Analysis.model_validate({"jobs": [JOB]}).jobs[0])
    return SeenJob(
        object_name=f"fraud-{of}-{step}-smoke",
        name="smoke",
        revision=of,
        step=step,
        recipe=recipe,
        ending=Ending.RUNNING,
        terminating=terminating,
    )


def acted(of: RolloutStatus | None, *there: SeenJob) -> list[str]:
    """`start STEP` and `delete NAME`."""
    given = wanted({"jobs": [JOB]}, of)
    actions = checks.actions(given, Observed(outside=Outside(jobs=there)), ROLES, of)
    starts = [f"start {action.visit.step}" for action in actions if isinstance(action, StartCheck)]
    return starts + [f"delete {action.name}" for action in actions if isinstance(action, DeleteCheck)]


def test_jobs_come_with_their_step_and_go_with_the_rollout() -> None:
    assert acted(memory()) == ["start 1"]
    assert acted(memory(), seen()) == []
    assert acted(memory(step_started_at=None)) == []  # its pods are not ready yet
    assert acted(memory(step=1), seen()) == ["start 2"]
    assert acted(memory(step=2), seen(), seen(2)) == []  # it grows to take over
    assert acted(None, seen(), seen(2)) == [f"delete fraud-{CANARY.id}-1-smoke", f"delete fraud-{CANARY.id}-2-smoke"]


def test_jobs_of_an_earlier_try_go_before_new_ones_come() -> None:
    assert acted(memory(step=-1, step_started_at=None), seen()) == [f"delete fraud-{CANARY.id}-1-smoke"]
    assert acted(memory(), seen(terminating=True)) == []
    assert acted(memory(), seen(of="other")) == ["start 1", "delete fraud-other-1-smoke"]
