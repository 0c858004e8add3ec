"""The API server and the models accept the same documents, and the API server says what to do about the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import ValidationError

from tests.api.documents import BAD, GOOD, Case
from tests.support.specs import documents
from volary.api.v1alpha1 import ModelDeployment, ModelDeploymentSpec

if TYPE_CHECKING:
    from tests.api.conftest import Judge

pytestmark = pytest.mark.cluster


def accepted(body: dict[str, Any]) -> bool:
    """The models' verdict."""
    try:
        ModelDeployment.model_validate(body)
    except ValidationError:
        return False
    return True


def filled(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec with the models' defaults, without what is empty."""
    dumped = ModelDeploymentSpec.model_validate(spec).model_dump(mode="json", by_alias=True, exclude_none=True)
    found: dict[str, Any] = without_empty(dumped)
    return found


def without_empty(value: Any) -> Any:
    """Drop empty maps, in lists too: whether one is written says nothing."""
    match value:
        case dict():
            inner = {key: without_empty(item) for key, item in value.items()}
            return {key: item for key, item in inner.items() if item != {}}
        case list():
            return [without_empty(item) for item in value]
        case _:
            return value


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
def test_good_documents(case: Case, judge: Judge) -> None:
    verdict = judge(case.body)
    assert verdict.stored is not None, verdict.message
    assert accepted(case.body)
    stored = ModelDeploymentSpec.model_validate(verdict.stored["spec"])
    assert stored == ModelDeploymentSpec.model_validate(case.body["spec"])


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_bad_documents(case: Case, judge: Judge) -> None:
    verdict = judge(case.body)
    assert verdict.stored is None, "the API server took it"
    assert case.says in verdict.message
    assert not accepted(case.body), "the models took it"


@pytest.mark.parametrize("case", [case for case in GOOD if not case.id.startswith(("null", "quantity"))], ids=lambda case: case.id)
def test_server_fills_in_the_defaults_of_the_models(case: Case, judge: Judge) -> None:
    verdict = judge(case.body)
    assert verdict.stored is not None, verdict.message
    assert without_empty(verdict.stored["spec"]) == filled(case.body["spec"])


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(body=documents(broken=True))
def test_same_verdict_on_random_documents(body: dict[str, Any], judge: Judge) -> None:
    verdict = judge(body)
    assert (verdict.stored is not None) == accepted(body), verdict.message
