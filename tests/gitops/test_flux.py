"""kstatus, by which Flux judges: of every status in the golden stories, of refusals, and of an object at rest."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.gitops import kstatus, told
from tests.gitops.kstatus import Verdict
from tests.stories.test_stories import STORIES
from tests.unit.planning import builders
from volary.api import crdgen
from volary.api.v1alpha1 import Phase
from volary.common.errors import Refused, Transient, VolaryError
from volary.common.reasons import Reason
from volary.controller import status as writing

FLUX = Path(__file__).resolve().parents[2] / "manifests" / "flux"
VERDICTS = {
    Phase.SERVING: Verdict.CURRENT,
    Phase.ROLLED_BACK: Verdict.FAILED,
    Phase.REFUSED: Verdict.FAILED,
    Phase.FAILED: Verdict.FAILED,
}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUIET = timedelta(minutes=10)
SETTLING = timedelta(minutes=30)  # pods that linger, a watch after a promotion


def test_every_status_of_every_story_computes_to_what_it_is() -> None:
    for seen in told.stories():
        assert kstatus.compute(seen.body) is VERDICTS.get(seen.phase, Verdict.IN_PROGRESS), f"{seen.story}: {seen.phase}"


def test_an_object_that_nobody_has_looked_at_is_in_progress() -> None:
    """Silence is success for kstatus: the schema speaks first."""
    default = crdgen.crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["default"]
    assert kstatus.compute(told.body({}, default, 1)) is Verdict.IN_PROGRESS
    assert kstatus.compute(told.body({}, None, 1)) is Verdict.CURRENT


def test_conditions_are_those_of_kstatus_and_of_this_generation() -> None:
    for seen in told.stories():
        status = seen.body["status"]
        kinds = [condition["type"] for condition in status["conditions"]]
        assert kinds[:3] == ["Ready", "Reconciling", "Stalled"]
        assert len(kinds) == len(set(kinds))
        assert {condition["observedGeneration"] for condition in status["conditions"]} == {status["observedGeneration"]}
        assert all(condition["reason"] and condition["lastTransitionTime"] for condition in status["conditions"])


@pytest.mark.parametrize(
    ("failure", "verdict"),
    [
        (Refused(Reason.SPEC_INVALID, "Service fraud exists and is not Volary's"), Verdict.FAILED),
        (Transient(Reason.API_UNAVAILABLE, "no answer"), Verdict.CURRENT),
    ],
)
def test_trouble_fails_only_where_a_person_must_act(failure: VolaryError, verdict: Verdict) -> None:
    serving = next(seen for seen in told.stories() if seen.phase is Phase.SERVING)
    desired = builders.desired()
    after = writing.with_trouble(desired, serving.desired.status, failure, NOW)
    generation = serving.body["metadata"]["generation"]
    assert kstatus.compute(told.body({}, after.model_dump(mode="json", by_alias=True, exclude_none=True), generation)) is verdict


def test_ten_idle_minutes_are_ten_minutes_without_a_write() -> None:
    """At the end of every story that comes to rest: nothing is done and no status is written, however often it is looked at."""
    rested = 0
    for name, world in told.worlds().items():
        if STORIES[name][1] is Phase.PAUSED:
            continue
        world.run(SETTLING)
        writes: list[Any] = []
        world.listeners.append(lambda turn, writes=writes, world=world: writes.extend([turn] if not world.idle(turn) else []))
        before = world.cluster.now
        while world.cluster.now - before < QUIET:
            turn = world.turn()
            look = world.next_look(turn)
            world.cluster.advance(min(look or before + QUIET, world.cluster.now + timedelta(seconds=30)))
        assert writes == [], f"{name}: {[turn.plan.actions or turn.plan.status for turn in writes][:1]}"
        rested += 1
    assert rested > 50


@pytest.mark.parametrize("path", sorted(FLUX.glob("*.yaml")), ids=lambda path: path.name)
def test_examples_are_kustomizations_of_flux(path: Path) -> None:
    body = yaml.safe_load(path.read_text("utf-8"))
    assert (body["apiVersion"], body["kind"]) == ("kustomize.toolkit.fluxcd.io/v1", "Kustomization")
    known = {
        "interval",
        "retryInterval",
        "timeout",
        "path",
        "prune",
        "targetNamespace",
        "sourceRef",
        "wait",
        "healthChecks",
        "healthCheckExprs",
    }
    assert body["spec"].keys() <= known
    for expression in body["spec"].get("healthCheckExprs", []):
        phases = {word for word in expression["failed"].split("'") if word in {phase.value for phase in Phase}}
        assert phases == {phase.value for phase, verdict in VERDICTS.items() if verdict is Verdict.FAILED}
