"""Jobs that judge: names that fit, bodies that are confined, and endings that say something of the canary or nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.planning.builders import desired
from volary.api.v1alpha1 import Analysis, JobTemplate, VerdictJob
from volary.common.names import CHECK_LABEL, COMPONENT_LABEL, MODEL_LABEL, RECIPE_LABEL, REVISION_LABEL, STEP_LABEL
from volary.planning import check_bodies, jobs
from volary.planning.evidence import Verdict
from volary.planning.outside import Ending, Outside, SeenJob, Visit

NAME = st.from_regex(r"\A[a-z]([-a-z0-9]{0,38}[a-z0-9])?\Z")
REVISION = "8fb5556369"
LABELS = {CHECK_LABEL: "smoke", STEP_LABEL: "2", RECIPE_LABEL: "abc", REVISION_LABEL: REVISION}


def job(**fields: Any) -> VerdictJob:
    return VerdictJob.model_validate({"name": "smoke", "template": {"image": "team/smoke:1"}} | fields)


def visit(**fields: Any) -> Visit:
    return Visit(job=job(**fields), step=2, revision=REVISION, version="2.0.0", stable="1a2b3c4d5e")


@given(NAME, NAME, st.integers(1, 20))
def test_names_fit_and_differ(name: str, check: str, step: int) -> None:
    found = jobs.object_name(name, REVISION, step, check)
    assert len(found) <= 63
    assert found.startswith(f"{name}-{REVISION}-{step}-")
    assert jobs.object_name(name, REVISION, step, check + "x"[: 40 - len(check)]) != found or len(check) == 40


def test_a_job_is_one_try_with_a_deadline_and_no_service_selects_its_pod() -> None:
    body = check_bodies.check_job(desired(), visit(timeout="90s"))
    spec, labels = body["spec"], body["spec"]["template"]["metadata"]["labels"]
    assert body["metadata"]["name"] == f"fraud-{REVISION}-2-smoke"
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"]) == (0, 90)
    assert REVISION_LABEL not in labels
    assert labels[COMPONENT_LABEL] == "check"
    assert labels[MODEL_LABEL] == "fraud"


def test_a_job_is_confined_whatever_its_user_wrote() -> None:
    template = JobTemplate(image="team/smoke:1", command=("sh",), args=("-c", "true"), service_account_name="smoke")
    pod = check_bodies.check_job(desired(), visit(template=template.model_dump(by_alias=True)))["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == "smoke"
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert (container["command"], container["args"]) == (["sh"], ["-c", "true"])


def test_a_job_is_told_whom_it_judges() -> None:
    template = {"image": "i", "env": [{"name": "MODE", "value": "quick"}]}
    (container,) = check_bodies.check_job(desired(), visit(template=template))["spec"]["template"]["spec"]["containers"]
    assert {one["name"]: one["value"] for one in container["env"]} == {
        "VOLARY_CANARY_URL": f"http://fraud-{REVISION}",
        "VOLARY_STABLE_URL": "http://fraud-1a2b3c4d5e",
        "VOLARY_MODEL": "fraud",
        "VOLARY_REVISION": REVISION,
        "VOLARY_VERSION": "2.0.0",
        "MODE": "quick",
    }


# ---- what it said -----------------------------------------------------------------------------


def body(kind: str = "", reason: str = "", **metadata: Any) -> dict[str, Any]:
    conditions = [{"type": kind, "status": "True", "reason": reason, "message": "said Kubernetes"}] if kind else []
    return {"metadata": {"name": "j", "labels": LABELS, **metadata}, "status": {"conditions": conditions}}


def pod(*, state: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    statuses = [{"name": "check", "state": state}] if state else []
    return {"metadata": {"name": "p"}, "spec": {}, "status": {"containerStatuses": statuses, **status}}


def ended(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    return pod(state={"terminated": {"exitCode": code, "message": message, "reason": reason}})


PULL = pod(state={"waiting": {"reason": "ImagePullBackOff", "message": "not found"}})


@pytest.mark.parametrize(
    ("of", "pods", "ending", "message"),
    [
        (body(), [], Ending.RUNNING, ""),
        (body(), [PULL], Ending.RUNNING, "image ? of container check: not found"),
        (body("Complete"), [ended(0, "fine\n", "Completed")], Ending.SUCCEEDED, "fine"),
        (body("Complete"), [], Ending.SUCCEEDED, ""),
        (body("Failed", "BackoffLimitExceeded"), [ended(1, "Trace\nexpected 3, found 8\n")], Ending.FAILED, "expected 3, found 8"),
        (body("Failed", "BackoffLimitExceeded"), [ended(7)], Ending.FAILED, "container check ended with exit code 7"),
        (body("Failed", "BackoffLimitExceeded"), [ended(1, "token=abc went wrong")], Ending.FAILED, "[hidden] went wrong"),
        (body("Failed", "DeadlineExceeded"), [], Ending.UNKNOWN, "did not end in time"),
        (body("Failed", "DeadlineExceeded"), [PULL], Ending.UNKNOWN, "did not end in time: image ? of container check: not found"),
        (
            body("Failed", "BackoffLimitExceeded"),
            [ended(137, reason="OOMKilled")],
            Ending.UNKNOWN,
            "container check needed more memory than its limit",
        ),
        (
            body("Failed", "BackoffLimitExceeded"),
            [ended(128, "no such file", "StartError")],
            Ending.UNKNOWN,
            "container check ended with exit code 128: no such file",
        ),
        (body("Failed", "BackoffLimitExceeded"), [], Ending.UNKNOWN, "its pod was taken away: said Kubernetes"),
        (body("Failed", "BackoffLimitExceeded"), [pod(reason="Evicted")], Ending.UNKNOWN, "its pod was taken away: said Kubernetes"),
    ],
)
def test_only_a_program_that_ran_says_something(of: dict[str, Any], pods: list[dict[str, Any]], ending: Ending, message: str) -> None:
    found = jobs.seen(of, pods)
    assert found is not None
    assert (found.ending, found.message) == (ending, message)
    assert (found.name, found.revision, found.step, found.recipe) == ("smoke", REVISION, 2, "abc")


def test_a_preflight_judges_nobody() -> None:
    assert jobs.seen({"metadata": {"name": "j", "labels": {}}}, []) is None


# ---- which should be there --------------------------------------------------------------------


def seen(**fields: Any) -> SeenJob:
    given = {"object_name": "j", "name": "smoke", "revision": REVISION, "step": 2, "recipe": jobs.recipe(job()), "ending": Ending.RUNNING}
    return SeenJob(**given | fields)


ANALYSIS = Analysis(jobs=(job(),))


@pytest.mark.parametrize(
    ("fields", "current"),
    [
        ({}, True),
        ({"step": 1}, True),
        ({"step": 1, "recipe": "old"}, True),
        ({"step": 3}, False),
        ({"step": 0}, False),
        ({"revision": "other"}, False),
        ({"name": "gone"}, False),
        ({"recipe": "old"}, False),
    ],
)
def test_what_is_of_this_rollout_stays(fields: dict[str, Any], current: bool) -> None:
    assert jobs.is_current(seen(**fields), ANALYSIS, REVISION, 2) is current


@pytest.mark.parametrize(
    ("ending", "verdict"),
    [
        (Ending.RUNNING, Verdict.INCONCLUSIVE),
        (Ending.SUCCEEDED, Verdict.PASS),
        (Ending.FAILED, Verdict.FAIL),
        (Ending.UNKNOWN, Verdict.INCONCLUSIVE),
    ],
)
def test_what_an_ending_means(ending: Ending, verdict: Verdict) -> None:
    (state,) = jobs.states(Outside(jobs=(seen(ending=ending),)), ANALYSIS, ANALYSIS.jobs, REVISION, 2)
    assert (state.name, state.step, state.verdict) == ("smoke", 2, verdict)


def test_a_job_on_its_way_out_says_nothing() -> None:
    leaving = Outside(jobs=(seen(ending=Ending.SUCCEEDED, terminating=True),))
    (state,) = jobs.states(leaving, ANALYSIS, ANALYSIS.jobs, REVISION, 2)
    assert (state.verdict, state.message) == (Verdict.INCONCLUSIVE, "not started")


def test_harm_that_is_proved_late_is_proved() -> None:
    late = Outside(jobs=(seen(step=1, ending=Ending.FAILED, message="no"),))
    verdicts = [(state.step, state.verdict) for state in jobs.states(late, ANALYSIS, ANALYSIS.jobs, REVISION, 2)]
    assert verdicts == [(1, Verdict.FAIL), (2, Verdict.INCONCLUSIVE)]
