"""A Job and its pod become an answer, or the reason why there is none yet."""

from datetime import UTC, datetime

import pytest

from tests.unit.planning.bodies import COMPLETE, FAILED, OOM, TOO_LATE, end, job, preflight, running, stopped, waiting
from tests.unit.planning.builders import DIGEST
from volary.common.outcome import Outcome
from volary.common.reasons import REASONS, Kind, Reason
from volary.planning import diagnosis
from volary.planning.model import NoPreflight, PreflightEnded, PreflightRunning
from volary.runtimes.runtime import Body

PASSED = Outcome(reason=Reason.PREFLIGHT_PASSED, digest=DIGEST, version="1.4.0", format="onnx", size=1024, golden=8)
REFUSED = Outcome(reason=Reason.VERSION_NOT_FOUND, message="no version 1.4.1 under s3://models/fraud")
AWAY = Outcome(reason=Reason.STORAGE_UNREACHABLE, message="no route to minio.storage")
FINISHED = datetime(2026, 3, 1, 11, 59, 30, tzinfo=UTC)
NOTICED = datetime(2026, 3, 1, 11, 59, 31, tzinfo=UTC)


def answered(code: int, message: Outcome | str) -> Body:
    return preflight(stopped("preflight", end(code, message)), phase="Failed" if code else "Succeeded")


def test_no_job_is_no_preflight() -> None:
    assert diagnosis.preflight(None, []) == NoPreflight()


@pytest.mark.parametrize("conditions", [(), (COMPLETE,), (FAILED,)])
@pytest.mark.parametrize(("code", "outcome"), [(0, PASSED), (3, REFUSED), (4, AWAY)])
def test_the_pods_answer_counts_as_soon_as_it_is_there(code: int, outcome: Outcome, conditions: tuple[Body, ...]) -> None:
    assert diagnosis.preflight(job(*conditions), [answered(code, outcome)]) == PreflightEnded(outcome=outcome, at=FINISHED)


@pytest.mark.parametrize(
    "pods",
    [
        [],
        [preflight(None, phase="Pending")],
        [preflight(waiting("preflight", "ContainerCreating"), phase="Pending")],
        [preflight(running("preflight"))],
    ],
)
def test_it_runs_until_something_is_known(pods: list[Body]) -> None:
    assert diagnosis.preflight(job(), pods) == PreflightRunning()


@pytest.mark.parametrize(
    ("pod", "reason"),
    [
        (preflight(waiting("preflight", "CreateContainerConfigError", 'secret "models-s3" not found')), Reason.SECRET_NOT_FOUND),
        (preflight(waiting("preflight", "ImagePullBackOff", "Back-off")), Reason.IMAGE_PULL_FAILED),
        (preflight(None, conditions=[{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]), Reason.UNSCHEDULABLE),
    ],
)
def test_what_it_waits_for_is_told(pod: Body, reason: Reason) -> None:
    found = diagnosis.preflight(job(), [pod])
    assert isinstance(found, PreflightRunning)
    assert found.problem is not None
    assert found.problem.reason is reason


@pytest.mark.parametrize(
    ("condition", "pods", "part"),
    [
        (FAILED, [preflight(stopped("preflight", OOM), phase="Failed")], "more memory than its limit of 256Mi"),
        (FAILED, [answered(1, "Traceback\nMemoryError: x")], "exit code 1: MemoryError: x"),
        (FAILED, [answered(0, PASSED.model_copy(update={"digest": None}))], "incomplete"),
        (FAILED, [preflight(None, phase="Failed", reason="Evicted", message="The node was low on resource: memory.")], "low on resource"),
        (FAILED, [], "backoff limit"),
        (TOO_LATE, [], "longer than specified deadline"),
        (TOO_LATE, [preflight(waiting("preflight", "ImagePullBackOff", "Back-off"))], "image volary-agent:0.1.0"),
        (TOO_LATE, [preflight(running("preflight"))], "longer than specified deadline"),
        (COMPLETE, [], "CompletionsReached"),
        (COMPLETE, [answered(0, "hello")], "exit code 0: hello"),
        (COMPLETE, [answered(0, '{"reason": "Serving"}')], "exit code 0"),
    ],
)
def test_an_end_without_an_answer_says_nothing_about_the_bundle(condition: Body, pods: list[Body], part: str) -> None:
    found = diagnosis.preflight(job(condition), pods)
    assert isinstance(found, PreflightEnded)
    assert found.outcome.reason is Reason.PREFLIGHT_INTERRUPTED
    assert REASONS[found.outcome.reason].kind is Kind.TRANSIENT
    assert part in found.outcome.message
    assert found.at in {NOTICED, FINISHED}


def test_a_job_that_is_over_before_its_pod_is_seen_to_be_waits_for_the_pod() -> None:
    """Two watches: the Job's event may come first."""
    assert diagnosis.preflight(job(COMPLETE), [preflight(running("preflight"))]) == PreflightRunning()


def test_the_newest_pod_answers() -> None:
    old = preflight(stopped("preflight", end(3, REFUSED)), created="2026-03-01T10:00:00Z")
    new = preflight(stopped("preflight", end(0, PASSED)), created="2026-03-01T11:00:00Z")
    assert diagnosis.preflight(job(), [new, old]) == PreflightEnded(outcome=PASSED, at=FINISHED)
