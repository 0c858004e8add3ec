"""The comparison itself: a test of it that could not fail would prove nothing."""

import json
from typing import Any

import pytest

from tests.gitops import sync

GIT = {"metadata": {"name": "fraud"}, "spec": {"model": {"version": "1.0.0"}, "rollout": {"steps": [{"weight": 5}]}}}


def live(spec: dict[str, Any], applied: dict[str, Any] | None = None) -> dict[str, Any]:
    annotations = {} if applied is None else {"annotations": {sync.LAST_APPLIED: json.dumps(applied)}}
    return {"metadata": {"name": "fraud", "uid": "1", **annotations}, "spec": spec, "status": {"phase": "Serving"}}


@pytest.mark.parametrize("applied", [None, GIT])
def test_defaults_and_a_status_are_no_difference(applied: dict[str, Any] | None) -> None:
    there = {
        "model": {"version": "1.0.0", "name": "x"},
        "rollout": {"steps": [{"weight": 5, "approval": False}], "paused": False},
        "history": 5,
    }
    assert sync.three_way(GIT, live(there, applied)) == {}


@pytest.mark.parametrize(
    ("there", "patch"),
    [
        ({"model": {"version": "0.9.0"}, "rollout": {"steps": [{"weight": 5}]}}, {"spec": {"model": {"version": "1.0.0"}}}),
        (
            {"model": {"version": "1.0.0"}, "rollout": {"steps": [{"weight": 6, "pause": False}]}},
            {"spec": {"rollout": {"steps": [{"weight": 5}]}}},
        ),
        (
            {"model": {"version": "1.0.0"}, "rollout": {"steps": [{"weight": 5}, {"weight": 9}]}},
            {"spec": {"rollout": {"steps": [{"weight": 5}]}}},
        ),
        ({"model": {}, "rollout": {"steps": [{"weight": 5}]}}, {"spec": {"model": {"version": "1.0.0"}}}),
    ],
)
def test_what_git_has_and_is_another_is(there: dict[str, Any], patch: dict[str, Any]) -> None:
    assert sync.three_way(GIT, live(there, GIT)) == patch


def test_what_git_no_longer_has_is() -> None:
    applied = GIT | {"spec": GIT["spec"] | {"replicas": 3}}
    assert sync.three_way(GIT, live({**GIT["spec"], "replicas": 3}, applied)) == {"spec": {"replicas": None}}


def test_a_dry_run_that_changes_something_is() -> None:
    there = live(GIT["spec"])
    assert sync.server_side(there | {"metadata": there["metadata"] | {"resourceVersion": "7"}}, there) == {}
    assert sync.server_side(live({"model": {"version": "1.0.1"}}), there) != {}
