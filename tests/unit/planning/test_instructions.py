"""What people ask of a canary under way: noted in its memory, or refused with what to do instead."""

from typing import Any

import pytest

from tests.unit.planning.builders import NOW, desired, spec
from volary.api.v1alpha1 import Rollout, RolloutStatus
from volary.planning import instructions
from volary.planning.instructions import Noted, Refusal, Situation

THREE = {"steps": [{"weight": 10}, {"weight": 25}, {"weight": 50}]}


def found(*, rollout: dict[str, Any] | None = None, **memory: Any) -> Situation:
    wanted = desired(spec=spec(rollout=Rollout.model_validate(rollout or THREE)))
    known = RolloutStatus(revision="r", generation=1, started_at=NOW, **memory)
    return Situation(desired=wanted, known=known, version="2.0.0", now=NOW)


@pytest.mark.parametrize(
    ("verb", "situation", "changes"),
    [
        pytest.param("promote", found(step=1), {"approved": True}, id="promote"),
        pytest.param("promote", found(step=1, paused=True), {"approved": True, "paused": False}, id="promote ends a pause"),
        pytest.param("pause", found(), {"paused": True}, id="pause before the first step"),
        pytest.param("pause", found(step=1), {"paused": True}, id="pause in a step"),
        pytest.param("resume", found(step=1, paused=True), {"paused": False}, id="resume"),
        pytest.param("approve", found(step=1, awaits_approval=True), {"step_approved": True}, id="approve"),
        pytest.param(
            "skip",
            found(step=0, step_started_at=NOW, step_requests=5, awaits_approval=True),
            {"step": 1, "step_started_at": None, "step_requests": 0, "awaits_approval": False},
            id="skip begins the next step anew",
        ),
        pytest.param("skip", found(step=2), {"step": 3}, id="skip of the last step"),
        pytest.param("skip", found(step=1, paused=True), {"step": 2, "paused": True}, id="skip keeps a pause"),
    ],
)
def test_noted(verb: str, situation: Situation, changes: dict[str, Any]) -> None:
    noted = instructions.INSTRUCTIONS[verb](situation)
    assert isinstance(noted, Noted)
    assert noted.memory == situation.known.model_copy(update=changes)
    assert noted.reason == f"{verb.capitalize()}Requested"
    assert "as asked" in noted.text


@pytest.mark.parametrize(
    ("verb", "situation", "words"),
    [
        pytest.param("pause", found(paused=True), "paused already: resume lets it go on", id="paused twice"),
        pytest.param("resume", found(), "no pause was asked for", id="nothing to resume"),
        pytest.param("resume", found(rollout={"paused": True}), "spec.rollout.paused is true: set it to false", id="paused by the spec"),
        pytest.param("skip", found(rollout={"steps": []}), "no steps to skip: promote", id="no steps"),
        pytest.param("skip", found(rollout={"strategy": "BlueGreen"}), "no steps to skip: promote", id="blue-green"),
        pytest.param("skip", found(step=-1), "its first pods are starting: wait", id="not in a step yet"),
        pytest.param("skip", found(step=3), "has passed all 3 steps", id="no step left"),
        pytest.param("approve", found(step=1), "waits for no approval in step 2 of 3: skip", id="nothing to approve"),
    ],
)
def test_refused_with_what_to_do(verb: str, situation: Situation, words: str) -> None:
    refusal = instructions.INSTRUCTIONS[verb](situation)
    assert isinstance(refusal, Refusal)
    assert words in refusal.message
