"""What a person asks for with the command line, on a real cluster under load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.asking import done, volary
from tests.e2e.serving import Serving
from tests.support.kubectl import condition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.demo.stage import Stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

FOREVER = {"steps": [{"weight": 50, "duration": "1h"}]}  # nothing goes on before somebody asks


@pytest.fixture(scope="module")
def asked(stage: Stage, session: str) -> Iterator[Serving]:
    """A model with one pod whose canaries wait for a person."""
    name = stage.namespace(f"e2e-requests-{session}")
    with Serving.begin(stage, name, "asked", replicas=1, rollout=FOREVER, rate=50) as serving:
        yield serving
        totals = serving.load.totals
        assert totals.failed == 0, totals.failures
    stage.leave(name)


def canary(serving: Serving, version: str) -> None:
    """This version waits as a canary."""
    serving.apply(version, replicas=1, rollout=FOREVER)
    serving.until_canary(version)


def test_promote_then_roll_back_then_retry(asked: Serving) -> None:
    canary(asked, "2.0.0")
    done(asked, "promote")
    asked.until_serving("2.0.0")
    done(asked, "rollback", "--to", "1.0.0")
    asked.until_said("RollbackRequested", "RolledBack")
    assert asked.stable == "1.0.0"
    done(asked, "retry")  # 2.0.0 proved itself before: it needs no steps
    asked.until_serving("2.0.0")


def test_abort_then_retry(asked: Serving) -> None:
    before = asked.stable
    canary(asked, "6.0.0")
    done(asked, "abort")
    asked.until_said("AbortRequested", "RolledBack")
    assert asked.stable == before
    done(asked, "retry")
    asked.until_canary("6.0.0")
    done(asked, "promote")
    asked.until_serving("6.0.0")


def test_nothing_to_ask_for_is_said(asked: Serving) -> None:
    before = condition(asked.watch.body, "Ready")
    result = volary(asked, "abort")
    assert result.returncode != 0
    assert "no canary" in (result.stdout + result.stderr).lower()
    assert condition(asked.watch.body, "Ready") == before


def test_status_tells_it(asked: Serving) -> None:
    text = done(asked, "status")
    assert asked.stable in text
    assert asked.watch.phase in text
