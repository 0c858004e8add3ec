"""What people are told of the stories."""

from datetime import timedelta

import pytest

from tests.gitops import told
from volary.api.v1alpha1 import ModelDeploymentStatus, Phase
from volary.common.reasons import Reason
from volary.planning.notices import Decision, Notice, said
from volary.planning.notices import told as shown_by


def notices(before: ModelDeploymentStatus | None, after: ModelDeploymentStatus) -> tuple[Notice, ...]:
    known = {notice.mark for notice in shown_by(before)} if before is not None else set()
    return tuple(notice for notice in shown_by(after) if notice.mark not in known)


def tale(story: str) -> list[tuple[Notice, ...]]:
    """The notices of each status, one after the other."""
    before: ModelDeploymentStatus | None = None
    found = []
    for seen in told.stories():
        if seen.story == story:
            found.append(notices(before, seen.desired.status))
            before = seen.desired.status
    return found


def lines(story: str) -> list[str]:
    return [f"{notice.decision} {notice.version}: {notice.reason}".replace(" :", ":") for many in tale(story) for notice in many]


FIRST = ["NewRevision 1.0.0: PreflightPassed", "Promoted 1.0.0: Promoted"]
STEPS = ["NewRevision 2.0.0: PreflightPassed", *["Step 2.0.0: StepStarted"] * 3, "Promoted 2.0.0: Promoted"]
TALES = {
    "first_deploy": FIRST,
    "canary_in_steps": [*FIRST, *STEPS],
    "errors_roll_back": [*FIRST, *STEPS[:2], "RolledBack 2.0.0: ErrorRateTooHigh"],
    "refused_by_preflight": [*FIRST, "Refused: DigestMismatch", *[line.replace("2.0.0", "2.0.1") for line in STEPS]],
    "bad_after_promotion": [*FIRST, *STEPS, "RolledBack 2.0.0: ErrorRateTooHigh"],
    "aborted_then_tried_again": [*FIRST, *STEPS[:2], "RolledBack 2.0.0: AbortRequested", *STEPS[1:]],
    "the_secret_comes_late": ["Degraded: SecretNotFound", *FIRST],
    "approved_by_a_person": [
        *(*FIRST, *STEPS[:2], "Waiting 2.0.0: ApprovalNeeded"),
        *(*STEPS[2:4], "Waiting 2.0.0: ApprovalNeeded", STEPS[-1]),
    ],
    "the_first_version_fails": [FIRST[0], "Degraded 1.0.0: GoldenMismatch", *[line.replace("1.0.0", "1.0.1") for line in FIRST]],
    "rollback_to_an_earlier_version": [*FIRST, *STEPS, "RolledBack 2.0.0: RollbackRequested"],
    "status_wiped_after_a_rollback": [*FIRST, STEPS[0], "RolledBack 2.0.0: GoldenMismatch"],
    "stable_dies_during_a_canary": [*FIRST, *STEPS],
}


@pytest.mark.parametrize("story", TALES)
def test_a_story_in_notices(story: str) -> None:
    assert lines(story) == TALES[story]


def test_every_story_tells_of_its_decisions_once() -> None:
    for story in {seen.story for seen in told.stories()}:
        keys = [(notice.decision, notice.key) for many in tale(story) for notice in many]
        assert len(keys) == len(set(keys)), story


def test_who_starts_at_any_moment_finds_no_decision_that_was_not_told_and_no_other_key_for_one_that_was() -> None:
    before: dict[str, ModelDeploymentStatus] = {}
    keys: dict[str, set[str]] = {}
    found = 0
    for seen in told.stories():
        if seen.story == "status_wiped_after_a_rollback":  # and with it when the rollout ended
            continue
        status = seen.desired.status
        sent = keys.setdefault(seen.story, set())
        sent |= {notice.key for notice in notices(before.get(seen.story), status)}
        before[seen.story] = status
        anew = [notice for notice in notices(None, status) if notice.recent(seen.now, timedelta(minutes=10))]
        assert {notice.key for notice in anew} <= sent, f"{seen.story} {seen.phase}"
        found += len(anew)
    assert found > 100


def test_a_model_without_a_pod_that_takes_traffic_is_told_of_once() -> None:
    serving = next(seen.desired.status for seen in told.stories() if seen.phase is Phase.SERVING)
    conditions = tuple(
        c.model_copy(update={"status": "False", "message": "none"}) if c.type == "Available" else c for c in serving.conditions
    )
    dead = serving.model_copy(update={"conditions": conditions})
    (notice,) = notices(serving, dead)
    assert (notice.decision, notice.message) == (Decision.DEGRADED, f"version {serving.stable.version}: none")
    assert notices(dead, dead) == ()


def test_trouble_that_goes_away_by_itself_is_not_told() -> None:
    serving = next(seen.desired.status for seen in told.stories() if seen.phase is Phase.SERVING)

    def with_trouble(reason: Reason) -> ModelDeploymentStatus:
        trouble = serving.conditions[0].model_copy(update={"type": "Reconciled", "status": "False", "reason": reason})
        return serving.model_copy(update={"conditions": (*serving.conditions, trouble)})

    assert notices(serving, with_trouble(Reason.API_UNAVAILABLE)) == ()
    assert [notice.decision for notice in notices(serving, with_trouble(Reason.SPEC_INVALID))] == [Decision.DEGRADED]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("GET https://s3.example/b/k?X-Amz-Signature=abc&x=1 failed", "GET https://s3.example/b/k failed"),
        ("at https://user:secret@host/x", "at https://[hidden]host/x"),
        ("two\nlines", "two lines"),
        ("token=abcdef", "[hidden]"),
    ],
)
def test_what_is_said_holds_no_secret(message: str, shown: str) -> None:
    notice = Notice(decision=Decision.DEGRADED, mark="", key="", reason="Crashed", message=message, at=None)
    assert said(notice) == shown
