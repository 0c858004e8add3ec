"""Ids follow from content: the same on every replay, other for whatever shapes a pod."""

from typing import Any

import pytest
from hypothesis import given

from tests.support.specs import specs
from tests.unit.planning.builders import DIGEST, STORAGE, model
from volary.api.v1alpha1 import Model, ModelDeploymentSpec, Resources, Runtime, RuntimeName, Verify
from volary.planning.identity import request_id, revision_id

ONNX = Runtime(name=RuntimeName.ONNXRUNTIME)
BASE = revision_id(DIGEST, model(), "fraud", ONNX)


def test_ids_are_written_down_in_clusters_and_must_not_change() -> None:
    assert request_id(model(), "fraud", ONNX) == "95f6b8730c"
    assert BASE == "71d898813f"


@pytest.mark.parametrize(
    "other",
    [
        revision_id("sha256:" + "0" * 64, model(), "fraud", ONNX),
        revision_id(DIGEST, model(version="1.4.1"), "fraud", ONNX),
        revision_id(DIGEST, model(uri="s3://models/other"), "fraud", ONNX),
        revision_id(DIGEST, model(storage=STORAGE.model_copy(update={"region": "eu-west-1"})), "fraud", ONNX),
        revision_id(DIGEST, model(), "renamed", ONNX),
        revision_id(DIGEST, model(), "fraud", Runtime(name=RuntimeName.TENSORFLOW_SERVING)),
        revision_id(DIGEST, model(), "fraud", ONNX.model_copy(update={"image": "mine:1"})),
        revision_id(DIGEST, model(), "fraud", ONNX.model_copy(update={"resources": Resources(limits={"memory": "1Gi"})})),
    ],
)
def test_all_that_shapes_a_pod_is_in_the_revision(other: str) -> None:
    assert other != BASE


def test_a_pin_changes_the_request_but_not_the_revision() -> None:
    pinned = model(digest=DIGEST)
    assert revision_id(DIGEST, pinned, "fraud", ONNX) == BASE
    assert request_id(pinned, "fraud", ONNX) != request_id(model(), "fraud", ONNX)


def test_a_wanted_signature_changes_the_request_but_not_the_revision() -> None:
    verified = model(verify=Verify(public_key_secret_name="signer"))
    assert revision_id(DIGEST, verified, "fraud", ONNX) == BASE
    assert request_id(verified, "fraud", ONNX) != request_id(model(), "fraud", ONNX)


def test_a_default_that_is_spelled_out_changes_nothing() -> None:
    spelled = Model.model_validate(model().model_dump(by_alias=True))
    assert revision_id(DIGEST, spelled, "fraud", Runtime(name=RuntimeName.ONNXRUNTIME, image=None, resources=Resources())) == BASE


@given(specs())
def test_ids_are_short_hexadecimal_and_repeatable(given_spec: dict[str, Any]) -> None:
    spec = ModelDeploymentSpec.model_validate(given_spec)
    again = ModelDeploymentSpec.model_validate_json(spec.model_dump_json(by_alias=True))
    first, second = (revision_id(DIGEST, one.model, "fraud", one.runtime) for one in (spec, again))
    assert first == second
    assert len(first) == 10
    int(first, 16)
