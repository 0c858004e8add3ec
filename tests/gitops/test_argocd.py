"""What Argo CD makes of a ModelDeployment: its scripts, run on every status that the golden stories show."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.gitops import kstatus, lua, testdata, told
from volary.api.v1alpha1 import ModelDeployment, Phase
from volary.cli import request as cli
from volary.common.names import GROUP, KIND, REQUEST_ANNOTATION
from volary.planning import requests
from volary.planning.requests import Verb

ARGOCD = Path(__file__).resolve().parents[2] / "manifests" / "argocd"
SCRIPTS = testdata.SCRIPTS
HEALTH = lua.script(SCRIPTS / "health.lua")
DISCOVERY = lua.script(SCRIPTS / "actions" / "discovery.lua")

NOW = datetime(2026, 1, 1, tzinfo=UTC)

VERDICTS = {
    Phase.PENDING: "Progressing",
    Phase.CHECKING: "Progressing",
    Phase.STARTING: "Progressing",
    Phase.CANARY: "Progressing",
    Phase.PROMOTING: "Progressing",
    Phase.ROLLING_BACK: "Progressing",
    Phase.PAUSED: "Suspended",
    Phase.SERVING: "Healthy",
    Phase.ROLLED_BACK: "Degraded",
    Phase.REFUSED: "Degraded",
    Phase.FAILED: "Degraded",
}
# The same judgement in Flux' words.
SAME = {"Progressing": {"InProgress"}, "Suspended": {"InProgress"}, "Healthy": {"Current"}, "Degraded": {"Failed"}}


def health(body: Any) -> dict[str, str]:
    return lua.run(HEALTH, body)


def discovered(body: Any) -> dict[str, Any]:
    return lua.run(DISCOVERY, body)


# ---- health ---------------------------------------------------------------------------------------


def test_the_stories_show_every_phase() -> None:
    """Pending is left within the turn that sees it."""
    assert {seen.phase for seen in told.stories()} == set(Phase) - {Phase.PENDING}
    assert set(VERDICTS) == set(Phase)
    assert health(with_conditions("Pending", Reconciling=("True", "PodsStarting")))["status"] == VERDICTS[Phase.PENDING]


def test_every_status_of_every_story_has_the_verdict_of_its_phase_and_says_why() -> None:
    for seen in told.stories():
        found = health(seen.body)
        assert found["status"] == VERDICTS[seen.phase], seen.story
        assert found["message"].startswith(f"{seen.phase}: "), seen.story
        assert seen.body["status"]["message"] in found["message"], seen.story


def test_argo_cd_and_flux_judge_alike() -> None:
    for seen in told.stories():
        assert kstatus.compute(seen.body) in SAME[health(seen.body)["status"]], f"{seen.story}: {seen.phase}"


@pytest.mark.parametrize("status", [None, {}, {"observedGeneration": -1}])
def test_an_object_that_nobody_has_looked_at_is_progressing(status: dict[str, Any] | None) -> None:
    assert health(told.body({}, status, 1)) == {"status": "Progressing", "message": "Volary has not looked at it yet"}


def test_a_status_of_an_earlier_spec_is_progressing_whatever_it_says() -> None:
    for seen in told.stories():
        newer = {**seen.body, "metadata": seen.body["metadata"] | {"generation": seen.body["metadata"]["generation"] + 1}}
        assert health(newer) == {"status": "Progressing", "message": "Volary has not looked at the latest change yet"}
        assert kstatus.compute(newer) is kstatus.Verdict.IN_PROGRESS


def with_conditions(phase: str, **conditions: tuple[str, str]) -> dict[str, Any]:
    listed = [{"type": kind, "status": value, "reason": reason, "message": "so"} for kind, (value, reason) in conditions.items()]
    return told.body({}, {"observedGeneration": 3, "phase": phase, "message": "so", "conditions": listed}, 3)


@pytest.mark.parametrize(("reason", "verdict"), [("ApiUnavailable", "Healthy"), ("InternalError", "Healthy"), ("SpecInvalid", "Degraded")])
def test_trouble_degrades_only_where_a_person_must_act(reason: str, verdict: str) -> None:
    assert health(with_conditions("Serving", Ready=("True", "Serving"), Reconciled=("False", reason)))["status"] == verdict


@pytest.mark.parametrize(
    ("condition", "verdict"),
    [({"Reconciling": ("True", "X")}, "Progressing"), ({"Stalled": ("True", "X")}, "Degraded"), ({"Ready": ("True", "X")}, "Healthy")],
)
def test_a_phase_of_a_newer_operator_is_judged_by_its_conditions(condition: dict[str, tuple[str, str]], verdict: str) -> None:
    assert health(with_conditions("Dreaming", **condition))["status"] == verdict
    assert health(with_conditions("Dreaming"))["status"] == "Progressing"


def test_scripts_get_by_without_libraries() -> None:
    with pytest.raises(lua.Failed):
        lua.run("return string.format('%d', 1)", {})
    with pytest.raises(lua.Failed):
        lua.run("return ('x'):upper()", {})
    with pytest.raises(lua.Failed):
        lua.run("return os.time()", {})


# ---- actions --------------------------------------------------------------------------------------


def test_there_is_an_action_for_each_verb_and_no_other() -> None:
    body = told.stories()[0].body
    folders = {path.parent.name for path in SCRIPTS.glob("actions/*/action.lua")}
    assert folders == set(discovered(body)) == {verb.value for verb in Verb}
    assert all(action["displayName"] and action["iconClass"].startswith("fa fa-fw fa-") for action in discovered(body).values())


def test_an_action_is_enabled_exactly_where_the_planner_would_do_it() -> None:
    """But for one: a check under way may be asked for again, and nothing comes of it."""
    tried: dict[Verb, set[bool]] = {verb: set() for verb in Verb}
    for seen in told.stories():
        offered = discovered(seen.body)
        for verb in Verb:
            asked = f"{verb}@of-this-test"
            desired = seen.desired
            answer = requests.answer(replace(desired, request=asked), seen.observed, seen.request_id, NOW)
            assert answer.record is not None
            done = answer.record.outcome == "Done"
            enabled = not offered[verb]["disabled"]
            idle = verb is Verb.RETRY and seen.phase in {Phase.CHECKING, Phase.PENDING}
            assert enabled == done or idle, f"{seen.story}: {verb} in {seen.phase}: {answer.record.message}"
            tried[verb].add(enabled)
    assert all(both == {True, False} for both in tried.values())


@pytest.mark.parametrize("verb", Verb)
def test_an_action_writes_what_the_command_line_writes_and_nothing_else(verb: Verb) -> None:
    offered = {seen.story: seen for seen in told.stories() if not discovered(seen.body)[verb]["disabled"]}
    for seen in offered.values():
        found = ModelDeployment.model_validate(seen.body)
        expected = cli.wish(verb, found, None, found.metadata.resource_version)
        after = testdata.acted(verb, seen.body)
        assert after["metadata"].pop("annotations") == {REQUEST_ANNOTATION: expected}
        assert after == seen.body


@pytest.mark.parametrize("verb", [verb for verb in Verb if verb in cli._CANARY_VERBS])
def test_an_action_without_a_canary_is_refused_as_on_the_command_line(verb: Verb) -> None:
    with pytest.raises(lua.Failed, match="no canary is under way"):
        testdata.acted(verb, told.body({}, {"phase": "Serving"}, 1))


def test_an_action_keeps_other_annotations_and_replaces_an_older_request() -> None:
    seen = next(seen for seen in told.stories() if seen.phase is Phase.CANARY)
    annotated = {**seen.body, "metadata": {**seen.body["metadata"], "annotations": {"team": "x", REQUEST_ANNOTATION: "retry@1"}}}
    canary = seen.body["status"]["canary"]["revision"]
    assert testdata.acted(Verb.ABORT, annotated)["metadata"]["annotations"] == {"team": "x", REQUEST_ANNOTATION: f"abort:{canary}@4711"}


# ---- in the folders of Argo CD's own repository, and in its ConfigMap -------------------------------


def test_the_files_for_argo_cds_own_tests_are_those_of_the_stories() -> None:
    wanted = testdata.files()
    there = {str(path.relative_to(SCRIPTS)): path.read_text("utf-8") for path in SCRIPTS.rglob("*.yaml")}
    assert there == wanted, "if this change is wanted: python -m tests.gitops.testdata"


@pytest.mark.parametrize(
    ("name", "verdict"), [("rolled_back", "Degraded"), ("paused", "Suspended"), ("serving", "Healthy"), ("secret_missing", "Progressing")]
)
def test_the_files_say_what_a_reader_expects(name: str, verdict: str) -> None:
    tests = yaml.safe_load((SCRIPTS / "health_test.yaml").read_text("utf-8"))["tests"]
    assert next(test for test in tests if test["inputPath"] == f"testdata/{name}.yaml")["healthStatus"]["status"] == verdict


def test_the_config_map_holds_the_scripts_as_they_are() -> None:
    data = yaml.safe_load((ARGOCD / "argocd-cm.yaml").read_text("utf-8"))["data"]
    actions = yaml.safe_load(data[f"resource.customizations.actions.{GROUP}_{KIND}"])
    assert data[f"resource.customizations.health.{GROUP}_{KIND}"] == HEALTH
    assert actions["discovery.lua"] == DISCOVERY
    assert {each["name"]: each["action.lua"] for each in actions["definitions"]} == {
        path.parent.name: lua.script(path) for path in SCRIPTS.glob("actions/*/action.lua")
    }
    assert len(data) == 2


@pytest.mark.parametrize("path", sorted((ARGOCD / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_examples_have_the_fields_of_their_kind(path: Path) -> None:
    """Of argoproj.io/v1alpha1, as far as they are used; a model is held to its own schema."""
    body = yaml.safe_load(path.read_text("utf-8"))
    if body["kind"] == KIND:
        ModelDeployment.model_validate(body)
        return
    assert body["apiVersion"] == "argoproj.io/v1alpha1"
    spec = body["spec"]
    if body["kind"] == "ApplicationSet":
        assert spec.keys() <= {"goTemplate", "goTemplateOptions", "generators", "template"}
        spec = spec["template"]["spec"]
    assert spec.keys() == {"project", "source", "destination", "syncPolicy"}  # and no ignoreDifferences
    assert spec["source"].keys() == {"repoURL", "targetRevision", "path"}
    assert spec["destination"].keys() == {"server", "namespace"}
    assert spec["syncPolicy"].keys() <= {"automated", "syncOptions", "retry"}
