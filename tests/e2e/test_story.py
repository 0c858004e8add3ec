"""The demo's story, as assertions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.demo.story import NAME, Story
from tests.demo.watching import Watch

if TYPE_CHECKING:
    from tests.demo.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]


def test_everything_happens_as_told(stage: Stage, namespace: str) -> None:
    with Watch(stage.kubectl, namespace, NAME) as watch:
        story = Story(stage, watch)
        story.tell()
        events = {event.reason for event in watch.happenings}
        history = {entry["version"]: entry.get("failed") for entry in watch.status["history"]}
    assert all(chapter.seconds is not None for chapter in story.chapters)
    assert story.totals.failed == 0
    assert 0 < story.totals.model_errors < 200
    assert set(story.totals.by_version) == {"1.0.0", "2.0.0", "5.0.0", "6.0.0"}
    assert history == {"6.0.0": None, "5.0.0": "ErrorRateTooHigh", "4.0.0": "GoldenMismatch", "2.0.0": None, "1.0.0": None}
    assert events >= {
        *("PreflightRunning", "PreflightPassed", "PodsStarting", "Promoted"),
        *("CanaryStarted", "StepStarted", "Promoting"),
        *("DigestMismatch", "GoldenMismatch", "ErrorRateTooHigh"),
    }
