"""`volary explain` of real rollouts, one promoted and one rolled back, and of one under way."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.serving import Serving
from tests.e2e.test_requests import FOREVER, done
from tests.support import wait

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.demo.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

STEPS = {"steps": [{"weight": 50, "duration": "6s"}]}
QUIET = 12  # seconds without a write


@pytest.fixture(scope="module")
def told(stage: Stage, session: str) -> Iterator[Serving]:
    """A model with one pod under load."""
    name = stage.namespace(f"e2e-explain-{session}")
    with Serving.begin(stage, name, "told", replicas=1, rollout=STEPS, rate=50) as serving:
        yield serving
        assert serving.load.totals.failed == 0, serving.load.totals.failures
    stage.leave(name)


def explained(serving: Serving) -> Any:
    return json.loads(done(serving, "explain", "-o", "json"))


def test_a_canary_under_way_and_its_promotion(told: Serving, tmp_path: Path) -> None:
    told.apply("2.0.0", replicas=1, rollout=FOREVER)
    told.until_canary("2.0.0")
    under_way = done(told, "explain")
    assert "version 2.0.0 beside 1.0.0" in under_way
    assert "volary abort told" in under_way
    told.apply("2.0.0", replicas=1, rollout=STEPS)  # the step ends when it is proved
    told.until_serving("2.0.0")
    page = tmp_path / "promoted.html"
    text = done(told, "explain", "--html", str(page))
    assert "Promoted" in text
    assert "proved good enough" in text
    assert "<polyline" in page.read_text("utf-8")
    found = explained(told)
    assert (found["outcome"], found["version"]) == ("Promoted", "2.0.0")
    assert found["findings"][0]["canaryRequests"] > 0
    assert [stage["step"] for stage in found["stages"]] == [0, 1, 2]


def test_a_rollback_is_explained_and_then_nothing_is_written(told: Serving) -> None:
    before = told.stable
    told.apply("5.0.0", replicas=1, rollout=STEPS)
    told.until_said("ErrorRateTooHigh", "RolledBack")
    found = explained(told)
    assert (found["outcome"], found["version"], found["beside"]) == ("RolledBack", "5.0.0", before)
    assert found["findings"][0]["against"] == 100
    assert found["findings"][0]["canaryBad"] > 0
    assert found["course"][-1]["verdict"] == "Fail"
    assert found["stages"][1]["weight"] == 50
    text = done(told, "explain")
    assert "proved worse" in text
    assert "volary retry told" in text
    version = told.watch.body["metadata"]["resourceVersion"]
    ended = time.monotonic()

    def quiet() -> bool:
        nonlocal version, ended
        seen = told.watch.body["metadata"]["resourceVersion"]
        if seen != version:
            version, ended = seen, time.monotonic()
        return time.monotonic() - ended > QUIET

    wait.until(f"nothing is written for {QUIET} s", quiet, 60)
